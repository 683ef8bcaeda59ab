// What several nats-servers say while they elect a leader, and what a follower sees of a copy that lags: against a bus that answers by script.

import test from "ava";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import type { Bus } from "../../transport/bus/bus.js";
import { tryMs } from "../../transport/client.js";
import { type Followed, follow } from "../../transport/log/follow.js";
import { ask, ensureStream, store } from "../../transport/log/jetstream.js";
import { LogWipedError } from "../../transport/log/read-stream.js";
import { text } from "./fixture.js";
import { answered, noHeaders, playedBus } from "./played-bus.js";

type Answer = (subject: string, body: string) => unknown;

interface Scripted extends Bus {
  /** Hands a message to whoever listens on the newest inbox. */
  deliver(seq: number, delivered: number, pending: number): void;
  readonly asked: string[];
}

function scripted(answer: Answer): Scripted {
  const asked: string[] = [];
  const bus = playedBus({
    request: async (subject, data) => {
      asked.push(subject);
      return answered(answer(subject, new TextDecoder().decode(data)));
    },
  });
  const deliver: Scripted["deliver"] = (seq, delivered, pending) => {
    const replyTo = `$JS.ACK.log.c.1.${seq}.${delivered}.0.${pending}`;
    const message = { subject: "s", data: text(`${seq}`), headers: noHeaders, replyTo, respond: () => true };
    void [...bus.handlers.values()].at(-1)?.(message);
  };
  return { ...bus, asked, deliver };
}

const refusal = (code: number, description: string) => ({ error: { err_code: code, code: 503, description } });

test("while servers elect a leader their refusals pass; a stream that is not there, and a full one, do not", async (t) => {
  const said = async (reply: unknown) =>
    ask(
      scripted(() => reply),
      "subject",
      undefined,
    );
  for (const [code, words] of [
    [10_008, "JetStream system temporarily unavailable"],
    [10_009, "JetStream cluster can not handle request"],
    [10_118, "stream is offline"],
  ] as const)
    t.deepEqual(await said(refusal(code, words)), { kind: "unavailable", why: "no_leader" }, words);
  t.like(await said(refusal(10_059, "stream not found")), { kind: "refused", code: 10_059 });
  t.like(await said(refusal(10_076, "JetStream not enabled")), { kind: "refused", code: 10_076 });
});

test("a proposal that a deposed leader refuses has no code, and is tried again by whoever appends", async (t) => {
  const bus = scripted(() => ({ error: { code: 503, description: "raft: not leader" } }));
  t.deepEqual(await store(bus, "s", text("x"), { timeoutMs: 1 }), { kind: "unavailable", why: "no_leader" });
});

test("an existing stream gets more copies where more are wanted, and never fewer", async (t) => {
  const updates: number[] = [];
  const standing = (copies: number) =>
    scripted((subject, body) => {
      if (subject.includes("STREAM.CREATE")) return refusal(10_058, "stream name already in use");
      if (subject.includes("STREAM.INFO")) return { config: { num_replicas: copies } };
      updates.push(JSON.parse(body).num_replicas);
      return {};
    });
  for (const [has, wanted] of [
    [1, 3],
    [3, 1],
    [3, 3],
  ] as const)
    t.deepEqual(await ensureStream(standing(has), { name: "log", num_replicas: wanted }), { kind: "ready" });
  t.deepEqual(updates, [3, 3, 3]);
});

test("copies that cannot be placed are named: one server alone, or too few of a cluster", async (t) => {
  const made = (code: number, copies: number) =>
    ensureStream(
      scripted(() => refusal(code, "")),
      { name: "log", num_replicas: copies },
    );
  t.deepEqual(await made(10_074, 3), { kind: "unavailable", why: "not_clustered" });
  t.deepEqual(await made(10_005, 3), { kind: "unavailable", why: "too_few_servers" });
  t.deepEqual(await made(10_023, 3), { kind: "unavailable", why: "too_few_servers" });
  t.deepEqual(await made(10_023, 1), { kind: "unavailable", why: "full" });
});

