// What the actors tell the instruments while they work: the updater of its jobs, the voter of its answers, the buffer of its searches.

import test from "ava";
import { Desk } from "../../actors/serving/desk.js";
import { judge } from "../../actors/serving/judgement.js";
import type { BufferMessage, RelayMessage, VoterMessage } from "../../actors/serving/messages.js";
import { voter } from "../../actors/serving/voter.js";
import { seededRandom } from "../../models/clock.js";
import { openLearner as openWasm } from "../../models/learning/learner.js";
import { InferMeter } from "../../operations/metrics/infer-meter.js";
import { PercentileSketch } from "../../operations/metrics/percentile-sketch.js";
import type { Telemetry } from "../../operations/metrics/telemetry.js";
import { systemClock } from "../../supervision/clock.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import { answersOf } from "../models/small-world.js";
import { smallTree } from "../supervision/small-tree.js";
import { MemoryStore } from "./memory-store.js";
import { Askers, batchOf, inbox, openAt, recorded, settle, smallModel } from "./small-node.js";
import { committedAll, learn, type WritingNode, writingNode } from "./writing-node.js";

function sketch({ instruments }: Telemetry, name: string): PercentileSketch {
  const bytes = instruments.sketches()[name];
  const found = bytes === undefined ? new PercentileSketch() : PercentileSketch.decode(bytes);
  if (found === undefined) throw new Error(`${name} is no sketch`);
  return found;
}

async function learned(tasks: number, model = smallModel()): Promise<WritingNode> {
  const store = new MemoryStore(model);
  learn(model, store, tasks);
  const node = await writingNode(model, store);
  await committedAll(store);
  await settle();
  return node;
}

test("(S0-12) the mean KL of the steps is the mean of the kl fields that were told of them", async (t) => {
  const { tree, around } = await learned(10);
  const told = around.bus
    .events("update")
    .flatMap(({ items }) => items)
    .flatMap(({ kl }) => (typeof kl === "number" ? [kl] : []));
  const mean = told.reduce((sum, kl) => sum + kl, 0) / told.length;
  t.is(told.length, 10);
  for (const name of ["kl_nats", "kl_nats_small"]) {
    const steps = sketch(around.telemetry, name);
    t.is(steps.count, told.length);
    t.true(Math.abs((steps.mean ?? 0) - mean) <= 1e-6);
  }
  t.true(Math.abs(around.counters.get("mean_kl_divergence") - mean) <= 1e-6);
  await tree.stop();
});

test("(S1-24) an update is a job: its phases, its end, its wait, and the writer's one slot", async (t) => {
  const { tree, around } = await learned(10);
  const { counters, telemetry } = around;
  t.deepEqual([counters.get("jobs_update_finished"), counters.get("jobs_update_failed")], [10, 0]);
  for (const phase of ["load", "step", "verify", "publish"]) {
    t.is(counters.get(`phase_update_${phase}_started`), 10, phase);
    t.is(counters.get(`phase_update_${phase}_failed`), 0, phase);
    if (phase !== "verify") t.is(sketch(telemetry, `phase_update_${phase}_ms`).count, 10, phase);
  }
  t.true(counters.get("phase_update_claim_started") >= 1);
  for (const name of ["job_update_ms", "queue_update_ms", "slot_wait_update_ms"])
    t.is(sketch(telemetry, name).count, 10, name);
  t.true(
    sketch(telemetry, "job_update_ms").sum >=
      sketch(telemetry, "queue_update_ms").sum + sketch(telemetry, "slot_wait_update_ms").sum,
  );
  const gauges = telemetry.instruments.gauges(systemClock.monotonicMs());
  t.like(gauges, { pool_update_slots: 1, pool_update_peak: 1, pool_update_waiting: 0 });
  await tree.stop();
  t.is(telemetry.instruments.gauges(systemClock.monotonicMs()).pool_update_slots, 0, "who has left has no slot");
});

test("(S1-43) an update that a guard refuses has failed in verify, and is not tried again", async (t) => {
  const { tree, around } = await learned(10, smallModel({ klLimit: 1e-7 }));
  const { counters, telemetry } = around;
  const refused = counters.get("updates_refused_kl");
  t.true(refused > 0);
  t.is(counters.get("phase_update_verify_failed"), refused);
  t.is(counters.get("jobs_update_failed"), refused);
  t.is(counters.get("jobs_update_finished"), 10 - refused);
  t.is(counters.get("phase_update_verify_started"), 10);
  t.is(sketch(telemetry, "kl_nats").count, 10, "the KL that was too much counts too");
  await tree.stop();
});

