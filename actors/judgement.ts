// What the rows of a micro-batch become: answers, lines of the log, and perhaps tasks.
//
// Owns: the judgement of each row, its columns in the log, the reply that follows from both.
// Does not own: the formulas (models/vote.ts, gate.ts, reward.ts, priority.ts, domains.ts), the log, who is waiting (desk.ts).
//
// J1. Pure: a function of the batch and the time. Chance, for the moment slot alone, follows from the request's id.
// J2. Rows that the log already answered are left out: they leave no second experience.

import { nearestAnchors } from "../models/density.js";
import { chooseSlot, momentDistance } from "../models/domains.js";
import { type ExperienceBatch, type LooksSeen, noLooks, rowsOf, type UpdateTask } from "../models/experience.js";
import { gate } from "../models/gate.js";
import { roundedToHalves } from "../models/half.js";
import type { Model } from "../models/manifest.js";
import { priority } from "../models/priority.js";
import { requestChance, requestSeed } from "../models/request-chance.js";
import { type Reward, reward } from "../models/reward.js";
import type { LearningSettings } from "../models/settings.js";
import { softmax } from "../models/softmax.js";
import { castVotes, neighboursOf, ownVerdict, type Verdict } from "../models/vote.js";
import { formatTraceparent, requestSpanId } from "../operations/traces/trace-context.js";
import { type Explanation, encodeInferenceReply } from "../transport/wire.js";
import type { OpenRequest } from "./desk.js";
import type { EmbeddedBatch, PastAnswer, VoterMessage } from "./messages.js";
import { type Sight, sightOf } from "./sight.js";

export interface Author {
  readonly node: string;
  readonly nodeIncarnation: number;
  readonly nowMs: number;
}

export interface Judgement {
  readonly requests: readonly OpenRequest[];
  readonly verdicts: readonly Verdict[];
  readonly rewards: readonly Reward[];
  readonly sights: readonly Sight[];
  readonly record: ExperienceBatch;
}

/** Undefined when no row of the batch is new. */
export function judge(model: Model, message: VoterMessage, author: Author): Judgement | undefined {
  const { batch, past } = message;
  const rows: number[] = [];
  const requests: OpenRequest[] = [];
  for (const [row, request] of batch.requests.entries()) {
    if (past[row] !== undefined) continue;
    rows.push(row);
    requests.push(request);
  }
  if (rows.length === 0) return undefined;
  const judged = rows.map((row) => judgeRow(model, message, row, author.nowMs));
  const { name } = model.manifest;
  const { embedded, cold } = batch;
  const record: ExperienceBatch = {
    kind: "answers",
    model: name,
    node: author.node,
    incarnation: author.nodeIncarnation,
    atMs: author.nowMs,
    version: batch.version,
    ids: requests.map((request) => request.id),
    traceIds: requests.map((request) => request.traceId),
    ...judgedColumns(judged, cold, model.manifest.learning),
    // As the log will hold them: this node folds the record as it is, the others fold what they read.
    densities: roundedToHalves(pick(embedded.density, embedded.rows, rows)),
    looks: looksLogged(embedded.looks, rows),
    embeddings: pick(embedded.embeddings, embedded.rows, rows),
    logits: pick(embedded.logits, embedded.rows, rows),
    moments: roundedToHalves(pick(embedded.moments, embedded.rows, rows)),
  };
  return {
    requests,
    record,
    verdicts: judged.map(({ verdict }) => verdict),
    rewards: judged.map((row) => row.reward),
    sights: judged.map(({ sight }) => sight),
  };
}

/** Filled one by one: a typed array made from a list by a function asks an iterator for every number. */
function judgedColumns(judged: readonly JudgedRow[], isCold: boolean, learning: LearningSettings) {
  const rows = judged.length;
  const columns = {
    cold: new Uint8Array(rows).fill(isCold ? 1 : 0),
    learn: new Uint8Array(rows),
    answers: new Uint16Array(rows),
    confidences: new Float32Array(rows),
    priorities: new Float32Array(rows),
    slots: new Uint8Array(rows),
  };
  for (const [row, { verdict, reward: rewarded, slot }] of judged.entries()) {
    columns.learn[row] = gate(verdict.confidence, isCold, learning) === "learn" ? 1 : 0;
    columns.answers[row] = verdict.answer;
    columns.confidences[row] = verdict.confidence;
    columns.priorities[row] = priority(verdict.confidence, rewarded, isCold, learning);
    columns.slots[row] = slot;
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
  readonly sight: Sight;
}

function judgeRow(model: Model, { batch, neighbours }: VoterMessage, row: number, nowMs: number): JudgedRow {
  const { calibration } = model;
  const logits = rowOf(batch.embedded.logits, batch, row);
  const moments = rowOf(batch.embedded.moments, batch, row);
  const density = batch.embedded.density[row] ?? 0;
  const chance = requestChance(requestSeed(batch.requests[row]?.id ?? ""), "slot");
  // The look as the request came is the judge of what the others add: never the vote that it takes part in.
  const plain = rowOf(batch.embedded.plain, batch, row);
  const own = ownVerdict(plain);
  const anchors = () => nearestAnchors(rowOf(batch.embedded.embeddings, batch, row), calibration);
  const verdict =
    batch.cold || neighbours === undefined
      ? ownVerdict(logits)
      : castVotes({ logits, neighbours: neighboursOf(neighbours, row), anchors, nowMs }, model.manifest.learning);
  const evidence = {
    own: own.answer,
    verdict,
    density,
    momentDistance: momentDistance(calibration, moments),
    momentDistance99: calibration.momentDistance99,
  };
  const { slot, trusted } = chooseSlot(calibration, { logits: plain, density }, chance);
  const sight = sightOf(model, batch.embedded, row, { plain, logits, trusted });
  return { verdict, reward: reward(evidence), slot, sight };
}

/** One task per row that the gate let pass, in row order. */
export function tasksOf(record: ExperienceBatch, seq: number): UpdateTask[] {
  const { model, node, atMs } = record;
  return record.traceIds.flatMap((traceId, index) => {
    if (record.learn[index] !== 1) return [];
    const parentSpanId = requestSpanId(traceId, record.ids[index] ?? "");
    const traceparent = formatTraceparent({ traceId, parentSpanId, sampled: true });
    const confidence = record.confidences[index] ?? 0;
    return [{ model, node, atMs, traceId, experience: { seq, index }, confidence, traceparent }];
  });
}

/** The reply to one row of a judgement that was appended at `seq`. */
export function answerOf(model: Model, node: string, judgement: Judgement, index: number, seq: number): Uint8Array {
  const { record, requests, verdicts, sights } = judgement;
  const [request, verdict, sight] = [requests[index], verdicts[index], sights[index]];
  if (request === undefined || verdict === undefined || sight === undefined)
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
    explain: request.explain ? explanationOf(model, sight, verdict) : undefined,
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

function explanationOf(model: Model, { plain, logits, domain, looks }: Sight, verdict: Verdict): Explanation {
  return {
    own: [...softmax(plain)],
    model: [...softmax(logits)],
    domain,
    looks,
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

function rowOf(column: Float32Array, batch: EmbeddedBatch, row: number): Float32Array {
  const width = column.length / batch.embedded.rows;
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
