// What a node knows of answered requests, by id.

import test from "ava";
import { PastAnswers } from "../../actors/serving/past-answers.js";

const answered = { answer: 3, confidence: 0.5, cold: true, version: 7, traceId: "t" };

test("an answer is found as it was given, by its id", (t) => {
  const past = new PastAnswers(4);
  past.set("a", 2 ** 40, 63, answered);
  t.deepEqual(past.get("a"), { at: { seq: 2 ** 40, index: 63 }, ...answered });
  t.deepEqual([past.has("a"), past.has("b"), past.get("b"), past.size], [true, false, undefined, 1]);
});

test("at the bound the one that came first goes, and of an id that came again the newer answer counts", (t) => {
  const past = new PastAnswers(3);
  for (const [seq, id] of ["a", "b", "a", "c"].entries()) past.set(id, seq, 0, { ...answered, answer: seq });
  t.deepEqual([past.get("a")?.answer, past.get("b")?.answer, past.get("c")?.answer], [2, 1, 3]);
  past.set("d", 4, 0, answered);
  t.deepEqual([past.has("a"), past.has("b"), past.size], [true, false, 3]);
  past.set("e", 5, 0, answered);
  t.deepEqual([past.has("a"), past.has("c"), past.size], [false, true, 3]);
});
