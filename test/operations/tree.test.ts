// Substrate: none. A tree as a cluster answers it, drawn.
import test from "ava";
import { plain } from "../../operations/terminal/colours.js";
import { renderTree } from "../../operations/terminal/tree.js";
import type { TreeNode } from "../../transport/orders.js";

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
      lastExit: "killed by signal SIGKILL\u001b[2J",
      children: [actor("updater", { generation: 4, restarts: 3 })],
    },
  ],
};

test("each worker stands under its parent with pid, generation, state, restarts, mailbox and last exit (S0-40)", (t) => {
  t.is(
    renderTree(cluster, 120, plain),
    [
      "name                           state     pid  gen  restarts  mailbox  last exit",
      "driftmend (one_for_one)        running  4100    1         0",
      "├─ serving-1                   running  4117    1         0",
      "│  └─ pipeline (rest_for_one)  running          1         0",
      "│     ├─ inference             running          1         0  12/1024",
      "│     ├─ buffer                running          1         0    0/256",
      "│     └─ voter                 running          1         0    0/256",
      "└─ learning-1                  waiting  4190    3         2           killed by signal SIGKILL�[2J",
      "   └─ updater                  running          4         3    0/256",
    ].join("\n"),
  );
});

test("in 80 columns the last exit is cut, the rest stays", (t) => {
  const lines = renderTree(cluster, 80, plain).split("\n");
  t.true(lines.every((line) => [...line].length <= 80));
  t.regex(lines.find((line) => line.includes("learning-1")) ?? "", /4190 {4}3 {9}2 .*…$/);
});
