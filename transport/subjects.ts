// Names on the wire: the only file that spells a subject, a stream, a bucket, an inbox prefix or a header (law 12).
//
// Owns: the map of names and the rule which names may become part of one.
// Does not own: who may use a subject (credentials.ts), what a stream keeps (streams.ts).

import { createHash } from "node:crypto";

/** Headers, ours and the server's. */
export const header = {
  messageId: "Nats-Msg-Id",
  traceparent: "traceparent",
  /** Which try of one request this is, from 2 on: an earlier one may have been answered by a node that is gone. */
  attempt: "Driftmend-Try",
  errorCode: "Nats-Service-Error-Code",
  error: "Nats-Service-Error",
  expectedLastSubjectSequence: "Nats-Expected-Last-Subject-Sequence",
  /** A stream with another name leaves the message alone. */
  expectedStream: "Nats-Expected-Stream",
  keyOperation: "KV-Operation",
  /** `sub`: this message takes the place of all earlier ones on its subject. */
  rollup: "Nats-Rollup",
  checksum: "Driftmend-Sha256",
  position: "Driftmend-Position",
  /** Where the bytes of a chunk lie in its tensor. */
  offset: "Driftmend-Offset",
  /** Of the tensor's last chunk, where its reference does not name it: the CRC-32 of all bytes. */
  checksum32: "Driftmend-Crc32",
  sequence: "Nats-Sequence",
  subject: "Nats-Subject",
  time: "Nats-Time-Stamp",
  description: "Description",
} as const;

/** A name that cannot be part of a subject. The message says what would be one; whoever chose the name must act. */
export class NameError extends Error {
  override readonly name = "NameError";
  readonly what: string;
  readonly given: string;
  constructor(what: string, given: string) {
    super(`${what} "${given.slice(0, 40)}": use 1 to 32 letters, digits, "-" or "_"`);
    this.what = what;
    this.given = given;
  }
}

const tokenPattern = /^[A-Za-z0-9_-]{1,32}$/;
const actorPattern = /^[A-Za-z0-9_-]{1,64}([/.][A-Za-z0-9_-]{1,64}){0,7}$/;

export function isToken(name: string): boolean {
  return tokenPattern.test(name);
}

/** The name itself when it may stand between two dots of a subject, else a NameError. */
export function token(what: "cluster" | "model" | "node" | "event" | "alert" | "bucket" | "key", name: string): string {
  if (!tokenPattern.test(name)) throw new NameError(what, name);
  return name;
}

/** The four streams of a model. */
export type StreamKind = "experience" | "update" | "weights" | "snapshot";
export const streamKinds: readonly StreamKind[] = ["experience", "update", "weights", "snapshot"];

export type Severity = "critical" | "warning" | "info";
/** Whole reports that operations nodes answer with. */
export type ReportName = "metrics" | "health" | "alerts" | "series";
/** What an observer leaves on the telemetry stream for the next one: its looks second by second, and what reaches further back. */
export type ObservedKind = "looks" | "kept";
export type DiscoveryVerb = "PING" | "INFO" | "STATS";

