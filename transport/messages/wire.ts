// Requests and replies: the one place where what a stranger sent is checked, and where our answers get their bytes.
//
// Owns: the shape of every request and reply of docs "contract", in both directions.
// Does not own: log records (records.ts), telemetry (events.ts), tensor bytes (codec.ts).
//
// W1. Fields we do not know are ignored, so that a newer sender is understood.
// W2. A parse never throws on foreign bytes: it returns `refused` with a code, the culprit field and a sentence.

import type { Position } from "../../models/experience.js";
import { header } from "../subjects.js";
import {
  encodeMessage,
  type Fields,
  type PlainMap,
  plainRemote,
  type RemoteTensor,
  type SentTensor,
  type Tensor,
} from "./codec.js";
import {
  flag,
  inside,
  list,
  map,
  number,
  oneOf,
  optional,
  type Parsed,
  parse,
  sentOrRef,
  tensorOrRef,
  text,
  whole,
  wrong,
} from "./fields.js";

export const refusalCodes = [
  "bad_request",
  "bad_tensor",
  "unknown_model",
  "too_large",
  "not_ready",
  "overloaded",
  "shed",
  "deadline",
  "circuit_open",
  "log_unavailable",
  "internal",
  "under_minimum",
  "already_faulted",
  "restarts_spent",
  "halted",
] as const;
export type RefusalCode = (typeof refusalCodes)[number];

export interface Refusal {
  readonly id?: string | undefined;
  readonly code: RefusalCode;
  readonly message: string;
  readonly field?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly traceId?: string | undefined;
}

/** Bytes and the headers that go with them. */
export interface Framed {
  readonly bytes: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}

export interface InferenceRequest {
  /** By reference where its bytes are too many for a message. */
  readonly input: Tensor | RemoteTensor;
  /** The sender's id; the same id again is the same request. */
  readonly id?: string | undefined;
  /** 0 to 10; under pressure the low ones go first. */
  readonly priority: number;
  readonly deadlineMs?: number | undefined;
  readonly explain: boolean;
}
export const defaultPriority = 5;
export const deadlineMsMax = 600_000;

export interface Answer {
  readonly index: number;
  readonly label: string;
}

export interface Neighbour {
  readonly id: string;
  /** Cosine, -1..1. */
  readonly similarity: number;
  readonly label: string;
  /** What it added to its label's vote; 0 for a neighbour that may not vote. */
  readonly weight: number;
}

export interface Explanation {
  /** The model's own answer to the request as it came: softmax per class. */
  readonly own: readonly number[];
  /** Its answer with all looks, before the neighbours vote; the same where one look was enough. */
  readonly model: readonly number[];
  /** The domain whose normalisation answered, null for an input of no known domain. */
  readonly domain: number | null;
  /** Every look at the request, where one was not enough; weights of those that voted sum to 1. */
  readonly looks: readonly {
    readonly view: string;
    readonly density: number;
    readonly label: string;
    readonly weight: number;
  }[];
  readonly neighbours: readonly Neighbour[];
  /** The vote's total per class; the answer is its largest. */
  readonly weights: readonly number[];
}

export interface InferenceReply {
  readonly id: string;
  readonly answer: Answer;
  readonly confidence: number;
  readonly mode: "cold" | "ensemble";
  readonly modelVersion: number;
  /** Where the answer stands in the log; null when it was sent before it was written (`--ack early`). */
  readonly experience: Position | null;
  readonly traceId: string;
  readonly node: string;
  readonly explain?: Explanation | undefined;
}

/** A word about an earlier request: its true label, or what its answer was worth; with neither, a look at what is kept of it. */
export interface FeedbackRequest {
  readonly id: string;
  /** The label's text, or its index in the manifest. */
  readonly label?: string | number | undefined;
  /** -1 (a bad answer) to 1 (the right one). */
  readonly reward?: number | undefined;
}

/** What a node's memory has of an experience at the moment. */
export interface KeptExperience {
  /** What it counts as: the answer, or the true label once there is one. */
  readonly label: Answer;
  readonly confidence: number;
  readonly priority: number;
  readonly verified: boolean;
}

export interface FeedbackReply {
  readonly id: string;
  /** As taken; null when none was given. */
  readonly label: Answer | null;
  readonly reward: number | null;
  /** Of a look: null when it is no longer in the memory. */
  readonly kept?: KeptExperience | null | undefined;
  /** The experience it is about. */
  readonly of: Position;
  readonly traceId: string;
}

/** Characters of what is said of a refusal at most: one that names every actor of a node may be longer, and would not be understood. */
const sentenceMax = 4_096;

/** Characters of a request's id at most. */
const idMax = 128;
const id = text(idMax);
const control = /\p{Cc}/u;

