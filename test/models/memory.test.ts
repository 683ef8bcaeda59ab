// The memory behind its thread, with a real worker. The contents themselves are tested in memory-store.test.ts.
import test from "ava";
import { type Clock, seededRandom } from "../../models/clock.js";
import { startMemory } from "../../models/memory/memory.js";
import { memoryRows } from "../../models/memory/memory-rows.js";
import { defaults } from "../../models/settings.js";
import { systemClock } from "../../supervision/clock.js";
import { answersOf, smallSubject, width } from "./small-world.js";

/** A clock whose timers run when the test says so. */
function stillClock(): { readonly clock: Clock; readonly timers: Map<() => void, number> } {
  const timers = new Map<() => void, number>();
  const after = (ms: number, run: () => void): (() => void) => {
    timers.set(run, ms);
    return () => timers.delete(run);
  };
  return { clock: { nowMs: () => 0, monotonicMs: () => 0, delay: () => Promise.resolve(), after }, timers };
}

/** Runs the timers of so many milliseconds, once. */
function elapse(timers: Map<() => void, number>, ms: number): void {
  for (const [run, due] of [...timers]) if (due === ms && timers.delete(run)) run();
}

test("what was added is found, with its place in the log, its answer and its age, once it is settled", async (t) => {
  const memory = await startMemory({ width, capacity: 100 }, systemClock);
  const batch = answersOf(smallSubject(), [0, 1, 2], seededRandom(1));
  memory.add(memoryRows(41, batch, defaults));
  await memory.settled();
  const query = batch.embeddings.slice(width, 2 * width);
  const found = await memory.search(query, 1, 2);
  t.is(query.length, width, "the caller keeps its embeddings");
  t.deepEqual([found.found[0], found.seqs[0], found.indexes[0], found.answers[0]], [2, 41, 1, 1]);
  t.is(found.atMs[0], batch.atMs);
  t.true((found.similarities[0] ?? 0) > 0.9999);
  await memory.close();
});

test("labels are folded after the rows that were added before them; stats say what the thread holds", async (t) => {
  const memory = await startMemory({ width, capacity: 100 }, systemClock);
  const batch = answersOf(smallSubject(), [0, 1], seededRandom(2));
  memory.add(memoryRows(1, batch, defaults));
  memory.label({ seq: 1, index: 0 }, 2);
  t.is(memory.lastStats, null);
  await memory.settled();
  const stats = await memory.stats();
  t.deepEqual([stats.size, stats.verified, stats.capacity], [2, 1, 100]);
  t.deepEqual(memory.lastStats, stats);
  await memory.close();
});

test("a search overtakes the records that wait in front of it", async (t) => {
  const memory = await startMemory({ width, capacity: 10_000 }, systemClock);
  const random = seededRandom(3);
  const labels = Array.from({ length: 50 }, (_, row) => row % 3);
  const batch = answersOf(smallSubject(), labels, random);
  // Far more work than the time it takes to ask.
  const records = Array.from({ length: 2_000 }, (_, index) =>
    memoryRows(index + 1, batch, { rememberedPerRecord: 50 }),
  );
  for (const rows of records) memory.add(rows);
  const order: string[] = [];
  const settled = memory.settled().then(() => order.push("settled"));
  const searched = memory.search(new Float32Array(width).fill(1), 1, 5).then(() => order.push("searched"));
  await Promise.all([settled, searched]);
  t.deepEqual(order, ["searched", "settled"]);
  t.is((await memory.stats()).size, 10_000);
  await memory.close();
});

test("a change is held back until something is asked, or until its time has come", async (t) => {
  const { clock, timers } = stillClock();
  const memory = await startMemory({ width, capacity: 1_000 }, clock);
  const random = seededRandom(5);
  memory.add(memoryRows(1, answersOf(smallSubject(), [0], random), defaults));
  memory.label({ seq: 1, index: 0 }, 2);
  t.deepEqual([...timers.values()].slice(-2), [500, 5], "one timer to send, one to look");
  t.is(timers.size, 3, "and one to find it hanging");
  await memory.settled();
  t.like(await memory.stats(), { size: 1, verified: 1 });
  memory.add(memoryRows(2, answersOf(smallSubject(), [1], random), defaults));
  elapse(timers, 5);
  await memory.settled();
  t.is((await memory.stats()).size, 2);
  await memory.close();
  t.is(timers.size, 0, "a closed memory leaves no timer behind");
});