export interface Subjects {
  readonly cluster: string;
  infer(model: string): string;
  feedback(model: string): string;
  experience(model: string): string;
  updates(model: string): string;
  weights(model: string): string;
  snapshots(model: string): string;
  /** Confirmation that a dead incarnation's resources are gone. */
  cleanup(node: string): string;
  event(kind: string): string;
  metrics(node: string): string;
  /** What a node writes to its log. */
  logLine(node: string): string;
  alert(severity: Severity, name: string): string;
  /** A request; answered by one of the operations nodes. */
  report(what: ReportName): string;
  observed(what: ObservedKind): string;
  chaos(node: string): string;
  /** Where a node takes the chunks of one large tensor, by the tensor's id. */
  chunk(node: string, id: string): string;
  /** What an operator tells a node, the root, or the writer of a model to do; acknowledged. */
  order(node: string, what: string): string;
  /** A look inside one actor; a path's slashes become dots. */
  actor(node: string, path: string): string;
  /** Jobs of a model that an actor gave up on. */
  deadLetters(model: string, phase: string): string;
  /** What operators did about one job; a job's own subject, so that its newest mark is found without reading the stream. */
  deadLetterMarks(model: string, jobId: string): string;
  /** Which model is served under a name, and which is no more: one record after the other (model-records.ts). */
  modelHead(model: string): string;
  /** The bytes of one upload of a model's folder, piece by piece. */
  modelPieces(model: string, upload: string): string;
  /** Every request of a kind, for subscriptions and permissions. */
  readonly all: {
    /** Everything of this cluster. */
    readonly subjects: string;
    readonly infer: string;
    readonly feedback: string;
    readonly log: string;
    readonly telemetry: string;
    readonly metrics: string;
    readonly events: string;
    readonly logLines: string;
    readonly alert: string;
    readonly report: string;
    readonly observed: string;
    readonly chaos: string;
    readonly order: string;
    readonly actor: string;
    readonly cleanup: string;
    readonly deadLetters: string;
    readonly chunk: string;
    readonly model: string;
    readonly modelHeads: string;
    readonly modelPieces: string;
    actorsOf(node: string): string;
    chunksOf(node: string): string;
  };
  stream(kind: StreamKind, model: string): string;
  logSubject(kind: StreamKind, model: string): string;
  /** The models that were added to the cluster while it runs. */
  readonly modelsStream: string;
  /** Dead letters of all models, and the marks on them. */
  readonly deadLetterStream: string;
  /** Where any node takes an order about dead letters, as one of a queue group: the log is the same for all. */
  readonly deadLetterOrders: string;
  readonly deadLetterGroup: string;
  /** Queue group of the nodes that serve a model. */
  readonly servingGroup: string;
  /** KV bucket of the leader leases, and the key of one model's writer. */
  readonly leaseBucket: string;
  /** KV bucket of the alerts: what fires, silences, acknowledgements, who was told what; and the lease of whoever tells. */
  readonly alertBucket: string;
  /** Where whoever tells of alerts takes orders about them. */
  readonly alertOrders: string;
  /** The stream of deaths, cleanups and starts. */
  readonly cleanupStream: string;
  /** Events, metrics, alerts of the recent past, in memory: best effort, and gone with the broker. */
  readonly telemetryStream: string;
  /** A stream that exists while somebody finds out how a server stores, and its subject. */
  readonly trialStream: string;
  readonly trial: string;
  /** Queue group of the nodes that answer with reports. */
  readonly reportGroup: string;
  /** Where every observer is told to forget the highest utilization so far. */
  readonly peakOrders: string;
  /** Queue group of those who hand spans on: each span leaves once. */
  readonly spanExportGroup: string;
}

/** All names of one cluster. Throws NameError for a name that cannot be a token. */
export function subjectsOf(cluster: string): Subjects {
  const root = token("cluster", cluster);
  const logSubject = (kind: StreamKind, model: string): string => `${root}.wal.${kind}.${token("model", model)}`;
  return {
    cluster: root,
    infer: (model) => `${root}.infer.${token("model", model)}`,
    feedback: (model) => `${root}.feedback.${token("model", model)}`,
    experience: (model) => logSubject("experience", model),
    updates: (model) => logSubject("update", model),
    weights: (model) => logSubject("weights", model),
    snapshots: (model) => logSubject("snapshot", model),
    cleanup: (node) => `${root}.cleanup.${token("node", node)}`,
    event: (kind) => `${root}.telemetry.event.${token("event", kind)}`,
    logLine: (node) => `${root}.telemetry.log.${token("node", node)}`,
    metrics: (node) => `${root}.telemetry.metrics.${token("node", node)}`,
    alert: (severity, name) => `${root}.alert.${severity}.${token("alert", name)}`,
    report: (what) => `${root}.report.${what}`,
    observed: (what) => `${root}.observed.${what}`,
    chaos: (node) => `${root}.chaos.${token("node", node)}`,
    chunk: (node, id) => `${root}.chunk.${token("node", node)}.${token("key", id)}`,
    order: (node, what) => `${root}.order.${token("node", node)}.${token("key", what)}`,
    actor: (node, path) => `${root}.actor.${token("node", node)}.${actorTokens(path)}`,
    deadLetters: (model, phase) => `${root}.dlq.${token("model", model)}.${token("key", phase)}`,
    deadLetterMarks: (model, jobId) => `${root}.dlq.${token("model", model)}.mark.${digest(jobId)}`,
    modelHead: (model) => `${root}.model.${token("model", model)}.head`,
    modelPieces: (model, upload) => `${root}.model.${token("model", model)}.piece.${token("key", upload)}`,
    all: wildcards(root),
    stream: (kind, model) => `${root}-${kind}-${token("model", model)}`,
    logSubject,
    servingGroup: `${root}-serving`,
    leaseBucket: `${root}-leases`,
    alertBucket: `${root}-alerts`,
    alertOrders: `${root}.order.any.alerts`,
    cleanupStream: `${root}-cleanup`,
    telemetryStream: `${root}-telemetry`,
    trialStream: `${root}-trial`,
    trial: `${root}.trial`,
    spanExportGroup: `${root}-span-export`,
    modelsStream: `${root}-models`,
    deadLetterStream: `${root}-dlq`,
    deadLetterOrders: `${root}.order.any.dlq`,
    deadLetterGroup: `${root}-dlq`,
    reportGroup: `${root}-reports`,
    peakOrders: `${root}.order.any.peaks`,
  };
}