test("what a copy that lags delivers again is passed by, and the consumer is kept", async (t) => {
  const clock = new VirtualClock();
  const bus = scripted(() => ({ created: "then", state: { last_seq: 9 } }));
  const ending = new AbortController();
  const read: number[] = [];
  const reading = (async () => {
    for await (const { seq } of follow(bus, clock, "log", { fromSeq: 7, signal: ending.signal })) {
      read.push(seq);
      if (seq === 9) return;
    }
  })();
  await clock.advance(0);
  for (const [index, seq] of [5, 6, 7, 8, 9].entries()) bus.deliver(seq, index + 1, 4 - index);
  await reading;
  t.deepEqual(read, [7, 8, 9]);
  t.is(bus.asked.filter((subject) => subject.includes("CONSUMER.CREATE")).length, 1);
  ending.abort();
});

test("a log that looks shorter than what was read is waited for before it counts as wiped; an election is no wipe", async (t) => {
  const clock = new VirtualClock();
  const log = { last: 9, electing: false };
  const bus = scripted(() =>
    log.electing ? refusal(10_008, "unavailable") : { created: "then", state: { last_seq: log.last } },
  );
  const outcome: { error?: unknown } = {};
  const signal = new AbortController().signal;
  const next = async (): Promise<Followed | undefined> => {
    for await (const message of follow(bus, clock, "log", { fromSeq: 10, signal })) return message;
    return undefined;
  };
  log.last = 3;
  const reading = next().catch((error: unknown) => {
    outcome.error = error;
    return undefined;
  });
  await clock.advance(1_000);
  t.is(outcome.error, undefined, "for a second it may be a leader that has not caught up");
  log.electing = true;
  await clock.advance(30_000);
  t.is(outcome.error, undefined, "nobody leads, so nobody said that it is gone");
  log.electing = false;
  await clock.advance(10_000);
  await reading;
  t.true(outcome.error instanceof LogWipedError);
});

async function readAcrossRestart(storedAt: string): Promise<{ read: number[]; error: unknown }> {
  const clock = new VirtualClock();
  const copy = { created: "when its first leader made it" };
  const bus = scripted((subject) =>
    subject.includes("MSG.GET") ? { message: { seq: 2, time: storedAt } } : { ...copy, state: { last_seq: 3 } },
  );
  const ending = new AbortController();
  const outcome = { read: [] as number[], error: undefined as unknown };
  const reading = (async () => {
    for await (const { seq } of follow(bus, clock, "log", { fromSeq: 1, signal: ending.signal }))
      outcome.read.push(seq);
  })().catch((error: unknown) => {
    outcome.error = error;
  });
  await clock.advance(0);
  for (const seq of [1, 2]) bus.deliver(seq, seq, 2 - seq);
  copy.created = "when another server made its copy";
  // Silence, so that the consumer is made anew.
  await clock.advance(5_000);
  bus.deliver(3, 1, 0);
  await clock.advance(0);
  ending.abort();
  await reading;
  return outcome;
}

test("after all servers were started again another's date of a stream is no other stream, as long as it has what was read", async (t) => {
  t.deepEqual(await readAcrossRestart("1970-01-01T00:00:00Z"), { read: [1, 2, 3], error: undefined });
});

test("the control: where another message stands at that place, the stream was made anew", async (t) => {
  const { read, error } = await readAcrossRestart("2026-01-01T00:00:00Z");
  t.deepEqual(read, [1, 2]);
  t.true(error instanceof LogWipedError);
});

test("a client's tries wait longer and longer, up to a bound: answers that take longer than the first are heard (law 9)", (t) => {
  t.deepEqual(
    [1, 2, 3, 4, 10].map((tries) => tryMs(tries, 1_000)),
    [1_000, 2_000, 4_000, 4_000, 4_000],
  );
});
