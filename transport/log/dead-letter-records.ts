// Dead letters as bytes.
//
// Owns: the layout of a letter and of what an operator did about it. Does not own: where they are kept (dead-letters.ts).

import type { Position } from "../../models/experience.js";
import type { Fields } from "../messages/codec.js";
import { encodeMessage } from "../messages/codec.js";
import { column, inside, number, oneOf, optional, type Parsed, parse, text, whole } from "../messages/fields.js";
import { plainPosition, positionIn } from "../messages/wire.js";

const name = text(64);
const atMs = number(0, Number.MAX_VALUE);

/** What a job was, so that it can be run again. */
export type DeadPayload =
  /** The request's own bytes. */
  | { readonly kind: "request"; readonly bytes: Uint8Array }
  /** A request too large to be kept. */
  | { readonly kind: "omitted"; readonly byteLength: number }
  /** The task at this sequence of the update stream. */
  | { readonly kind: "update"; readonly seq: number; readonly of: Position };

/**
 * A job that was given up. `exhausted`: every try crashed its actor. `condemned`: every try ended its process. `skipped`: an update that
 * the fold passes by.
 */
export const deadStates = ["exhausted", "condemned", "skipped"] as const;
export type DeadState = (typeof deadStates)[number];

export interface DeadLetterRecord {
  readonly kind: "letter";
  readonly jobId: string;
  readonly model: string;
  /** Where it died: inference, buffer, voter, update. */
  readonly phase: string;
  readonly state: DeadState;
  readonly cause: string;
  readonly attempts: number;
  readonly traceId: string;
  readonly node: string;
  readonly atMs: number;
  readonly payload: DeadPayload;
}

/** What an operator did about the letter at sequence `of`. */
export interface DeadLetterMark {
  readonly kind: "mark";
  readonly of: number;
  readonly model: string;
  readonly jobId: string;
  readonly what: "requeued" | "resolved";
  readonly note: string | undefined;
  readonly atMs: number;
}

const causeMax = 4_096;

export function encodeDeadLetter(record: DeadLetterRecord | DeadLetterMark): Uint8Array {
  if (record.kind === "mark") return encodeMessage({ v: 1, ...record });
  const { payload, cause, ...head } = record;
  const said = cause === "" ? "unknown" : cause.slice(0, causeMax);
  switch (payload.kind) {
    case "request": {
      const bytes = { dt: "|u1", sh: [payload.bytes.length], data: payload.bytes } as const;
      return encodeMessage({ v: 1, ...head, cause: said, payload: { kind: payload.kind } }, { request: bytes });
    }
    case "omitted":
      return encodeMessage({ v: 1, ...head, cause: said, payload: { ...payload } });
    case "update":
      return encodeMessage({ v: 1, ...head, cause: said, payload: { ...payload, of: plainPosition(payload.of) } });
    default:
      return payload satisfies never;
  }
}

export function decodeDeadLetter(bytes: Uint8Array): Parsed<DeadLetterRecord | DeadLetterMark> {
  return parse(bytes, (fields) =>
    oneOf("letter", "mark")(fields, "kind") === "mark" ? deadMarkIn(fields) : letterIn(fields),
  );
}

function deadMarkIn(fields: Fields): DeadLetterMark {
  return {
    kind: "mark",
    of: whole(1)(fields, "of"),
    model: name(fields, "model"),
    jobId: text(128)(fields, "jobId"),
    what: oneOf("requeued", "resolved")(fields, "what"),
    note: optional(fields, "note", text(1_024)),
    atMs: atMs(fields, "atMs"),
  };
}

function letterIn(fields: Fields): DeadLetterRecord {
  return {
    kind: "letter",
    jobId: text(128)(fields, "jobId"),
    model: name(fields, "model"),
    phase: name(fields, "phase"),
    state: oneOf(...deadStates)(fields, "state"),
    cause: text(causeMax)(fields, "cause"),
    attempts: whole(0)(fields, "attempts"),
    traceId: text(64)(fields, "traceId"),
    node: name(fields, "node"),
    atMs: atMs(fields, "atMs"),
    payload: inside(fields, "payload", (inner, prefix): DeadPayload => {
      const kind = oneOf("request", "omitted", "update")(inner, `${prefix}kind`);
      if (kind === "request") return { kind, bytes: column(fields, "request", "|u1", [-1]) };
      if (kind === "omitted") return { kind, byteLength: whole(0)(inner, `${prefix}byteLength`) };
      return { kind, seq: whole(0)(inner, `${prefix}seq`), of: positionIn(inner, `${prefix}of`) };
    }),
  };
}
