// The root seen from outside: the tree over every process. Its faults are taken here and done in root-faults.ts.
//
// Owns: what is answered under the node name "root". Does not own: the nodes' own trees (looks.ts answers there), who may ask.

import type { TreeNode as LiveNode } from "../../supervision/tree/tree.js";
import { encodeTree, type TreeNode } from "../../transport/messages/look-orders.js";
import { type BrokerWatch, brokerName } from "../broker/broker-watch.js";
import { askTreeOf, silentState } from "../whole-tree.js";
import { type RootFaultDeps, type RootFaults, takeRootFaults } from "./root-faults.js";

export type RootLookDeps = RootFaultDeps;

export function answerAsRoot(deps: RootLookDeps): RootFaults {
  const { bus, subjects } = deps;
  const subscription = bus.subscribe(subjects.actor("root", "tree"), {}, async (message) => {
    message.respond(encodeTree(await wholeTree(deps)));
  });
  const faults = takeRootFaults(deps);
  return {
    nodeEnded: faults.nodeEnded,
    stop: () => {
      subscription.unsubscribe();
      faults.stop();
    },
  };
}

/** The processes as the root sees them, each with the tree that its node tells of itself. */
async function wholeTree(deps: RootLookDeps): Promise<TreeNode> {
  const root = deps.processes.tree();
  const nodes = await Promise.all(root.children.map((child) => withInside(deps, child)));
  return { ...root, children: [...brokerNode(deps.brokerWatch), ...nodes] };
}

async function withInside(deps: RootLookDeps, node: LiveNode): Promise<TreeNode> {
  if (node.state !== "running") return node;
  const answer = await askTreeOf(deps, node.name, deps.bus.timeouts.nodeTree);
  if (answer.kind !== "tree") return { ...node, state: silentState };
  const { strategy, intensity, children } = answer.tree;
  return { ...node, strategy, intensity, children };
}

function brokerNode({ pid, alive, restarts, lastExit }: BrokerWatch): TreeNode[] {
  if (pid === undefined) return [];
  const state = alive ? "running" : "waiting";
  return [{ name: brokerName, kind: "actor", pid, generation: restarts + 1, state, restarts, lastExit, children: [] }];
}
