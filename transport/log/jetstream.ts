// JetStream's request protocol, as far as the log, the chain, the leases and the snapshots need it.
//
// Owns: the JSON of the API and the meaning of its error codes.
// Does not own: what is stored.
//
// The protocol is spoken over the bus instead of through the client library's JetStream package, because recovery after a broker's
// death is what matters here: every request has its own short timeout, and nothing retries behind our back.

import type { Bus } from "../bus/bus.js";
import type { Headers, HeaderView } from "../bus/bus-outcome.js";
import { header, jetStreamApi } from "../subjects.js";

/**
 * Why the log cannot be used now. `full`: the stream is at its bound. `timeout`: nobody answered in time, it may have happened or not.
 * `no_leader`: of several servers none leads now, or another than the one that was asked; it may have happened or not, and passes with an
 * election. `too_few_servers`: a stream wants more copies than servers of the cluster can take now. `not_clustered`: it wants copies, and
 * there is one server alone.
 */
export type Unavailable = {
  readonly kind: "unavailable";
  readonly why:
    | "full"
    | "timeout"
    | "no_stream"
    | "closed"
    | "denied"
    | "no_leader"
    | "too_few_servers"
    | "not_clustered";
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
  incompleteResults: 10_004,
  noSuitablePeers: 10_005,
  clusterNotAssigned: 10_007,
  clusterNotAvailable: 10_008,
  clusterNotLeader: 10_009,
  insufficientResources: 10_023,
  noMessageFound: 10_037,
  storageResourcesExceeded: 10_047,
  streamNameExists: 10_058,
  streamNotFound: 10_059,
  streamSequenceDiffers: 10_063,
  subjectsOverlap: 10_065,
  wrongLastSequence: 10_071,
  replicasNeedCluster: 10_074,
  storeFailed: 10_077,
  streamOffline: 10_118,
  wrongLastSequenceUnknown: 10_164,
} as const;
const fullCodes: readonly number[] = [
  errorCode.insufficientResources,
  errorCode.storageResourcesExceeded,
  errorCode.storeFailed,
];

/**
 * What servers of a cluster say while they elect a leader, or when the one that was asked has just been deposed. A refused proposal
 * ("not leader", "leader is transferring") carries the status 503 and no code of its own.
 */
const electionCodes: readonly number[] = [
  errorCode.incompleteResults,
  errorCode.clusterNotAssigned,
  errorCode.clusterNotAvailable,
  errorCode.clusterNotLeader,
  errorCode.streamSequenceDiffers,
  errorCode.streamOffline,
];
const proposalRefusedStatus = 503;

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
  const { err_code: code, code: status = 0, description = "" } = reply.error;
  const isElection = code === undefined ? status === proposalRefusedStatus : electionCodes.includes(code);
  if (isElection) return { kind: "unavailable", why: "no_leader" };
  return { kind: "refused", code: code ?? status, description };
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
  // With an id it is stored once however often it is sent; without one a second try would be refused for what the first one did.
  const again = options.messageId === undefined ? {} : { again: headers };
  const outcome = await bus.request(subject, bytes, { timeoutMs: options.timeoutMs, headers, ...again });
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

/**
 * One message, as the stream's leader has it. Never stale with one server. Among several, a leader that was cut off answers with what it
 * had for up to 10 s more, and a new one may not show yet what was acknowledged before it: a decision of law 3 follows from the order in
 * the log (chain.ts), never from this.
 */
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
/** The server's word for "there is no such stream". */
export function isMissingStream(outcome: ApiOutcome): boolean {
  return outcome.kind === "refused" && outcome.code === errorCode.streamNotFound;
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

/** When a stream was made, by the broker's clock. */
export async function streamMadeAt(
  bus: Bus,
  stream: string,
): Promise<{ readonly kind: "made"; readonly atMs: number } | Unavailable> {
  const outcome = await ask(bus, jetStreamApi.streamInfo(stream), undefined);
  if (outcome.kind === "unavailable") return outcome;
  if (outcome.kind === "ok") return { kind: "made", atMs: Date.parse(String(outcome.body.created)) };
  if (outcome.code === errorCode.streamNotFound) return { kind: "unavailable", why: "no_stream" };
  throw new JetStreamError(stream, outcome.code, outcome.description);
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

export interface StreamConfig extends Readonly<Record<string, unknown>> {
  readonly name: string;
  /** Copies wanted. A stream that has more keeps them. */
  readonly num_replicas: number;
}

/**
 * Creates the stream or gives an existing one these limits; of copies it gets more, never fewer: whoever starts a node without the flag
 * must not take away what protects the log. Nodes that start together create it together: the loser may be told that the subjects
 * overlap with a stream that cannot be found yet (nats-server 2.9.10), and tries again.
 */
export async function ensureStream(bus: Bus, config: StreamConfig): Promise<{ readonly kind: "ready" } | Unavailable> {
  for (let tries = 1; ; tries += 1) {
    const created = await ask(bus, jetStreamApi.streamCreate(config.name), config);
    if (created.kind === "ok") return { kind: "ready" };
    const exists =
      created.kind === "refused" &&
      (created.code === errorCode.streamNameExists || created.code === errorCode.subjectsOverlap);
    if (!exists) return refusedStream(config, created);
    const updated = await updateStream(bus, config);
    if (updated.kind === "ok") return { kind: "ready" };
    if (!isMissingStream(updated)) return refusedStream(config, updated);
    // Another stream has these subjects, and keeps them: that is the reason, not that this one is missing.
    if (tries === createTries) return refusedStream(config, created);
  }
}

async function updateStream(bus: Bus, config: StreamConfig): Promise<ApiOutcome> {
  const info = await ask(bus, jetStreamApi.streamInfo(config.name), undefined);
  if (info.kind !== "ok") return info;
  const { num_replicas: standing = 1 } = info.body.config as { readonly num_replicas?: number };
  const num_replicas = Math.max(standing, config.num_replicas);
  return ask(bus, jetStreamApi.streamUpdate(config.name), { ...config, num_replicas });
}

/** Of one server, "insufficient resources" means that there is no room; of several, that too few of them can take a copy (now). */
function refusedStream(config: StreamConfig, outcome: Exclude<ApiOutcome, { readonly kind: "ok" }>): Unavailable {
  if (outcome.kind === "unavailable") return outcome;
  const { code, description } = outcome;
  if (code === errorCode.replicasNeedCluster) return { kind: "unavailable", why: "not_clustered" };
  const wantsCopies = config.num_replicas > 1;
  if (code === errorCode.noSuitablePeers || (wantsCopies && code === errorCode.insufficientResources))
    return { kind: "unavailable", why: "too_few_servers" };
  if (fullCodes.includes(code)) return { kind: "unavailable", why: "full" };
  throw new JetStreamError(config.name, code, description);
}
