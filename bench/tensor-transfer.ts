// Large tensors through shared memory: how fast, and what many of them leave in memory. Part of `npm run bench`; alone:
//
//   node dist/bench/tensor-transfer.js [--quick]
//
// Owns: the transfers and their floors. Does not own: the segments (transport/tensors/), how figures are written (tensor-results.ts).
//
// T1. A transfer is what a client and a node do of it: lease, hand over, read, confirm, release. It counts when the reader's checksum is right.
// T2. Contenders take turns, round by round, so that what disturbs a round disturbs all of them.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Clock } from "../models/clock.js";
import { systemClock } from "../supervision/clock.js";
import { clusterDirectory, sharedMemoryDir } from "../transport/tensors/segment-place.js";
import { openSegments, type Segments } from "../transport/tensors/segments.js";
import { timeoutDefaults } from "../transport/timeouts.js";
import { spreadOf } from "./statistics.js";
import type { PeerOrder, PeerReport } from "./tensor-peer.js";
import { type MemoryCourse, type TensorTransfers, tensorLines } from "./tensor-results.js";

const mib = 1024 * 1024;
const largeBytes = 100 * mib;
const aimGbs = 1.5;
const cluster = `bench-${process.pid}`;

export interface TensorPlan {
  readonly rounds: number;
  readonly transfers: number;
}

class Peer {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (report: PeerReport) => void>();
  #nextId = 1;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on("message", (report: PeerReport) => {
      this.#waiting.get(report.id)?.(report);
      this.#waiting.delete(report.id);
    });
  }

  static async start(): Promise<Peer> {
    const child = fork(fileURLToPath(new URL("./tensor-peer.js", import.meta.url)), [cluster]);
    await once(child, "message");
    return new Peer(child);
  }

  read(ref: PeerOrder["ref"]): Promise<PeerReport> {
    const id = this.#nextId++;
    const told = new Promise<PeerReport>((resolve) => this.#waiting.set(id, resolve));
    this.#child.send({ id, ref } satisfies PeerOrder);
    return told;
  }

  async end(): Promise<void> {
    const gone = once(this.#child, "exit");
    this.#child.disconnect();
    await gone;
  }
}

interface Transferred extends PeerReport {
  /** Until its reference can leave, and until all bytes are in the segment. */
  readonly leaseMs: number;
  readonly writtenMs: number;
  readonly wholeMs: number;
}

interface Bench {
  readonly clock: Clock;
  readonly segments: Segments;
  readonly peer: Peer;
}

function open(): Promise<Segments> {
  const options = { cluster, dir: sharedMemoryDir, clock: systemClock, timeouts: timeoutDefaults, owner: "bench" };
  return openSegments(options).then((opened) => {
    if (opened.kind === "open") return opened;
    throw new Error(`no shared memory in ${sharedMemoryDir}: ${opened.why}`);
  });
}

async function transfer({ clock, segments, peer }: Bench, bytes: Uint8Array): Promise<Transferred> {
  const beganAtMs = clock.monotonicMs();
  const leased = await segments.lease(bytes);
  if (leased.kind !== "leased") throw new Error(`the lease was refused: ${leased.kind}`);
  const leaseMs = clock.monotonicMs() - beganAtMs;
  leased.lease.handOver();
  const written = leased.lease.written.then(() => clock.monotonicMs() - beganAtMs);
  const report = await peer.read(leased.lease.ref);
  if (report.refused === undefined) leased.lease.confirm();
  leased.lease.release();
  return { ...report, leaseMs, writtenMs: await written, wholeMs: clock.monotonicMs() - beganAtMs };
}

async function right(transferring: Promise<Transferred>): Promise<Transferred> {
  const done = await transferring;
  if (done.refused !== undefined) throw new Error(`a tensor was refused: ${done.refused}`);
  return done;
}

/** `total` transfers with so many under way at once. */
async function inFlight(total: number, atOnce: number, each: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < total) await each(next++);
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
}

function filled(bytes: number, seed: number): Uint8Array {
  const words = new Uint32Array(bytes / 4);
  for (let at = 0, state = seed; at < words.length; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    words[at] = state;
  }
  return new Uint8Array(words.buffer);
}

