// JetStream's request protocol, as far as the log, the chain, the leases and the snapshots need it.
//
// Owns: the JSON of the API and the meaning of its error codes.
// Does not own: what is stored.
//
// The protocol is spoken over the bus instead of through the client library's JetStream package, because recovery after a broker's
// death is what matters here: every request has its own short timeout, and nothing retries behind our back.

import type { Bus } from "./bus.js";
import type { Headers, HeaderView } from "./bus-outcome.js";
import { header, jetStreamApi } from "./subjects.js";

/** Why the log cannot be used now. `full`: the stream is at its bound. `timeout`: nobody answered in time, it may have happened or not. */
export type Unavailable = {
  readonly kind: "unavailable";
  readonly why: "full" | "timeout" | "no_stream" | "closed" | "denied";
};

/** The server understood and refused: a broken invariant unless the caller expects this code. */
export class JetStreamError extends Error {
  override readonly name = "JetStreamError";
  readonly code: number;
  constructor(subject: string, code: number, description: string) {
    super(`${subject}: ${description} (${code})`);
    this.code = code;
  }
}

/** err_code values of the server's errors.json. */
const errorCode = {
  insufficientResources: 10_023,
  noMessageFound: 10_037,
  storageResourcesExceeded: 10_047,
  streamNameExists: 10_058,
  streamNotFound: 10_059,
  subjectsOverlap: 10_065,
  wrongLastSequence: 10_071,
  storeFailed: 10_077,
  wrongLastSequenceUnknown: 10_164,
} as const;
const fullCodes: readonly number[] = [
  errorCode.insufficientResources,
  errorCode.storageResourcesExceeded,
  errorCode.storeFailed,
];

const createTries = 20;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

interface ApiError {
  readonly err_code?: number;
  readonly code?: number;
  readonly description?: string;
}
type ApiReply = { readonly error?: ApiError } & Readonly<Record<string, unknown>>;

export type ApiOutcome =
  | { readonly kind: "ok"; readonly body: Readonly<Record<string, unknown>> }
  | { readonly kind: "refused"; readonly code: number; readonly description: string }
  | Unavailable;

export async function ask(
  bus: Bus,
  subject: string,
  body: unknown,
  timeoutMs: number = bus.timeouts.jetstream,
): Promise<ApiOutcome> {
  const payload = body === undefined ? new Uint8Array() : encoder.encode(JSON.stringify(body));
  const outcome = await bus.request(subject, payload, { timeoutMs });
  switch (outcome.kind) {
    case "reply":
      return read(outcome.data);
    case "timeout":
    case "no_responders":
      return { kind: "unavailable", why: "timeout" };
    case "closed":
    case "denied":
      return { kind: "unavailable", why: outcome.kind };
  }
}

function read(data: Uint8Array): ApiOutcome {
  const reply = JSON.parse(decoder.decode(data)) as ApiReply;
  if (reply.error === undefined) return { kind: "ok", body: reply };
  const { err_code: code, description } = reply.error;
  return { kind: "refused", code: code ?? reply.error.code ?? 0, description: description ?? "" };
}

export type StoreOutcome =
  | { readonly kind: "stored"; readonly seq: number; readonly duplicate: boolean }
  | { readonly kind: "wrong_sequence" }
  | Unavailable;

export interface StoreOptions {
  readonly timeoutMs: number;
  readonly messageId?: string | undefined;
  /** The stream refuses unless the subject's last message has this sequence; 0 means none. */
  readonly expectedLastSequence?: number | undefined;
  readonly headers?: Headers | undefined;
}

