// Spans of requests that travel through a real supervision tree: closed whatever becomes of the actors between request and reply.

import test from "ava";
import { Desk, deskDefaults, type OpenRequest } from "../../actors/serving/desk.js";
import type { BufferMessage, RelayMessage, VoterMessage } from "../../actors/serving/messages.js";
import { voter } from "../../actors/serving/voter.js";
import { seededRandom } from "../../models/clock.js";
import type { ExperienceBatch } from "../../models/experience.js";
import { SpanRecorder } from "../../operations/traces/recorder.js";
import type { Span } from "../../operations/traces/span.js";
import { spansEvent } from "../../operations/traces/span-items.js";
import { spansOf } from "../../operations/traces/spans.js";
import { parseTraceparent, requestSpanId, type TraceContext, traceAll } from "../../operations/traces/trace-context.js";
import { systemClock } from "../../supervision/clock.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import type { AppendOutcome } from "../../transport/log/log.js";
import { answersOf } from "../models/small-world.js";
import { deferred, smallTree } from "../supervision/small-tree.js";
import { MemoryLog } from "./memory-log.js";
import { Askers, batchOf, inbox, openAt, recorded, settle, smallModel } from "./small-node.js";

type Append = (log: MemoryLog<ExperienceBatch>, batchId: string, record: ExperienceBatch) => Promise<AppendOutcome>;

/** As the wiring of a model does it: every request that leaves the desk is recorded. */
function tracedDesk(clock = systemClock, spans: { readonly closed: SpanRecorder["closed"] }): Desk {
  return new Desk(
    clock,
    ({ request, code, tookMs }) => {
      const { id, traceId, receivedAtMs, acceptedAtMs, timings, caller } = request;
      const of = { parentSpanId: caller?.parentSpanId, sampled: caller?.sampled };
      const times = { receivedAtMs, acceptedAtMs, closedAtMs: acceptedAtMs + tookMs, timings };
      spans.closed({ model: "small", id, traceId, ...of, ...times, code });
    },
    deskDefaults,
  );
}

async function scene(append: Append, gate = 0) {
  const model = smallModel({ gate });
  const log = new MemoryLog<ExperienceBatch>();
  const [buffer, relay] = [inbox<BufferMessage>(), inbox<RelayMessage>()];
  const [askers, around] = [new Askers(), recorded()];
  const desk = tracedDesk(systemClock, new SpanRecorder(around.telemetry, systemClock, 1, traceAll));
  const { tree } = await smallTree([
    buffer.child("buffer"),
    relay.child("relay"),
    {
      id: "voter",
      restart: "permanent",
      behaviour: (refs) =>
        voter({
          ...{ model, node: "node-a", nodeIncarnation: 1, desk, telemetry: around.telemetry },
          append: (batchId, record) => append(log, batchId, record),
          ...{ buffer: refs.ref("buffer"), relay: refs.ref("relay") },
        }),
    },
  ]);
  const ask = (caller?: TraceContext): OpenRequest[] => {
    const requests = [0, 1].map((n) => openAt(desk, askers, `r${n}`, { caller }));
    const batch = batchOf(answersOf(model, [0, 1], seededRandom(3)), requests);
    for (const request of requests) request.timings = batch.timings;
    const past = requests.map(() => undefined);
    tree.ref<VoterMessage>("voter").tell({ kind: "judge", batch, neighbours: undefined, past });
    return requests;
  };
  const spans = (): Span[] => around.bus.events(spansEvent).flatMap(spansOf);
  return { tree, askers, relay, ask, spans, around };
}

const statusOf = (spans: readonly Span[], name: string): string[] =>
  spans.filter((span) => span.name === name).map(({ status }) => status);

