// Looks on the wire: the supervision tree, and the inside of one actor.
//
// Owns: these requests and replies in both directions; foreign bytes are read with the same readers as wire.ts (W1, W2).
// Does not own: who may ask (credentials.ts), what an actor says of itself (its `summary`).

import { encodeMessage, type Fields, type Plain, type PlainMap } from "./codec.js";
import { inside, list, map, number, oneOf, optional, type Parsed, text, whole } from "./fields.js";
import { type Outcome, parseOutcome } from "./wire.js";

export type TreeKind = "root" | "node" | "supervisor" | "actor";

export interface TreeNode {
  readonly name: string;
  readonly kind: TreeKind;
  readonly pid?: number | undefined;
  /** Process that waits to be the node's next generation. */
  readonly spare?: number | undefined;
  /** A node beside the root, started by hand: no root owns it, nobody starts it again. Said by whoever puts trees together, never by a node. */
  readonly joined?: boolean | undefined;
  readonly generation: number;
  readonly state: string;
  readonly restarts: number;
  readonly lastExit?: string | undefined;
  readonly mailbox?: { readonly depth: number; readonly capacity: number } | undefined;
  readonly strategy?: string | undefined;
  /** Restarts allowed within the window, and how many of them are left now. */
  readonly intensity?: { readonly restarts: number; readonly withinMs: number; readonly left: number } | undefined;
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
    spare: optional(inner, `${prefix}spare`, whole(0)),
    generation: whole(0)(inner, `${prefix}generation`),
    state: text(64)(inner, `${prefix}state`),
    restarts: whole(0)(inner, `${prefix}restarts`),
    lastExit: optional(inner, `${prefix}lastExit`, text(4_096)),
    mailbox: optional(inner, `${prefix}mailbox`, mailboxIn),
    strategy: optional(inner, `${prefix}strategy`, text(64)),
    intensity: optional(inner, `${prefix}intensity`, intensityIn),
    children: list(treeIn)(inner, `${prefix}children`),
  }));
}

function mailboxIn(fields: Fields, field: string): { depth: number; capacity: number } {
  return inside(fields, field, (inner, prefix) => ({
    depth: whole(0)(inner, `${prefix}depth`),
    capacity: whole(0)(inner, `${prefix}capacity`),
  }));
}

function intensityIn(fields: Fields, field: string): TreeNode["intensity"] {
  return inside(fields, field, (inner, prefix) => ({
    restarts: whole(0)(inner, `${prefix}restarts`),
    withinMs: number(0, Number.MAX_VALUE)(inner, `${prefix}withinMs`),
    left: whole(0)(inner, `${prefix}left`),
  }));
}

function plainTree(tree: TreeNode): PlainMap {
  return {
    ...tree,
    mailbox: tree.mailbox === undefined ? undefined : { ...tree.mailbox },
    intensity: tree.intensity === undefined ? undefined : { ...tree.intensity },
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
