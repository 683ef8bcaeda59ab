// The memory behind its thread, with a real worker. The contents themselves are tested in memory-store.test.ts.
import test from "ava";
import { seededRandom } from "../../models/clock.js";
import { memoryRows, startMemory } from "../../models/memory.js";
import { answersOf, smallSubject, width } from "./small-world.js";

test("what was added is found, with its place in the log, its answer and its age, once it is settled", async (t) => {
  const memory = await startMemory({ width, capacity: 100 });
  const batch = answersOf(smallSubject(), [0, 1, 2], seededRandom(1));
  memory.add(memoryRows(41, batch));
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
  const memory = await startMemory({ width, capacity: 100 });
  const batch = answersOf(smallSubject(), [0, 1], seededRandom(2));
  memory.add(memoryRows(1, batch));
  memory.label({ seq: 1, index: 0 }, 2);
  t.is(memory.lastStats, null);
  await memory.settled();
  const stats = await memory.stats();
  t.deepEqual([stats.size, stats.verified, stats.capacity], [2, 1, 100]);
  t.deepEqual(memory.lastStats, stats);
  await memory.close();
});

test("a search overtakes the records that wait in front of it", async (t) => {
  const memory = await startMemory({ width, capacity: 10_000 });
  const random = seededRandom(3);
  const labels = Array.from({ length: 50 }, (_, row) => row % 3);
  for (let seq = 1; seq <= 100; seq++) memory.add(memoryRows(seq, answersOf(smallSubject(), labels, random)));
  const order: string[] = [];
  const settled = memory.settled().then(() => order.push("settled"));
  const searched = memory.search(new Float32Array(width).fill(1), 1, 5).then(() => order.push("searched"));
  await Promise.all([settled, searched]);
  t.deepEqual(order, ["searched", "settled"]);
  t.is((await memory.stats()).size, 5_000);
  await memory.close();
});

test("when the thread dies, whoever waits is told, and so is the owner", async (t) => {
  const memory = await startMemory({ width, capacity: 100 });
  const batch = answersOf(smallSubject(), [0], seededRandom(4));
  memory.add({ ...memoryRows(1, batch), rows: 2 });
  await t.throwsAsync(memory.settled(), { message: /do not all have 2 rows/ });
  t.regex((await memory.died).message, /do not all have 2 rows/);
  await t.throwsAsync(memory.search(new Float32Array(width), 1, 1));
});

test("a memory that was closed did not die, and answers nothing more", async (t) => {
  const memory = await startMemory({ width, capacity: 100 });
  await memory.close();
  await t.throwsAsync(memory.stats(), { message: "the memory is closed" });
  t.is(await Promise.race([memory.died, Promise.resolve("alive")]), "alive");
});
