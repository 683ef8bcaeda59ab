// What the memory finds and how long it takes: its thread, with every message to and fro, against an exact search over all it holds.
//
// Measures: inserts until every one of them is in the graph, which is also what a restart from the log takes; recall of 10 neighbours; one
// search at a time, and 64 in one call. hnswlib alone, in this thread, stands beside it: inserts, and its file, which a memory could be
// read from instead.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import hnswlib from "hnswlib-node";
import { unitRows } from "../models/calibration.js";
import type { Clock } from "../models/clock.js";
import type { Model } from "../models/manifest.js";
import { type Memory, startMemory } from "../models/memory/memory.js";
import { driftedEmbeddings, recordOf, rowsPerRecord } from "./drifted-embeddings.js";
import { type Exact, exactSearch, recallOf } from "./exact-search.js";
import { quantile } from "./statistics.js";

export interface Recall {
  /** Experiences held. */
  readonly size: number;
  /** Share of the 10 nearest that the memory gives, 0..1. */
  readonly recallAt10: number;
  readonly one: Percentiles;
  /** Microseconds of each row of a call of 64. */
  readonly batchRowUs: Percentiles;
  /** The exact search, one at a time. */
  readonly exact: Percentiles;
  readonly insertsPerSecond: number;
  readonly rebuildMs: number;
  readonly hnswlib: { readonly insertsPerSecond: number; readonly writeMs: number; readonly readMs: number };
}

/** Microseconds. */
export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
}

const k = 10;
const queries = 300;
const rowsPerBatch = 64;
/** As models/memory/memory-index.ts builds its graph. */
const graph = { m: 16, efConstruction: 48, randomSeed: 100 } as const;
/** Records between two waits for the thread: what a replay of the log does. */
const recordsPerPortion = 64;

export async function measureRecall(
  model: Model,
  sizes: readonly number[],
  rounds: number,
  clock: Clock,
): Promise<Recall[]> {
  const { width } = model.calibration;
  const most = Math.max(...sizes);
  const all = await driftedEmbeddings(model, most + queries);
  const asked = all.slice(most * width);
  const recalls: Recall[] = [];
  for (const size of sizes) recalls.push(await measureSize(all.subarray(0, size * width), asked, width, rounds, clock));
  return recalls;
}

async function measureSize(
  held: Float32Array,
  asked: Float32Array,
  width: number,
  rounds: number,
  clock: Clock,
): Promise<Recall> {
  const size = held.length / width;
  const memory = await startMemory({ width, capacity: size }, clock);
  const rebuildMs = await tookMs(clock, () => fill(memory, held, width, clock));
  const exact = exactSearch(held, asked, width, k, clock);
  const { one, batch, recallAt10 } = await ask(memory, asked, width, exact, rounds, clock);
  await memory.close();
  return {
    size,
    recallAt10,
    one: percentiles(one),
    batchRowUs: percentiles(batch),
    exact: percentiles(exact.tookUs),
    insertsPerSecond: (1000 * size) / rebuildMs,
    rebuildMs,
    hnswlib: await measureLibrary(held, width, clock),
  };
}

/** Every experience, as a replay of the log hands them over, until the last is in the graph. */
export async function fill(memory: Memory, held: Float32Array, width: number, clock: Clock): Promise<void> {
  const records = Math.ceil(held.length / width / rowsPerRecord);
  for (let seq = 0; seq < records; seq += 1) {
    memory.add(recordOf(held, width, seq));
    if (seq % recordsPerPortion === recordsPerPortion - 1) await memory.settled();
  }
  for (;;) {
    const { tail, building } = await memory.stats();
    if (tail === 0 && !building) return;
    await clock.delay(5);
  }
}

/** The first round is not counted: it warms caches. */
async function ask(
  memory: Memory,
  asked: Float32Array,
  width: number,
  exact: Exact,
  rounds: number,
  clock: Clock,
): Promise<{ one: number[]; batch: number[]; recallAt10: number }> {
  const [one, batch, shares]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round <= rounds; round += 1) {
    for (let query = 0; query < queries; query += 1) {
      const embedding = asked.slice(query * width, (query + 1) * width);
      const beganAtMs = clock.monotonicMs();
      const { similarities, found } = await memory.search(embedding, 1, k);
      const us = 1000 * (clock.monotonicMs() - beganAtMs);
      if (round > 0) one.push(us);
      else shares.push(recallOf(exact, query, similarities.subarray(0, found[0])));
    }
    for (let query = 0; query + rowsPerBatch <= queries; query += rowsPerBatch) {
      const embeddings = asked.slice(query * width, (query + rowsPerBatch) * width);
      const us = 1000 * (await tookMs(clock, () => memory.search(embeddings, rowsPerBatch, k)));
      if (round > 0) batch.push(us / rowsPerBatch);
    }
  }
  return { one, batch, recallAt10: shares.reduce((sum, share) => sum + share, 0) / shares.length };
}

/** The library alone: the same graph, without thread, contents and messages; then its file, written and read. */
async function measureLibrary(held: Float32Array, width: number, clock: Clock): Promise<Recall["hnswlib"]> {
  const size = held.length / width;
  const units = unitRows(held, width);
  const points = new hnswlib.HierarchicalNSW("ip", width);
  points.initIndex(2 * size, graph.m, graph.efConstruction, graph.randomSeed);
  const insertMs = await tookMs(clock, () => {
    for (let row = 0; row < size; row += 1) {
      points.addPoint(Array.from(units.subarray(row * width, (row + 1) * width)), row);
    }
  });
  const folder = await mkdtemp(join(tmpdir(), "driftmend-bench-"));
  try {
    const file = join(folder, "graph");
    const writeMs = await tookMs(clock, () => points.writeIndex(file));
    const again = new hnswlib.HierarchicalNSW("ip", width);
    const readMs = await tookMs(clock, () => again.readIndex(file));
    return { insertsPerSecond: (1000 * size) / insertMs, writeMs, readMs };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function tookMs(clock: Clock, work: () => unknown): Promise<number> {
  const beganAtMs = clock.monotonicMs();
  await work();
  return clock.monotonicMs() - beganAtMs;
}

function percentiles(us: readonly number[]): Percentiles {
  const sorted = Float64Array.from(us).sort();
  return { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99) };
}