/** One publication that the stream acknowledges. On `timeout` it may have been stored or not. */
export async function store(
  bus: Bus,
  subject: string,
  bytes: Uint8Array,
  options: StoreOptions,
): Promise<StoreOutcome> {
  const headers: Record<string, string> = { ...options.headers };
  if (options.messageId !== undefined) headers[header.messageId] = options.messageId;
  if (options.expectedLastSequence !== undefined) {
    headers[header.expectedLastSubjectSequence] = `${options.expectedLastSequence}`;
  }
  const outcome = await bus.request(subject, bytes, { timeoutMs: options.timeoutMs, headers });
  if (outcome.kind === "no_responders") return { kind: "unavailable", why: "no_stream" };
  if (outcome.kind !== "reply") return { kind: "unavailable", why: outcome.kind };
  const ack = read(outcome.data);
  if (ack.kind === "ok") return { kind: "stored", seq: Number(ack.body.seq), duplicate: ack.body.duplicate === true };
  if (ack.kind === "unavailable") return ack;
  if (ack.code === errorCode.wrongLastSequence || ack.code === errorCode.wrongLastSequenceUnknown)
    return { kind: "wrong_sequence" };
  if (fullCodes.includes(ack.code)) return { kind: "unavailable", why: "full" };
  throw new JetStreamError(subject, ack.code, ack.description);
}

/** A message as a stream holds it. */
export interface Stored {
  readonly seq: number;
  readonly subject: string;
  readonly bytes: Uint8Array;
  readonly headers: HeaderView;
  readonly atMs: number;
}
export type StoredOutcome =
  | { readonly kind: "found"; readonly message: Stored }
  | { readonly kind: "none" }
  | Unavailable;

/** A message by its place, the newest of a subject, or the first of a subject (which may have wildcards) from a place on. */
export type WhichMessage = { readonly seq: number; readonly next_by_subj?: string } | { readonly last_by_subj: string };

/** One message, as the stream's leader has it: never stale. */
export async function storedMessage(bus: Bus, stream: string, which: WhichMessage): Promise<StoredOutcome> {
  const outcome = await ask(bus, jetStreamApi.messageGet(stream), which);
  if (outcome.kind === "unavailable") return outcome;
  if (outcome.kind === "refused") {
    if (outcome.code === errorCode.noMessageFound) return { kind: "none" };
    if (outcome.code === errorCode.streamNotFound) return { kind: "unavailable", why: "no_stream" };
    throw new JetStreamError(stream, outcome.code, outcome.description);
  }
  const message = outcome.body.message as {
    readonly seq: number;
    readonly subject: string;
    readonly data?: string;
    readonly hdrs?: string;
    readonly time: string;
  };
  return {
    kind: "found",
    message: {
      seq: message.seq,
      subject: message.subject,
      bytes: Buffer.from(message.data ?? "", "base64"),
      headers: headersOf(Buffer.from(message.hdrs ?? "", "base64").toString("utf8")),
      atMs: Date.parse(message.time),
    },
  };
}

/**
 * One message as raw bytes from any replica, without the detour over JSON and base64: a few times as quick for large ones, but a replica
 * that lags may show an older state. `no_stream` where the stream does not allow it.
 */
export async function directMessage(bus: Bus, stream: string, which: WhichMessage): Promise<StoredOutcome> {
  const body = encoder.encode(JSON.stringify(which));
  const outcome = await bus.request(jetStreamApi.directGet(stream), body, { timeoutMs: bus.timeouts.jetstream });
  if (outcome.kind === "no_responders") return { kind: "unavailable", why: "no_stream" };
  if (outcome.kind !== "reply") return { kind: "unavailable", why: outcome.kind };
  const { headers, data } = outcome;
  if (headers.status === 404) return { kind: "none" };
  if (headers.status !== 0) return { kind: "unavailable", why: "no_stream" };
  const [seq, subject, time] = [headers.get(header.sequence), headers.get(header.subject), headers.get(header.time)];
  if (seq === undefined || subject === undefined || time === undefined)
    return { kind: "unavailable", why: "no_stream" };
  return { kind: "found", message: { seq: Number(seq), subject, bytes: data, headers, atMs: Date.parse(time) } };
}

