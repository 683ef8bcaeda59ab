// The streams that methods are compared on: the same requests in the same order for each of them.
//
// Owns: one stream as a list, its stretches of one drift, the clean inputs behind it. Does not own: how digits drift (sim/stream.ts).
//
// S1. Equal names and seeds give equal streams. Labels are for whoever scores; a method is given inputs only.
import type { DigitPool } from "../digits.js";
import { driftingStream, type Variant } from "../stream.js";

export interface LabelledInput {
  /** The manifest's input, flat, already scaled. */
  readonly input: Float32Array;
  readonly label: number;
  /** "none" where nothing drifted. */
  readonly drift: string;
  /** 0 where nothing drifted. */
  readonly severity: number;
}

/** Requests from..to (exclusive) of one drift. */
export interface Stretch {
  readonly drift: string;
  readonly severity: number;
  readonly from: number;
  readonly to: number;
}

export interface EvaluationStream {
  readonly name: string;
  readonly seed: number;
  readonly requests: readonly LabelledInput[];
  /** Clean inputs, for what a method has forgotten; none where nobody knows any. */
  readonly clean: readonly LabelledInput[];
}

export interface StreamChoice {
  readonly variant: Variant;
  readonly seed: number;
  readonly requests: number;
  /** Requests of one drift: from..to, inclusive. */
  readonly segment?: readonly [number, number];
}

const cleanInputs = 500;
const cleanSalt = 0xc1ea4;

export function digitStream(pool: DigitPool, { variant, seed, requests, segment }: StreamChoice): EvaluationStream {
  const options = segment === undefined ? { pool } : { pool, segment };
  return {
    name: variant,
    seed,
    requests: taken(driftingStream({ ...options, variant, seed }), requests),
    clean: taken(driftingStream({ pool, variant: "clean", seed: seed + cleanSalt }), cleanInputs),
  };
}

/** Anybody's labelled inputs, in their own order. `values` is [rows, ...shape of one input], already scaled. */
export function labelledStream(
  name: string,
  { values, labels }: { readonly values: Float32Array; readonly labels: ArrayLike<number> },
): EvaluationStream {
  const size = values.length / labels.length;
  if (!Number.isInteger(size)) throw new RangeError(`${values.length} values for ${labels.length} labels`);
  const requests = Array.from({ length: labels.length }, (_, row) => ({
    input: values.slice(row * size, (row + 1) * size),
    label: labels[row] ?? 0,
    drift: name,
    severity: 0,
  }));
  return { name, seed: 1, requests, clean: [] };
}

/** Neighbouring requests of one drift and severity. */
export function stretchesOf(requests: readonly LabelledInput[]): readonly Stretch[] {
  const stretches: Stretch[] = [];
  for (const [at, { drift, severity }] of requests.entries()) {
    const last = stretches.at(-1);
    if (last?.drift === drift && last.severity === severity) stretches[stretches.length - 1] = { ...last, to: at + 1 };
    else stretches.push({ drift, severity, from: at, to: at + 1 });
  }
  return stretches;
}

function taken(stream: ReturnType<typeof driftingStream>, count: number): LabelledInput[] {
  return Array.from({ length: count }, () => {
    const { picture, label, drift, severity } = stream.next().value;
    return { input: picture, label, drift, severity };
  });
}
