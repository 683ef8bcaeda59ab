// The peers of the benchmark: that each serves the same model through its own wire, and that batching is what it says.

import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { startErlang } from "../../bench/erlang-messages.js";
import { openPeerLab } from "../../bench/peers/lab.js";
import { nameOf, type Peer } from "../../bench/peers/peer.js";
import { answerIn, Runner } from "../../bench/peers/runner.js";
import { digitsFolder } from "../../operations/cluster/local-cluster.js";
import { entry } from "../../operations/cluster/up.js";
import { findServer } from "../../transport/server/server-binary.js";

const classes = 10;

/** A model whose answer is the first pixel, and that takes a turn of the event loop for a run, whatever the rows. */
async function firstPixel(input: Float32Array, rows: number): Promise<Float32Array> {
  await new Promise((resolve) => setImmediate(resolve));
  const logits = new Float32Array(rows * classes);
  for (let row = 0; row < rows; row += 1) logits[row * classes + (input[row * 784] ?? 0)] = 9;
  return logits;
}

async function askedAtOnce(runner: Runner, inFlight: number, requests: number): Promise<void> {
  let asked = 0;
  const asker = async (): Promise<void> => {
    while (asked < requests) {
      const wanted = asked++ % classes;
      const { index } = await runner.infer(new Float32Array(784).fill(wanted));
      if (index !== wanted) throw new Error(`${index} instead of ${wanted}`);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, asker));
}

test("with 16 in flight a batch holds more than 4 on average, and every answer goes to who asked (S2-51)", async (t) => {
  const batched = new Runner(firstPixel, 64);
  await askedAtOnce(batched, 16, 400);
  const { runs, rows } = batched.counted;
  t.is(rows, 400);
  t.true(rows / runs > 4, `${rows / runs} rows in a run`);
  const unbatched = new Runner(firstPixel, 1);
  await askedAtOnce(unbatched, 16, 400);
  t.deepEqual(unbatched.counted, { runs: 400, rows: 400 });
});

test("an answer is the most probable class, with its softmax", (t) => {
  const { index, confidence } = answerIn(Float32Array.of(0, Math.log(3), 0, Number.NEGATIVE_INFINITY));
  t.is(index, 1);
  t.true(Math.abs(confidence - 3 / 5) < 1e-6);
});

test.serial(
  "each wire brings the model's answers: HTTP, gRPC, moleculer and a work queue, in processes of their own",
  async (t) => {
    t.timeout(90_000);
    const peers: readonly Peer[] = [
      { wire: "in process", way: "in thread" },
      { wire: "fastify json", way: "unbatched" },
      { wire: "fastify binary", way: "unbatched" },
      { wire: "grpc", way: "batched" },
      { wire: "moleculer", way: "unbatched" },
      { wire: "work queue", way: "unbatched" },
    ];
    const searchPath = process.env.PATH ?? "";
    const store = await mkdtemp(join(tmpdir(), "driftmend-peers-"));
    const binary = await findServer({ searchPath, mayFetch: false });
    const lab = await openPeerLab({ binary, store, model: digitsFolder(entry), searchPath }, peers);
    try {
      for (const peer of peers) {
        const report = await lab.load(peer, { inFlight: 8, durationMs: 60_000, requests: 64 });
        t.like(report, { answered: 64, refused: 0 }, nameOf(peer));
        t.true(report.right >= 60, `${nameOf(peer)}: ${report.right} of 64 are right`);
        t.is((await lab.counted(peer)).rows, 64, nameOf(peer));
        t.true(lab.pidOf(peer) > 0);
      }
    } finally {
      await lab.close();
    }
  },
);

test.serial("Erlang does what it is told, or is named as absent", async (t) => {
  t.timeout(60_000);
  const erlang = await startErlang();
  if (erlang.kind === "absent") {
    t.regex(erlang.why, /erlang-base/);
    return;
  }
  await erlang.work("flood", 1_000);
  await erlang.work("ask", 640);
  await erlang.stop();
  t.regex(erlang.release, /^\d+$/);
});
