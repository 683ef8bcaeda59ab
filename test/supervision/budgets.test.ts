// What a child that always crashes costs before the outermost supervisor gives up: the sum of the budgets, not their product (I1 of
// restart-intensity.ts). Substrate: real trees on a virtual clock.

import test from "ava";
import type { SupervisionEvent } from "../../supervision/events.js";
import type { SupervisorSpec } from "../../supervision/tree/child-spec.js";
import { EscalationError } from "../../supervision/tree/escalation.js";
import { aged, agesOf, historyOf, type SpentBudgets } from "../../supervision/tree/restart-intensity.js";
import { type ActorTree, startTree } from "../../supervision/tree/system.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import { actor, depsWith, EventLog } from "./small-tree.js";

const withinMs = 600_000;
const budgets = [3, 2, 4] as const;

/** `budgets[0]` is the innermost. */
function nested(starts: { count: number }): SupervisorSpec {
  const doomed = actor("doomed", {
    init: () => {
      starts.count += 1;
      throw new Error("it never works");
    },
  });
  const level = (id: string, restarts: number, children: SupervisorSpec["children"]): SupervisorSpec => ({
    ...{ id, strategy: "one_for_one", intensity: { restarts, withinMs }, children },
  });
  return level("top", budgets[2], [level("middle", budgets[1], [level("inner", budgets[0], [doomed])])]);
}

/** Time passes until the tree is up or has given up. */
async function settled(clock: VirtualClock, starting: Promise<ActorTree>): Promise<ActorTree | EscalationError> {
  let outcome: ActorTree | EscalationError | undefined;
  starting.then(
    (tree) => {
      outcome = tree;
    },
    (error) => {
      outcome = error;
    },
  );
  while (outcome === undefined) await clock.advance(1_000);
  return outcome;
}

test("a child that always crashes under three nested levels costs the sum of their budgets (S4-67)", async (t) => {
  const clock = new VirtualClock();
  const events = new EventLog();
  const starts = { count: 0 };
  const outcome = await settled(clock, startTree(nested(starts), { ...depsWith(events), clock }));
  t.true(outcome instanceof EscalationError);
  t.regex(`${outcome}`, /supervisor "\/" gave up: more than 4 restarts/);
  t.is(starts.count, 1 + 3 + 2 + 4);
  t.deepEqual(
    [...new Set(events.lines("escalated").map((line) => line.split(" ")[1]))],
    ["middle/inner", "middle", "/"],
  );
});

test("control: levels that forget their history when they are restarted multiply their budgets", async (t) => {
  const clock = new VirtualClock();
  const starts = { count: 0 };
  // A fresh tree knows nothing of the one before: what a supervisor would be that forgets.
  const inner: SupervisorSpec = { ...nested(starts), intensity: { restarts: 0, withinMs } };
  for (let restart = 0; restart <= budgets[2]; restart += 1)
    await settled(clock, startTree(inner, { ...depsWith(new EventLog()), clock }));
  t.is(starts.count, (1 + budgets[2]) * (1 + 3 + 2));
  t.true(starts.count > 1 + 3 + 2 + 4);
});

test("a node that gives up hands its histories on, so that the root's budget adds to them too (S4-67)", async (t) => {
  const clock = new VirtualClock();
  const starts = { count: 0 };
  const rootBudget = 5;
  let spent: SpentBudgets = {};
  for (let generation = 1; generation <= 1 + rootBudget; generation += 1) {
    // The first child is up before the second begins to crash, so there is a tree to ask for what it spent.
    const spec = nested(starts);
    const delayed = actor("doomed", {
      init: ({ incarnation, fail }) => {
        starts.count += 1;
        if (incarnation > 1) throw new Error("it never works");
        clock.after(1, () => fail(new Error("it never works")));
      },
    });
    const middle: SupervisorSpec = { ...spec, id: "middle", intensity: { restarts: 2, withinMs }, children: [delayed] };
    const tree = await settled(
      clock,
      startTree({ ...spec, children: [middle] }, { ...depsWith(new EventLog()), clock, spent }),
    );
    if (tree instanceof EscalationError) return t.fail("it was up before it crashed");
    let hasFailed = false;
    void tree.failed.then(() => {
      hasFailed = true;
    });
    while (!hasFailed) await clock.advance(100);
    spent = aged(tree.spent(), 50);
  }
  t.is(starts.count, 1 + 2 + 4 + rootBudget);
});

