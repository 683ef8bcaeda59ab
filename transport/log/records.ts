// The log's records as bytes: columns as tensors, so that 64 rows cost one decode and no copies.
//
// Owns: the layout of experience records, update entries and commits. Does not own: where they are kept (log.ts, chain.ts).
//
// R1. Decoding checks that all columns have the same number of rows; a record that passes can be folded without further checks.
// R2. Fields we do not know are ignored, so that an older node can follow a newer one.
// R3. Moments are four fifths of a record and are held as halves, and so are densities and looks. Whoever writes a record has rounded them before (models/numbers/half.ts), so
//     that what it folds itself and what the others read are the same bits.

import {
  type ExperienceBatch,
  type ExperienceRecord,
  type LateWord,
  type LooksSeen,
  type Mark,
  type Restore,
  rowsOf,
  type UpdateEntry,
  type UpdateTask,
} from "../../models/experience.js";
import { halvesOf, numbersOf } from "../../models/numbers/half.js";
import { type ArrayOf, type Dtype, encodeMessage, type Fields, type PlainMap } from "../messages/codec.js";
import {
  column,
  inside,
  list,
  number,
  oneOf,
  optional,
  type Parsed,
  parse,
  text,
  texts,
  whole,
  wrong,
} from "../messages/fields.js";
import { plainPosition, positionIn } from "../messages/wire.js";
import { writtenBatch } from "./written-batch.js";

/** How the writer stands to what follows a commit, while something there ended writers. */
export interface Trying {
  /** How often what follows was begun since the last progress. */
  readonly times: number;
  /** So many updates from here on are applied one by one; 0 = in batches. */
  readonly alone: number;
  /** What the last try died of, when it could say so. */
  readonly cause?: string | undefined;
}

/** Updates that every fold passes by. */
export interface Skipped {
  /** Their sequences, rising: the newest ones. */
  readonly seqs: readonly number[];
  /** The list names every skip behind this sequence; older ones may have been dropped from it. */
  readonly wholeFrom: number;
}

/** One link of a model's weights chain: what the fold of the log gave up to `updateSeq`, and what serving uses from it. */
export interface Commit {
  readonly model: string;
  /** Accepted steps. */
  readonly version: number;
  /** Last update task in the fold; recovery goes on behind it. */
  readonly updateSeq: number;
  /** Last experience record in the fold. */
  readonly experienceSeq: number;
  readonly node: string;
  readonly incarnation: number;
  /** The TensorFlow.js backend that computed it: bits agree between equal backends only. */
  readonly backend: string;
  /** sha256, hex, over every bit that decides future behaviour. */
  readonly checksum: string;
  readonly previousChecksum?: string | undefined;
  /** The head that serving uses: [width * classes + classes]. */
  readonly served: Float32Array;
  readonly counters: {
    readonly applied: number;
    readonly refused: Readonly<Record<string, number>>;
    readonly duplicates: number;
  };
  readonly atMs: number;
  readonly trying?: Trying | undefined;
  readonly skipped?: Skipped | undefined;
}

const skippedMax = 4_096;
const name = text(64);
const atMs = number(0, Number.MAX_VALUE);

export function encodeExperience(record: ExperienceRecord): Uint8Array {
  return record.kind === "answers"
    ? encodeBatch(record)
    : encodeMessage({ v: 1, ...record, of: plainPosition(record.of) });
}

export function decodeExperience(bytes: Uint8Array): Parsed<ExperienceRecord> {
  const written = writtenBatch(bytes);
  return written === undefined ? decodeAnyExperience(bytes) : { kind: "ok", value: written };
}

/** The same the long way round, whatever the layout: what `writtenBatch` is held to. */
export function decodeAnyExperience(bytes: Uint8Array): Parsed<ExperienceRecord> {
  return parse(bytes, (fields) =>
    oneOf("answers", "label", "reward")(fields, "kind") === "answers" ? batchIn(fields) : wordIn(fields),
  );
}

