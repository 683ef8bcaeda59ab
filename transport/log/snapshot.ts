// Snapshots of a model's durable state: the newest few, each with its checksum and its place in the logs.
//
// Owns: storing and finding them. Does not own: what is in one (models/policy/policy.ts).
//
// N1. A snapshot is returned only when its bytes have the checksum they were stored with; a damaged one is passed over for the one before.
// N2. A snapshot is an abbreviation: without any, the fold of the whole log gives the same state (law 4). So it may be read from a replica
//     that lags.
// N3. A put that names the snapshot before it is stored only behind that one: a writer that was overtaken while it slept adds none.

import { createHash } from "node:crypto";
import type { Clock } from "../../models/clock.js";
import type { Bus } from "../bus/bus.js";
import { header } from "../subjects.js";
import {
  directMessage,
  type Stored,
  type StoredOutcome,
  store,
  storedMessage,
  streamState,
  type Unavailable,
} from "./jetstream.js";

/** Up to where the logs are in a snapshot. */
export interface SnapshotPlace {
  readonly updateSeq: number;
  readonly experienceSeq: number;
  readonly version: number;
}

export interface FoundSnapshot {
  readonly kind: "snapshot";
  readonly seq: number;
  readonly bytes: Uint8Array;
  readonly atMs: number;
  /** Snapshots that were passed over. */
  readonly damaged: number;
}

export type SnapshotOutcome = FoundSnapshot | { readonly kind: "none"; readonly damaged: number } | Unavailable;

export type PutOutcome =
  | { readonly kind: "stored"; readonly seq: number }
  | { readonly kind: "too_large"; readonly maxBytes: number }
  /** Another writer has stored one behind the one that was named. */
  | { readonly kind: "fenced" }
  | Unavailable;

export interface SnapshotListing {
  readonly seq: number;
  readonly bytes: number;
  readonly atMs: number;
  readonly sha256: string;
  readonly intact: boolean;
  /** Undefined where whoever stored it did not say. */
  readonly place: SnapshotPlace | undefined;
}

export interface PutOptions {
  readonly place?: SnapshotPlace;
  /** Sequence of the newest snapshot that the writer knows, 0 for none (N3); unconditional when left out. */
  readonly behind?: number;
}

export interface Snapshots {
  put(bytes: Uint8Array, options?: PutOptions): Promise<PutOutcome>;
  /** The newest intact one; with `before`, the newest of those before that sequence. */
  newest(before?: number): Promise<SnapshotOutcome>;
  /** The one at a sequence, if it is kept and intact. */
  at(seq: number): Promise<SnapshotOutcome>;
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
    put: (bytes, options = {}) => put(bus, clock, at.subject, bytes, options),
    newest: (before) => newest(bus, at, before),
    at: async (seq) => asSnapshot(await message(bus, at.stream, { seq })),
    list: () => list(bus, at.stream),
  };
}

async function put(
  bus: Bus,
  clock: Clock,
  subject: string,
  bytes: Uint8Array,
  { place, behind }: PutOptions,
): Promise<PutOutcome> {
  const maxBytes = bus.payloadMaxBytes - headroomBytes;
  if (bytes.byteLength > maxBytes) return { kind: "too_large", maxBytes };
  const sha256 = sha256Of(bytes);
  const headers = {
    [header.checksum]: sha256,
    ...(place === undefined ? {} : { [header.position]: textOf(place) }),
  };
  for (let tries = 1; ; tries += 1) {
    const outcome = await store(bus, subject, bytes, {
      timeoutMs: bus.timeouts.snapshotTry,
      messageId: sha256,
      expectedLastSequence: behind,
      headers,
    });
    if (outcome.kind === "stored") return { kind: "stored", seq: outcome.seq };
    if (outcome.kind === "wrong_sequence") return { kind: "fenced" };
    if (tries === putTries || outcome.why === "closed" || outcome.why === "denied") return outcome;
    await clock.delay(pauseMs);
  }
}

/** One request when the newest is intact, which it nearly always is. */
async function newest(
  bus: Bus,
  at: { readonly stream: string; readonly subject: string },
  before?: number,
): Promise<SnapshotOutcome> {
  if (before === undefined) {
    const found = asSnapshot(await message(bus, at.stream, { last_by_subj: at.subject }));
    if (found.kind !== "none" || found.damaged === 0) return found;
  }
  let damaged = 0;
  for await (const outcome of backwards(bus, at.stream, before)) {
    const found = asSnapshot(outcome);
    if (found.kind === "unavailable") return found;
    if (found.kind === "snapshot") return { ...found, damaged };
    damaged += found.damaged;
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
    const place = placeIn(headers.get(header.position));
    snapshots.push({ seq, bytes: bytes.byteLength, atMs, sha256, intact: isIntact(found.message), place });
  }
  return { kind: "listing", snapshots };
}

/** The stream's messages, newest first; the stream keeps a handful, so this is short. */
async function* backwards(bus: Bus, stream: string, before = Number.POSITIVE_INFINITY): AsyncGenerator<StoredOutcome> {
  const outcome = await streamState(bus, stream);
  if (outcome.kind === "unavailable") {
    yield outcome;
    return;
  }
  const { firstSeq, lastSeq, messages } = outcome.state;
  if (messages === 0) return;
  for (let seq = Math.min(lastSeq, before - 1); seq >= firstSeq; seq -= 1) yield await message(bus, stream, { seq });
}

async function message(bus: Bus, stream: string, which: Parameters<typeof directMessage>[2]): Promise<StoredOutcome> {
  const direct = await directMessage(bus, stream, which);
  // A replica that has not caught up may have nothing yet: that there is none is the leader's word alone.
  const isFound = direct.kind === "found" || (direct.kind === "unavailable" && direct.why !== "no_stream");
  return isFound ? direct : storedMessage(bus, stream, which);
}

function asSnapshot(outcome: StoredOutcome): SnapshotOutcome {
  if (outcome.kind === "unavailable") return outcome;
  if (outcome.kind === "none") return { kind: "none", damaged: 0 };
  if (!isIntact(outcome.message)) return { kind: "none", damaged: 1 };
  const { seq, bytes, atMs } = outcome.message;
  return { kind: "snapshot", seq, bytes, atMs, damaged: 0 };
}

/** "update experience version", in decimal. */
function textOf({ updateSeq, experienceSeq, version }: SnapshotPlace): string {
  return `${updateSeq} ${experienceSeq} ${version}`;
}

function placeIn(text: string | undefined): SnapshotPlace | undefined {
  const numbers = text?.split(" ").map(Number) ?? [];
  const [updateSeq, experienceSeq, version] = numbers;
  if (updateSeq === undefined || experienceSeq === undefined || version === undefined) return undefined;
  return numbers.length === 3 && numbers.every((each) => Number.isSafeInteger(each) && each >= 0)
    ? { updateSeq, experienceSeq, version }
    : undefined;
}

function isIntact(stored: Stored): boolean {
  return stored.headers.get(header.checksum) === sha256Of(stored.bytes);
}

function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
