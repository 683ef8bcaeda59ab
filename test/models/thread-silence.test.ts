// When a thread counts as hung, and how many of them a process bears.

import { Worker } from "node:worker_threads";
import test from "ava";
import { exitOf } from "../../models/threads/thread-end.js";
import { Silence, StuckThreads } from "../../models/threads/thread-silence.js";
import { systemClock } from "../../supervision/clock.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";

function scene() {
  const clock = new VirtualClock();
  const hungAtMs: number[] = [];
  const silence = new Silence(clock, 100, () => hungAtMs.push(clock.monotonicMs()));
  return { clock, hungAtMs, silence };
}

test("(S2-54) a thread that owes an answer is hung after its time, and not before", async (t) => {
  const { clock, hungAtMs, silence } = scene();
  await clock.advance(50);
  silence.asked();
  await clock.advance(99);
  t.deepEqual(hungAtMs, []);
  await clock.advance(1);
  t.deepEqual(hungAtMs, [150]);
});

test("a thread that moves is not hung, however long its queue; one that owes nothing may be silent", async (t) => {
  const { clock, hungAtMs, silence } = scene();
  for (let answer = 0; answer < 10; answer += 1) {
    silence.asked();
    await clock.advance(90);
    silence.heard(answer < 9);
  }
  await clock.advance(10_000);
  t.deepEqual(hungAtMs, []);
  silence.asked();
  await clock.advance(100);
  t.is(hungAtMs.length, 1);
});

test("an ended watch says nothing", async (t) => {
  const { clock, hungAtMs, silence } = scene();
  silence.asked();
  silence.end();
  await clock.advance(1_000);
  t.deepEqual(hungAtMs, []);
});

test("a process bears so many hung threads and no more; those that come back do not count", async (t) => {
  const stuck = new StuckThreads(1);
  const threads = Array.from({ length: 3 }, () => {
    const worker = new Worker("require('node:worker_threads').parentPort.once('message', () => undefined)", {
      eval: true,
    });
    const exited = exitOf(worker);
    const stay = systemClock.after(30_000, () => undefined);
    void exited.then(stay);
    return { worker, exited };
  });
  const [first, second, third] = threads;
  if (first === undefined || second === undefined || third === undefined) throw new Error("three threads");
  stuck.leave(first.worker, first.exited);
  first.worker.postMessage("end");
  await first.exited;
  t.is(stuck.count, 0);
  stuck.leave(second.worker, second.exited);
  t.is(stuck.count, 1);
  stuck.leave(third.worker, third.exited);
  t.regex((await stuck.tooMany).message, /2 threads hang/);
  for (const { worker } of [second, third]) worker.postMessage("end");
  await Promise.all(threads.map(({ exited }) => exited));
});
