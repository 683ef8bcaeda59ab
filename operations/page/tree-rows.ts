// The supervision tree as rows: what stands where, and how a fault would name it. Pure.
//
// Owns: flattening, the address of each place. Does not own: the drawing (tree-view.ts).

import type { TreeNode } from "../../transport/messages/look-orders.js";

export interface KillTarget {
  /** Whom to ask: the root for a whole node. */
  readonly node: string;
  readonly target: string;
  /** For people. */
  readonly name: string;
  readonly kind: "node" | "actor" | "supervisor" | "broker";
  readonly generation: number;
}

export interface TreeRow {
  readonly node: TreeNode;
  /** `learning-1/digits/updater`: stays the same over incarnations. */
  readonly path: string;
  readonly depth: number;
  /** Null: what has no process and no parent to kill it. */
  readonly target: KillTarget | null;
}

export function rowsOf(tree: TreeNode): readonly TreeRow[] {
  return [
    { node: tree, path: tree.name, depth: 0, target: null },
    ...tree.children.flatMap((child) => below(child, child.name, 1)),
  ];
}

function below(node: TreeNode, path: string, depth: number): readonly TreeRow[] {
  return [
    { node, path, depth, target: targetOf(node, path, depth) },
    ...node.children.flatMap((child) => below(child, `${path}/${child.name}`, depth + 1)),
  ];
}

/** Whole processes are the root's to end, but for those that were joined by hand, which no root owns; what is inside one is its own. */
function targetOf({ name, kind, generation, joined }: TreeNode, path: string, depth: number): KillTarget | null {
  if (kind === "root" || (depth === 1 && joined === true)) return null;
  if (depth === 1) return { node: "root", target: name, name, kind: kind === "node" ? "node" : "broker", generation };
  const [node = "", ...inside] = path.split("/");
  return {
    node,
    target: inside.join("/"),
    name: path,
    kind: kind === "supervisor" ? "supervisor" : "actor",
    generation,
  };
}
