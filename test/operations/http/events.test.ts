// Live events to readers that are plain objects: who gets what, and who is dropped.

import test from "ava";
import { LiveEvents, type Sink } from "../../../operations/http/events.js";
import { LiveLooks } from "../../../operations/http/live-looks.js";
import { type Found, found, type Sources, unavailable } from "../../../operations/http/sources.js";
import { VirtualClock } from "../../../supervision/virtual-clock.js";
import type { TreeNode } from "../../../transport/messages/look-orders.js";

class PlainSink implements Sink {
  readonly texts: string[] = [];
  waitingBytes = 0;
  isCut = false;

  write(text: string): void {
    this.texts.push(text);
  }

  cut(): void {
    this.isCut = true;
  }
}

const limits = { readersMax: 2, behindMaxBytes: 1_000, heartbeatMs: 3_000 };

test("a reader that falls behind is cut off, the others read on", (t) => {
  const events = new LiveEvents(new VirtualClock(), limits);
  const [quick, slow] = [new PlainSink(), new PlainSink()];
  events.admit(quick);
  events.admit(slow);
  slow.waitingBytes = 1_001;
  events.publish("tree", { a: 1 });
  t.deepEqual([quick.isCut, slow.isCut, events.readers, events.dropped], [false, true, 1, 1]);
  t.is(quick.texts.at(-1), 'event: tree\ndata: {"a":1}\n\n');
  t.is(slow.texts.length, 1, "nothing more was written to it");
});

test("a silence is filled with a comment, as long as somebody reads", async (t) => {
  const clock = new VirtualClock();
  const events = new LiveEvents(clock, limits);
  const sink = new PlainSink();
  const leave = events.admit(sink);
  await clock.advance(9_000);
  t.is(sink.texts.filter((text) => text === ": still here\n\n").length, 3);
  for (let second = 0; second < 9; second += 1) {
    events.publish("metrics", second);
    await clock.advance(1_000);
  }
  t.is(sink.texts.filter((text) => text === ": still here\n\n").length, 3, "none while there is something to say");
  leave();
  await clock.advance(9_000);
  t.is(sink.texts.length, 13);
});

test("of each kind the newest is kept for whoever comes next", (t) => {
  const events = new LiveEvents(new VirtualClock(), limits);
  events.publish("metrics", 1);
  events.publish("health", 2);
  events.publish("metrics", 3);
  const sink = new PlainSink();
  events.admit(sink);
  t.deepEqual(sink.texts, ["retry: 1000\n\nevent: metrics\ndata: 3\n\nevent: health\ndata: 2\n\n"]);
});

test("what is closed takes nobody in any more", (t) => {
  const events = new LiveEvents(new VirtualClock(), limits);
  const sink = new PlainSink();
  events.admit(sink);
  events.close();
  t.true(sink.isCut && events.isFull);
});

const tree = (state: string): TreeNode => ({
  name: "root",
  kind: "root",
  generation: 1,
  state,
  restarts: 0,
  children: [],
});

function looking(answers: Partial<Pick<Sources, "alerts" | "series" | "tree">>) {
  const events = new LiveEvents(new VirtualClock(), limits);
  const silent = async () => unavailable("nobody");
  const sink = new PlainSink();
  const looks = new LiveLooks({ alerts: silent, series: silent, tree: silent, ...answers }, events);
  return { events, looks, sink };
}

test("only what changed is told, and a source that is silent is passed by", async (t) => {
  let state = "running";
  const { events, looks, sink } = looking({ tree: async () => found(tree(state)) });
  events.admit(sink);
  await looks.look();
  await looks.look();
  state = "waiting";
  await looks.look();
  const told = sink.texts.slice(1).map((text) => JSON.parse(text.split("\ndata: ")[1] ?? "").state);
  t.deepEqual(told, ["running", "waiting"]);
});

test("the time of the asking is no change of the alerts", async (t) => {
  let atMs = 1;
  const { events, looks, sink } = looking({ alerts: async () => found({ v: 1, atMs, alerts: [], silences: [] }) });
  events.admit(sink);
  await looks.look();
  atMs = 2;
  await looks.look();
  t.is(sink.texts.length, 2);
});

test("nobody is asked while nobody reads, and one slow answer does not pile up looks", async (t) => {
  let asked = 0;
  let answer: (tree: Found<TreeNode>) => void = () => undefined;
  const { events, looks, sink } = looking({
    tree: () => {
      asked += 1;
      return new Promise((resolve) => {
        answer = resolve;
      });
    },
  });
  await looks.look();
  t.is(asked, 0);
  events.admit(sink);
  const first = looks.look();
  await looks.look();
  await looks.look();
  t.is(asked, 1);
  answer(found(tree("running")));
  await first;
  t.is(sink.texts.length, 2);
});
