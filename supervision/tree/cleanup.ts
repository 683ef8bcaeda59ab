// What happens between the end of one incarnation and the start of the next (law 6).
//
// Owns: the shapes of the hook that confirms cleanup and of a death watch.
// Does not own: leases; whoever gives the hook sweeps them.

import type { ExitReason } from "../exit-reason.js";
import type { ActorPath } from "../path.js";

export interface EndedIncarnation {
  readonly path: ActorPath;
  readonly incarnation: number;
  readonly reason: ExitReason;
}

export interface Cleanup {
  readonly leasesCleaned: number;
}

/** Awaited, at most `cleanupMaxMs`, after `stop` and before the next `init`. */
export type CleanupHook = (ended: EndedIncarnation) => Promise<Cleanup>;

/** If the hook does not answer within this time, the supervisor goes on without it and says so. */
export const cleanupMaxMs = 2_000;

/** Hears of every ended incarnation of a watched path, after its cleanup. */
export type DeathListener = (ended: EndedIncarnation) => void;
