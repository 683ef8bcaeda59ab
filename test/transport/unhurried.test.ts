// Telemetry that waits for company: when it leaves, and in which order.

import test from "ava";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import { Unhurried } from "../../transport/bus/unhurried.js";

function waiting() {
  const clock = new VirtualClock();
  const sent: string[] = [];
  const unhurried = new Unhurried(clock, (subject) => sent.push(subject));
  const add = (subject: string) => unhurried.add(subject, new Uint8Array());
  return { clock, sent, unhurried, add };
}

test("it leaves with the next message that does not wait, in the order in which it came", (t) => {
  const { sent, unhurried, add } = waiting();
  add("a");
  add("b");
  t.deepEqual(sent, []);
  unhurried.send();
  t.deepEqual(sent, ["a", "b"]);
});

test("without another message it leaves after 5 ms, each time", async (t) => {
  const { clock, sent, unhurried, add } = waiting();
  add("a");
  await clock.advance(4);
  t.deepEqual(sent, []);
  await clock.advance(1);
  t.deepEqual(sent, ["a"]);
  add("b");
  unhurried.send();
  add("c");
  await clock.advance(5);
  t.deepEqual(sent, ["a", "b", "c"]);
});

test("no more than 64 wait", (t) => {
  const { sent, add } = waiting();
  for (let i = 1; i <= 64; i += 1) {
    t.is(sent.length, 0);
    add(`${i}`);
  }
  t.is(sent.length, 64);
});
