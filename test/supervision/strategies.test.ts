// Substrate: pure functions; properties by fast-check.

import test from "ava";
import fc from "fast-check";
import type { ExitReason } from "../../supervision/exit-reason.js";
import type { RestartType } from "../../supervision/tree/strategies.js";
import { planRestart, type Strategy } from "../../supervision/tree/strategies.js";

const crash: ExitReason = { kind: "crash", phase: "turn", error: new Error("broken") };
const plan = (strategy: Strategy, index: number, restart: RestartType = "permanent", reason: ExitReason = crash) =>
  planRestart(strategy, { index, restart, reason }, 4);

test("one_for_one restarts the failed child alone", (t) => {
  t.deepEqual(plan("one_for_one", 2), { kind: "restart", range: { from: 2, to: 2 } });
});

test("rest_for_one restarts the failed child and those started after it", (t) => {
  t.deepEqual(plan("rest_for_one", 1), { kind: "restart", range: { from: 1, to: 3 } });
});

test("one_for_all restarts every child", (t) => {
  t.deepEqual(plan("one_for_all", 2), { kind: "restart", range: { from: 0, to: 3 } });
});

test("a transient child stays down only after a normal exit", (t) => {
  t.is(plan("one_for_one", 0, "transient", { kind: "normal" }).kind, "leave");
  t.is(plan("one_for_one", 0, "transient", { kind: "killed" }).kind, "restart");
  t.is(plan("one_for_one", 0, "transient", { kind: "hang", turnMaxMs: 5 }).kind, "restart");
});

test("a temporary child is never restarted, a permanent one always", (t) => {
  t.is(plan("one_for_all", 0, "temporary").kind, "leave");
  t.is(plan("one_for_one", 0, "permanent", { kind: "normal" }).kind, "restart");
});

test("the failed child is always within the restarted range, and the range within the children", (t) => {
  const strategies = fc.constantFrom<Strategy>("one_for_one", "one_for_all", "rest_for_one");
  fc.assert(
    fc.property(strategies, fc.integer({ min: 1, max: 20 }), fc.nat(), (strategy, count, pick) => {
      const index = pick % count;
      const decided = planRestart(strategy, { index, restart: "permanent", reason: crash }, count);
      if (decided.kind !== "restart") return false;
      const { from, to } = decided.range;
      return from >= 0 && from <= index && index <= to && to < count;
    }),
  );
  t.pass();
});