test("(S1-63) the requests of a micro-batch leave as one event, told after their replies", async (t) => {
  const { tree, askers, ask, spans, around } = await scene(async (log, batchId, record) => log.append(batchId, record));
  const requests = ask();
  await askers.until(2);
  await around.bus.until(`test.telemetry.event.${spansEvent}`);
  t.is(around.bus.events(spansEvent).length, 1);
  t.deepEqual(statusOf(spans(), "infer"), ["ok", "ok"]);
  t.deepEqual(
    spans().flatMap(({ name, spanId }) => (name === "infer" ? [spanId] : [])),
    requests.map(({ traceId, id }) => requestSpanId(traceId, id)),
  );
  await tree.stop();
});

test("(S1-64) an actor that is killed between request and reply leaves a closed span with an error, and the job goes on", async (t) => {
  const [began, released] = [deferred(), deferred()];
  let tries = 0;
  const { tree, askers, ask, spans, around } = await scene(async (log, batchId, record) => {
    tries += 1;
    if (tries > 1) return log.append(batchId, record);
    began.resolve();
    await released.promise;
    return log.append(batchId, record);
  });
  ask();
  await began.promise;
  await tree.kill("voter", "kill");
  await askers.until(2);
  await around.bus.until(`test.telemetry.event.${spansEvent}`);
  released.resolve();
  await settle();
  t.is(around.bus.events(spansEvent).length, 1, "what the dead incarnation still does tells nothing");
  t.deepEqual(statusOf(spans(), "infer"), ["ok", "ok"]);
  t.deepEqual(statusOf(spans(), "infer.remember"), ["error", "ok", "error", "ok"]);
  t.deepEqual(
    [...new Set(spans().flatMap(({ name, incarnation }) => (name === "infer.remember" ? [incarnation] : [])))],
    [1, 2],
  );
  await tree.stop();
});

test("(S1-64) a log that takes nothing is an error of the phase and of the job, by name", async (t) => {
  const { tree, askers, ask, spans, around } = await scene(async () => ({ kind: "unavailable", why: "full" }));
  ask();
  await askers.until(2);
  await around.bus.until(`test.telemetry.event.${spansEvent}`);
  t.deepEqual(statusOf(spans(), "infer"), ["error", "error"]);
  t.deepEqual(statusOf(spans(), "infer.vote"), ["ok", "ok"]);
  t.deepEqual(statusOf(spans(), "infer.remember"), ["error", "error"]);
  t.is(spans()[0]?.attributes.code, "log_unavailable");
  await tree.stop();
});

test("(S1-64) a deadline that passes in the queue closes the spans there", async (t) => {
  const clock = new VirtualClock(1_000);
  const { bus, telemetry } = recorded(clock);
  const desk = tracedDesk(clock, new SpanRecorder(telemetry, clock, 1, traceAll));
  openAt(desk, new Askers(), "late", { deadlineMs: 100 });
  await clock.advance(150);
  const spans = bus.events(spansEvent).flatMap(spansOf);
  t.deepEqual(statusOf(spans, "infer"), ["error"]);
  t.deepEqual(statusOf(spans, "infer.queue"), ["error"]);
  t.is(Math.round((spans[0]?.endMs ?? 0) - (spans[0]?.startMs ?? 0)), 100);
});

test("(S1-61) an update task carries the trace on, with the request's span and the caller's flag", async (t) => {
  for (const sampled of [true, false]) {
    const append: Append = async (log, batchId, record) => log.append(batchId, record);
    const { tree, askers, relay, ask } = await scene(append, 2);
    const caller = { traceId: "4bf92f3577b34da6a3ce929d0e0e4736", parentSpanId: "00f067aa0ba902b7", sampled };
    const requests = ask(caller);
    await askers.until(2);
    await relay.until(1);
    const tasks = relay.messages.flatMap((message) => message.tasks);
    t.deepEqual(
      tasks.map(({ traceparent = "" }) => parseTraceparent(traceparent)),
      requests.map(({ traceId, id }) => ({ traceId, parentSpanId: requestSpanId(traceId, id), sampled })),
    );
    await tree.stop();
  }
});
