// Large tensors in chunks between two processes, beside the bare wire: messages of the same size that nobody asks for, counts or checks.
//
//   node dist/bench/tensor-chunks.js [--quick]
//
// Owns: the transfers and their floors. Does not own: the chunks (transport/tensors/), the segments' bench (tensor-transfer.ts).
//
// Contenders take turns, round by round. A transfer counts from its first pull until its last byte is there and the checksum is right; the
// sender made the checksum before.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { argv, memoryUsage } from "node:process";
import { fileURLToPath } from "node:url";
import { systemClock } from "../supervision/clock.js";
import { type Cluster, startCluster } from "../test/transport/fixture.js";
import type { Bus } from "../transport/bus/bus.js";
import type { TensorRef } from "../transport/messages/tensor-ref.js";
import { TensorBuffers } from "../transport/tensors/buffers.js";
import { type ChunkLine, openChunkLine } from "../transport/tensors/chunk-line.js";
import { TensorReceiver } from "../transport/tensors/receiver.js";
import type { Offered, SenderTask } from "./chunk-sender.js";
import { spreadOf } from "./statistics.js";
import type { TransferRate } from "./tensor-results.js";

const mib = 1024 * 1024;
const node = "bench";
const aimGbs = 0.35;

interface Bench {
  readonly cluster: Cluster;
  readonly bus: Bus;
  readonly sender: ChildProcess;
  readonly receiver: TensorReceiver;
  readonly line: ChunkLine;
}

const secondsSince = (atMs: number): number => (systemClock.monotonicMs() - atMs) / 1000;

async function offered({ sender }: Bench, bytes: number, count: number): Promise<readonly TensorRef[]> {
  const told = new Promise<Offered>((resolve) => sender.once("message", resolve));
  sender.send({ kind: "offer", bytes, count } satisfies SenderTask);
  return (await told).refs;
}

async function fetchOne({ receiver }: Bench, ref: TensorRef): Promise<void> {
  const fetched = await receiver.fetch(ref, { bytes: ref.bytes, offset: 0 }, new AbortController().signal);
  if (fetched.kind === "refused") throw new Error(fetched.message);
  fetched.held.release();
}

/** Gigabytes a second of so many tensors of so many bytes, at once. */
async function chunks(bench: Bench, bytes: number, count: number): Promise<number> {
  const refs = await offered(bench, bytes, count);
  const beganAtMs = systemClock.monotonicMs();
  await Promise.all(refs.map((ref) => fetchOne(bench, ref)));
  return (bytes * count) / 1e9 / secondsSince(beganAtMs);
}

async function bareWire({ cluster, bus, sender }: Bench, bytes: number): Promise<number> {
  const subject = cluster.subjects.chunk("bare", "0");
  const messages = Math.ceil(bytes / mib);
  let left = messages;
  let beganAtMs = 0;
  await new Promise<void>((resolve) => {
    const subscription = bus.subscribe(subject, {}, () => {
      left -= 1;
      if (left > 0) return;
      subscription.unsubscribe();
      resolve();
    });
    void bus.flush().then(() => {
      beganAtMs = systemClock.monotonicMs();
      sender.send({ kind: "flood", subject, messages } satisfies SenderTask);
    });
  });
  return (messages * mib) / 1e9 / secondsSince(beganAtMs);
}

/** Resident memory, in MiB, at equal steps of a row of transfers of 1 MiB. */
async function memoryCourse(bench: Bench, transfers: number): Promise<readonly number[]> {
  const course: number[] = [];
  const atOnce = 50;
  for (let done = 0; done < transfers; done += atOnce) {
    for (const ref of await offered(bench, mib, atOnce)) await fetchOne(bench, ref);
    if (done % (transfers / 10) < atOnce) course.push(Math.round(memoryUsage.rss() / mib));
  }
  return course;
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

async function openBench(): Promise<Bench> {
  const cluster = await startCluster();
  const bus = await cluster.bus("node");
  const sender = fork(fileURLToPath(new URL("./chunk-sender.js", import.meta.url)), [cluster.broker.url], {
    env: { ...process.env, BENCH_CREDENTIAL: JSON.stringify(cluster.credentials.client) },
  });
  await once(sender, "message");
  const buffers = new TensorBuffers(systemClock);
  const { url } = cluster.broker;
  const line = openChunkLine({ url, ...cluster.credentials.node, name: "bench-chunks", clock: systemClock });
  const { subjects } = cluster;
  const receiver = new TensorReceiver({ bus, chunks: line, subjects, node, clock: systemClock, buffers });
  receiver.listen();
  return { cluster, bus, sender, receiver, line };
}

async function closeBench({ receiver, line, sender, cluster }: Bench): Promise<void> {
  receiver.close();
  line.close();
  sender.kill();
  await cluster.end();
}

async function measureRates(bench: Bench, rounds: number): Promise<TransferRate[]> {
  const inChunks: number[] = [];
  const bare: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    bare.push(await bareWire(bench, 100 * mib));
    inChunks.push(await chunks(bench, 100 * mib, 1));
  }
  return [
    { what: "100 MiB in chunks, checked", gbs: spreadOf(inChunks), aimGbs },
    { what: "messages of 1 MiB over the client library, that nobody asks for, counts or checks", gbs: spreadOf(bare) },
  ];
}

/** 100 MiB through a server on loopback, and the bare wire beside it. */
export async function measureChunks(rounds: number): Promise<TransferRate[]> {
  const bench = await openBench();
  try {
    return await measureRates(bench, rounds);
  } finally {
    await closeBench(bench);
  }
}

async function main(quick: boolean): Promise<void> {
  const bench = await openBench();
  const { receiver } = bench;
  for (const { what, gbs } of await measureRates(bench, quick ? 3 : 9))
    say(`${what}: ${gbs.median.toFixed(2)} GB/s (${gbs.least.toFixed(2)} to ${gbs.most.toFixed(2)})`);
  const before = memoryUsage.rss();
  const eight = await chunks(bench, 32 * mib, 8);
  const { made, heldBytes } = receiver.figures;
  const grown = Math.round((memoryUsage.rss() - before) / mib);
  say(
    `8 x 32 MiB at once ${eight.toFixed(2)} GB/s; ${made} buffers made, ${heldBytes} bytes held afterwards, resident memory +${grown} MiB`,
  );
  const transfers = quick ? 500 : 10_000;
  say(
    `${transfers} transfers of 1 MiB: resident MiB ${(await memoryCourse(bench, transfers)).join(" ")}; ${receiver.figures.made - made} more buffers`,
  );
  await closeBench(bench);
}

if (argv[1] === fileURLToPath(import.meta.url)) await main(argv.includes("--quick"));
