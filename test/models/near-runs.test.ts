// Runs beside the engine's thread: when its session is opened, what is taken and what is not. The session is a stub; the real one is in engine.test.ts.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import onnxProto from "onnx-proto";
import { sourceParameters } from "../../models/adaptation/adaptation.js";
import { type AdaptableSession, graphOf } from "../../models/adaptation/pass.js";
import { loadModel } from "../../models/manifest.js";
import { ComputeTime } from "../../models/serving/compute-time.js";
import { lookSetup } from "../../models/serving/looking.js";
import { NearRuns, type OpenNear } from "../../models/serving/near-runs.js";
import { shortRunDefaults } from "../../models/serving/short-runs.js";
import { isStraightLine } from "../../models/serving/straight-line.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import { digitsFolder } from "./digits-model.js";

const { onnx } = onnxProto;
const model = await loadModel(digitsFolder);
const parameters = sourceParameters(model);
const graph = graphOf(model);
const seeds = new Uint32Array(1);
const picture = (): Float32Array => new Float32Array(784);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Runs take `runMs` of the clock. */
function scene(bytes: Uint8Array = model.modelBytes, opens = true) {
  const clock = new VirtualClock();
  const seen = { opened: 0, closed: 0, runs: 0, runMs: 0 };
  const session: AdaptableSession = {
    run: async (_input, rows) => {
      seen.runs += 1;
      await clock.advance(seen.runMs);
      return {
        rows,
        logits: new Float32Array(rows * graph.classes),
        embeddings: new Float32Array(rows * graph.width),
        moments: new Float32Array(rows * 2 * graph.channels),
        density: new Float32Array(rows).fill(1),
        domains: new Uint8Array(rows),
      };
    },
    warmUp: () => Promise.resolve(),
    close: async () => {
      seen.closed += 1;
    },
  };
  const open: OpenNear = async () => {
    seen.opened += 1;
    if (!opens) throw new Error("no memory");
    return session;
  };
  const nowMs = (): number => clock.monotonicMs();
  const setup = { model: bytes, graph, looking: lookSetup(model) };
  const near = new NearRuns(setup, clock, open, new ComputeTime(nowMs, nowMs));
  const measure = (times: number, ranMs: number, rows = 1): void => {
    for (let run = 0; run < times; run += 1) near.ranThere(rows, ranMs);
  };
  return { clock, seen, near, measure };
}

async function opened(bytes?: Uint8Array) {
  const made = scene(bytes);
  made.measure(shortRunDefaults.window, 0.2);
  await turn();
  return made;
}

test("(law 10) no session is opened before the thread's own runs of one row were short for a whole window, and then one", async (t) => {
  const { near, measure, seen } = scene();
  t.is(near.run(picture(), 1, parameters, seeds), undefined);
  measure(1_000, 0.2, 2);
  measure(shortRunDefaults.window - 1, 0.2);
  t.is(seen.opened, 0);
  measure(1, 0.2);
  t.is(seen.opened, 1);
  await turn();
  t.is((await near.run(picture(), 1, parameters, seeds))?.rows, 1);
  measure(1_000, 0.2);
  t.is(seen.opened, 1);
});

test("(law 10) of a model whose runs are slow none is opened, and none is run here", async (t) => {
  const { near, measure, seen } = scene();
  measure(1_000, 1.2);
  await turn();
  t.is(seen.opened, 0);
  t.is(near.run(picture(), 1, parameters, seeds), undefined);
});

test("(law 10) runs that become slow go back to the thread, and come back when they were short again", async (t) => {
  const { clock, near, measure, seen } = await opened();
  seen.runMs = 30;
  t.truthy(await near.run(picture(), 1, parameters, seeds));
  t.truthy(await near.run(picture(), 1, parameters, seeds), "the clock alone may be wrong once");
  t.is(near.run(picture(), 1, parameters, seeds), undefined);
  seen.runMs = 0;
  await clock.advance(shortRunDefaults.awayMs);
  t.is(near.run(picture(), 1, parameters, seeds), undefined, "nothing was measured since");
  measure(shortRunDefaults.window, 0.2);
  t.truthy(await near.run(picture(), 1, parameters, seeds));
  t.is(seen.opened, 1);
});

test("several rows, and memory that threads share, belong into the thread", async (t) => {
  const { near, seen } = await opened();
  t.is(near.run(new Float32Array(1_568), 2, parameters, new Uint32Array(2)), undefined);
  const shared = new Float32Array(new SharedArrayBuffer(784 * 4));
  t.is(near.run(shared, 1, parameters, seeds), undefined);
  t.is(seen.runs, 0);
});

test("a graph with large weights is not opened twice", async (t) => {
  const { seen } = await opened(new Uint8Array(1024 * 1024 + 1));
  t.is(seen.opened, 0);
});

test("(S2-54) a graph that may go round stays where a hung run is found; one in a straight line cannot hang", async (t) => {
  const bytes = await readFile(join(digitsFolder, "model.onnx"));
  t.true(isStraightLine(bytes));
  for (const opType of ["Loop", "Scan", "If"]) {
    const changed = onnx.ModelProto.decode(bytes);
    const [first] = changed.graph?.node ?? [];
    if (first === undefined) throw new Error("the model has no nodes");
    first.opType = opType;
    const round = onnx.ModelProto.encode(changed).finish();
    t.false(isStraightLine(round), opType);
    t.is((await opened(round)).seen.opened, 0);
  }
});

test("a session that cannot be opened costs nothing but the one try", async (t) => {
  const { near, measure, seen } = scene(model.modelBytes, false);
  measure(shortRunDefaults.window, 0.2);
  await turn();
  measure(1_000, 0.2);
  await turn();
  t.is(seen.opened, 1);
  t.is(near.run(picture(), 1, parameters, seeds), undefined);
  await near.close();
});

test("closing lets the run under way end, then lets go of the session; one that is opened after that is let go too", async (t) => {
  const { near, seen } = await opened();
  const under = near.run(picture(), 1, parameters, seeds);
  await near.close();
  t.is((await under)?.rows, 1);
  t.is(seen.closed, 1);
  const late = scene();
  late.measure(shortRunDefaults.window, 0.2);
  await late.near.close();
  await turn();
  t.deepEqual([late.seen.opened, late.seen.closed], [1, 1]);
});
