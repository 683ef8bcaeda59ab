// Which ids are repeats, and that the array alone says so.

import test from "ava";
import { RecentIds, recentIdsWindow } from "../../models/memory/recent-ids.js";

test("the first record of an id counts, a later one is a repeat and changes nothing", (t) => {
  const recent = new RecentIds();
  t.true(recent.take("a"));
  t.true(recent.take("b"));
  const before = recent.ring.slice();
  t.false(recent.take("a"));
  t.deepEqual(recent.ring, before);
});

test("an id is forgotten once a whole window of others came after it, and not before", (t) => {
  const recent = new RecentIds();
  recent.take("first");
  for (let other = 1; other < recentIdsWindow; other += 1) recent.take(`other${other}`);
  t.false(recent.take("first"));
  t.true(recent.take("one more"));
  t.true(recent.take("first"));
});

test("the array is the whole state: copied into another, it knows the same ids", (t) => {
  const [one, two] = [new RecentIds(), new RecentIds()];
  for (let id = 0; id < recentIdsWindow + 100; id += 1) one.take(`${id}`);
  two.ring.set(one.ring);
  two.reindex();
  for (const recent of [one, two]) {
    t.false(recent.take("200"));
    t.true(recent.take("50"));
  }
  t.deepEqual(one.ring, two.ring);
});

test("ids that differ in one character, or in their order, are told apart", (t) => {
  const recent = new RecentIds();
  const ids = Array.from({ length: 4_000 }, (_, index) => `stream.${index}`);
  t.true([...ids, "ab", "ba", "", "a"].every((id) => recent.take(id)));
});
