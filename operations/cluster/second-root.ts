// One root per cluster: a second one on the same NATS would name its nodes as the first does, clean up after them and be asked for them.
//
// Owns: the question whether one is there. Does not own: clusters of one store (local-cluster.ts), nodes without a root, of which there may be many.
//
// R1. A root that is there and does not answer is one that hangs, or whose host is gone and whose connection the server still holds: it keeps
//     nobody from starting, for the next root is its cure.

import { askTreeOf, type TreeDoor } from "../whole-tree.js";

/** Another root keeps this cluster. What to do: add nodes to it, or choose another name. */
export class SecondRootError extends Error {
  override readonly name = "SecondRootError";
  constructor(cluster: string) {
    super(
      `a root process keeps the cluster "${cluster}" on this NATS already: add to it with driftmend node (docs/clusters.md), ` +
        "end it, or give another --cluster",
    );
  }
}

/** Throws SecondRootError. Only on somebody else's server: nobody but its root is on a server that this root has started. */
export async function refuseSecondRoot(door: TreeDoor): Promise<void> {
  const answer = await askTreeOf(door, "root", door.bus.timeouts.look);
  if (answer.kind === "tree") throw new SecondRootError(door.subjects.cluster);
}
