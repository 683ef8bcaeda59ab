// The registry: models on their way through the stream of models, in pieces, and the records that make them valid.
//
// Owns: storing and reading of pieces and records, the fence between two who change the same name, what is swept. Does not own: what a record
// says and which one counts (model-records.ts), what a node does about it (actors/host/registrar.ts).
//
// R1. Pieces are nobody's until a record names their upload: a folder that was sent by half is never served.
// R2. A record is stored only behind the newest one about its name that its writer has seen: of two who change one name at once, one is
//     refused. Records of many names and pieces stand between two of one name, so this is no chain (chain.ts): where a server lets both in, the
//     first of the two is the one that was said, as in the fold.
// R3. What is fetched has the number of pieces, the bytes and the checksum that its record says, or it is refused by name.
// R4. Pieces that no record names are purged: at once when a newer record stands, otherwise when nothing was added to them for long.
// R5. A log is purged with the stream of experiences last, so that while a part of it is left there is a log; and only what stood when the
//     record was said: a log that somebody began under the name since then is his.

import { createHash, randomBytes } from "node:crypto";
import type { ModelPackage } from "../../models/adoption/model-package.js";
import type { Clock } from "../../models/clock.js";
import type { Bus } from "../bus/bus.js";
import { header, modelOf, type Subjects, streamKinds, uploadOf } from "../subjects.js";
import { type CommitOutcome, mayPass } from "./chain.js";
import { follow } from "./follow.js";
import {
  deleteStream,
  directMessage,
  lastSubjects,
  purgeSubject,
  type Stored,
  store,
  storedMessage,
  streamMadeAt,
  type Unavailable,
} from "./jetstream.js";
import {
  type AddedModel,
  encodeModelRecord,
  foldRecord,
  type LoggedModelRecord,
  type ModelRecord,
  modelBounds,
  parseModelRecord,
  piecesOf,
  type Standings,
} from "./model-records.js";

export type FetchOutcome =
  | { readonly kind: "fetched"; readonly bytes: Uint8Array }
  /** What is there is not what the record says. */
  | { readonly kind: "refused"; readonly why: "missing" | "size" | "checksum"; readonly message: string }
  | Unavailable;

export type StandingsOutcome =
  | {
      readonly kind: "standings";
      readonly standings: Standings;
      /** The next record comes from here on. */
      readonly nextSeq: number;
    }
  | Unavailable;

export type UploadOutcome = { readonly kind: "uploaded"; readonly added: AddedModel } | Unavailable;

export interface ModelRegistry {
  /** How it stands now, as the stream's leader has it. */
  standings(): Promise<StandingsOutcome>;
  /** Every record from `fromSeq` on, then each new one. */
  follow(fromSeq: number, signal: AbortSignal): AsyncIterable<LoggedModelRecord>;
  /** Sends the pieces; nothing is served yet. `onPiece`: how many bytes are stored. */
  upload(model: ModelPackage, parts: readonly Uint8Array[], onPiece?: (bytes: number) => void): Promise<UploadOutcome>;
  /** Says a record behind the one at `expected`, 0 for none (R2). */
  say(record: ModelRecord, expected: number): Promise<CommitOutcome>;
  fetch(added: AddedModel): Promise<FetchOutcome>;
  /** Removes the pieces that nobody will ask for (R4); how many uploads went. */
  sweep(standings: Standings): Promise<number>;
  /** Removes a model's log, if the newest record about it still says so. */
  purgeLog(name: string): Promise<{ readonly kind: "purged" | "refused" } | Unavailable>;
}

const uploadTries = 3;
const sayPauseMs = 25;
/** So long an upload may stand still before its pieces count as left behind. */
const abandonedAfterMs = 600_000;

