// What is said of an end: one line that every reader takes, whatever was thrown.

import test from "ava";
import { describeExit } from "../../supervision/exit-reason.js";
import { encodeTree, parseTree } from "../../transport/messages/look-orders.js";

const crash = (message: string) => describeExit({ kind: "crash", phase: "turn", error: new Error(message) });

test("an error of many lines is told in one", (t) => {
  t.is(crash("first\n    at a (b.ts:1)\r\n\tat c"), "crash in turn: first at a (b.ts:1) at c");
});

test("an endless message of one actor does not make the tree of its cluster unreadable", (t) => {
  const actor = { name: "buffer", kind: "actor", generation: 2, state: "running", restarts: 1 } as const;
  const tree = { ...actor, lastExit: crash("x".repeat(100_000)), children: [] };
  const parsed = parseTree(encodeTree(tree));
  t.is(parsed.kind, "ok", JSON.stringify(parsed).slice(0, 200));
});