test("the budget comes back when the window has passed, also to a level that has given up before", async (t) => {
  const clock = new VirtualClock();
  let crash = (): void => undefined;
  const fragile = actor("fragile", {
    init: ({ fail }) => {
      crash = () => fail(new Error("broken"));
    },
  });
  const group: SupervisorSpec = {
    id: "group",
    strategy: "one_for_one",
    intensity: { restarts: 1, withinMs: 10_000 },
    children: [fragile],
  };
  const starting = startTree(
    { id: "top", strategy: "one_for_one", intensity: { restarts: 3, withinMs: 60_000 }, children: [group] },
    { ...depsWith(new EventLog()), clock },
  );
  const tree = await settled(clock, starting);
  if (tree instanceof EscalationError) return t.fail(`${tree}`);
  const left = () => tree.tree().children[0]?.intensity?.left;
  const crashed = async (): Promise<void> => {
    crash();
    await clock.advance(100);
  };
  await crashed();
  t.is(left(), 0);
  await crashed();
  t.is(tree.tree().children[0]?.generation, 2, "it escalated");
  t.is(left(), 0, "and remembers");
  await clock.advance(10_000);
  t.is(left(), 1);
  await crashed();
  t.is(tree.tree().children[0]?.generation, 2, "one restart of its own again");
});

test("restarts back off with jitter, twice as long each time, and at once again after a good run (S4-67)", async (t) => {
  const clock = new VirtualClock();
  const waits: number[] = [];
  const onEvent = (event: SupervisionEvent): void => {
    if (event.kind === "restarting") waits.push(event.backoffMs);
  };
  let crash = (): void => undefined;
  const fragile = actor("fragile", {
    init: ({ fail }) => {
      crash = () => fail(new Error("broken"));
    },
  });
  const backoff = { initialMs: 100, factor: 2, maxMs: 1_000, jitter: 0.5, resetAfterMs: 10_000 };
  const tree = await settled(
    clock,
    startTree(
      { id: "top", strategy: "one_for_one", intensity: { restarts: 100, withinMs }, backoff, children: [fragile] },
      { ...depsWith(new EventLog()), clock, onEvent },
    ),
  );
  if (tree instanceof EscalationError) return t.fail(`${tree}`);
  for (let crashes = 0; crashes < 7; crashes += 1) {
    crash();
    await clock.advance(1_500);
  }
  await clock.advance(backoff.resetAfterMs);
  crash();
  await clock.advance(100);
  t.is(waits.length, 8);
  for (const [index, fullMs] of [0, 100, 200, 400, 800, 1_000, 1_000].entries()) {
    const wait = waits[index] ?? Number.NaN;
    t.true(wait <= fullMs && wait >= fullMs / 2, `restart ${index + 1} waited ${wait} ms of ${fullMs}`);
  }
  t.true(new Set(waits.slice(1, 7)).size > 4, "chance shortens each of them differently");
  t.is(waits[7], 0);
});

test("ages survive a change of clocks", (t) => {
  const intensity = { restarts: 3, withinMs: 1_000 };
  const ages = agesOf([100, 5_000, 5_600], 5_700, intensity);
  t.deepEqual(ages, [700, 100]);
  t.deepEqual(historyOf(ages, 50), [-650, -50]);
  t.deepEqual(aged({ "/": ages }, 40), { "/": [740, 140] });
});