function encodeBatch(batch: ExperienceBatch): Uint8Array {
  const rows = rowsOf(batch);
  const { looks } = batch;
  const wide = <D extends Dtype>(dt: D, data: ArrayOf[D]) => ({
    dt,
    sh: [rows, rows === 0 ? 0 : data.length / rows],
    data,
  });
  const head: PlainMap = {
    v: 1,
    kind: batch.kind,
    model: batch.model,
    node: batch.node,
    incarnation: batch.incarnation,
    atMs: batch.atMs,
    version: batch.version,
    ids: batch.ids,
    traceIds: batch.traceIds,
  };
  return encodeMessage(head, {
    cold: { dt: "|u1", sh: [rows], data: batch.cold },
    bySource: { dt: "|u1", sh: [rows], data: batch.bySource },
    learn: { dt: "|u1", sh: [rows], data: batch.learn },
    answers: { dt: "<u2", sh: [rows], data: batch.answers },
    confidences: { dt: "<f4", sh: [rows], data: batch.confidences },
    priorities: { dt: "<f4", sh: [rows], data: batch.priorities },
    slots: { dt: "|u1", sh: [rows], data: batch.slots },
    densities: { dt: "<f2", sh: [rows], data: halvesOf(batch.densities) },
    lookRows: { dt: "<u2", sh: [looks.rows.length], data: looks.rows },
    lookKinds: { dt: "|u1", sh: [looks.rows.length], data: looks.kinds },
    lookDensities: { dt: "<f2", sh: [looks.rows.length], data: halvesOf(looks.densities) },
    lookAnswers: {
      dt: "<f2",
      sh: [looks.rows.length, looks.rows.length === 0 ? 0 : looks.answers.length / looks.rows.length],
      data: halvesOf(looks.answers),
    },
    embeddings: wide("<f4", batch.embeddings),
    logits: wide("<f4", batch.logits),
    moments: wide("<f2", halvesOf(batch.moments)),
  });
}

function batchIn(fields: Fields): ExperienceBatch {
  const ids = texts(128)(fields, "ids");
  const traceIds = texts(64)(fields, "traceIds");
  const rows = ids.length;
  if (traceIds.length !== rows) throw wrong("traceIds", `must have as many items as ids, ${rows}`);
  return {
    kind: "answers",
    model: name(fields, "model"),
    node: name(fields, "node"),
    incarnation: whole(0)(fields, "incarnation"),
    atMs: atMs(fields, "atMs"),
    version: whole(0)(fields, "version"),
    ids,
    traceIds,
    cold: column(fields, "cold", "|u1", [rows]),
    bySource: column(fields, "bySource", "|u1", [rows]),
    learn: column(fields, "learn", "|u1", [rows]),
    answers: column(fields, "answers", "<u2", [rows]),
    confidences: column(fields, "confidences", "<f4", [rows]),
    priorities: column(fields, "priorities", "<f4", [rows]),
    slots: column(fields, "slots", "|u1", [rows]),
    densities: numbersOf(column(fields, "densities", "<f2", [rows])),
    looks: looksIn(fields, rows),
    embeddings: column(fields, "embeddings", "<f4", [rows, -1]),
    logits: column(fields, "logits", "<f4", [rows, -1]),
    moments: numbersOf(column(fields, "moments", "<f2", [rows, -1])),
  };
}

/** Rows rise and are among the record's, so that a fold finds those of one row side by side. */
function looksIn(fields: Fields, records: number): LooksSeen {
  const rows = column(fields, "lookRows", "<u2", [-1]);
  const sorted = rows.every((row, i) => row < records && row >= (rows[i - 1] ?? 0));
  if (!sorted) throw wrong("lookRows", "must rise and name rows of the record");
  return {
    rows,
    kinds: column(fields, "lookKinds", "|u1", [rows.length]),
    densities: numbersOf(column(fields, "lookDensities", "<f2", [rows.length])),
    answers: numbersOf(column(fields, "lookAnswers", "<f2", [rows.length, -1])),
  };
}

function wordIn(fields: Fields): LateWord {
  const head = {
    model: name(fields, "model"),
    node: name(fields, "node"),
    atMs: atMs(fields, "atMs"),
    id: text(128)(fields, "id"),
    of: positionIn(fields, "of"),
  };
  return oneOf("label", "reward")(fields, "kind") === "label"
    ? { kind: "label", ...head, label: whole(0, 65_535)(fields, "label") }
    : { kind: "reward", ...head, reward: number(-1, 1)(fields, "reward") };
}

export function encodeUpdate(entry: UpdateEntry): Uint8Array {
  if (entry.kind === "mark") return encodeMessage({ v: 1, kind: entry.kind, ...entry.mark });
  if (entry.kind === "restore") return encodeRestore(entry.restore);
  const { experience, traceparent: _, ...task } = entry.task;
  return encodeMessage({ v: 1, kind: entry.kind, ...task, experience: plainPosition(experience) });
}

