// Substrate: none. The root's tree and the nodes beside it, put together.

import test from "ava";
import { candidatesIn } from "../../operations/faults/fault-schedule.js";
import { rowsOf } from "../../operations/page/tree-rows.js";
import { plain } from "../../operations/terminal/colours.js";
import { renderTree } from "../../operations/terminal/tree.js";
import { findTarget } from "../../operations/verbs/chaos.js";
import { joinTrees, silentState, strangersTo, type TreeAnswer } from "../../operations/whole-tree.js";
import type { TreeNode } from "../../transport/messages/look-orders.js";

function tree(kind: TreeNode["kind"], name: string, ...children: readonly TreeNode[]): TreeNode {
  return { name, kind, pid: 7, generation: 1, state: "running", restarts: 0, children };
}

const relay = tree("actor", "relay");
const root: TreeAnswer = { kind: "tree", tree: tree("root", "driftmend", tree("node", "serving-1", relay)) };
const far: TreeAnswer = { kind: "tree", tree: tree("node", "far", relay) };
const absent: TreeAnswer = { kind: "absent" };
const silent: TreeAnswer = { kind: "silent" };

test("who was found and is none of the root's stands beside the root's, and is marked (S0-39)", (t) => {
  t.deepEqual(strangersTo(root, ["far", "serving-1"]), ["far"]);
  const whole = joinTrees("driftmend", root, [{ node: "far", answer: far }]);
  t.deepEqual(
    whole.tree?.children.map(({ name, joined }) => [name, joined]),
    [
      ["serving-1", undefined],
      ["far", true],
    ],
  );
  t.deepEqual(whole.silent, []);
});

test("a root with nothing beside it is shown as it says", (t) => {
  t.deepEqual(joinTrees("driftmend", root, []), { tree: root.kind === "tree" ? root.tree : undefined, silent: [] });
});

test("a node that does not answer stays in the tree and is named; one that left meanwhile is neither", (t) => {
  const asked = [
    { node: "far", answer: silent },
    { node: "left", answer: absent },
    { node: "odd", answer: { kind: "silent", message: "its answer cannot be read" } },
  ] as const;
  const whole = joinTrees("driftmend", root, asked);
  t.deepEqual(
    whole.tree?.children.map(({ name, state }) => [name, state]),
    [
      ["serving-1", "running"],
      ["far", silentState],
      ["odd", silentState],
    ],
  );
  t.deepEqual(whole.silent, [{ node: "far" }, { node: "odd", message: "its answer cannot be read" }]);
});

test("without a root every node that was found is joined; with one that says nothing nobody knows whose they are", (t) => {
  const asked = [{ node: "far", answer: far }];
  t.deepEqual(strangersTo(absent, ["far", "serving-1"]), ["far", "serving-1"]);
  t.like(joinTrees("driftmend", absent, asked).tree, {
    state: "without a root process",
    children: [{ name: "far", joined: true }],
  });
  const mute = joinTrees("driftmend", silent, asked);
  t.is(mute.tree?.state, silentState);
  t.is(mute.tree?.children[0]?.joined, undefined);
  t.deepEqual(mute.silent, [{ node: "root" }]);
  t.is(joinTrees("driftmend", absent, []).tree, undefined);
});

const joined = joinTrees("driftmend", root, [{ node: "far", answer: far }]).tree ?? tree("root", "none");

test("of a joined node the actors can be struck, its process cannot: by no schedule, no verb, no button", (t) => {
  t.deepEqual(
    candidatesIn(joined).map(({ name }) => name),
    ["far/relay", "serving-1", "serving-1/relay"],
  );
  t.deepEqual(findTarget(joined, "far"), { kind: "node", node: "far", joined: true });
  t.deepEqual(findTarget(joined, "serving-1"), { kind: "node", node: "serving-1", joined: false });
  t.deepEqual(findTarget(joined, "far/relay"), { kind: "actor", node: "far", path: "relay" });
  const button = (path: string) => rowsOf(joined).find((row) => row.path === path)?.target;
  t.is(button("far"), null);
  t.like(button("far/relay"), { node: "far", target: "relay" });
  t.like(button("serving-1"), { node: "root", target: "serving-1" });
});

test("the terminal says which node was joined by hand", (t) => {
  const drawn = renderTree(joined, 120, plain);
  t.regex(drawn, /far +running, joined by hand/);
  t.notRegex(drawn, /serving-1 +running, joined/);
});
