// A message on its way: tries, pauses, and what a breaker says when it opens. Under the virtual clock, but for a real place that is down.

import test from "ava";
import { seededRandom } from "../../../models/clock.js";
import { type Delivered, deliver } from "../../../operations/alerts/notify/delivery.js";
import { testNotification } from "../../../operations/alerts/notify/notification.js";
import type { Sink, SinkAnswer } from "../../../operations/alerts/notify/sink.js";
import { Breakers } from "../../../operations/faults/breakers.js";
import { VirtualClock } from "../../../supervision/virtual-clock.js";
import type { EventItem } from "../../../transport/messages/events.js";

const message = testNotification("driftmend", "x");

function scene(answer: (tries: number) => SinkAnswer) {
  const clock = new VirtualClock();
  const events: { readonly kind: string; readonly items: readonly EventItem[] }[] = [];
  const lines: { readonly text: string; readonly fields: unknown }[] = [];
  const telemetry = {
    event: (kind: string, _: unknown, items: () => readonly EventItem[]) => void events.push({ kind, items: items() }),
  };
  const breakers = new Breakers({ clock, telemetry, origin: { actor: "alerter", incarnation: 1 } });
  const asked: { readonly target: string; readonly atMs: number }[] = [];
  const end = new AbortController();
  const line = (text: string, fields?: unknown) => void lines.push({ text, fields });
  const sender = { random: seededRandom(1), log: { info: line, warn: line }, signal: end.signal };
  const sink = (target: string): Sink => ({
    name: "slack",
    target,
    send: async () => {
      asked.push({ target, atMs: clock.nowMs() });
      return answer(asked.length);
    },
  });
  const send = async (target = "slack a", withinMs = 10_000): Promise<Delivered> => {
    const delivered = deliver(sink(target), message, { breakers, clock }, sender);
    await clock.advance(withinMs);
    return delivered;
  };
  return { clock, events, lines, asked, breakers, send, end };
}

const busy: SinkAnswer = { kind: "busy", said: "HTTP 503" };

test("a place that is busy is tried again after about 1, 2 and 4 s, and then given up for a while", async (t) => {
  const { asked, send } = scene(() => busy);
  t.deepEqual(await send(), { kind: "failed", said: "HTTP 503", againInMs: 30_000 });
  const pauses = asked.slice(1).map(({ atMs }, i) => atMs - (asked[i]?.atMs ?? 0));
  t.is(pauses.length, 3);
  for (const [i, nominalMs] of [1_000, 2_000, 4_000].entries())
    t.true(Math.abs((pauses[i] ?? 0) - nominalMs) <= nominalMs * 0.2 + 1e-6, `${pauses[i]}`);
});

test("the first try that is taken is the last; a refusal is final at once; who says when is believed", async (t) => {
  const third = scene((tries) => (tries < 3 ? busy : { kind: "taken", said: "ok" }));
  t.deepEqual(await third.send(), { kind: "taken", said: "ok" });
  t.is(third.asked.length, 3);
  const refused = scene(() => ({ kind: "refused", said: "HTTP 404 no_service" }));
  t.like(await refused.send(), { kind: "failed", said: "HTTP 404 no_service", againInMs: 300_000 });
  t.is(refused.asked.length, 1);
  const limited = scene((tries) => (tries === 1 ? { ...busy, retryInMs: 20_000 } : { kind: "taken", said: "ok" }));
  t.is((await limited.send("slack a", 30_000)).kind, "taken");
  t.is(limited.asked[1]?.atMs, 20_000);
  const long = scene(() => ({ ...busy, retryInMs: 3_600_000 }));
  t.like(await long.send(), { kind: "failed", againInMs: 3_600_000 });
});

test("when a breaker opens, an event and a log line say whose and after how many; other targets are untouched (S1-58)", async (t) => {
  const { events, lines, asked, breakers, send } = scene(() => busy);
  await send("slack a");
  await send("slack a");
  const opened = { target: "slack a", failures: 5, calls: 5, openMs: 60_000 };
  t.like(lines[0], { text: "circuit breaker opened: slack a", fields: opened });
  t.is(events[0]?.kind, "breaker_opened");
  t.like(events[0]?.items[0], { about: "slack a", failures: 5, calls: 5, openMs: 60_000 });
  const before = asked.length;
  t.like(await send("slack b"), { kind: "failed", said: "HTTP 503" });
  t.is(asked.length, before + 4);
  t.deepEqual(breakers.all(), [
    { target: "slack a", state: "open" },
    { target: "slack b", state: "closed" },
  ]);
});

test("an open breaker is no try, and says when the next one is", async (t) => {
  let taken = false;
  const { asked, events, send, clock } = scene(() => (taken ? { kind: "taken", said: "ok" } : busy));
  await send();
  await send();
  const before = asked.length;
  taken = true;
  const again = await send();
  t.like(again, { kind: "failed", said: "circuit_open" });
  t.is(asked.length, before);
  await clock.advance(60_000);
  for (let i = 0; i < 3; i += 1) t.is((await send()).kind, "taken");
  t.deepEqual(
    events.map(({ kind }) => kind),
    ["breaker_opened", "breaker_half_opened", "breaker_closed"],
  );
});

test("a try that the sender cut short says nothing about the place", async (t) => {
  const { asked, breakers, send, end } = scene(() => busy);
  end.abort();
  for (let i = 0; i < 8; i += 1) await send();
  t.is(asked.length, 8);
  t.deepEqual(breakers.all(), [{ target: "slack a", state: "closed" }]);
});