/** Also of an id that came as a header. It goes on in headers, of a dead letter and of a client's request, and a line break would end one. */
export function isRequestId(given: string): boolean {
  return given.length > 0 && given.length <= idMax && !control.test(given);
}

/** The id that a sender chose. */
function chosenId(fields: Fields, field: string): string {
  const given = id(fields, field);
  if (!isRequestId(given)) throw wrong(field, "must have no control characters");
  return given;
}

const priorityIn = whole(0, 10);
const deadlineIn = number(1, deadlineMsMax);

export function parseInferenceRequest(bytes: Uint8Array): Parsed<InferenceRequest> {
  return parse(bytes, (fields) => requestIn(fields, tensorOrRef));
}

/** The same, its input the bytes that came: a part of the message. */
export function parseSentRequest(bytes: Uint8Array): Parsed<SentRequest> {
  return parse(bytes, sentRequestIn);
}

export type SentRequest = Omit<InferenceRequest, "input"> & { readonly input: SentTensor | RemoteTensor };

const sentRequestIn = (fields: Fields): SentRequest => requestIn(fields, sentOrRef);

function requestIn<I>(fields: Fields, inputIn: (fields: Fields, field: string) => I) {
  return {
    id: optional(fields, "id", chosenId),
    priority: optional(fields, "priority", priorityIn) ?? defaultPriority,
    deadlineMs: optional(fields, "deadlineMs", deadlineIn),
    explain: optional(fields, "explain", flag) ?? false,
    input: inputIn(fields, "input"),
  };
}

export function encodeInferenceRequest(
  request: Partial<InferenceRequest> & Pick<InferenceRequest, "input">,
): Uint8Array {
  const { input, ...head } = request;
  if ("ref" in input) return encodeMessage({ v: 1, ...head, input: plainRemote(input) });
  return encodeMessage({ v: 1, ...head }, { input });
}

/** What an asker gets: the reply, or the refusal. `refused` means the bytes themselves were not understood. */
export type Outcome<T> =
  | { readonly kind: "reply"; readonly reply: T }
  | { readonly kind: "refusal"; readonly refusal: Refusal };

export function encodeInferenceReply(reply: InferenceReply): Uint8Array {
  const { id: of, confidence, mode, modelVersion, traceId, node, experience, answer, explain } = reply;
  // Spelled out: to spread the rest of a reply costs as much as packing it.
  const head = {
    v: 1,
    id: of,
    confidence,
    mode,
    modelVersion,
    traceId,
    node,
    answer: { index: answer.index, label: answer.label },
    experience: experience === null ? null : plainPosition(experience),
  };
  return encodeMessage(explain === undefined ? head : { ...head, explain: plainExplanation(explain) });
}

export function parseInferenceReply(bytes: Uint8Array): Parsed<Outcome<InferenceReply>> {
  return parseOutcome(bytes, (fields) => ({
    id: id(fields, "id"),
    answer: answerIn(fields, "answer"),
    confidence: number(0, 1)(fields, "confidence"),
    mode: oneOf("cold", "ensemble")(fields, "mode"),
    modelVersion: whole(0)(fields, "modelVersion"),
    experience: optional(fields, "experience", positionIn) ?? null,
    traceId: text(64)(fields, "traceId"),
    node: text(64)(fields, "node"),
    explain: optional(fields, "explain", explanationIn),
  }));
}

export function encodeRefusal(refusal: Refusal): Framed {
  const { id: of, code, field, retryAfterMs, traceId } = refusal;
  const message = refusal.message.slice(0, sentenceMax);
  return {
    bytes: encodeMessage({ v: 1, id: of, error: { code, field, message, retryAfterMs, traceId } }),
    headers: { [header.errorCode]: refusal.code, [header.error]: headerSafe(refusal.message) },
  };
}

export function parseFeedbackRequest(bytes: Uint8Array): Parsed<FeedbackRequest> {
  return parse(bytes, (fields) => {
    const label =
      typeof fields.label === "string" ? text(64)(fields, "label") : optional(fields, "label", whole(0, 65_535));
    const reward = optional(fields, "reward", number(-1, 1));
    if (label !== undefined && reward !== undefined)
      throw wrong("reward", "says less than the label: give one of them");
    return { id: id(fields, "id"), label, reward };
  });
}

export function encodeFeedbackRequest(request: FeedbackRequest): Uint8Array {
  return encodeMessage({ v: 1, id: request.id, label: request.label, reward: request.reward });
}

