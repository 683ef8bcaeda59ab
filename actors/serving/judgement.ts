// What the rows of a micro-batch become: answers, lines of the log, and perhaps tasks.
//
// Owns: the judgement of each row, its columns in the log, the reply that follows from both.
// Does not own: the formulas (models/memory/vote.ts, gate.ts, reward.ts, priority.ts, domains.ts), the log, who is waiting (desk.ts).
//
// J1. Pure: a function of the batch and the time. Chance, for the moment slot alone, follows from the request's id.
// J2. Rows that the log already answered are left out: they leave no second experience.

import { type Anchor, nearestAnchors } from "../../models/adaptation/density.js";
import { chooseSlot, momentDistance } from "../../models/adaptation/domains.js";
import type { Embedded } from "../../models/adaptation/pass.js";
import { type ExperienceBatch, type LooksSeen, noLooks, rowsOf, type UpdateTask } from "../../models/experience.js";
import { gate } from "../../models/judging/gate.js";
import { priority } from "../../models/judging/priority.js";
import { coherenceAt, type Reward, reward } from "../../models/judging/reward.js";
import type { Model } from "../../models/manifest.js";
import { areSilent, castVotes, loneAnswer, loneVerdict, neighboursOf, type Verdict } from "../../models/memory/vote.js";
import { roundedToHalves } from "../../models/numbers/half.js";
import { at, softmax } from "../../models/numbers/softmax.js";
import { requestChance, requestSeed } from "../../models/request-chance.js";
import type { LearningSettings } from "../../models/settings.js";
import { formatTraceparent, requestSpanId } from "../../operations/traces/trace-context.js";
import { type Explanation, encodeInferenceReply } from "../../transport/messages/wire.js";
import type { OpenRequest } from "./desk.js";
import type { PastAnswer, VoterMessage } from "./messages.js";
import { looksAt, type Sight, sightOf } from "./sight.js";

export interface Author {
  readonly node: string;
  readonly nodeIncarnation: number;
  readonly nowMs: number;
}

export interface Judgement {
  readonly requests: readonly OpenRequest[];
  /** Their rows in what the model gave. */
  readonly rows: readonly number[];
  readonly embedded: Embedded;
  readonly verdicts: readonly Verdict[];
  readonly rewards: readonly Reward[];
  readonly sights: readonly Sight[];
  readonly record: ExperienceBatch;
}

/** Undefined when no row of the batch is new. */
export function judge(model: Model, message: VoterMessage, author: Author): Judgement | undefined {
  const { rows, requests, judged, ids, traceIds } = judgedRows(model, message, author.nowMs);
  if (rows.length === 0) return undefined;
  const { batch } = message;
  const { name } = model.manifest;
  const { embedded, cold } = batch;
  const record: ExperienceBatch = {
    kind: "answers",
    model: name,
    node: author.node,
    incarnation: author.nodeIncarnation,
    atMs: author.nowMs,
    version: batch.version,
    ids,
    traceIds,
    ...judgedColumns(judged, cold, model.manifest.learning),
    // As the log will hold them: this node folds the record as it is, the others fold what they read.
    densities: roundedToHalves(pick(embedded.density, embedded.rows, rows)),
    looks: looksLogged(embedded.looks, rows),
    embeddings: pick(embedded.embeddings, embedded.rows, rows),
    logits: pick(embedded.logits, embedded.rows, rows),
    moments: roundedToHalves(pick(embedded.moments, embedded.rows, rows)),
  };
  return {
    ...{ requests, rows, embedded, record },
    verdicts: judged.map(({ verdict }) => verdict),
    rewards: judged.map((row) => row.reward),
    sights: judged.map(({ sight }) => sight),
  };
}

/** Those that the log has not answered. */
function judgedRows(model: Model, message: VoterMessage, nowMs: number) {
  const { batch, past } = message;
  const rows: number[] = [];
  const requests: OpenRequest[] = [];
  const judged: JudgedRow[] = [];
  const ids: string[] = [];
  const traceIds: string[] = [];
  for (let row = 0; row < batch.requests.length; row++) {
    const request = batch.requests[row];
    if (request === undefined || past[row] !== undefined) continue;
    rows.push(row);
    requests.push(request);
    ids.push(request.id);
    traceIds.push(request.traceId);
    judged.push(judgeRow(model, message, row, nowMs));
  }
  return { rows, requests, judged, ids, traceIds };
}

