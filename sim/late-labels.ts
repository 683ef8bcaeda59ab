// What late labels are worth: the same stream answered without them, with the memory's vote alone, with the head alone, and with both.
//
// Owns: the stream (three hard drifts that come round again between two clean stretches), when labels arrive, the scores.
// Does not own: what is measured: the stages as they are evaluated (evaluation/methods/driftmend.ts), one request at a time.
//
// V1. Equal options give equal figures: the clock is for threads' deadlines, and no answer depends on it.
import { type Clock, seededRandom } from "../models/clock.js";
import type { Position } from "../models/experience.js";
import type { Model } from "../models/manifest.js";
import { type DigitPool, drawDigit } from "./digits.js";
import { type DriftName, drift, driftNames, type Severity } from "./drift.js";
import { type LabelUse, requestId, Stages } from "./evaluation/methods/driftmend.js";

/** Where labels go. */
export type Use = "none" | "memory" | "head" | "both";
export const uses: readonly Use[] = ["none", "memory", "head", "both"];

/** `geometry`: drifts that moments do not mend. `any`: of all ten. `clean`: no drift at all. */
export type Family = "geometry" | "any" | "clean";

export interface LateLabelOptions {
  readonly model: Model;
  readonly pool: DigitPool;
  readonly clock: Clock;
  readonly family: Family;
  readonly seed: number;
  readonly use: Use;
  /** Share of the requests whose label arrives. */
  readonly share: number;
  /** Requests of one drift, and of each clean stretch; 500 when left out. */
  readonly stretch?: number;
}

export interface LateLabelScore {
  /** Accuracy of each round of drifts. */
  readonly rounds: readonly number[];
  readonly drifting: number;
  /** Clean stretches at the beginning and in the end. */
  readonly before: number;
  readonly after: number;
  readonly labels: number;
  readonly steps: number;
}

type Stretch = "before" | "after" | number;

interface Sample {
  readonly picture: Float32Array;
  readonly label: number;
  /** A number: the round of drifts. */
  readonly stretch: Stretch;
}

interface Due {
  readonly atRequest: number;
  readonly id: string;
  readonly of: Position;
  readonly label: number;
}

const geometry: readonly DriftName[] = ["rotate", "translate", "scale", "shear", "inversion"];
const [hardDrifts, rounds, lateBy] = [3, 3, 100];

export async function measureLateLabels(options: LateLabelOptions): Promise<LateLabelScore> {
  const { model, clock, seed, share, use } = options;
  const stages = await Stages.open({ model, seed, clock }, true);
  try {
    return await answered(stages, samples(options), { seed, share, use: usesOf[use] });
  } finally {
    await stages.close();
  }
}

const usesOf: Readonly<Record<Use, LabelUse>> = {
  none: { votes: false, teaches: false },
  memory: { votes: true, teaches: false },
  head: { votes: false, teaches: true },
  both: { votes: true, teaches: true },
};

async function answered(
  stages: Stages,
  stream: Iterable<Sample>,
  { seed, share, use }: { readonly seed: number; readonly share: number; readonly use: LabelUse },
): Promise<LateLabelScore> {
  const chance = seededRandom(seed + 0x1abe1);
  const due: Due[] = [];
  const right = new Map<Stretch, boolean[]>();
  let labels = 0;
  let request = -1;
  for (const { picture, label, stretch } of stream) {
    request += 1;
    for (let next = due[0]; next !== undefined && next.atRequest <= request; next = due[0]) {
      due.shift();
      labels += 1;
      stages.label(next.id, next.of, next.label, use);
    }
    const [answer] = await stages.answer([picture]);
    right.set(stretch, [...(right.get(stretch) ?? []), answer === label]);
    if (chance() < share) {
      const of = { seq: stages.lastSeq, index: 0 };
      due.push({ atRequest: request + lateBy, id: requestId(seed, request), of, label });
    }
  }
  const accuracy = (wanted: (stretch: Stretch) => boolean): number => {
    const all = [...right].flatMap(([stretch, scored]) => (wanted(stretch) ? scored : []));
    return all.filter(Boolean).length / Math.max(1, all.length);
  };
  return {
    rounds: Array.from({ length: rounds }, (_, round) => accuracy((stretch) => stretch === round)),
    drifting: accuracy((stretch) => typeof stretch === "number"),
    before: accuracy((stretch) => stretch === "before"),
    after: accuracy((stretch) => stretch === "after"),
    labels,
    steps: stages.steps,
  };
}

function* samples({ pool, seed, family, stretch: requestsOfOne = 500 }: LateLabelOptions): Generator<Sample> {
  const order = seededRandom(seed);
  const digits = seededRandom(seed + 0x5eed);
  const random = seededRandom(seed + 0xd41f7);
  const clean = (stretch: Stretch): Sample => ({ ...drawDigit(pool, digits), stretch });
  const names = [...(family === "geometry" ? geometry : driftNames)];
  const chosen = Array.from({ length: hardDrifts }, (): readonly [DriftName, Severity] => {
    const [name = "rotate"] = names.splice(Math.floor(order() * names.length), 1);
    return [name, order() < 0.5 ? 4 : 5];
  });
  for (let i = 0; i < requestsOfOne; i++) yield clean("before");
  for (let round = 0; round < rounds; round++)
    for (const [name, severity] of chosen)
      for (let i = 0; i < requestsOfOne; i++) {
        const { picture, label } = drawDigit(pool, digits);
        const seen = family === "clean" ? picture : drift(name, severity, picture, random);
        yield { picture: seen, label, stretch: round };
      }
  for (let i = 0; i < requestsOfOne; i++) yield clean("after");
}
