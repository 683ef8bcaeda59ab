// Faults on the wire: what operators ask of a node or of the root, receipts, what is active, claims between a node and the root.
//
// Owns: these requests and replies in both directions; foreign bytes are read with the same readers as wire.ts (W1, W2).
// Does not own: who may send them (credentials.ts), what a fault does (supervision).

import { encodeMessage, type Fields } from "./codec.js";
import { flag, inside, list, number, oneOf, optional, type Parsed, parse, text, whole } from "./fields.js";
import { type Outcome, parseOutcome } from "./wire.js";

export const faultModes = ["crash", "kill", "hang", "slow", "sigkill", "sigstop"] as const;

export type FaultMode = (typeof faultModes)[number];

export interface ChaosRequest {
  /** An actor path of the node, or the node's own name. */
  readonly target: string;
  readonly mode: FaultMode;
  /** How long hang, slow and sigstop last; the target's default when left out. */
  readonly forMs?: number | undefined;
  /** Also when the guard says no. */
  readonly force?: boolean | undefined;
}

/** Everything that may be asked on a chaos subject; without a kind it is a fault. */
export type ChaosOrder =
  | ({ readonly kind: "fault" } & ChaosRequest)
  /** What is active here. */
  | { readonly kind: "list" }
  /** End every active fault here, and every schedule. */
  | { readonly kind: "halt" }
  /** A node asks the root before a lasting fault of one of its actors: the pool's minimum is the root's to keep. */
  | ({ readonly kind: "claim" } & FaultClaim)
  /** A schedule begins, or is still there: without another word it is gone after `leaseMs`. */
  | { readonly kind: "schedule"; readonly id: string; readonly leaseMs: number }
  /** A claim or a schedule is over. */
  | { readonly kind: "release"; readonly id: string };

export interface FaultClaim {
  readonly id: string;
  readonly node: string;
  readonly target: string;
  readonly mode: FaultMode;
  readonly forMs: number;
  readonly force?: boolean | undefined;
  readonly by?: string | undefined;
}

/** A fault that is under way. */
export interface ActiveFault {
  readonly id: string;
  readonly node: string;
  /** An actor's path, or the node's own name for all of it. */
  readonly target: string;
  readonly mode: string;
  /** Epoch milliseconds. */
  readonly beganAtMs: number;
  /** Null: until its target is mended. */
  readonly endsAtMs: number | null;
  /** The user who asked for it, where users are known. */
  readonly by?: string | undefined;
}

/** A program that injects faults by and by. */
export interface ActiveSchedule {
  readonly id: string;
  readonly beganAtMs: number;
  readonly by?: string | undefined;
}

export interface ActiveChaos {
  readonly faults: readonly ActiveFault[];
  readonly schedules: readonly ActiveSchedule[];
}

/** How many were ended. */
export interface Halted {
  readonly faults: number;
  readonly schedules: number;
}

/** What a fault did: measured, never assumed. */
export interface ChaosReceipt {
  readonly target: string;
  readonly mode: string;
  readonly generationBefore: number;
  readonly generationAfter: number;
  /** Messages in flight when the fault struck. Null, here and below: whoever gave the receipt cannot see messages. */
  readonly inFlight: number | null;
  /** Messages given back to the queue until the repair. */
  readonly redelivered: number | null;
  /** Tells answered "full" or "dead" until the repair. */
  readonly refused: number | null;
  /** Accepted messages that are neither handled, queued, in flight nor dead letters. */
  readonly lost: number | null;
  readonly leasesCleaned: number;
  /** Until the runtime knew; null when the fault ended before anybody noticed. */
  readonly detectMs: number | null;
  /** Until the target worked again; null when it did not within `repairMaxMs`. */
  readonly repairMs: number | null;
  /** Why the incarnation ended, in one line; null when it went on, or nobody saw its end. */
  readonly cause: string | null;
}

const forMsMax = 3_600_000;
const leaseMsMax = 60_000;

function faultIn(fields: Fields): ChaosRequest {
  return {
    target: text(256)(fields, "target"),
    mode: oneOf(...faultModes)(fields, "mode"),
    forMs: optional(fields, "forMs", number(0, forMsMax)),
    force: optional(fields, "force", flag),
  };
}

export function encodeChaosOrder(order: ChaosOrder): Uint8Array {
  return encodeMessage({ v: 1, ...order });
}