/** Filled one by one: a typed array made from a list by a function asks an iterator for every number. */
function judgedColumns(judged: readonly JudgedRow[], isCold: boolean, learning: LearningSettings) {
  const rows = judged.length;
  const columns = {
    cold: new Uint8Array(rows).fill(isCold ? 1 : 0),
    bySource: new Uint8Array(rows),
    learn: new Uint8Array(rows),
    answers: new Uint16Array(rows),
    confidences: new Float32Array(rows),
    priorities: new Float32Array(rows),
    slots: new Uint8Array(rows),
  };
  for (let row = 0; row < rows; row++) {
    const one = judged[row];
    if (one === undefined) continue;
    const { verdict, reward: rewarded, slot } = one;
    columns.learn[row] = gate(verdict.confidence, isCold, learning) === "learn" ? 1 : 0;
    columns.answers[row] = verdict.answer;
    columns.confidences[row] = verdict.confidence;
    columns.priorities[row] = priority(verdict.confidence, rewarded, isCold, learning);
    columns.slots[row] = slot;
    columns.bySource[row] = one.bySource;
  }
  return columns;
}

/** The looks at the rows that are logged, under the numbers these have in the record. */
function looksLogged(looks: LooksSeen, rows: readonly number[]): LooksSeen {
  if (looks.rows.length === 0) return noLooks;
  const places = new Map(rows.map((row, place) => [row, place]));
  const kept = [...looks.rows.keys()].filter((i) => places.has(looks.rows[i] ?? -1));
  return {
    rows: Uint16Array.from(kept, (i) => places.get(looks.rows[i] ?? -1) ?? 0),
    kinds: Uint8Array.from(kept, (i) => looks.kinds[i] ?? 0),
    densities: roundedToHalves(pick(looks.densities, looks.rows.length, kept)),
    answers: roundedToHalves(pick(looks.answers, looks.rows.length, kept)),
  };
}

interface JudgedRow {
  readonly verdict: Verdict;
  readonly reward: Reward;
  readonly slot: number;
  /** 1 = as in the record. */
  readonly bySource: number;
  readonly sight: Sight;
}

/** Reads the columns where they lie: cutting them into rows costs as much as judging them. */
function judgeRow(model: Model, message: VoterMessage, row: number, nowMs: number): JudgedRow {
  const { calibration } = model;
  const { batch } = message;
  const { plain, moments, rows, density: densities } = batch.embedded;
  const start = row * calibration.classes;
  const density = densities[row] ?? 0;
  const chance = requestChance(requestSeed(batch.requests[row]?.id ?? ""), "slot");
  const { slot, trusted } = chooseSlot(calibration, { logits: plain, start, density }, chance);
  const verdict = verdictOf(model, message, row, nowMs);
  const evidence = {
    // The look as the request came is the judge of what the others add: never the vote that it takes part in.
    own: loneAnswer(plain, start, calibration.classes),
    answer: verdict.answer,
    coherence: coherenceOf(message, row, verdict),
    density,
    momentDistance: momentDistance(calibration, moments, (row * moments.length) / rows),
    momentDistance99: calibration.momentDistance99,
  };
  const bySource = at(batch.embedded.bySource, row);
  return { verdict, reward: reward(evidence), slot, bySource, sight: sightOf(model, batch.embedded, row, trusted) };
}

/** Anchors have no part in it, and where the model is asked alone, nobody has. */
function coherenceOf({ batch, neighbours }: VoterMessage, row: number, { answer }: Verdict): number {
  return batch.cold || neighbours === undefined ? 0 : coherenceAt(neighbours, row, answer);
}

