// Substrate: none. The guard is a pure function over what runs, what is faulted, and what has to stay.
import test from "ava";
import { type GuardVerdict, judgeFault, type PoolMember } from "../../supervision/faults/fault-guard.js";

const member = (id: string, isUp = true): PoolMember => ({ id, pool: id.replace(/-\d+$/, ""), isUp });
const whole = (node: string) => ({ node, target: node });
const code = (verdict: GuardVerdict): string => (verdict.kind === "refused" ? verdict.code : "allowed");

interface Case {
  readonly says: string;
  readonly members: readonly PoolMember[];
  readonly faults?: readonly { readonly node: string; readonly target: string }[];
  readonly minimums?: Readonly<Record<string, number>>;
  readonly restartsLeft?: number;
  readonly asked: { readonly node: string; readonly target: string };
  readonly verdict: string;
}

const two = [member("serving-1"), member("serving-2"), member("learning-1")];
const three = [...two, member("serving-3")];
const cases: readonly Case[] = [
  { says: "one of two may go", members: two, asked: whole("serving-2"), verdict: "allowed" },
  { says: "the only one of its pool may go", members: two, asked: whole("learning-1"), verdict: "allowed" },
  {
    says: "the second of two may not while the first is down",
    members: [member("serving-1", false), member("serving-2")],
    asked: whole("serving-2"),
    verdict: "under_minimum",
  },
  {
    says: "the second of two may not while the first is faulted",
    members: two,
    faults: [whole("serving-1")],
    asked: whole("serving-2"),
    verdict: "under_minimum",
  },
  {
    says: "an actor's lasting fault counts for its node",
    members: two,
    faults: [{ node: "serving-1", target: "digits/inference" }],
    asked: whole("serving-2"),
    verdict: "under_minimum",
  },
  {
    says: "an actor may not hang for long where its node is the last that is up",
    members: [member("serving-1", false), member("serving-2")],
    asked: { node: "serving-2", target: "digits/voter" },
    verdict: "under_minimum",
  },
  {
    says: "a node that is faulted already may go wholly: nobody else is missed",
    members: two,
    faults: [{ node: "serving-1", target: "digits/inference" }],
    asked: whole("serving-1"),
    verdict: "allowed",
  },
  {
    says: "another pool's trouble does not matter",
    members: two,
    faults: [whole("learning-1")],
    asked: whole("serving-1"),
    verdict: "allowed",
  },
  {
    says: "one at a time, also of three",
    members: three,
    faults: [whole("serving-1")],
    asked: whole("serving-2"),
    verdict: "under_minimum",
  },
  {
    says: "a smaller minimum lets two of three go",
    members: three,
    faults: [whole("serving-1")],
    minimums: { serving: 1 },
    asked: whole("serving-2"),
    verdict: "allowed",
  },
  {
    says: "a minimum of all keeps the only one",
    members: two,
    minimums: { learning: 1 },
    asked: whole("learning-1"),
    verdict: "under_minimum",
  },
  {
    says: "a target has one fault at a time",
    members: two,
    faults: [{ node: "serving-1", target: "digits/voter" }],
    asked: { node: "serving-1", target: "digits/voter" },
    verdict: "already_faulted",
  },
  {
    says: "the last restart of the root is not taken",
    members: two,
    restartsLeft: 1,
    asked: whole("serving-1"),
    verdict: "restarts_spent",
  },
  { says: "two left are enough", members: two, restartsLeft: 2, asked: whole("serving-1"), verdict: "allowed" },
  { says: "the broker is in no pool", members: two, asked: whole("nats-server"), verdict: "allowed" },
  { says: "a node that joined by hand is in no pool", members: two, asked: whole("elsewhere-9"), verdict: "allowed" },
];

for (const { says, members, faults = [], minimums = {}, restartsLeft, asked, verdict } of cases)
  test(`the guard: ${says}`, (t) => {
    t.is(code(judgeFault(asked, { members, faults, minimums, restartsLeft })), verdict);
  });

test("a refusal names the pool, how many are up, the minimum, and what to type", (t) => {
  const verdict = judgeFault(whole("serving-2"), { members: two, faults: [whole("serving-1")], minimums: {} });
  t.is(
    verdict.kind === "refused" ? verdict.message : "",
    "pool serving has 1 of 2 up and keeps at least 1: a fault of serving-2 would leave 0; add --force to do it all the same",
  );
});
