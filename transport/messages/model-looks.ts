// What a node says of its models when its registrar is looked into.
//
// Owns: the reading of that part of an actor's summary (W1, W2). Does not own: looks (look-orders.ts), who says it (actors/host/roster.ts).

import type { Fields } from "./codec.js";
import { inside, list, oneOf, optional, type Parsed, text, whole } from "./fields.js";
import { type Outcome, parseOutcome } from "./wire.js";

export type ModelState = "loading" | "up" | "ending" | "failed" | "down";

export interface ModelOnNode {
  readonly name: string;
  readonly sha256: string;
  readonly source: "given" | "added";
  readonly state: ModelState;
  /** Of an added one. */
  readonly bytes: number | undefined;
  readonly cause: string | undefined;
}

export function parseModelLook(bytes: Uint8Array): Parsed<Outcome<readonly ModelOnNode[]>> {
  return parseOutcome(bytes, (fields) => inside(fields, "summary", (summary) => list(modelIn)(summary, "models")));
}

function modelIn(fields: Fields, field: string): ModelOnNode {
  return inside(fields, field, (inner, prefix) => ({
    name: text(64)(inner, `${prefix}name`),
    sha256: text(64)(inner, `${prefix}sha256`),
    source: oneOf("given", "added")(inner, `${prefix}source`),
    state: oneOf("loading", "up", "ending", "failed", "down")(inner, `${prefix}state`),
    bytes: optional(inner, `${prefix}bytes`, whole(0)),
    cause: optional(inner, `${prefix}cause`, text(4_096)),
  }));
}