/** A token for text that cannot be one. */
function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}

function wildcards(root: string): Subjects["all"] {
  return {
    subjects: `${root}.>`,
    infer: `${root}.infer.>`,
    feedback: `${root}.feedback.>`,
    log: `${root}.wal.>`,
    telemetry: `${root}.telemetry.>`,
    metrics: `${root}.telemetry.metrics.*`,
    events: `${root}.telemetry.event.>`,
    logLines: `${root}.telemetry.log.*`,
    alert: `${root}.alert.>`,
    report: `${root}.report.*`,
    observed: `${root}.observed.*`,
    chaos: `${root}.chaos.>`,
    order: `${root}.order.>`,
    actor: `${root}.actor.>`,
    cleanup: `${root}.cleanup.>`,
    deadLetters: `${root}.dlq.>`,
    chunk: `${root}.chunk.>`,
    chunksOf: (node) => `${root}.chunk.${token("node", node)}.*`,
    model: `${root}.model.>`,
    modelHeads: `${root}.model.*.head`,
    modelPieces: `${root}.model.*.piece.*`,
    actorsOf: (node) => `${root}.actor.${token("node", node)}.>`,
  };
}

function actorTokens(path: string): string {
  if (!actorPattern.test(path)) throw new NameError("actor", path);
  return path.replaceAll("/", ".");
}

/** The model's name from the subject of a request: the reverse of `subjects.infer` and `subjects.feedback`. */
export function modelOf(subject: string): string {
  const cluster = subject.indexOf(".");
  const verb = cluster < 0 ? -1 : subject.indexOf(".", cluster + 1);
  return verb < 0 ? "" : subject.slice(verb + 1);
}

/** The tensor's id from the subject of a chunk: the reverse of `subjects.chunk`. */
export function chunkIdOf(subject: string): string {
  return subject.split(".")[3] ?? "";
}

/** Whether chunks of this tensor may go there: some node of the cluster takes them, and nothing else hears them. */
export function isChunkSubject(cluster: string, subject: string, id: string): boolean {
  const [root, kind, node = "", of, ...rest] = subject.split(".");
  return root === cluster && kind === "chunk" && isToken(node) && of === id && rest.length === 0;
}

/** Model and upload from the subject of a piece: the reverse of `subjects.modelPieces`. */
export function uploadOf(subject: string): { readonly model: string; readonly upload: string } {
  const [, , model = "", , upload = ""] = subject.split(".");
  return { model, upload };
}

/** The actor's path from the subject somebody asked on: the reverse of `subjects.actor`. */
export function actorPathOf(subject: string): string {
  return subject.split(".").slice(3).join("/");
}

/** Own inbox prefix of a user, so that permissions can keep replies apart. */
export function inboxPrefixOf(user: string): string {
  return `_INBOX.${token("key", user)}`;
}

