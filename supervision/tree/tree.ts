// The supervision tree as a look from outside sees it (the `tree` verb).
//
// Owns: the JSON-able shape. Does not own: any live object.

import type { RestartIntensity } from "./restart-intensity.js";
import type { Strategy } from "./strategies.js";

export type NodeKind = "root" | "node" | "supervisor" | "actor";

/** waiting: between incarnations, for a backoff or for siblings. stopped: for good. */
export type NodeState = "new" | "starting" | "running" | "ending" | "waiting" | "stopped";

export interface TreeNode {
  readonly name: string;
  readonly kind: NodeKind;
  readonly pid?: number;
  /** Process that waits to be the node's next generation. */
  readonly spare?: number;
  readonly generation: number;
  readonly state: NodeState;
  /** Incarnations after the first. */
  readonly restarts: number;
  /** One line (describeExit). */
  readonly lastExit?: string;
  readonly mailbox?: { readonly depth: number; readonly capacity: number };
  readonly strategy?: Strategy;
  /** `left` restarts before the supervisor gives up. */
  readonly intensity?: RestartIntensity & { readonly left: number };
  readonly children: readonly TreeNode[];
}
