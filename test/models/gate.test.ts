import test from "ava";
import { gate, isCold } from "../../models/judging/gate.js";
import { priority } from "../../models/judging/priority.js";
import { defaults } from "../../models/settings.js";

test("(S2-5) at or above the gate there is nothing to learn, below it there is one task's worth", (t) => {
  t.is(gate(0.7, false, defaults), "confident");
  t.is(gate(0.95, false, defaults), "confident");
  t.is(gate(0.6999, false, defaults), "learn");
  t.is(gate(0, false, defaults), "learn");
});

test("(S0-4) while cold nothing is learned, however unsure the model is", (t) => {
  t.is(gate(0, true, defaults), "cold");
  t.is(gate(0.99, true, defaults), "cold");
});

test("(S0-2) with a threshold of N the first N requests are cold and the next one is not", (t) => {
  const modes = Array.from({ length: 5 }, (_, before) => isCold(before, { coldStart: 3 }));
  t.deepEqual(modes, [true, true, true, false, false]);
});

test("(S0-5) a cold experience has at least the cold priority, a warm one what it is worth", (t) => {
  const dull = { novelty: 0, task: 1 };
  t.is(priority(1, dull, true, defaults), defaults.coldStartPriority);
  t.is(priority(1, dull, false, defaults), 0);
  t.is(priority(0, { novelty: 1, task: 0 }, false, defaults), 1);
});