export function parseChaosOrder(bytes: Uint8Array): Parsed<ChaosOrder> {
  return parse(bytes, (fields): ChaosOrder => {
    const kind = optional(fields, "kind", oneOf("fault", "list", "halt", "claim", "schedule", "release")) ?? "fault";
    switch (kind) {
      case "fault":
        return { kind, ...faultIn(fields) };
      case "list":
      case "halt":
        return { kind };
      case "claim":
        return { kind, ...claimIn(fields) };
      case "schedule":
        return { kind, id: text(128)(fields, "id"), leaseMs: number(1, leaseMsMax)(fields, "leaseMs") };
      case "release":
        return { kind, id: text(128)(fields, "id") };
      default:
        return kind satisfies never;
    }
  });
}

function claimIn(fields: Fields): FaultClaim {
  return {
    id: text(128)(fields, "id"),
    node: text(64)(fields, "node"),
    target: text(256)(fields, "target"),
    mode: oneOf(...faultModes)(fields, "mode"),
    forMs: number(0, forMsMax)(fields, "forMs"),
    force: optional(fields, "force", flag),
    by: optional(fields, "by", text(64)),
  };
}

/** A claim or a schedule was taken, or a release done. */
export function encodeGranted(): Uint8Array {
  return encodeMessage({ v: 1, granted: true });
}

export function parseGranted(bytes: Uint8Array): Parsed<Outcome<boolean>> {
  return parseOutcome(bytes, (fields) => flag(fields, "granted"));
}

export function encodeActiveChaos({ faults, schedules }: ActiveChaos): Uint8Array {
  return encodeMessage({
    v: 1,
    faults: faults.map((fault) => ({ ...fault })),
    schedules: schedules.map((schedule) => ({ ...schedule })),
  });
}

export function parseActiveChaos(bytes: Uint8Array): Parsed<Outcome<ActiveChaos>> {
  return parseOutcome(bytes, (fields) => ({
    faults: list(activeFaultIn)(fields, "faults"),
    schedules: list(activeScheduleIn)(fields, "schedules"),
  }));
}

function activeFaultIn(fields: Fields, field: string): ActiveFault {
  return inside(fields, field, (inner, prefix) => ({
    ...activeScheduleIn(fields, field),
    node: text(64)(inner, `${prefix}node`),
    target: text(256)(inner, `${prefix}target`),
    mode: text(32)(inner, `${prefix}mode`),
    endsAtMs: optional(inner, `${prefix}endsAtMs`, epochMs) ?? null,
  }));
}

function activeScheduleIn(fields: Fields, field: string): ActiveSchedule {
  return inside(fields, field, (inner, prefix) => ({
    id: text(128)(inner, `${prefix}id`),
    beganAtMs: epochMs(inner, `${prefix}beganAtMs`),
    by: optional(inner, `${prefix}by`, text(64)),
  }));
}

const epochMs = number(0, Number.MAX_VALUE);

export function encodeHalted(halted: Halted): Uint8Array {
  return encodeMessage({ v: 1, ...halted });
}

export function parseHalted(bytes: Uint8Array): Parsed<Outcome<Halted>> {
  return parseOutcome(bytes, (fields) => ({
    faults: whole(0)(fields, "faults"),
    schedules: whole(0)(fields, "schedules"),
  }));
}

export function encodeChaosRequest(request: ChaosRequest): Uint8Array {
  return encodeMessage({ v: 1, ...request });
}

export function encodeChaosReceipt(receipt: ChaosReceipt): Uint8Array {
  return encodeMessage({ v: 1, ...receipt });
}

export function parseChaosReceipt(bytes: Uint8Array): Parsed<Outcome<ChaosReceipt>> {
  const count = whole(0);
  const ms = number(0, Number.MAX_VALUE);
  return parseOutcome(bytes, (fields) => ({
    target: text(256)(fields, "target"),
    mode: text(32)(fields, "mode"),
    generationBefore: count(fields, "generationBefore"),
    generationAfter: count(fields, "generationAfter"),
    inFlight: optional(fields, "inFlight", count) ?? null,
    redelivered: optional(fields, "redelivered", count) ?? null,
    refused: optional(fields, "refused", count) ?? null,
    lost: optional(fields, "lost", count) ?? null,
    leasesCleaned: count(fields, "leasesCleaned"),
    detectMs: optional(fields, "detectMs", ms) ?? null,
    repairMs: optional(fields, "repairMs", ms) ?? null,
    cause: optional(fields, "cause", text(4_096)) ?? null,
  }));
}
