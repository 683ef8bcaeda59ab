// What the HTTP interface asks of a cluster that is slow to answer, and what it keeps meanwhile: bounded, however many readers there are.

import test from "ava";
import { clusterSources } from "../../../operations/http/cluster-sources.js";
import { earlyMax, hearTelemetry } from "../../../operations/http/heard-telemetry.js";
import { LearningBook } from "../../../operations/http/learning-book.js";
import { systemClock } from "../../../supervision/clock.js";
import { VirtualClock } from "../../../supervision/virtual-clock.js";
import type { RequestOutcome } from "../../../transport/bus/bus.js";
import { jetStreamApi } from "../../../transport/subjects.js";
import { RecordingBus, subjects } from "../../actors/small-node.js";
import { scene } from "./http-scene.js";

/** A broker that answers nothing until it is told to, and then that it cannot. */
function slowBroker() {
  const asked: string[] = [];
  let late: () => void = () => undefined;
  const answered = new Promise<RequestOutcome>((resolve) => {
    late = () => resolve({ kind: "timeout" });
  });
  const request = (subject: string): Promise<RequestOutcome> => {
    asked.push(subject);
    return answered;
  };
  return { bus: Object.assign(new RecordingBus(), { request }), asked, late: () => late() };
}

test("dead letters and the tree are read once for all who ask at the same time (S1-38)", async (t) => {
  const { bus, asked, late } = slowBroker();
  const { sources: told } = await scene();
  const sources = clusterSources({ bus, subjects, clock: systemClock }, told, new LearningBook(["small"]));
  const letters = Array.from({ length: 20 }, () => sources.deadLetters(5, undefined));
  const trees = Array.from({ length: 20 }, () => sources.tree());
  late();
  for (const each of [...(await Promise.all(letters)), ...(await Promise.all(trees))]) t.is(each.kind, "unavailable");
  t.is(asked.filter((subject) => subject === subjects.actor("root", "tree")).length, 1);
  t.is(new Set(asked).size, asked.length);
  const before = asked.length;
  await sources.deadLetters(5, undefined);
  t.true(asked.length > before, "and anew by whoever asks later");
});

test("what nodes tell while the past cannot be read is kept up to a bound, the newest of it", async (t) => {
  const { bus, late } = slowBroker();
  const kind = subjects.event("spans");
  const taken: number[] = [];
  const done = new AbortController();
  const door = { bus, subjects, clock: systemClock };
  const hearing = hearTelemetry(door, [kind], (bytes) => taken.push(Buffer.from(bytes).readUInt32LE()), done.signal);
  const tell = (n: number): void => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(n);
    bus.deliver(kind, bytes);
  };
  for (let n = 0; n < earlyMax + 1_000; n += 1) tell(n);
  late();
  await hearing;
  t.is(taken.length, earlyMax);
  t.is(taken.at(-1), earlyMax + 999);
  tell(7);
  t.is(taken.at(-1), 7);
  done.abort();
  t.false(bus.deliver(kind, Buffer.alloc(4)));
});

test("dead letters that cannot be read to their end are unavailable after a while, and asked for anew", async (t) => {
  const clock = new VirtualClock();
  const info = Buffer.from(JSON.stringify({ state: { first_seq: 1, last_seq: 5, messages: 5, bytes: 500 } }));
  const headers = { get: () => undefined, status: 0, description: "" };
  let looks = 0;
  // The stream is known, and nobody hands its messages out.
  const request = async (subject: string, _data: Uint8Array, { timeoutMs }: { readonly timeoutMs: number }) => {
    if (subject === jetStreamApi.streamInfo(subjects.deadLetterStream)) {
      looks += 1;
      return { kind: "reply", data: info, headers } as const;
    }
    await clock.delay(timeoutMs);
    return { kind: "timeout" } as const;
  };
  const bus = Object.assign(new RecordingBus(), { request });
  const { sources: told } = await scene();
  const sources = clusterSources({ bus, subjects, clock }, told, new LearningBook(["small"]));
  for (const time of [1, 2]) {
    const asked = sources.deadLetters(5, undefined);
    await clock.advance(20_000);
    t.is((await asked).kind, "unavailable");
    t.is(looks, time);
  }
});