test("(S1-10) a step that ends its writer has failed as a step, and neither its load nor the next writer's step has", async (t) => {
  const model = smallModel();
  const store = new MemoryStore(model);
  learn(model, store, 1);
  let writers = 0;
  const openLearner = async () => {
    const learner = await openWasm("wasm");
    writers += 1;
    if (writers > 1) return learner;
    const fail = (): never => {
      throw new Error("no gradient today");
    };
    return new Proxy(learner, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        return typeof value !== "function" || name === "close" ? value : fail;
      },
    });
  };
  const { tree, around } = await writingNode(model, store, { openLearner });
  await committedAll(store);
  await settle();
  const counts = (phase: string): number[] =>
    ["started", "failed"].map((what) => around.counters.get(`phase_update_${phase}_${what}`));
  t.deepEqual(counts("claim"), [2, 0]);
  t.deepEqual(counts("load"), [2, 0]);
  t.deepEqual(counts("step"), [2, 1]);
  t.deepEqual(counts("publish"), [1, 0]);
  t.deepEqual([around.counters.get("jobs_update_finished"), around.counters.get("jobs_update_failed")], [1, 0]);
  t.is(around.telemetry.instruments.pool("update").waiting, 0);
  await tree.stop();
});

test("a writer that is killed while it leads takes its slot and its waiting jobs along; the next one has them", async (t) => {
  const { tree, around } = await learned(4);
  const { instruments } = around.telemetry;
  await tree.kill("updater", "kill");
  while (instruments.pool("update").slots === 0) await settle();
  t.is(instruments.pool("update").slots, 1);
  t.is(instruments.pool("update").waiting, 0);
  await tree.stop();
  t.is(instruments.pool("update").slots, 0);
});

test("answers, those that asked for an update and their confidence are counted when the log has them, and not before", async (t) => {
  const model = smallModel({ gate: 0.999 });
  const [askers, around] = [new Askers(), recorded()];
  const [buffer, relay] = [inbox<BufferMessage>(), inbox<RelayMessage>()];
  const meter = new InferMeter("small", around.telemetry, systemClock);
  const desk = new Desk(new VirtualClock(), ({ request, code, tookMs }) =>
    meter.closed(request, code === undefined, tookMs),
  );
  let isFull = true;
  const { tree } = await smallTree([
    buffer.child("buffer"),
    relay.child("relay"),
    {
      id: "voter",
      restart: "permanent",
      behaviour: (refs) =>
        voter({
          ...{ model, node: "node-a", nodeIncarnation: 1, desk, telemetry: around.telemetry, meter },
          append: async () =>
            isFull ? { kind: "unavailable", why: "full" } : { kind: "appended", seq: 1, duplicate: false },
          buffer: refs.ref("buffer"),
          relay: refs.ref("relay"),
        }),
    },
  ]);
  const record = answersOf(model, [0, 1, 2], seededRandom(4));
  const ask = async (round: string): Promise<VoterMessage> => {
    const requests = ["a", "b", "c"].map((id) => openAt(desk, askers, `${round}${id}`));
    const batch = batchOf(record, requests);
    for (const request of requests) request.timings = batch.timings;
    const message: VoterMessage = { kind: "judge", batch, neighbours: undefined, past: [] };
    tree.ref<VoterMessage>("voter").tell(message);
    return message;
  };
  await ask("refused-");
  await askers.until(3);
  t.is(around.counters.get("answers"), 0);
  isFull = false;
  const message = await ask("taken-");
  await askers.until(6);
  await settle();
  const expected = judge(model, message, { node: "node-a", nodeIncarnation: 1, nowMs: message.batch.atMs })?.record;
  const learning = [...(expected?.learn ?? [])].filter((flag) => flag === 1).length;
  t.deepEqual([around.counters.get("answers"), around.counters.get("answers_small")], [3, 3]);
  t.is(around.counters.get("gate_learn"), learning);
  t.true(learning > 0);
  const mean = [...(expected?.confidences ?? [])].reduce((sum, each) => sum + each, 0) / 3;
  t.true(Math.abs((sketch(around.telemetry, "confidence").mean ?? 0) - mean) < 1e-6);
  t.deepEqual(
    ["started", "failed"].map((what) => around.counters.get(`phase_infer_remember_${what}`)),
    [6, 3],
  );
  t.is(around.counters.get("phase_infer_reply_started"), 3);
  await tree.stop();
});