export function openModelRegistry(bus: Bus, clock: Clock, subjects: Subjects): ModelRegistry {
  const stream = subjects.modelsStream;
  return {
    standings: () => readStandings(bus, subjects),
    follow: async function* (fromSeq, signal) {
      const wanted = { fromSeq, signal, subject: subjects.all.modelHeads };
      for await (const { seq, subject, bytes } of follow(bus, clock, stream, wanted)) yield logged(seq, subject, bytes);
    },
    upload: (model, parts, onPiece = () => undefined) => upload(bus, clock, subjects, { model, parts, onPiece }),
    say: (record, expected) => say(bus, clock, subjects, record, expected),
    fetch: (added) => fetchPieces(bus, subjects, added),
    sweep: (standings) => sweep(bus, clock, subjects, standings),
    purgeLog: (name) => purgeLog(bus, subjects, name),
  };
}

function logged(seq: number, subject: string, bytes: Uint8Array): LoggedModelRecord {
  const parsed = parseModelRecord(bytes);
  const [name = ""] = modelOf(subject).split(".");
  return { seq, name, record: parsed.kind === "ok" ? parsed.value : undefined };
}

async function readStandings(bus: Bus, subjects: Subjects): Promise<StandingsOutcome> {
  let standings: Standings = new Map();
  for (let seq = 1; ; ) {
    const found = await storedMessage(bus, subjects.modelsStream, { seq, next_by_subj: subjects.all.modelHeads });
    if (found.kind === "unavailable") return found;
    if (found.kind === "none") return { kind: "standings", standings, nextSeq: seq };
    const { message } = found;
    standings = foldRecord(standings, logged(message.seq, message.subject, message.bytes));
    seq = message.seq + 1;
  }
}

async function say(
  bus: Bus,
  clock: Clock,
  subjects: Subjects,
  record: ModelRecord,
  expected: number,
): Promise<CommitOutcome> {
  const subject = subjects.modelHead(record.name);
  const bytes = encodeModelRecord(record);
  const deadlineAtMs = clock.monotonicMs() + bus.timeouts.commit;
  for (;;) {
    const outcome = await store(bus, subject, bytes, {
      timeoutMs: bus.timeouts.commitTry,
      expectedLastSequence: expected,
    });
    if (outcome.kind === "unavailable" && !mayPass(outcome)) return outcome;
    // Refused, or its acknowledgement lost, or two were let in: the first record behind the one it names says what became of it.
    const next = await storedMessage(bus, subjects.modelsStream, { seq: expected + 1, next_by_subj: subject });
    if (next.kind === "unavailable" && !mayPass(next)) return next;
    if (next.kind === "found")
      return Buffer.compare(next.message.bytes, bytes) === 0
        ? { kind: "committed", seq: next.message.seq }
        : { kind: "fenced" };
    if (clock.monotonicMs() >= deadlineAtMs) return { kind: "unavailable", why: "timeout" };
    await clock.delay(sayPauseMs);
  }
}

interface Upload {
  readonly model: ModelPackage;
  readonly parts: readonly Uint8Array[];
  readonly onPiece: (bytes: number) => void;
}

async function upload(
  bus: Bus,
  clock: Clock,
  subjects: Subjects,
  { model, parts, onPiece }: Upload,
): Promise<UploadOutcome> {
  const id = randomBytes(16).toString("hex");
  const { name, bytes, sha256, files } = model;
  const whole = Buffer.concat(parts);
  const subject = subjects.modelPieces(name, id);
  for (let index = 0; index < piecesOf(bytes); index += 1) {
    const from = index * modelBounds.pieceBytes;
    const piece = whole.subarray(from, from + modelBounds.pieceBytes);
    const stored = await storePiece(bus, clock, subject, piece, `${id}.${index}`, index);
    if (stored !== undefined) return stored;
    onPiece(from + piece.byteLength);
  }
  const pieces = piecesOf(bytes);
  return {
    kind: "uploaded",
    added: { kind: "added", name, upload: id, pieces, bytes, sha256, files, atMs: Math.round(clock.nowMs()) },
  };
}

/** Undefined once it is stored. */
async function storePiece(
  bus: Bus,
  clock: Clock,
  subject: string,
  piece: Uint8Array,
  messageId: string,
  index: number,
): Promise<Unavailable | undefined> {
  for (let tries = 1; ; tries += 1) {
    const headers = { [header.position]: `${index}` };
    const outcome = await store(bus, subject, piece, { timeoutMs: bus.timeouts.modelUpload, messageId, headers });
    if (outcome.kind === "stored") return undefined;
    if (outcome.kind === "wrong_sequence") throw new Error("a piece is stored behind nothing in particular");
    if (outcome.why !== "timeout" || tries === uploadTries) return outcome;
    await clock.delay(bus.timeouts.appendTry);
  }
}

