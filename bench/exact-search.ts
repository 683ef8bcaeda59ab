// The nearest neighbours, found by looking at every experience: the floor that the memory's graph is held to.
import { unitRows } from "../models/calibration.js";
import type { Clock } from "../models/clock.js";

export interface Exact {
  /** [queries] similarity of the k-th nearest. */
  readonly least: Float64Array;
  readonly k: number;
  /** [queries] microseconds. */
  readonly tookUs: readonly number[];
}

/** A float32 cosine is good for about this much. */
const rounding = 1e-6;

/** held [n, width] and asked [queries, width]: the k-th best cosine of every query. Four sums side by side, as a compiler would do it. */
export function exactSearch(held: Float32Array, asked: Float32Array, width: number, k: number, clock: Clock): Exact {
  const units = unitRows(held, width);
  const queries = unitRows(asked, width);
  const count = asked.length / width;
  const least = new Float64Array(count);
  const tookUs: number[] = [];
  for (let query = 0; query < count; query += 1) {
    const beganAtMs = clock.monotonicMs();
    least[query] = kthCosine(units, queries.subarray(query * width, (query + 1) * width), k);
    tookUs.push(1000 * (clock.monotonicMs() - beganAtMs));
  }
  return { least, k, tookUs };
}

/** Share of the k nearest that are among `similarities`. One as near as the k-th counts: the same picture may be held twice. */
export function recallOf({ least, k }: Exact, query: number, similarities: Float32Array): number {
  const bound = (least[query] ?? Number.NaN) - rounding;
  return similarities.filter((similarity) => similarity >= bound).length / k;
}

function kthCosine(units: Float32Array, query: Float32Array, k: number): number {
  const width = query.length;
  /** Falling. */
  const best = new Float64Array(k).fill(Number.NEGATIVE_INFINITY);
  for (let start = 0; start < units.length; start += width) {
    const cosine = dot(units, start, query);
    if (cosine <= (best[k - 1] ?? 0)) continue;
    let place = k - 1;
    for (; place > 0 && (best[place - 1] ?? 0) < cosine; place -= 1) best[place] = best[place - 1] ?? 0;
    best[place] = cosine;
  }
  return best[k - 1] ?? Number.NaN;
}

function dot(units: Float32Array, start: number, query: Float32Array): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = 0;
  for (; i + 4 <= query.length; i += 4) {
    s0 += (units[start + i] ?? 0) * (query[i] ?? 0);
    s1 += (units[start + i + 1] ?? 0) * (query[i + 1] ?? 0);
    s2 += (units[start + i + 2] ?? 0) * (query[i + 2] ?? 0);
    s3 += (units[start + i + 3] ?? 0) * (query[i + 3] ?? 0);
  }
  for (; i < query.length; i += 1) s0 += (units[start + i] ?? 0) * (query[i] ?? 0);
  return s0 + s1 + s2 + s3;
}