export function encodeFeedbackReply(reply: FeedbackReply): Uint8Array {
  const { label, kept, of, ...rest } = reply;
  return encodeMessage({
    v: 1,
    ...rest,
    label: label === null ? null : { ...label },
    of: plainPosition(of),
    ...(kept === undefined ? {} : { kept: kept === null ? null : { ...kept, label: { ...kept.label } } }),
  });
}

export function parseFeedbackReply(bytes: Uint8Array): Parsed<Outcome<FeedbackReply>> {
  return parseOutcome(bytes, (fields) => ({
    id: id(fields, "id"),
    label: optional(fields, "label", answerIn) ?? null,
    reward: optional(fields, "reward", number(-1, 1)) ?? null,
    ...("kept" in fields ? { kept: optional(fields, "kept", keptIn) ?? null } : {}),
    of: positionIn(fields, "of"),
    traceId: text(64)(fields, "traceId"),
  }));
}

/** A reply of any kind, or the refusal that came instead of it. */
export function parseOutcome<T>(bytes: Uint8Array, read: (fields: Fields) => T): Parsed<Outcome<T>> {
  return parse(bytes, (fields): Outcome<T> => {
    if (fields.error === undefined) return { kind: "reply", reply: read(fields) };
    const of = optional(fields, "id", id);
    return {
      kind: "refusal",
      refusal: { ...inside(fields, "error", refusalIn), ...(of === undefined ? {} : { id: of }) },
    };
  });
}

function refusalIn(fields: Fields, prefix: string): Refusal {
  return {
    code: oneOf(...refusalCodes)(fields, `${prefix}code`),
    message: text(sentenceMax)(fields, `${prefix}message`),
    field: optional(fields, `${prefix}field`, text(256)),
    retryAfterMs: optional(fields, `${prefix}retryAfterMs`, number(0, 3_600_000)),
    traceId: optional(fields, `${prefix}traceId`, text(64)),
  };
}

function answerIn(fields: Fields, field: string): Answer {
  return inside(fields, field, (inner, prefix) => ({
    index: whole(0, 65_535)(inner, `${prefix}index`),
    label: text(64)(inner, `${prefix}label`),
  }));
}

function keptIn(fields: Fields, field: string): KeptExperience {
  return inside(fields, field, (inner, prefix) => ({
    label: answerIn(inner, `${prefix}label`),
    confidence: number(0, 1)(inner, `${prefix}confidence`),
    priority: number(0, 1)(inner, `${prefix}priority`),
    verified: flag(inner, `${prefix}verified`),
  }));
}

export function positionIn(fields: Fields, field: string): Position {
  return inside(fields, field, (inner, prefix) => ({
    seq: whole(0)(inner, `${prefix}seq`),
    index: whole(0, 65_535)(inner, `${prefix}index`),
  }));
}

export function plainPosition(position: Position): PlainMap {
  return { seq: position.seq, index: position.index };
}

function explanationIn(fields: Fields, field: string): Explanation {
  const numbers = list(number(-Number.MAX_VALUE, Number.MAX_VALUE));
  return inside(fields, field, (inner, prefix) => ({
    own: numbers(inner, `${prefix}own`),
    model: numbers(inner, `${prefix}model`),
    domain: optional(inner, `${prefix}domain`, whole(0)) ?? null,
    looks: list(lookIn)(inner, `${prefix}looks`),
    neighbours: list(neighbourIn)(inner, `${prefix}neighbours`),
    weights: numbers(inner, `${prefix}weights`),
  }));
}

function lookIn(fields: Fields, field: string): Explanation["looks"][number] {
  const inner = map(fields, field);
  return {
    view: text(64)(inner, `${field}.view`),
    density: number(-1.001, 1.001)(inner, `${field}.density`),
    label: text(64)(inner, `${field}.label`),
    weight: number(0, 1.001)(inner, `${field}.weight`),
  };
}

function neighbourIn(fields: Fields, field: string): Neighbour {
  const inner = map(fields, field);
  return {
    id: id(inner, `${field}.id`),
    similarity: number(-1.001, 1.001)(inner, `${field}.similarity`),
    label: text(64)(inner, `${field}.label`),
    weight: number(0, Number.MAX_VALUE)(inner, `${field}.weight`),
  };
}

function plainExplanation(explain: Explanation): PlainMap {
  return {
    own: explain.own,
    model: explain.model,
    domain: explain.domain,
    looks: explain.looks.map((look) => ({ ...look })),
    neighbours: explain.neighbours.map(({ id: of, similarity, label, weight }) => ({
      id: of,
      similarity,
      label,
      weight,
    })),
    weights: explain.weights,
  };
}

/** A header value ends at a line break, so a message must not bring one. */
function headerSafe(message: string): string {
  return message.replaceAll(/[^\x20-\x7e]/g, " ").slice(0, 512);
}
