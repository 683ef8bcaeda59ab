// The sight of a row: how it was looked at, for whoever asks why it was answered as it was, and for the counters.
//
// Owns: names for looks and domains. Does not own: the looks themselves (models/looking.ts), what is folded of them (models/adaptation.ts).

import type { Model } from "../models/manifest.js";
import type { Embedded } from "../models/pass.js";
import { argmax, at } from "../models/softmax.js";
import { kindsOf, plain } from "../models/standing.js";
import type { Counters } from "../operations/telemetry.js";
import type { Explanation } from "../transport/wire.js";

export type Look = Explanation["looks"][number];

export interface Sight {
  /** [classes] logits of the look at the request as it came. */
  readonly plain: Float32Array;
  /** [classes] the same of all looks together. */
  readonly logits: Float32Array;
  /** The domain whose normalisation answered; null: none that is known. */
  readonly domain: number | null;
  /** Empty where one look was enough. */
  readonly looks: readonly Look[];
  /** The class whose moments the row moves is the predicted one, and not one by chance. */
  readonly trusted: boolean;
}

/** `row` of the batch, whose own logits are known already. */
export function sightOf(
  model: Model,
  embedded: Embedded,
  row: number,
  seen: Pick<Sight, "plain" | "logits" | "trusted">,
): Sight {
  const table = at(embedded.domains, row);
  return { ...seen, domain: table === 0 ? null : table - 1, looks: looksAt(model, embedded, row) };
}

const oneLook: readonly Look[] = [];

/** Of the source's look and the one beside it only the first is told: the other is the plain one again. */
function looksAt({ manifest, calibration }: Model, { looks }: Embedded, row: number): readonly Look[] {
  if (looks.rows.length === 0) return oneLook;
  const { classes } = calibration;
  const { source, beside } = kindsOf(manifest.views.length);
  const nameOf = (kind: number): string =>
    kind === plain ? "plain" : kind === source ? "source" : (manifest.views[kind - 1]?.name ?? `${kind}`);
  const own: Look[] = [];
  for (let i = looks.rows.indexOf(row); i >= 0 && looks.rows[i] === row; i++) {
    const kind = at(looks.kinds, i);
    if (kind === beside) continue;
    const answer = argmax(looks.answers.subarray(i * classes, (i + 1) * classes));
    own.push({
      view: nameOf(kind),
      density: at(looks.densities, i),
      label: manifest.labels[answer] ?? `${answer}`,
      weight: at(looks.weights, i),
    });
  }
  return own;
}

/** What adaptation did to the rows of one micro-batch. */
export function countSights(counters: Counters, model: string, sights: readonly Sight[]): void {
  const seen = { trusted: 0, rolledOut: 0, looks: 0, bySource: 0 };
  for (const { looks, trusted } of sights) {
    if (trusted) seen.trusted += 1;
    if (looks.length === 0) continue;
    if (looks.some(({ view }) => view !== "source")) seen.rolledOut += 1;
    seen.looks += looks.length;
    if (looks.some(({ view, weight }) => view === "source" && weight > 0)) seen.bySource += 1;
  }
  const count = (name: string, by: number): void => {
    if (by > 0) counters.add(name, by);
  };
  count("slots_trusted", seen.trusted);
  count("slots_spread", sights.length - seen.trusted);
  count("requests_rolled_out", seen.rolledOut);
  count("requests_gated", sights.length - seen.rolledOut);
  count("looks", seen.looks);
  count("answers_by_source", seen.bySource);
  count(`answers_by_source_${model}`, seen.bySource);
}
