// The guardrails as a person sets them: which there are, which way is tighter, and how far each may be loosened.
//
// Owns: names, directions and the shipped bounds. Does not own: the arithmetic (guardrails.ts), what a model's manifest says.
//
// L1. No guardrail is looser than the shipped default unless it was asked for by name and as unsafe: neither a flag nor a manifest does it
//     by the way (law 8).
import type { Model } from "../manifest.js";
import { defaults, type LearningSettings } from "../settings.js";

export const guardrailNames = ["klLimit", "klWeight", "clipNorm", "restore", "ema", "anchorLossMax"] as const;
export type GuardrailName = (typeof guardrailNames)[number];
export type GuardrailValues = Readonly<Partial<Record<GuardrailName, number>>>;

export interface Guardrail {
  /** One line for people. */
  readonly does: string;
  readonly tighter: "lower" | "higher";
  readonly low: number;
  readonly high: number;
  /** The value that takes it away. */
  readonly off: number;
}

export const guardrails: Readonly<Record<GuardrailName, Guardrail>> = {
  klLimit: {
    does: "a step that leads further from the source model than this (mean KL, nats) is refused",
    tighter: "lower",
    low: 0,
    high: Number.MAX_VALUE,
    off: Number.MAX_VALUE,
  },
  klWeight: {
    does: "how much the distance from the source model (KL) counts in the loss",
    tighter: "higher",
    low: 0,
    high: Number.MAX_VALUE,
    off: 0,
  },
  clipNorm: {
    does: "the gradient's norm is scaled down to this",
    tighter: "lower",
    low: 0,
    high: Number.MAX_VALUE,
    off: Number.MAX_VALUE,
  },
  restore: { does: "part of the way back to the source after each step", tighter: "higher", low: 0, high: 1, off: 0 },
  ema: { does: "weight of what was served before in what is served next", tighter: "higher", low: 0, high: 1, off: 0 },
  anchorLossMax: {
    does: "a step that costs more accuracy on the anchors than this is refused",
    tighter: "lower",
    low: 0,
    high: 1,
    off: 1,
  },
};

/** A guardrail is loosened, and nobody said that this is meant. Whoever set it must act: the message names the flag. */
export class GuardrailError extends Error {
  override readonly name = "GuardrailError";
  constructor(
    readonly guardrail: GuardrailName,
    readonly given: number,
    where: string,
  ) {
    const side = guardrails[guardrail].tighter === "lower" ? "or less" : "or more";
    super(
      `${where}: ${guardrail} ${said(guardrail, given)} is looser than what is shipped; ` +
        `take ${defaults[guardrail]} ${side}, or say --unsafe-guardrails`,
    );
  }
}

/** The model with these settings in place of its own. Throws GuardrailError for one that is looser than shipped, unless `unsafe`. */
export function guarded(model: Model, given: GuardrailValues, unsafe: boolean): Model {
  const learning: LearningSettings = { ...model.manifest.learning, ...given };
  if (!unsafe)
    for (const name of guardrailNames)
      if (isLooser(name, learning[name]))
        throw new GuardrailError(
          name,
          learning[name],
          given[name] === undefined ? `the manifest of ${model.manifest.name}` : "--guardrail",
        );
  return { ...model, manifest: { ...model.manifest, learning } };
}

/** What a model runs with. */
export function guardrailsOf({ manifest }: Pick<Model, "manifest">): Required<GuardrailValues> {
  const { klLimit, klWeight, clipNorm, restore, ema, anchorLossMax } = manifest.learning;
  return { klLimit, klWeight, clipNorm, restore, ema, anchorLossMax };
}

/** Than the shipped default. */
export function isLooser(name: GuardrailName, value: number): boolean {
  return guardrails[name].tighter === "lower" ? value > defaults[name] : value < defaults[name];
}

/** A value as it is typed. */
export function said(name: GuardrailName, value: number): string {
  return value === guardrails[name].off ? "off" : `${value}`;
}
