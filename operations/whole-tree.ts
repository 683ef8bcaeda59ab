// The whole cluster as one tree: what the root owns, and beside it the nodes that joined by hand, from whatever machine.
//
// Owns: whom to ask for a tree, how the answers are put together, what a silence means. Does not own: the root's own tree
// (cluster/root-looks.ts), who may ask (the broker's permissions), the drawing.
//
// W1. A node is there once. What the root tells of a node counts, also when the node was found by itself.
// W2. Nothing is asked without a bound, and everybody at once: a node that does not answer costs `nodeTree`, however many there are.
// W3. A node that was found and says nothing stays in the tree, named as silent; one whose questions nobody takes any more has left.

import type { RequestFailure } from "../transport/bus/bus-outcome.js";
import type { DriftmendClient } from "../transport/client.js";
import { encodeLookRequest, parseTree, type TreeNode } from "../transport/messages/look-orders.js";
import { discoverNodes } from "./discovery.js";

export type TreeDoor = Pick<DriftmendClient, "bus" | "subjects">;

export type TreeAnswer =
  | { readonly kind: "tree"; readonly tree: TreeNode }
  /** Nobody takes the question: there is no such node, or it has left. */
  | { readonly kind: "absent" }
  | { readonly kind: "denied"; readonly message: string }
  /** `message`: for people; undefined when nothing came at all. */
  | { readonly kind: "silent"; readonly message?: string };

export interface AskedNode {
  readonly node: string;
  readonly answer: TreeAnswer;
}

export interface WholeTree {
  /** Undefined when nobody is there. */
  readonly tree: TreeNode | undefined;
  /** Whoever is there, beside the root's own, and gave no tree: sorted. "root" for the root. */
  readonly silent: readonly { readonly node: string; readonly message?: string }[];
  /** What the server said to a user who may not ask; undefined for one who may. */
  readonly denied: string | undefined;
}

/** What the root says of a running node whose inside it was not told; the same of a node beside it. */
export const silentState = "running, does not answer";

export async function askWholeTree(door: TreeDoor): Promise<WholeTree> {
  const { look, nodeTree } = door.bus.timeouts;
  const [root, found] = await Promise.all([askTreeOf(door, "root", look), discoverNodes(door)]);
  const strangers = strangersTo(root, found);
  const asked = await Promise.all(
    strangers.map(async (node) => ({ node, answer: await askTreeOf(door, node, nodeTree) })),
  );
  const denied = [root, ...asked.map(({ answer }) => answer)].find((answer) => answer.kind === "denied");
  return { ...joinTrees(door.subjects.cluster, root, asked), denied: denied?.message };
}

/** What one process tells of itself: a node, or "root" for the root and all that it owns. */
export async function askTreeOf({ bus, subjects }: TreeDoor, node: string, timeoutMs: number): Promise<TreeAnswer> {
  const outcome = await bus.request(subjects.actor(node, "tree"), encodeLookRequest(), { timeoutMs });
  if (outcome.kind === "denied") return { kind: "denied", message: outcome.message };
  if (outcome.kind !== "reply") return silence[outcome.kind];
  const parsed = parseTree(outcome.data);
  if (parsed.kind === "refused") return { kind: "silent", message: `its answer cannot be read: ${parsed.message}` };
  if (parsed.value.kind === "refusal") return { kind: "silent", message: parsed.value.refusal.message };
  return { kind: "tree", tree: parsed.value.reply };
}

const silence: Readonly<Record<Exclude<RequestFailure["kind"], "denied">, TreeAnswer>> = {
  timeout: { kind: "silent" },
  no_responders: { kind: "absent" },
  closed: { kind: "silent", message: "the connection is closed" },
};

/** W1: who was found and is none of the root's. */
export function strangersTo(root: TreeAnswer, found: readonly string[]): readonly string[] {
  const own = new Set(root.kind === "tree" ? root.tree.children.map(({ name }) => name) : []);
  return found.filter((node) => !own.has(node));
}

/** `asked`: the nodes that are none of the root's, sorted by name. */
export function joinTrees(cluster: string, root: TreeAnswer, asked: readonly AskedNode[]): Omit<WholeTree, "denied"> {
  // Where a root is there and says nothing, nobody knows which of them are its own.
  const mark = root.kind === "silent" ? {} : { joined: true };
  const beside = asked.flatMap((each) => besideRoot(each).map((node) => ({ ...node, ...mark })));
  const silent = [{ node: "root", answer: root }, ...asked].flatMap(({ node, answer }) =>
    answer.kind === "silent" ? [{ node, ...(answer.message === undefined ? {} : { message: answer.message }) }] : [],
  );
  if (root.kind === "tree") return { tree: { ...root.tree, children: [...root.tree.children, ...beside] }, silent };
  if (beside.length === 0) return { tree: undefined, silent };
  const state = root.kind === "absent" ? "without a root process" : silentState;
  return { tree: { name: cluster, kind: "root", generation: 0, state, restarts: 0, children: beside }, silent };
}

/** W3. */
function besideRoot({ node: name, answer }: AskedNode): readonly TreeNode[] {
  if (answer.kind === "tree") return [answer.tree];
  if (answer.kind === "absent") return [];
  return [{ name, kind: "node", generation: 0, state: silentState, restarts: 0, children: [] }];
}
