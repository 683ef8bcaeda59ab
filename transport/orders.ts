// What operators ask: faults with receipts, looks inside an actor, the tree.
//
// Owns: these requests and replies in both directions; foreign bytes are read with the same readers as wire.ts (W1, W2).
// Does not own: who may send them (credentials.ts), what a fault does (supervision).

import { encodeMessage, type Fields, type Plain, type PlainMap } from "./codec.js";
import { inside, list, map, number, oneOf, optional, type Parsed, parse, text, whole } from "./fields.js";
import { type Outcome, parseOutcome } from "./wire.js";

export const faultModes = ["crash", "kill", "hang", "slow", "sigkill", "sigstop"] as const;
export type FaultMode = (typeof faultModes)[number];

export interface ChaosRequest {
  /** An actor path of the node, or the node's own name. */
  readonly target: string;
  readonly mode: FaultMode;
  /** How long hang, slow and sigstop last; the target's default when left out. */
  readonly forMs?: number | undefined;
}

/**
 * What a fault did. Counts are of messages, measured, never assumed: null where whoever gave the receipt could not see them.
 * `detectMs` and `repairMs` are null when the fault ended before it was noticed, or the target did not come back in time.
 */
export interface ChaosReceipt {
  readonly target: string;
  readonly mode: string;
  readonly generationBefore: number;
  readonly generationAfter: number;
  readonly inFlight: number | null;
  readonly redelivered: number | null;
  readonly refused: number | null;
  readonly lost: number | null;
  readonly leasesCleaned: number;
  readonly detectMs: number | null;
  readonly repairMs: number | null;
}

export type TreeKind = "root" | "node" | "supervisor" | "actor";
export interface TreeNode {
  readonly name: string;
  readonly kind: TreeKind;
  readonly pid?: number | undefined;
  readonly generation: number;
  readonly state: string;
  readonly restarts: number;
  readonly lastExit?: string | undefined;
  readonly mailbox?: { readonly depth: number; readonly capacity: number } | undefined;
  readonly strategy?: string | undefined;
  readonly children: readonly TreeNode[];
}

/** A look inside one actor: its place in the tree without children, and its own summary. */
export interface ActorLook {
  readonly path: string;
  readonly generation: number;
  readonly state: string;
  readonly restarts: number;
  readonly mailbox: { readonly depth: number; readonly capacity: number };
  readonly summary: PlainMap;
}

export function parseChaosRequest(bytes: Uint8Array): Parsed<ChaosRequest> {
  return parse(bytes, (fields) => ({
    target: text(256)(fields, "target"),
    mode: oneOf(...faultModes)(fields, "mode"),
    forMs: optional(fields, "forMs", number(0, 3_600_000)),
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
  }));
}

/** The empty question of a look, a tree or a ping. */
export function encodeLookRequest(): Uint8Array {
  return encodeMessage({ v: 1 });
}

export function encodeActorLook(look: ActorLook): Uint8Array {
  return encodeMessage({ v: 1, ...look });
}

export function parseActorLook(bytes: Uint8Array): Parsed<Outcome<ActorLook>> {
  return parseOutcome(bytes, (fields) => ({
    path: text(256)(fields, "path"),
    generation: whole(0)(fields, "generation"),
    state: text(64)(fields, "state"),
    restarts: whole(0)(fields, "restarts"),
    mailbox: mailboxIn(fields, "mailbox"),
    summary: summaryOf(map(fields, "summary")),
  }));
}

export function encodeTree(tree: TreeNode): Uint8Array {
  return encodeMessage({ v: 1, tree: plainTree(tree) });
}

export function parseTree(bytes: Uint8Array): Parsed<Outcome<TreeNode>> {
  return parseOutcome(bytes, (fields) => treeIn(fields, "tree"));
}

function treeIn(fields: Fields, field: string): TreeNode {
  return inside(fields, field, (inner, prefix) => ({
    name: text(256)(inner, `${prefix}name`),
    kind: oneOf("root", "node", "supervisor", "actor")(inner, `${prefix}kind`),
    pid: optional(inner, `${prefix}pid`, whole(0)),
    generation: whole(0)(inner, `${prefix}generation`),
    state: text(64)(inner, `${prefix}state`),
    restarts: whole(0)(inner, `${prefix}restarts`),
    lastExit: optional(inner, `${prefix}lastExit`, text(4_096)),
    mailbox: optional(inner, `${prefix}mailbox`, mailboxIn),
    strategy: optional(inner, `${prefix}strategy`, text(64)),
    children: list(treeIn)(inner, `${prefix}children`),
  }));
}

function mailboxIn(fields: Fields, field: string): { depth: number; capacity: number } {
  return inside(fields, field, (inner, prefix) => ({
    depth: whole(0)(inner, `${prefix}depth`),
    capacity: whole(0)(inner, `${prefix}capacity`),
  }));
}

function plainTree(tree: TreeNode): PlainMap {
  return {
    ...tree,
    mailbox: tree.mailbox === undefined ? undefined : { ...tree.mailbox },
    children: tree.children.map(plainTree),
  };
}

/** An actor's own words: any plain value, bytes left out. */
function summaryOf(fields: Fields): PlainMap {
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, plainValue(value)]));
}

function plainValue(value: unknown): Plain {
  if (value === null || typeof value === "boolean" || typeof value === "number" || typeof value === "string")
    return value;
  if (Array.isArray(value)) return value.map(plainValue);
  if (typeof value !== "object" || value instanceof Uint8Array) return null;
  return summaryOf(value as Fields) as Plain;
}
