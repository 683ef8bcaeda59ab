// What operators order besides faults: a node drained, a dead letter taken up, a model's parameters taken back.
//
// Owns: these requests and replies in both directions; foreign bytes are read with the same readers as wire.ts (W1, W2).
// Does not own: who may send them (credentials.ts), what is done about them (operations/, actors/learning/restorer.ts).

import { encodeMessage } from "./codec.js";
import { flag, inside, number, oneOf, optional, type Parsed, parse, text, whole } from "./fields.js";
import { type Outcome, parseOutcome } from "./wire.js";

/** Leave in order. */
export interface DrainOrder {
  readonly node: string;
  /** Start again once it has left: a rolling restart, node by node. */
  readonly restart: boolean;
}

/** How a node left. */
export interface DrainReceipt {
  readonly node: string;
  /** Of the one that runs now, or ran last. */
  readonly generation: number;
  readonly state: "stopped" | "running";
  /** One line: "exit code 0" when it finished what was in flight. */
  readonly exit: string;
  /** From the order until it had left. */
  readonly drainMs: number;
}

export function encodeDrainOrder(order: DrainOrder): Uint8Array {
  return encodeMessage({ v: 1, ...order });
}

export function parseDrainOrder(bytes: Uint8Array): Parsed<DrainOrder> {
  return parse(bytes, (fields) => ({
    node: text(32)(fields, "node"),
    restart: optional(fields, "restart", flag) ?? false,
  }));
}

export function encodeDrainReceipt(receipt: DrainReceipt): Uint8Array {
  return encodeMessage({ v: 1, ...receipt });
}

export function parseDrainReceipt(bytes: Uint8Array): Parsed<Outcome<DrainReceipt>> {
  return parseOutcome(bytes, (fields) => ({
    node: text(32)(fields, "node"),
    generation: whole(0)(fields, "generation"),
    state: oneOf("stopped", "running")(fields, "state"),
    exit: text(4_096)(fields, "exit"),
    drainMs: number(0, Number.MAX_VALUE)(fields, "drainMs"),
  }));
}

/** What an operator wants done about the dead letter at a sequence of its stream. */
export type DeadLetterOrder =
  | { readonly kind: "requeue"; readonly seq: number }
  | { readonly kind: "resolve"; readonly seq: number; readonly note: string };

/** The order was carried out: the mark is in the log. */
export interface DeadLetterReceipt {
  readonly seq: number;
  readonly jobId: string;
  readonly atMs: number;
}

export function encodeDeadLetterOrder(order: DeadLetterOrder): Uint8Array {
  return encodeMessage({ v: 1, ...order });
}

export function parseDeadLetterOrder(bytes: Uint8Array): Parsed<DeadLetterOrder> {
  return parse(bytes, (fields): DeadLetterOrder => {
    const kind = oneOf("requeue", "resolve")(fields, "kind");
    const seq = whole(1)(fields, "seq");
    return kind === "requeue" ? { kind, seq } : { kind, seq, note: text(1_024)(fields, "note") };
  });
}

export function encodeDeadLetterReceipt(receipt: DeadLetterReceipt): Uint8Array {
  return encodeMessage({ v: 1, ...receipt });
}

export function parseDeadLetterReceipt(bytes: Uint8Array): Parsed<Outcome<DeadLetterReceipt>> {
  return parseOutcome(bytes, (fields) => ({
    seq: whole(1)(fields, "seq"),
    jobId: text(128)(fields, "jobId"),
    atMs: number(0, Number.MAX_VALUE)(fields, "atMs"),
  }));
}

/** What of a model is to be gone back to: a kept snapshot by its sequence, or the state behind an update. */
export type RestoreOrder =
  | { readonly kind: "snapshot"; readonly seq: number }
  | { readonly kind: "until"; readonly updateSeq: number };

/** What a restore became. */
export interface Restored {
  /** The new committed version. */
  readonly version: number;
  /** Sequence of the entry on the update stream. */
  readonly updateSeq: number;
  readonly from: { readonly updateSeq: number; readonly version: number; readonly snapshot?: number | undefined };
}

export function encodeRestoreOrder(order: RestoreOrder): Uint8Array {
  return encodeMessage(order.kind === "snapshot" ? { v: 1, snapshot: order.seq } : { v: 1, until: order.updateSeq });
}

export function parseRestoreOrder(bytes: Uint8Array): Parsed<RestoreOrder> {
  return parse(bytes, (fields) => {
    const seq = optional(fields, "snapshot", whole(1));
    return seq === undefined ? { kind: "until", updateSeq: whole(1)(fields, "until") } : { kind: "snapshot", seq };
  });
}

export function encodeRestored({ from, ...restored }: Restored): Uint8Array {
  return encodeMessage({ v: 1, ...restored, from: { ...from } });
}

export function parseRestored(bytes: Uint8Array): Parsed<Outcome<Restored>> {
  const count = whole(0);
  return parseOutcome(bytes, (fields) => ({
    version: count(fields, "version"),
    updateSeq: count(fields, "updateSeq"),
    from: inside(fields, "from", (inner, prefix) => ({
      updateSeq: count(inner, `${prefix}updateSeq`),
      version: count(inner, `${prefix}version`),
      snapshot: optional(inner, `${prefix}snapshot`, count),
    })),
  }));
}