/** Everybody's inboxes: whoever answers publishes there. */
export const inboxes = "_INBOX.>";

export function isInbox(subject: string): boolean {
  return subject.startsWith("_INBOX.");
}

/** Whose inbox a reply goes to, where users have inboxes of their own (nobody else may listen there); undefined without users. */
export function userOfInbox(replyTo: string | undefined): string | undefined {
  const [inbox, user, ...rest] = (replyTo ?? "").split(".");
  return inbox === "_INBOX" && rest.length > 1 ? user : undefined;
}

/** Whether two inboxes are one user's, where users have inboxes of their own. */
export function areOneUsers(inbox: string, other: string | undefined): boolean {
  const [[, user, ...rest], [, otherUser]] = [inbox.split("."), (other ?? "").split(".")];
  return isInbox(inbox) && rest.length > 0 && user === otherUser;
}

/** NATS service discovery, every form a client may ask in. */
export function discoverySubjects(verb: DiscoveryVerb, service: string, id: string): readonly string[] {
  return [`$SRV.${verb}`, `$SRV.${verb}.${service}`, `$SRV.${verb}.${service}.${id}`];
}
export const discovery = { all: "$SRV.>", ping: "$SRV.PING", info: "$SRV.INFO", stats: "$SRV.STATS" } as const;

/** JetStream's own request subjects, as far as we use them. */
export const jetStreamApi = {
  account: "$JS.API.INFO",
  streamCreate: (stream: string) => `$JS.API.STREAM.CREATE.${stream}`,
  streamUpdate: (stream: string) => `$JS.API.STREAM.UPDATE.${stream}`,
  streamDelete: (stream: string) => `$JS.API.STREAM.DELETE.${stream}`,
  streamInfo: (stream: string) => `$JS.API.STREAM.INFO.${stream}`,
  streamPurge: (stream: string) => `$JS.API.STREAM.PURGE.${stream}`,
  directGet: (stream: string) => `$JS.API.DIRECT.GET.${stream}`,
  messageGet: (stream: string) => `$JS.API.STREAM.MSG.GET.${stream}`,
  consumerCreate: (stream: string, consumer: string) => `$JS.API.CONSUMER.CREATE.${stream}.${consumer}`,
  consumerNext: (stream: string, consumer: string) => `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`,
} as const;

/** What a node must be allowed to ask: all of the above, of any stream, and nothing that is not above. */
export const nodeJetStreamApi: readonly string[] = Object.values(jetStreamApi).map((subject) =>
  typeof subject === "string" ? subject : subject("*", "*"),
);

/** What a reader of the log must be allowed to ask: nothing here changes a message. */
export const readOnlyJetStreamApi: readonly string[] = [
  "$JS.API.INFO",
  "$JS.API.STREAM.NAMES",
  "$JS.API.STREAM.LIST",
  "$JS.API.STREAM.INFO.*",
  "$JS.API.STREAM.MSG.GET.*",
  "$JS.API.DIRECT.GET.>",
  "$JS.API.CONSUMER.CREATE.*.*",
  "$JS.API.CONSUMER.INFO.*.*",
  "$JS.API.CONSUMER.MSG.NEXT.*.*",
];

/** One subject of a pattern that nobody listens to by its name: no token of ours has such a sign. */
export function trialOf(pattern: string): string {
  const nobody = "driftmend~trial";
  return pattern.replace(/>$/, nobody).replaceAll("*", nobody);
}

/** A bucket's stream and its keys, in the layout of the NATS key-value convention, so that `nats kv` reads them. */
export function bucketStream(bucket: string): string {
  return `KV_${token("bucket", bucket)}`;
}
export function bucketKey(bucket: string, key: string): string {
  return `$KV.${token("bucket", bucket)}.${token("key", key)}`;
}
export function bucketKeys(bucket: string): string {
  return `$KV.${token("bucket", bucket)}.>`;
}

/** Which of a model's streams that is, in the cluster that keeps it; undefined for any other stream. */
export function streamKindOf(cluster: string, stream: string): StreamKind | undefined {
  return streamKinds.find((kind) => stream.startsWith(`${cluster}-${kind}-`));
}
