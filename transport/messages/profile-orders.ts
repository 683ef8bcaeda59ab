// Profiles on the wire: the order to take one, and its bytes piece by piece.
//
// Owns: these requests and replies in both directions. Does not own: who may order (credentials.ts), the taking
// (operations/traces/profiler.ts).
//
// A profile is larger than a message may be, so it is fetched in pieces: taken once, kept by the node until the next one or for a while.

import { encodeMessage } from "./codec.js";
import { number, oneOf, type Parsed, parse, tensor, text, whole, wrong } from "./fields.js";
import { type Outcome, parseOutcome } from "./wire.js";

export const profileMsMax = 300_000;
/** Of a piece, far below what any broker takes as one message. */
export const pieceBytes = 256 * 1024;

export type ProfileOrder =
  | { readonly kind: "take"; readonly forMs: number }
  | { readonly kind: "piece"; readonly id: string; readonly index: number };

export interface ProfileTaken {
  readonly id: string;
  readonly node: string;
  readonly bytes: number;
  readonly pieces: number;
  readonly samples: number;
}

export function encodeProfileOrder(order: ProfileOrder): Uint8Array {
  return encodeMessage({ v: 1, ...order });
}

export function parseProfileOrder(bytes: Uint8Array): Parsed<ProfileOrder> {
  return parse(bytes, (fields): ProfileOrder => {
    const kind = oneOf("take", "piece")(fields, "kind");
    if (kind === "take") return { kind, forMs: number(1, profileMsMax)(fields, "forMs") };
    return { kind, id: text(64)(fields, "id"), index: whole(0, 65_535)(fields, "index") };
  });
}

export function encodeProfileTaken(taken: ProfileTaken): Uint8Array {
  return encodeMessage({ v: 1, ...taken });
}

export function parseProfileTaken(bytes: Uint8Array): Parsed<Outcome<ProfileTaken>> {
  return parseOutcome(bytes, (fields) => ({
    id: text(64)(fields, "id"),
    node: text(64)(fields, "node"),
    bytes: whole(0)(fields, "bytes"),
    pieces: whole(0, 65_536)(fields, "pieces"),
    samples: whole(0)(fields, "samples"),
  }));
}

export function encodeProfilePiece(data: Uint8Array): Uint8Array {
  return encodeMessage({ v: 1 }, { piece: { dt: "|u1", sh: [data.byteLength], data } });
}

export function parseProfilePiece(bytes: Uint8Array): Parsed<Outcome<Uint8Array>> {
  return parseOutcome(bytes, (fields) => {
    const { dt, data } = tensor(fields, "piece");
    if (dt !== "|u1" || !(data instanceof Uint8Array)) throw wrong("piece", "must be bytes");
    return data;
  });
}
