// Whether a memory that takes in as fast as it can delays the thread that beats the heart.
//
// Measures: how late the event loop of this thread is (Node's own histogram, 1 ms resolution, which is its floor) while it does nothing
// else, and while it hands records to the memory's thread as fast as that takes them.
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Clock } from "../models/clock.js";
import type { Model } from "../models/manifest.js";
import { startMemory } from "../models/memory/memory.js";
import { driftedEmbeddings } from "./drifted-embeddings.js";
import { fill } from "./recall.js";
import { type Spread, spreadOf } from "./statistics.js";

export interface Lateness {
  readonly what: string;
  /** Milliseconds between two turns that should be 1 ms apart; one value for each round. */
  readonly p50Ms: Spread;
  readonly p99Ms: Spread;
  readonly mostMs: Spread;
}

/** Enough for about a second of inserts. */
const experiences = 10_000;
const resolutionMs = 1;

export async function measureHeartbeats(model: Model, rounds: number, clock: Clock): Promise<Lateness[]> {
  const { width } = model.calibration;
  const held = await driftedEmbeddings(model, experiences);
  const during: Round[] = [];
  const idle: Round[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const memory = await startMemory({ width, capacity: experiences }, clock);
    const beganAtMs = clock.monotonicMs();
    during.push(await latenessDuring(() => fill(memory, held, width, clock)));
    const tookMs = clock.monotonicMs() - beganAtMs;
    await memory.close();
    idle.push(await latenessDuring(() => clock.delay(tookMs)));
  }
  return [latenessOf("nothing else", idle), latenessOf("inserts at full speed", during)];
}

interface Round {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly mostMs: number;
}

async function latenessDuring(work: () => Promise<void>): Promise<Round> {
  const histogram = monitorEventLoopDelay({ resolution: resolutionMs });
  histogram.enable();
  await work();
  histogram.disable();
  const ms = (nanoseconds: number): number => nanoseconds / 1e6;
  return { p50Ms: ms(histogram.percentile(50)), p99Ms: ms(histogram.percentile(99)), mostMs: ms(histogram.max) };
}

function latenessOf(what: string, rounds: readonly Round[]): Lateness {
  const of = (figure: keyof Round): Spread => spreadOf(rounds.map((round) => round[figure]));
  return { what, p50Ms: of("p50Ms"), p99Ms: of("p99Ms"), mostMs: of("mostMs") };
}