/** Header lines as the server stores them: "NATS/1.0\r\nName: value\r\n\r\n". */
function headersOf(lines: string): HeaderView {
  const pairs = new Map<string, string>();
  for (const line of lines.split("\r\n").slice(1)) {
    const colon = line.indexOf(":");
    if (colon > 0) pairs.set(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return { get: (name) => pairs.get(name), status: 0, description: "" };
}

export interface StreamState {
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly messages: number;
  readonly bytes: number;
}
export type StateOutcome = { readonly kind: "state"; readonly state: StreamState } | Unavailable;

export async function streamState(bus: Bus, stream: string): Promise<StateOutcome> {
  const outcome = await ask(bus, jetStreamApi.streamInfo(stream), undefined);
  if (outcome.kind === "unavailable") return outcome;
  if (outcome.kind === "refused") {
    if (outcome.code === errorCode.streamNotFound) return { kind: "unavailable", why: "no_stream" };
    throw new JetStreamError(stream, outcome.code, outcome.description);
  }
  const found = outcome.body.state as Readonly<Record<"first_seq" | "last_seq" | "messages" | "bytes", number>>;
  const state = { firstSeq: found.first_seq, lastSeq: found.last_seq, messages: found.messages, bytes: found.bytes };
  return { kind: "state", state };
}

export type SubjectsOutcome = { readonly kind: "subjects"; readonly subjects: readonly string[] } | Unavailable;

/** The subjects of a stream that hold a message. */
export async function lastSubjects(bus: Bus, stream: string, filter: string): Promise<SubjectsOutcome> {
  const outcome = await ask(bus, jetStreamApi.streamInfo(stream), { subjects_filter: filter });
  if (outcome.kind === "unavailable") return outcome;
  if (outcome.kind === "refused") {
    if (outcome.code === errorCode.streamNotFound) return { kind: "unavailable", why: "no_stream" };
    throw new JetStreamError(stream, outcome.code, outcome.description);
  }
  const { subjects } = outcome.body.state as { readonly subjects?: Readonly<Record<string, number>> };
  return { kind: "subjects", subjects: Object.keys(subjects ?? {}) };
}

/** Removes what a stream holds on one subject, which may have wildcards. */
export async function purgeSubject(
  bus: Bus,
  stream: string,
  subject: string,
): Promise<{ readonly kind: "purged"; readonly messages: number } | Unavailable> {
  const outcome = await ask(bus, jetStreamApi.streamPurge(stream), { filter: subject });
  if (outcome.kind === "unavailable") return outcome;
  if (outcome.kind === "refused") {
    if (outcome.code === errorCode.streamNotFound) return { kind: "unavailable", why: "no_stream" };
    throw new JetStreamError(stream, outcome.code, outcome.description);
  }
  return { kind: "purged", messages: Number(outcome.body.purged) };
}

/** A stream and all it holds; `absent` when there is none. */
export async function deleteStream(
  bus: Bus,
  stream: string,
): Promise<{ readonly kind: "deleted" | "absent" } | Unavailable> {
  const outcome = await ask(bus, jetStreamApi.streamDelete(stream), undefined);
  if (outcome.kind === "unavailable") return outcome;
  if (outcome.kind === "ok") return { kind: "deleted" };
  if (outcome.code === errorCode.streamNotFound) return { kind: "absent" };
  throw new JetStreamError(stream, outcome.code, outcome.description);
}

/**
 * Creates the stream or gives an existing one these limits. Nodes that start together create it together: the loser may be told that the
 * subjects overlap with a stream that cannot be found yet (nats-server 2.9.10), and tries again.
 */
export async function ensureStream(
  bus: Bus,
  config: { readonly name: string } & Readonly<Record<string, unknown>>,
): Promise<{ readonly kind: "ready" } | Unavailable> {
  for (let tries = 1; ; tries += 1) {
    const created = await ask(bus, jetStreamApi.streamCreate(config.name), config);
    if (created.kind === "ok") return { kind: "ready" };
    if (created.kind === "unavailable") return created;
    if (fullCodes.includes(created.code)) return { kind: "unavailable", why: "full" };
    const exists = created.code === errorCode.streamNameExists || created.code === errorCode.subjectsOverlap;
    if (!exists) throw new JetStreamError(config.name, created.code, created.description);
    const updated = await ask(bus, jetStreamApi.streamUpdate(config.name), config);
    if (updated.kind === "ok") return { kind: "ready" };
    if (updated.kind === "unavailable") return updated;
    if (fullCodes.includes(updated.code)) return { kind: "unavailable", why: "full" };
    if (updated.code !== errorCode.streamNotFound || tries === createTries)
      throw new JetStreamError(config.name, updated.code, updated.description);
  }
}