function verdictOf(model: Model, { batch, neighbours: found }: VoterMessage, row: number, nowMs: number): Verdict {
  const { calibration, manifest } = model;
  const { logits, embeddings } = batch.embedded;
  const { classes } = calibration;
  if (batch.cold || found === undefined) return loneVerdict(logits, row * classes, classes);
  if (areSilent(found, row, manifest.learning)) return loneVerdict(logits, row * classes, classes, { found, row });
  const anchors = (): readonly Anchor[] => nearestAnchors(rowOf(embeddings, batch.embedded, row), calibration);
  const ballot = { logits: rowOf(logits, batch.embedded, row), neighbours: neighboursOf(found, row), anchors, nowMs };
  return castVotes(ballot, manifest.learning);
}

/** One task per row that the gate let pass, in row order. */
export function tasksOf(record: ExperienceBatch, seq: number): UpdateTask[] {
  const { model, node, atMs } = record;
  const tasks: UpdateTask[] = [];
  for (let index = record.learn.indexOf(1); index >= 0; index = record.learn.indexOf(1, index + 1)) {
    const traceId = record.traceIds[index] ?? "";
    const parentSpanId = requestSpanId(traceId, record.ids[index] ?? "");
    const traceparent = formatTraceparent({ traceId, parentSpanId, sampled: true });
    const confidence = record.confidences[index] ?? 0;
    tasks.push({ model, node, atMs, traceId, experience: { seq, index }, confidence, traceparent });
  }
  return tasks;
}

/** The reply to one row of a judgement that was appended at `seq`. */
export function answerOf(model: Model, node: string, judgement: Judgement, index: number, seq: number): Uint8Array {
  const { record, requests, verdicts } = judgement;
  const request = requests[index];
  const verdict = verdicts[index];
  if (request === undefined || verdict === undefined)
    throw new Error(`row ${index} of ${rowsOf(record)} has no request`);
  return encodeInferenceReply({
    id: request.id,
    answer: { index: verdict.answer, label: labelOf(model, verdict.answer) },
    // As the log holds it, so that a repeated request gets the same number.
    confidence: record.confidences[index] ?? verdict.confidence,
    mode: record.cold[index] === 1 ? "cold" : "ensemble",
    modelVersion: record.version,
    experience: { seq, index },
    traceId: request.traceId,
    node,
    explain: request.explain ? explanationOf(model, judgement, index, verdict) : undefined,
  });
}

/** The reply that an earlier delivery of the same request got. */
export function pastAnswerOf(model: Model, node: string, request: OpenRequest, past: PastAnswer): Uint8Array {
  return encodeInferenceReply({
    id: request.id,
    answer: { index: past.answer, label: labelOf(model, past.answer) },
    confidence: past.confidence,
    mode: past.cold ? "cold" : "ensemble",
    modelVersion: past.version,
    experience: past.at,
    traceId: past.traceId,
    node,
  });
}

function explanationOf(
  model: Model,
  { embedded, rows, sights }: Judgement,
  index: number,
  verdict: Verdict,
): Explanation {
  const row = rows[index] ?? 0;
  return {
    own: [...softmax(rowOf(embedded.plain, embedded, row))],
    model: [...softmax(rowOf(embedded.logits, embedded, row))],
    domain: sights[index]?.domain ?? null,
    looks: looksAt(model, embedded, row),
    neighbours: verdict.votes.flatMap((vote) =>
      vote.from === "model"
        ? []
        : [
            {
              id: vote.from === "anchor" ? `anchor.${vote.anchor}` : `${vote.position.seq}.${vote.position.index}`,
              similarity: vote.similarity,
              label: labelOf(model, vote.answer),
              weight: vote.weight,
            },
          ],
    ),
    weights: [...verdict.shares],
  };
}

function labelOf(model: Model, answer: number): string {
  return model.manifest.labels[answer] ?? `${answer}`;
}

function rowOf(column: Float32Array, { rows }: Embedded, row: number): Float32Array {
  const width = column.length / rows;
  return column.subarray(row * width, (row + 1) * width);
}

/** The whole column when every row is picked: the common case copies nothing. */
function pick(column: Float32Array, rows: number, picked: readonly number[]): Float32Array {
  if (picked.length === rows) return column;
  const width = column.length / rows;
  const out = new Float32Array(picked.length * width);
  for (const [to, from] of picked.entries()) out.set(column.subarray(from * width, (from + 1) * width), to * width);
  return out;
}
