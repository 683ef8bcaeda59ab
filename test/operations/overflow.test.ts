// Who goes when the desk is full: three policies, decided without a desk.

import test from "ava";
import fc from "fast-check";
import { decideOverflow, type OverflowPolicy, overflowDefaults, overflowPolicies } from "../../operations/overflow.js";

interface Open {
  readonly name: string;
  readonly priority: number;
}

/** The oldest first. */
function open(...priorities: readonly number[]): readonly Open[] {
  return priorities.map((priority, index) => ({ name: `${index}`, priority }));
}

function decide(policy: OverflowPolicy, standing: readonly Open[], priority: number, openMax = standing.length) {
  return decideOverflow({ ...overflowDefaults, policy, openMax }, standing, standing.length, priority);
}

test("(S2-15) reject: the newcomer is refused overloaded, whatever its priority", (t) => {
  for (const priority of [0, 5, 10])
    t.like(decide("reject", open(0, 0), priority), { kind: "refuse", code: "overloaded" });
});

test("(S2-15) shed-lowest: the lowest priority goes, the youngest of equals, and the newcomer is the youngest of all", (t) => {
  t.like(decide("shed-lowest", open(5, 2, 2, 7), 5), { kind: "evict", victim: { name: "2" } });
  t.like(decide("shed-lowest", open(5, 2, 2, 7), 2), { kind: "refuse", code: "shed" });
  t.like(decide("shed-lowest", open(5, 2, 2, 7), 1), { kind: "refuse", code: "shed" });
  t.like(decide("shed-lowest", open(5, 5), 5), { kind: "refuse", code: "shed" });
});

test("(S2-15) shed-oldest: whoever is open the longest goes, and the newcomer is let in", (t) => {
  t.like(decide("shed-oldest", open(10, 0, 0), 0), { kind: "evict", victim: { name: "0" } });
});

test("below the bound everybody is let in, but under reject low priorities are shed before it is reached", (t) => {
  for (const policy of overflowPolicies) t.is(decide(policy, open(5, 5), 0, 10).kind, "admit");
  t.like(decide("reject", open(5, 5, 5, 5, 5, 5, 5, 5), 4, 10), { kind: "refuse", code: "shed" });
  t.is(decide("reject", open(5, 5, 5, 5, 5, 5, 5, 5), 5, 10).kind, "admit");
  t.is(decide("shed-lowest", open(5, 5, 5, 5, 5, 5, 5, 5), 4, 10).kind, "admit");
});

test("(S2-15) whatever the crowd: exactly one goes at the bound, and under shed-lowest none of higher priority does", (t) => {
  const crowd = fc.array(fc.integer({ min: 0, max: 10 }), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(crowd, fc.integer({ min: 0, max: 10 }), (priorities, priority) => {
      const standing = open(...priorities);
      for (const policy of overflowPolicies) if (decide(policy, standing, priority).kind === "admit") return false;
      const verdict = decide("shed-lowest", standing, priority);
      const gone = verdict.kind === "evict" ? verdict.victim.priority : priority;
      return gone === Math.min(priority, ...priorities);
    }),
  );
  t.pass();
});