export function decodeUpdate(bytes: Uint8Array): Parsed<UpdateEntry> {
  return parse(bytes, (fields) => {
    const kind = oneOf("task", "mark", "restore")(fields, "kind");
    if (kind === "mark") return { kind, mark: markIn(fields) };
    return kind === "restore" ? { kind, restore: restoreIn(fields) } : { kind, task: taskIn(fields) };
  });
}

function encodeRestore(restore: Restore): Uint8Array {
  const { head, served, firstMoment, secondMoment, ...rest } = restore;
  const parameters = (data: Float32Array) => ({ dt: "<f4", sh: [data.length], data }) as const;
  return encodeMessage(
    { v: 1, kind: "restore", ...rest, from: { ...rest.from } },
    {
      head: parameters(head),
      served: parameters(served),
      firstMoment: parameters(firstMoment),
      secondMoment: parameters(secondMoment),
    },
  );
}

function restoreIn(fields: Fields): Restore {
  const count = whole(0);
  const parameters = (field: string) => column(fields, field, "<f4", [-1]);
  return {
    model: name(fields, "model"),
    node: name(fields, "node"),
    atMs: atMs(fields, "atMs"),
    from: inside(fields, "from", (inner, prefix) => ({
      updateSeq: count(inner, `${prefix}updateSeq`),
      version: count(inner, `${prefix}version`),
      snapshot: optional(inner, `${prefix}snapshot`, count),
    })),
    head: parameters("head"),
    served: parameters("served"),
    firstMoment: parameters("firstMoment"),
    secondMoment: parameters("secondMoment"),
    steps: count(fields, "steps"),
  };
}

function markIn(fields: Fields): Mark {
  return {
    model: name(fields, "model"),
    node: name(fields, "node"),
    atMs: atMs(fields, "atMs"),
    experienceSeq: whole(0)(fields, "experienceSeq"),
  };
}

function taskIn(fields: Fields): UpdateTask {
  return {
    model: name(fields, "model"),
    traceId: text(64)(fields, "traceId"),
    experience: positionIn(fields, "experience"),
    confidence: number(0, 1)(fields, "confidence"),
    atMs: atMs(fields, "atMs"),
    node: name(fields, "node"),
  };
}

export function encodeCommit(commit: Commit): Uint8Array {
  const { served, counters, trying, skipped, ...rest } = commit;
  const head: PlainMap = {
    v: 1,
    ...rest,
    counters: { ...counters, refused: { ...counters.refused } },
    ...(trying === undefined ? {} : { trying: { ...trying } }),
    ...(skipped === undefined ? {} : { skipped: { ...skipped } }),
  };
  return encodeMessage(head, { served: { dt: "<f4", sh: [served.length], data: served } });
}

export function decodeCommit(bytes: Uint8Array): Parsed<Commit> {
  const count = whole(0);
  return parse(bytes, (fields) => ({
    model: name(fields, "model"),
    version: count(fields, "version"),
    updateSeq: count(fields, "updateSeq"),
    experienceSeq: count(fields, "experienceSeq"),
    node: name(fields, "node"),
    incarnation: count(fields, "incarnation"),
    backend: name(fields, "backend"),
    checksum: text(64)(fields, "checksum"),
    previousChecksum: optional(fields, "previousChecksum", text(64)),
    served: column(fields, "served", "<f4", [-1]),
    counters: inside(fields, "counters", (inner, prefix) => ({
      applied: count(inner, `${prefix}applied`),
      refused: inside(inner, `${prefix}refused`, countsIn),
      duplicates: count(inner, `${prefix}duplicates`),
    })),
    atMs: atMs(fields, "atMs"),
    trying: optional(fields, "trying", tryingIn),
    skipped: optional(fields, "skipped", skippedIn),
  }));
}

function tryingIn(fields: Fields, field: string): Trying {
  return inside(fields, field, (inner, prefix) => ({
    times: whole(0)(inner, `${prefix}times`),
    alone: whole(0)(inner, `${prefix}alone`),
    cause: optional(inner, `${prefix}cause`, text(1_024)),
  }));
}

function skippedIn(fields: Fields, field: string): Skipped {
  return inside(fields, field, (inner, prefix) => {
    const seqs = list(whole(1))(inner, `${prefix}seqs`);
    if (seqs.length > skippedMax) throw wrong(`${prefix}seqs`, `must name at most ${skippedMax}`);
    return { seqs, wholeFrom: whole(0)(inner, `${prefix}wholeFrom`) };
  });
}

function countsIn(fields: Fields, prefix: string): Readonly<Record<string, number>> {
  return Object.fromEntries(Object.keys(fields).map((reason) => [reason, whole(0)(fields, `${prefix}${reason}`)]));
}
