// Snapshots of a model's durable state: the newest few, each with its checksum.
//
// Owns: storing and finding them. Does not own: what is in one (models/policy.ts).
//
// N1. A snapshot is returned only when its bytes have the checksum they were stored with; a damaged one is passed over for the one before.
// N2. A snapshot is an abbreviation: without any, the fold of the whole log gives the same state (law 4).

import { createHash } from "node:crypto";
import type { Clock } from "../models/clock.js";
import type { Bus } from "./bus.js";
import { type Stored, type StoredOutcome, store, storedMessage, streamState, type Unavailable } from "./jetstream.js";
import { header } from "./subjects.js";

export type SnapshotOutcome =
  | {
      readonly kind: "snapshot";
      readonly seq: number;
      readonly bytes: Uint8Array;
      readonly atMs: number;
      readonly damaged: number;
    }
  /** `damaged`: snapshots that were passed over. */
  | { readonly kind: "none"; readonly damaged: number }
  | Unavailable;

export type PutOutcome =
  | { readonly kind: "stored"; readonly seq: number }
  | { readonly kind: "too_large"; readonly maxBytes: number }
  | Unavailable;

export interface SnapshotListing {
  readonly seq: number;
  readonly bytes: number;
  readonly atMs: number;
  readonly sha256: string;
  readonly intact: boolean;
}

export interface Snapshots {
  put(bytes: Uint8Array): Promise<PutOutcome>;
  newest(): Promise<SnapshotOutcome>;
  /** Newest first. */
  list(): Promise<{ readonly kind: "listing"; readonly snapshots: readonly SnapshotListing[] } | Unavailable>;
}

const putTries = 3;
const pauseMs = 50;
/** Room for headers inside the server's payload bound. */
const headroomBytes = 4_096;

export function openSnapshots(
  bus: Bus,
  clock: Clock,
  at: { readonly stream: string; readonly subject: string },
): Snapshots {
  return {
    put: (bytes) => put(bus, clock, at.subject, bytes),
    newest: () => newest(bus, at.stream),
    list: () => list(bus, at.stream),
  };
}

async function put(bus: Bus, clock: Clock, subject: string, bytes: Uint8Array): Promise<PutOutcome> {
  const maxBytes = bus.payloadMaxBytes - headroomBytes;
  if (bytes.byteLength > maxBytes) return { kind: "too_large", maxBytes };
  const sha256 = sha256Of(bytes);
  for (let tries = 1; ; tries += 1) {
    const outcome = await store(bus, subject, bytes, {
      timeoutMs: bus.timeouts.snapshotTry,
      messageId: sha256,
      headers: { [header.checksum]: sha256 },
    });
    if (outcome.kind === "stored") return { kind: "stored", seq: outcome.seq };
    if (outcome.kind === "wrong_sequence") throw new Error(`${subject}: a snapshot expects no sequence`);
    if (tries === putTries || outcome.why === "closed" || outcome.why === "denied") return outcome;
    await clock.delay(pauseMs);
  }
}

async function newest(bus: Bus, stream: string): Promise<SnapshotOutcome> {
  let damaged = 0;
  for await (const found of backwards(bus, stream)) {
    if (found.kind === "unavailable") return found;
    if (found.kind === "none") continue;
    if (isIntact(found.message)) {
      const { seq, bytes, atMs } = found.message;
      return { kind: "snapshot", seq, bytes, atMs, damaged };
    }
    damaged += 1;
  }
  return { kind: "none", damaged };
}

async function list(bus: Bus, stream: string): ReturnType<Snapshots["list"]> {
  const snapshots: SnapshotListing[] = [];
  for await (const found of backwards(bus, stream)) {
    if (found.kind === "unavailable") return found;
    if (found.kind === "none") continue;
    const { seq, bytes, atMs, headers } = found.message;
    const sha256 = headers.get(header.checksum) ?? "";
    snapshots.push({ seq, bytes: bytes.byteLength, atMs, sha256, intact: isIntact(found.message) });
  }
  return { kind: "listing", snapshots };
}

/** The stream's messages, newest first; the stream keeps a handful, so this is short. */
async function* backwards(bus: Bus, stream: string): AsyncGenerator<StoredOutcome> {
  const outcome = await streamState(bus, stream);
  if (outcome.kind === "unavailable") {
    yield outcome;
    return;
  }
  const { firstSeq, lastSeq, messages } = outcome.state;
  if (messages === 0) return;
  for (let seq = lastSeq; seq >= firstSeq; seq -= 1) yield await storedMessage(bus, stream, { seq });
}

function isIntact(message: Stored): boolean {
  return message.headers.get(header.checksum) === sha256Of(message.bytes);
}

function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
