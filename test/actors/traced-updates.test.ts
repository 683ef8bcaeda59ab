// Spans of updates that a real writer applies: told with the commit that covers them, and closed when the writer fails.

import test from "ava";
import { seededRandom } from "../../models/clock.js";
import { openLearner } from "../../models/learning/learner.js";
import { SpanRecorder } from "../../operations/traces/recorder.js";
import type { Span } from "../../operations/traces/span.js";
import { spansEvent } from "../../operations/traces/span-items.js";
import { spansOf } from "../../operations/traces/spans.js";
import { traceAll, traceNothing } from "../../operations/traces/trace-context.js";
import { systemClock } from "../../supervision/clock.js";
import { answersOf, taskFor } from "../models/small-world.js";
import { MemoryStore } from "./memory-store.js";
import { type Recorded, recorded, settle, smallModel, subjects, traceOf } from "./small-node.js";
import { committedAll, writingNode } from "./writing-node.js";

const model = smallModel();

/** The recorder speaks over a connection of its own, as the tree makes the other one itself. */
function recording(policy = traceAll): { readonly spans: SpanRecorder; readonly heard: Recorded } {
  const heard = recorded();
  return { spans: new SpanRecorder(heard.telemetry, systemClock, 1, policy), heard };
}

/** Tasks as a relay publishes them, with the trace of their requests. */
function learnTraced(store: MemoryStore, tasks: number): void {
  const random = seededRandom(21);
  const labels = [0, 1, 2, 0, 1, 2];
  for (let warm = 0; warm < 2; warm += 1) store.answer(answersOf(model, labels, random, 0.6));
  for (let n = 0; n < tasks; n += 1) {
    const seq = store.answer(answersOf(model, labels, random, 0.6));
    const experience = { seq, index: n % labels.length };
    const task = { ...taskFor(experience, random()), traceId: traceOf(`trace-${n}`), atMs: systemClock.nowMs() };
    store.updateLog.append(`${seq}.${experience.index}`, { kind: "task", task });
  }
}

const spansIn = ({ bus }: Recorded): Span[] => bus.events(spansEvent).flatMap(spansOf);

test("(S1-63, S1-68) each applied update is a job whose phases add up to it, told after the commit that covers it", async (t) => {
  const store = new MemoryStore(model);
  learnTraced(store, 6);
  const { spans, heard } = recording();
  const { tree, around } = await writingNode(model, store, { spans });
  await committedAll(store);
  await settle();
  const told = spansIn(heard);
  const jobs = told.filter(({ name }) => name === "update");
  t.is(jobs.length, 6);
  for (const job of jobs) {
    const phases = told.filter(({ parentSpanId }) => parentSpanId === job.spanId);
    t.true(
      ["update.claim", "update.load", "update.step", "update.publish"].every((name) =>
        phases.some((each) => each.name === name),
      ),
    );
    const sum = phases.reduce((total, { startMs, endMs }) => total + endMs - startMs, 0);
    t.true(Math.abs(sum - (job.endMs - job.startMs)) <= 0.05 * (job.endMs - job.startMs) + 0.01);
  }
  const commits = around.bus.events("commit").flatMap(({ items }) => items);
  t.is(commits.length, 6, "the commit is told once for each trace that it covers");
  await tree.stop();
});

test("(S1-64) a writer that fails in a step leaves a closed span with an error, and the next one the span that counts", async (t) => {
  const store = new MemoryStore(model);
  learnTraced(store, 1);
  let tries = 0;
  const openBroken = async () => {
    const learner = await openLearner("wasm");
    tries += 1;
    if (tries > 1) return learner;
    const fail = async (): Promise<never> => {
      throw new Error("no gradient today");
    };
    return new Proxy(learner, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== "function" || name === "close") return value;
        return fail;
      },
    });
  };
  const { spans, heard } = recording();
  const { tree, events } = await writingNode(model, store, { spans, openLearner: openBroken });
  await events.until(({ kind }) => kind === "crashed");
  await committedAll(store);
  await heard.bus.until(subjects.event(spansEvent), 2);
  const told = spansIn(heard);
  t.deepEqual(
    told.filter(({ name }) => name === "update").map(({ status, attributes }) => `${status} ${attributes.outcome}`),
    ["error broken", "ok applied"],
  );
  t.deepEqual(
    told.filter(({ name }) => name === "update.step").map(({ status }) => status),
    ["error", "ok"],
  );
  t.is(new Set(told.map(({ spanId }) => spanId)).size, told.length);
  await tree.stop();
});

test("(S1-70) with tracing off nothing is told of updates", async (t) => {
  const store = new MemoryStore(model);
  learnTraced(store, 3);
  const { spans, heard } = recording(traceNothing);
  const { tree } = await writingNode(model, store, { spans });
  await committedAll(store);
  await settle();
  t.deepEqual(heard.bus.published, []);
  await tree.stop();
});
