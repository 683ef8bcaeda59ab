// What a soak leaves behind, as plain facts: the shapes that the invariants are functions of.
//
// Owns: the shapes, and which source each comes from. Does not own: the collecting (ledger.ts, witness.ts, readings.ts).
//
// E1. What must be complete comes from sources that cannot be lost with the broker: the log, the client's own ledger, receipts, the root's
//     own process events, the process table. Telemetry (actors' events) is published without an acknowledgement
//     and can be lost while the broker is away: it is judged only where no outage lies in between, and what could not be judged is counted.

import type { Position } from "../../models/experience.js";
import type { CleanupAudit } from "../../operations/cleanup/cleanup-audit.js";
import type { ChaosReceipt } from "../../transport/messages/chaos-orders.js";

/** One request or label of the client, and how it ended. From the client's ledger. */
export interface Asked {
  readonly id: string;
  readonly what: "request" | "feedback";
  readonly tries: number;
  readonly tookMs: number;
  readonly end:
    | { readonly kind: "answered"; readonly at: Position | null; readonly answer: number; readonly confidence: number }
    | { readonly kind: "labelled" }
    | { readonly kind: "refused"; readonly code: string }
    | { readonly kind: "failed"; readonly why: string };
}

/** One row of the experience log. */
export interface LoggedRow extends Position {
  readonly id: string;
  readonly answer: number;
  readonly confidence: number;
  readonly learn: boolean;
}

/** One task of the update stream. */
export interface LoggedTask {
  readonly updateSeq: number;
  readonly of: Position;
  readonly atMs: number;
}

/** One link of the weights chain. */
export interface LoggedLink {
  readonly seq: number;
  readonly version: number;
  readonly updateSeq: number;
  readonly experienceSeq: number;
  readonly checksum: string;
  /** sha256 of the head that is served. */
  readonly served: string;
  readonly applied: number;
  readonly by: string;
  readonly atMs: number;
}

/** One entry of the update stream in the undisturbed fold: what became of it, and the state after it. */
export interface FoldedStep {
  readonly updateSeq: number;
  /** Null for a mark. */
  readonly of: Position | null;
  readonly outcome: "applied" | "refused" | "duplicate" | "mark";
  readonly version: number;
  readonly served: string;
}

export interface Parameters {
  readonly live: { readonly checksum: string; readonly served: string; readonly version: number };
  readonly replay: { readonly checksum: string };
  readonly undisturbed: { readonly checksum: string; readonly served: string; readonly version: number };
  /** Version that each serving node says it serves. */
  readonly servedBy: readonly { readonly node: string; readonly version: number }[];
}

/** The end of a node process that nobody planned, and the spawn of the next. From the root's process events. */
export interface Death {
  readonly node: string;
  readonly incarnation: number;
  readonly cause: string;
  readonly diedAtMs: number;
  /** Undefined when no further incarnation was started. */
  readonly nextAtMs: number | undefined;
  readonly readyAtMs: number | undefined;
}

/** When this process could not hear: from the loss of its connection until it was back. */
export interface Outage {
  readonly fromMs: number;
  readonly toMs: number;
}

/** One event of an actor, as heard, in the order of its node. */
export interface ActorEvent {
  readonly node: string;
  readonly nodeIncarnation: number;
  readonly path: string;
  readonly incarnation: number;
  readonly kind: "started" | "crashed" | "stopped" | "cleanup_confirmed";
  readonly atMs: number;
}

/** What stood there after everything had ended. */
export interface Left {
  readonly leases: readonly string[];
  readonly processes: readonly string[];
  readonly files: readonly string[];
}

export interface Evidence {
  readonly asked: readonly Asked[];
  readonly rows: readonly LoggedRow[];
  readonly tasks: readonly LoggedTask[];
  readonly chain: readonly LoggedLink[];
  readonly folded: readonly FoldedStep[];
  readonly parameters: Parameters;
  readonly deaths: readonly Death[];
  /** Deaths joined with their confirmations, from the cleanup stream. */
  readonly cleanups: CleanupAudit;
  readonly outages: readonly Outage[];
  readonly actorEvents: readonly ActorEvent[];
  readonly receipts: readonly ChaosReceipt[];
  readonly left: Left;
}

export interface Violation {
  readonly name: string;
  /** Names what it is about: request ids, positions, sequences, node incarnations. */
  readonly about: string;
}

export function place({ seq, index }: Position): string {
  return `${seq}.${index}`;
}

/** By key, each group in the order of its items. */
export function grouped<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}