test("the last stats follow what was added and asked without anyone asking for them", async (t) => {
  const { clock, timers } = stillClock();
  const memory = await startMemory({ width, capacity: 1_000 }, clock);
  const batch = answersOf(smallSubject(), [0, 1], seededRandom(6));
  memory.add(memoryRows(1, batch, defaults));
  await memory.search(batch.embeddings, 2, 1);
  await memory.settled();
  t.is(memory.lastStats, null);
  elapse(timers, 500);
  // Answered after the question before it.
  await memory.settled();
  t.like(memory.lastStats, { size: 2, searches: 2 });
  await memory.close();
});

test("more changes than are held back are sent without waiting, in their order", async (t) => {
  const { clock } = stillClock();
  const memory = await startMemory({ width, capacity: 1_000 }, clock);
  const random = seededRandom(7);
  for (let seq = 1; seq <= 200; seq++) {
    memory.add(memoryRows(seq, answersOf(smallSubject(), [seq % 3], random), defaults));
    memory.label({ seq, index: 0 }, 1);
  }
  await memory.settled();
  t.like(await memory.stats(), { size: 200, verified: 200 });
  await memory.close();
});

test("a replay builds no graph; whoever asks afterwards is answered before there is one, and then it is built", async (t) => {
  const { clock, timers } = stillClock();
  const memory = await startMemory({ width, capacity: 1_000 }, clock);
  const random = seededRandom(8);
  const batches = Array.from({ length: 300 }, () => answersOf(smallSubject(), [0, 1, 2, 0], random));
  for (const [index, batch] of batches.entries()) memory.add(memoryRows(index + 1, batch, defaults));
  await memory.settled();
  elapse(timers, 500);
  await memory.settled();
  t.like(memory.lastStats, { size: 1_000, graph: 0, tail: 1_000 });
  const last = batches.at(-1)?.embeddings ?? new Float32Array(0);
  const { found, seqs } = await memory.search(last, 4, 1);
  t.deepEqual([Array.from(found), Array.from(seqs)], [Array(4).fill(1), Array(4).fill(300)]);
  let { graph } = await memory.stats();
  while (graph < 1_000) ({ graph } = await memory.stats());
  t.deepEqual(await memory.search(last, 4, 5).then((near) => Array.from(near.found)), Array(4).fill(5));
  await memory.close();
});

test("a search for no rows finds nothing, and one whose rows are not of the memory's width is refused", async (t) => {
  const memory = await startMemory({ width, capacity: 100 }, systemClock);
  t.is((await memory.search(new Float32Array(0), 0, 5, 5)).found.length, 0);
  await t.throwsAsync(memory.search(new Float32Array(width + 1), 1, 5), { instanceOf: RangeError });
  t.is((await memory.stats()).searches, 0);
  await memory.close();
});

test("several searches under way at once each get their own neighbours, with the changes between them in place", async (t) => {
  const memory = await startMemory({ width, capacity: 1_000 }, systemClock);
  const random = seededRandom(9);
  const batches = Array.from({ length: 20 }, () => answersOf(smallSubject(), [0, 1, 2], random));
  const found = batches.map(async (batch, index) => {
    memory.add(memoryRows(index + 1, batch, defaults));
    await memory.settled();
    const near = await memory.search(batch.embeddings, 3, 1);
    return Array.from(near.seqs);
  });
  t.deepEqual(
    await Promise.all(found),
    batches.map((_, index) => Array(3).fill(index + 1)),
  );
  await memory.close();
});

test("when the thread dies, whoever waits is told, and so is the owner", async (t) => {
  const memory = await startMemory({ width, capacity: 100 }, systemClock);
  const batch = answersOf(smallSubject(), [0], seededRandom(4));
  t.throws(() => memory.add({ ...memoryRows(1, batch, defaults), rows: 2 }), { message: /do not all have 2 rows/ });
  const waiting = [memory.search(new Float32Array(width), 1, 256), memory.search(batch.embeddings, 1, 1)];
  for (const each of await Promise.allSettled(waiting)) t.is(each.status, "rejected");
  t.regex((await memory.died).message, /k of 256/);
  await t.throwsAsync(memory.search(new Float32Array(width), 1, 1), { message: /k of 256/ });
  t.throws(() => memory.label({ seq: 1, index: 0 }, 1), { message: /k of 256/ });
});

test("a memory that was closed did not die, and answers nothing more", async (t) => {
  const memory = await startMemory({ width, capacity: 100 }, systemClock);
  await memory.close();
  await t.throwsAsync(memory.stats(), { message: "the memory is closed" });
  t.is(await Promise.race([memory.died, Promise.resolve("alive")]), "alive");
});