async function measureRates(bench: Bench, rounds: number): Promise<Pick<TensorTransfers, "rates" | "parts">> {
  const { clock } = bench;
  const bytes = filled(largeBytes, 1);
  const copy = new Uint8Array(largeBytes).fill(1);
  const took = { recycled: [], two: [], fresh: [], memcpy: [], lease: [], written: [], read: [] } as Record<
    string,
    number[]
  >;
  const note = (what: string, ms: number): void => void took[what]?.push(ms);
  const timed = async (what: string, work: () => Promise<unknown> | unknown, of = 1): Promise<void> => {
    const beganAtMs = clock.monotonicMs();
    await work();
    note(what, (clock.monotonicMs() - beganAtMs) / of);
  };
  // Until the pools of both sides hold what two at once need.
  await inFlight(4, 2, async () => void (await right(transfer(bench, bytes))));
  for (let round = 0; round < rounds; round += 1) {
    const one = await right(transfer(bench, bytes));
    note("recycled", one.wholeMs);
    note("lease", one.leaseMs);
    note("written", one.writtenMs);
    note("read", one.tookMs);
    await timed("two", () => inFlight(6, 2, async () => void (await right(transfer(bench, bytes)))), 6);
    const segments = await open();
    note("fresh", (await right(transfer({ ...bench, segments }, bytes))).wholeMs);
    await segments.close();
    await timed("memcpy", () => copy.set(bytes));
  }
  const gbs = (what: string) => spreadOf((took[what] ?? []).map((ms) => largeBytes / 1e6 / ms));
  const ms = (what: string) => spreadOf(took[what] ?? []);
  return {
    rates: [
      { what: "recycled segments, two at a time", gbs: gbs("two"), aimGbs },
      { what: "recycled segments, one after the other", gbs: gbs("recycled"), aimGbs },
      { what: "a new file each time, one after the other", gbs: gbs("fresh") },
      { what: "memcpy within one process", gbs: gbs("memcpy") },
    ],
    parts: [
      { what: "sender: until its message can leave", ms: ms("lease") },
      { what: "sender: until all is copied into the segment and checked", ms: ms("written") },
      { what: "receiver, at the same time: copy out of it, and checksum", ms: ms("read") },
    ],
  };
}

interface Many {
  readonly what: string;
  readonly bytes: number;
  readonly atOnce: number;
  readonly transfers: number;
}

async function measureMany(
  bench: Bench,
  { what, bytes, atOnce, transfers }: Many,
): Promise<TensorTransfers["many"][number]> {
  const { clock, segments } = bench;
  const inputs = Array.from({ length: atOnce }, (_, lane) => filled(bytes, lane + 1));
  const sampleEvery = Math.max(1, Math.floor(transfers / 60));
  const sender: [number, number][] = [];
  const receiver: [number, number][] = [];
  let [refused, buffers, done] = [0, 0, 0];
  const warmUp = Math.max(Math.ceil(transfers / 5), 4 * atOnce);
  collectGarbage();
  const madeBefore = segments.figures().made;
  const beganAtMs = clock.monotonicMs();
  await inFlight(transfers, atOnce, async (index) => {
    const report = await transfer(bench, inputs[index % atOnce] ?? filled(bytes, 1));
    done += 1;
    if (report.refused !== undefined) refused += 1;
    buffers = report.buffers;
    if (done < warmUp || done % sampleEvery !== 0) return;
    sender.push([done, process.memoryUsage().rss]);
    receiver.push([done, report.rssBytes]);
  });
  const seconds = (clock.monotonicMs() - beganAtMs) / 1_000;
  const files = segments.figures().made - madeBefore;
  return { what, transfers, seconds, files, buffers, refused, sender: courseOf(sender), receiver: courseOf(receiver) };
}

/** What phases before left: it would be taken for a fall of what is measured. */
function collectGarbage(): void {
  setFlagsFromString("--expose_gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect === "function") collect();
}

/** Theil-Sen: the median of the slopes between all pairs, which a few odd samples do not move. */
function courseOf(samples: readonly [number, number][]): MemoryCourse {
  const slopes = samples.flatMap(([x, y], at) => samples.slice(at + 1).map(([x2, y2]) => (y2 - y) / (x2 - x)));
  return {
    firstBytes: samples.at(0)?.[1] ?? Number.NaN,
    lastBytes: samples.at(-1)?.[1] ?? Number.NaN,
    slopeBytes: slopes.length === 0 ? Number.NaN : spreadOf(slopes).median,
  };
}

export async function measureTensorTransfer({ rounds, transfers }: TensorPlan, clock: Clock): Promise<TensorTransfers> {
  const segments = await open();
  const peer = await Peer.start();
  const bench = { clock, segments, peer };
  try {
    const rates = await measureRates(bench, rounds);
    const eight = { what: "8 at once of 32 MB", bytes: 32_000_000, atOnce: 8, transfers: Math.max(80, transfers / 50) };
    const small = { what: `${transfers} of 1 MiB, 4 at once`, bytes: mib, atOnce: 4, transfers };
    const many = [await measureMany(bench, eight), await measureMany(bench, small)];
    const leases = segments.leases().length;
    await segments.close();
    await peer.end();
    const files = (await readdir(clusterDirectory(sharedMemoryDir, cluster)).catch(() => [])).length;
    return { ...rates, many, left: { leases, files } };
  } finally {
    await segments.close();
  }
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const plan = argv.includes("--quick") ? { rounds: 3, transfers: 1_000 } : { rounds: 9, transfers: 10_000 };
  const lines = tensorLines(await measureTensorTransfer(plan, systemClock));
  process.stdout.write(`${lines.join("\n")}\n`, () => process.exit(0));
}
