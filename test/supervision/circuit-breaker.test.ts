// The circuit breaker as a state machine: instant, time is a number (I-6).

import test from "ava";
import {
  type BreakerTurn,
  breakerDefaults,
  type CallOutcome,
  CircuitBreaker,
  type Permit,
} from "../../supervision/circuit-breaker.js";

const { openMs, probes, windowMs } = breakerDefaults;

function admitted(breaker: CircuitBreaker, atMs: number): Permit {
  const admission = breaker.admit(atMs);
  if (admission.kind === "rejected") throw new Error("rejected");
  return admission.permit;
}

function call(breaker: CircuitBreaker, outcome: CallOutcome, atMs: number): BreakerTurn | undefined {
  return breaker.settle(admitted(breaker, atMs), outcome, atMs);
}

/** Five failures at once: it is open from 0 on. */
function opened(): CircuitBreaker {
  const breaker = new CircuitBreaker();
  for (let i = 0; i < 5; i += 1) call(breaker, "failed", 0);
  return breaker;
}

test("five failures in a row open it, and the sixth call does not reach the target (S1-53)", (t) => {
  const breaker = new CircuitBreaker();
  for (let i = 0; i < 4; i += 1) t.is(call(breaker, "failed", i), undefined);
  t.deepEqual(call(breaker, "failed", 4), { kind: "opened", failures: 5, calls: 5, untilMs: 4 + openMs });
  t.deepEqual(breaker.admit(5), { kind: "rejected", retryAtMs: 4 + openMs });
});

test("a success between them starts the row again, but half of ten calls failing opens it all the same", (t) => {
  const breaker = new CircuitBreaker();
  const outcomes = Array.from({ length: 9 }, (_, i): CallOutcome => (i % 2 === 0 ? "failed" : "succeeded"));
  for (const outcome of outcomes) t.is(call(breaker, outcome, 1), undefined);
  t.is(call(breaker, "succeeded", 1), undefined);
  t.like(call(breaker, "failed", 1), { kind: "opened", failures: 6, calls: 11 });
});

test("five failures in a year open nothing: what is older than the window does not count", (t) => {
  const breaker = new CircuitBreaker();
  for (let i = 0; i < 50; i += 1) t.is(call(breaker, "failed", i * (windowMs / 4)), undefined);
  t.is(breaker.kind, "closed");
});

test("calls that were given up count neither for it nor against it", (t) => {
  const breaker = new CircuitBreaker();
  for (let i = 0; i < 4; i += 1) call(breaker, "failed", 1);
  for (let i = 0; i < 20; i += 1) t.is(call(breaker, "given_up", 1), undefined);
  t.like(call(breaker, "failed", 1), { kind: "opened", failures: 5, calls: 5 });
});

test("half open admits exactly three of fifty, and closes when all three succeeded (S1-55, S1-57)", (t) => {
  const breaker = opened();
  t.is(breaker.admit(openMs - 1).kind, "rejected");
  const admissions = Array.from({ length: 50 }, () => breaker.admit(openMs));
  const permits = admissions.flatMap((each) => (each.kind === "admitted" ? [each.permit] : []));
  t.is(permits.length, probes);
  t.like(admissions[0], { turned: { kind: "half_opened" } });
  t.deepEqual(admissions[49], { kind: "rejected", retryAtMs: null });
  const turns = permits.map((permit) => breaker.settle(permit, "succeeded", openMs + 1));
  t.deepEqual(turns, [undefined, undefined, { kind: "closed" }]);
});

test("once closed it has forgotten: a single failure does not open it (S1-56)", (t) => {
  const breaker = opened();
  for (let i = 0; i < probes; i += 1) call(breaker, "succeeded", openMs);
  t.is(breaker.kind, "closed");
  t.is(call(breaker, "failed", openMs), undefined);
});

test("the first failing probe opens it again, each time for twice as long, up to a bound", (t) => {
  const breaker = opened();
  const opens: number[] = [];
  let atMs = openMs;
  for (let i = 0; i < 8; i += 1) {
    const turned = call(breaker, "failed", atMs);
    if (turned?.kind !== "opened") throw new Error("it did not open");
    opens.push((turned.untilMs - atMs) / openMs);
    atMs = turned.untilMs;
  }
  t.deepEqual(opens, [2, 4, 8, 15, 15, 15, 15, 15]);
});

test("two successful probes and a failing one open it", (t) => {
  const breaker = opened();
  const permits = [0, 1, 2].map(() => admitted(breaker, openMs));
  const outcomes: CallOutcome[] = ["succeeded", "succeeded", "failed"];
  const turns = permits.map((permit, at) => breaker.settle(permit, outcomes[at] ?? "failed", openMs));
  t.like(turns[2], { kind: "opened" });
});

test("a probe that was given up makes room for another", (t) => {
  const breaker = opened();
  const permits = [0, 1, 2].map(() => admitted(breaker, openMs));
  t.is(breaker.admit(openMs).kind, "rejected");
  breaker.settle(permits[0] ?? { era: -1 }, "given_up", openMs);
  t.is(breaker.admit(openMs).kind, "admitted");
});

test("an outcome that comes after the state has changed changes nothing", (t) => {
  const breaker = new CircuitBreaker();
  const late = admitted(breaker, 0);
  for (let i = 0; i < 5; i += 1) call(breaker, "failed", 0);
  t.is(breaker.settle(late, "failed", 1), undefined);
  const probe = admitted(breaker, openMs);
  t.is(breaker.settle(late, "failed", openMs), undefined, "a failure from before opens nothing now");
  t.is(breaker.settle(probe, "succeeded", openMs), undefined);
});
