// What a supervision tree tells the outside.
//
// Owns: the closed union of events. Does not own: who listens.
//
// E1. Every ended incarnation gives exactly one `crashed` or `stopped`, then exactly one `cleanup_confirmed`; both precede
//     the `started` of the next incarnation (law 6).

import type { ExitReason } from "./exit-reason.js";
import type { ActorPath } from "./path.js";

export type ChaosMode = "crash" | "kill" | "hang" | "slow";

/** Why a message was not handled. */
export type DeadLetterReason =
  /** Its deliveries crashed `maxDeliver` times, or it was an ask and crashed once. */
  | "crashed"
  /** Its actor ended for good while it was queued, or before a committed turn's send arrived. */
  | "dead"
  /** A committed turn's send met a full mailbox. */
  | "full";

export interface EventOrigin {
  readonly node: string;
  readonly nodeIncarnation: number;
  readonly path: ActorPath;
  /** Of the actor or supervisor at `path`. */
  readonly incarnation: number;
  /** Epoch milliseconds. */
  readonly atMs: number;
}

export type SupervisionFact =
  | { readonly kind: "started"; readonly initMs: number }
  | { readonly kind: "stopped"; readonly reason: ExitReason }
  | { readonly kind: "crashed"; readonly reason: ExitReason; readonly cause: string }
  /** `by` names who vouches: the behaviour whose stop returned in time, or the supervisor that went on without it. */
  | { readonly kind: "cleanup_confirmed"; readonly by: "behaviour" | "supervisor"; readonly leasesCleaned: number }
  | { readonly kind: "restarting"; readonly failures: number; readonly backoffMs: number; readonly cause: string }
  | { readonly kind: "escalated"; readonly cause: string; readonly restarts: number; readonly withinMs: number }
  /** A contained child has spent its own budget: it stays down, its siblings go on. */
  | { readonly kind: "left_down"; readonly cause: string; readonly restarts: number; readonly withinMs: number }
  /** It will not come back; its mailbox is closed. */
  | { readonly kind: "retired" }
  | {
      readonly kind: "dead_letter";
      readonly reason: DeadLetterReason;
      readonly cause: string;
      readonly deliveries: number;
    }
  | { readonly kind: "chaos_began"; readonly mode: ChaosMode; readonly forMs: number }
  | { readonly kind: "chaos_ended"; readonly mode: ChaosMode };

export type SupervisionEvent = EventOrigin & SupervisionFact;