async function fetchPieces(bus: Bus, subjects: Subjects, added: AddedModel): Promise<FetchOutcome> {
  const { name, upload: id, pieces, bytes, sha256 } = added;
  const subject = subjects.modelPieces(name, id);
  const whole = new Uint8Array(bytes);
  const hash = createHash("sha256");
  let [seq, offset] = [1, 0];
  for (let index = 0; index < pieces; index += 1) {
    const found = await pieceFrom(bus, subjects.modelsStream, subject, seq);
    if (found.kind === "unavailable") return found;
    const missing = `piece ${index + 1} of ${pieces} of ${name} is not on the stream`;
    if (found.kind === "none" || found.message.headers.get(header.position) !== `${index}`)
      return { kind: "refused", why: "missing", message: missing };
    const { message } = found;
    if (message.bytes.byteLength !== Math.min(modelBounds.pieceBytes, bytes - offset))
      return {
        kind: "refused",
        why: "size",
        message: `piece ${index + 1} of ${name} has ${message.bytes.byteLength} bytes`,
      };
    whole.set(message.bytes, offset);
    hash.update(message.bytes);
    offset += message.bytes.byteLength;
    seq = message.seq + 1;
  }
  const found = hash.digest("hex");
  if (found === sha256) return { kind: "fetched", bytes: whole };
  return {
    kind: "refused",
    why: "checksum",
    message: `the bytes of ${name} have the sha256 ${found}, its record says ${sha256}`,
  };
}

/** From any replica; one that lags is not believed when it has nothing. */
async function pieceFrom(
  bus: Bus,
  stream: string,
  subject: string,
  seq: number,
): Promise<{ readonly kind: "found"; readonly message: Stored } | { readonly kind: "none" } | Unavailable> {
  const which = { seq, next_by_subj: subject };
  const direct = await directMessage(bus, stream, which);
  return direct.kind === "found" ? direct : storedMessage(bus, stream, which);
}

async function sweep(bus: Bus, clock: Clock, subjects: Subjects, standings: Standings): Promise<number> {
  const listed = await lastSubjects(bus, subjects.modelsStream, subjects.all.modelPieces);
  if (listed.kind === "unavailable") return 0;
  let swept = 0;
  for (const subject of listed.subjects) {
    const { model, upload: id } = uploadOf(subject);
    const standing = standings.get(model);
    if (standing?.served?.upload === id) continue;
    const last = await storedMessage(bus, subjects.modelsStream, { last_by_subj: subject });
    if (last.kind !== "found") continue;
    const isOver = last.message.seq < (standing?.seq ?? 0) || clock.nowMs() - last.message.atMs > abandonedAfterMs;
    if (isOver && (await purgeSubject(bus, subjects.modelsStream, subject)).kind === "purged") swept += 1;
  }
  return swept;
}

async function purgeLog(
  bus: Bus,
  subjects: Subjects,
  name: string,
): Promise<{ readonly kind: "purged" | "refused" } | Unavailable> {
  const newest = await storedMessage(bus, subjects.modelsStream, { last_by_subj: subjects.modelHead(name) });
  if (newest.kind === "unavailable") return newest;
  const parsed = newest.kind === "found" ? parseModelRecord(newest.message.bytes) : undefined;
  if (newest.kind !== "found" || parsed?.kind !== "ok" || parsed.value.kind !== "purged") return { kind: "refused" };
  for (const kind of [...streamKinds].reverse()) {
    const made = await streamMadeAt(bus, subjects.stream(kind, name));
    if (made.kind === "unavailable" && made.why !== "no_stream") return made;
    if (made.kind === "unavailable" || made.atMs > newest.message.atMs) continue;
    const outcome = await deleteStream(bus, subjects.stream(kind, name));
    if (outcome.kind === "unavailable") return outcome;
  }
  return { kind: "purged" };
}
