// Substrate: none. A tree as a cluster answers it, drawn.
import test from "ava";
import { plain } from "../../operations/terminal/colours.js";
import { renderTree } from "../../operations/terminal/tree.js";
import type { TreeNode } from "../../transport/messages/look-orders.js";

const actor = (name: string, more: Partial<TreeNode> = {}): TreeNode => ({
  name,
  kind: "actor",
  generation: 1,
  state: "running",
  restarts: 0,
  mailbox: { depth: 0, capacity: 256 },
  children: [],
  ...more,
});

const cluster: TreeNode = {
  name: "driftmend",
  kind: "root",
  pid: 4100,
  generation: 1,
  state: "running",
  restarts: 0,
  strategy: "one_for_one",
  intensity: { restarts: 20, withinMs: 60_000, left: 18 },
  children: [
    {
      name: "serving-1",
      kind: "node",
      pid: 4117,
      generation: 1,
      state: "running",
      restarts: 0,
      children: [
        {
          name: "pipeline",
          kind: "supervisor",
          generation: 1,
          state: "running",
          restarts: 0,
          strategy: "rest_for_one",
          intensity: { restarts: 10, withinMs: 10_000, left: 10 },
          children: [actor("inference", { mailbox: { depth: 12, capacity: 1_024 } }), actor("buffer"), actor("voter")],
        },
      ],
    },
    {
      name: "learning-1",
      kind: "node",
      pid: 4190,
      generation: 3,
      state: "waiting",
      restarts: 2,
      lastExit: "signal SIGKILL\u001b[2J",
      strategy: "one_for_one",
      intensity: { restarts: 10, withinMs: 10_000, left: 7 },
      children: [actor("updater", { generation: 4, restarts: 3, lastExit: "killed: chaos kill" })],
    },
  ],
};

test("each worker stands under its parent with pid, generation, state, restarts, mailbox, last exit, strategy and budget (S0-40)", (t) => {
  t.is(
    renderTree(cluster, 120, plain),
    [
      "name                state     pid  gen  restarts  mailbox  last exit; strategy",
      "driftmend           running  4100    1         0           one_for_one, 18 of 20 restarts left",
      "├─ serving-1        running  4117    1         0",
      "│  └─ pipeline      running          1         0           rest_for_one, 10 of 10 restarts left",
      "│     ├─ inference  running          1         0  12/1024",
      "│     ├─ buffer     running          1         0    0/256",
      "│     └─ voter      running          1         0    0/256",
      "└─ learning-1       waiting  4190    3         2           signal SIGKILL�[2J; one_for_one, 7 of 10 restarts left",
      "   └─ updater       running          4         3    0/256  killed: chaos kill",
    ].join("\n"),
  );
});

test("in 100 columns exits and budgets are read whole, in 80 the last column is cut and the rest stays", (t) => {
  t.regex(renderTree(cluster, 100, plain), /signal SIGKILL.*; one_for_one, 7 of/);
  const lines = renderTree(cluster, 80, plain).split("\n");
  t.true(lines.every((line) => [...line].length <= 80));
  t.regex(lines.find((line) => line.includes("learning-1")) ?? "", /4190 {4}3 {9}2 .*…$/);
});

test("a node that keeps a hot spare shows its process beside the state", (t) => {
  const spared = { ...cluster, children: cluster.children.map((child) => ({ ...child, spare: 4_243 })) };
  t.regex(renderTree(spared, 120, plain), /learning-1 +waiting, spare 4243 +4190/);
});
