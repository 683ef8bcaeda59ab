// The client for programs: asks a cluster for inferences and sends late labels.
//
// Owns: the retry rule of a request, and whether its tensor travels in it or by reference.
// Does not own: the bytes (wire.ts), the connection (bus.ts), how bytes by reference travel (tensors/).
//
// K1. A request keeps its id over all tries, so however often it is sent it is one experience in the log and one answer.
// K2. It ends within its deadline: answered, refused, or failed with a name; refused, if any try was.
// K3. A large tensor is kept over all tries, until the outcome is known: a node that dies with its bytes costs a try. The caller must
//     not change it before; of a small one there is a copy from the beginning.

import { randomBytes, randomUUID } from "node:crypto";
import type { Clock } from "../models/clock.js";
import type { Tls } from "./access/tls-files.js";
import { type Bus, connectBus } from "./bus/bus.js";
import type { RequestFailure, RequestOutcome } from "./bus/bus-outcome.js";
import type { RemoteTensor, Tensor } from "./messages/codec.js";
import type { Parsed } from "./messages/fields.js";
import {
  defaultPriority,
  encodeFeedbackRequest,
  encodeInferenceRequest,
  type FeedbackReply,
  type InferenceReply,
  isRequestId,
  type Outcome,
  parseFeedbackReply,
  parseInferenceReply,
  type Refusal,
} from "./messages/wire.js";
import { header, inboxPrefixOf, type Subjects, subjectsOf } from "./subjects.js";
import { inlineBytesMax, tensorBytesMax } from "./tensors/bounds.js";
import { openChunkLine } from "./tensors/chunk-line.js";
import { sharedMemoryDir, sharedMemoryOff } from "./tensors/segment-place.js";
import { openSegments, type Segments } from "./tensors/segments.js";
import { type Offer, TensorSender } from "./tensors/sender.js";
import type { Timeouts } from "./timeouts.js";

export interface ClientOptions {
  readonly cluster: string;
  readonly url: string;
  readonly user?: string;
  readonly password?: string;
  /** The seed of a user who has a key instead of a password. */
  readonly nkey?: string;
  readonly clock: Clock;
  readonly name?: string;
  readonly tls?: Tls;
  readonly timeouts?: Timeouts;
  /** Where shared memory is mounted, for large tensors between processes of one host; "off": they always travel through the server. */
  readonly shm?: string;
}

export interface InferOptions {
  readonly id?: string;
  /** For all tries together. */
  readonly deadlineMs?: number;
  readonly priority?: number;
  readonly explain?: boolean;
  /** W3C trace context to go on from. */
  readonly traceparent?: string;
  /** Tries after the first; only silence and "nobody serves this" are tried again. */
  readonly retries?: number;
}

export type ClientOutcome<T> =
  | { readonly kind: "reply"; readonly reply: T; readonly tries: number }
  | { readonly kind: "refusal"; readonly refusal: Refusal; readonly tries: number }
  | {
      readonly kind: "failed";
      readonly why: RequestFailure["kind"] | "garbled";
      readonly message: string;
      readonly tries: number;
    };

/** More than fit into the default deadline: the deadline is what ends a request. */
const defaultRetries = 1_000;
/** Between two tries: short at first, for a node that is about to find the broker again as the client just did. */
const pauseMs = { least: 10, most: 50 };
const retriedCodes: readonly string[] = ["not_ready", "log_unavailable"];

export class DriftmendClient {
  readonly subjects: Subjects;
  readonly bus: Bus;
  readonly #clock: Clock;
  readonly #shm: string;
  readonly #name: string;
  readonly #options: ClientOptions;
  /** Opened with the first large tensor. */
  #sending: Promise<Sending> | undefined;

  private constructor(bus: Bus, subjects: Subjects, options: ClientOptions) {
    const { clock, shm = sharedMemoryDir, name = "driftmend-client" } = options;
    this.#options = options;
    this.bus = bus;
    this.subjects = subjects;
    this.#clock = clock;
    this.#shm = shm;
    this.#name = name;
  }

  /** Throws ConnectError when no server answers or it refuses the credentials. */
  static async connect(options: ClientOptions): Promise<DriftmendClient> {
    const bus = await connectBus({
      url: options.url,
      name: options.name ?? "driftmend-client",
      clock: options.clock,
      ...(options.user === undefined ? {} : { user: options.user, inboxPrefix: inboxPrefixOf(options.user) }),
      ...(options.password === undefined ? {} : { password: options.password }),
      ...(options.nkey === undefined ? {} : { nkey: options.nkey }),
      ...(options.tls === undefined ? {} : { tls: options.tls }),
      ...(options.timeouts === undefined ? {} : { timeouts: options.timeouts }),
    });
    return new DriftmendClient(bus, subjectsOf(options.cluster), options);
  }

  async infer(model: string, input: Tensor, options: InferOptions = {}): Promise<ClientOutcome<InferenceReply>> {
    const id = options.id ?? randomUUID();
    const startedAtMs = this.#clock.monotonicMs();
    const deadlineMs = options.deadlineMs ?? this.bus.timeouts.client;
    const { byteLength } = input.data;
    if (!isRequestId(id)) {
      const message = "an id has 1 to 128 characters, none of them a control character";
      return { kind: "refusal", refusal: { code: "bad_request", field: "id", message }, tries: 0 };
    }
    if (byteLength <= inlineBytesMax) return this.#infer(model, input, { ...options, id, deadlineMs });
    if (byteLength > tensorBytesMax) {
      const message = `${byteLength} bytes; a tensor has ${tensorBytesMax} at most`;
      return { kind: "refusal", refusal: { id, code: "too_large", field: "input", message }, tries: 0 };
    }
    const bytes = new Uint8Array(input.data.buffer, input.data.byteOffset, byteLength);
    const { sender } = await this.#openSending();
    const about = { about: `${model}/${id}`, expiresAtMs: startedAtMs + deadlineMs };
    const offer = await sender.offer(bytes, about);
    try {
      const remote = { dt: input.dt, sh: input.sh, ref: offer.ref };
      const leftMs = Math.max(1, startedAtMs + deadlineMs - this.#clock.monotonicMs());
      return await this.#infer(model, remote, { ...options, id, deadlineMs: leftMs }, offer);
    } finally {
      offer.release();
    }
  }

  #infer(
    model: string,
    input: Tensor | RemoteTensor,
    options: InferOptions & { readonly id: string; readonly deadlineMs: number },
    offer?: Offer,
  ): Promise<ClientOutcome<InferenceReply>> {
    const { id, deadlineMs } = options;
    return this.#ask({
      subject: this.subjects.infer(model),
      bytes: encodeInferenceRequest({
        input,
        id,
        deadlineMs,
        priority: options.priority ?? defaultPriority,
        explain: options.explain ?? false,
      }),
      offer,
      headers: {
        [header.messageId]: id,
        ...(options.traceparent === undefined ? {} : { [header.traceparent]: options.traceparent }),
      },
      deadlineMs,
      retries: options.retries ?? defaultRetries,
      parse: parseInferenceReply,
    });
  }

  async feedback(
    model: string,
    id: string,
    /** The true label, or `reward`, -1 to 1; with neither it is a look. */
    said: string | number | { readonly reward?: number },
    options: { readonly deadlineMs?: number } = {},
  ): Promise<ClientOutcome<FeedbackReply>> {
    const word = typeof said === "object" ? said : { label: said };
    return this.#ask({
      subject: this.subjects.feedback(model),
      bytes: encodeFeedbackRequest({ id, ...word }),
      headers: {},
      deadlineMs: options.deadlineMs ?? this.bus.timeouts.client,
      retries: defaultRetries,
      parse: parseFeedbackReply,
    });
  }

  async close(): Promise<void> {
    try {
      const sending = await this.#sending;
      sending?.sender.close();
      await sending?.segments?.close();
    } finally {
      await this.bus.close();
    }
  }

  #openSending(): Promise<Sending> {
    this.#sending ??= this.#open();
    return this.#sending;
  }

  async #open(): Promise<Sending> {
    const { bus, subjects } = this;
    const clock = this.#clock;
    const of = { cluster: subjects.cluster, dir: this.#shm, clock, timeouts: bus.timeouts, owner: this.#name };
    const opened = this.#shm === sharedMemoryOff ? undefined : await openSegments(of);
    const segments = opened?.kind === "open" ? opened : undefined;
    const newId = (): string => randomBytes(16).toString("hex");
    const line = () => openChunkLine({ ...this.#options, name: `${this.#name}-chunks` });
    const sender = new TensorSender({
      ...{ bus, line, subjects, clock, newId },
      ...(segments === undefined ? {} : { segments }),
    });
    return { sender, segments };
  }

  async #ask<T>(question: Question<T>): Promise<ClientOutcome<T>> {
    const maxBytes = this.bus.payloadMaxBytes;
    if (question.bytes.byteLength > maxBytes) {
      const message = `${question.bytes.byteLength} bytes are more than the broker takes (${maxBytes})`;
      return { kind: "refusal", refusal: { code: "too_large", message }, tries: 0 };
    }
    const deadlineAtMs = this.#clock.monotonicMs() + question.deadlineMs;
    let word: ClientOutcome<T> | undefined;
    for (let tries = 1; ; tries += 1) {
      const leftMs = Math.max(1, deadlineAtMs - this.#clock.monotonicMs());
      const outcome = await this.#try(question, tries, leftMs);
      const settled = settle(outcome, question.parse, tries);
      const waitMs = outcome.kind === "timeout" ? 0 : pauseAfter(settled, tries);
      if (!isPassing(settled)) return settled;
      // What was heard of why there is no answer says more than the silence of the last try, and a refusal more than that nobody is there.
      if (settled.kind === "refusal" || (word?.kind !== "refusal" && outcome.kind !== "timeout")) word = settled;
      const isSpent = tries > question.retries || this.#clock.monotonicMs() + waitMs >= deadlineAtMs;
      if (isSpent) return { ...(word ?? settled), tries };
      await this.#clock.delay(waitMs);
    }
  }

  /**
   * A reply lost with a dying node is asked for again after one try, one lost with the broker once the connection is back; fetching a large
   * tensor may take longer, and is heard of.
   */
  #try<T>(question: Question<T>, tries: number, leftMs: number): Promise<RequestOutcome> {
    const { subject, bytes, offer, retries } = question;
    const isLast = tries > retries;
    const headers = headersOf(question, tries);
    const waitMs = tryMs(tries, this.bus.timeouts.clientTry);
    offer?.handOver();
    if (offer === undefined || isLast) {
      const again = offer === undefined && !isLast ? { again: headersOf(question, tries + 1) } : {};
      const timeoutMs = isLast ? leftMs : Math.min(leftMs, waitMs);
      return this.bus.request(subject, bytes, { timeoutMs, headers, ...again });
    }
    return offer.unlessSilent(this.bus.request(subject, bytes, { timeoutMs: leftMs, headers }), waitMs);
  }
}

/** Whoever is asked again is told so: another node may have the answer. */
function headersOf<T>({ headers }: Question<T>, tries: number): Question<T>["headers"] {
  return tries === 1 ? headers : { ...headers, [header.attempt]: `${tries}` };
}

interface Sending {
  readonly sender: TensorSender;
  readonly segments: Segments | undefined;
}

/**
 * How long a try waits: each twice as long as the one before, up to four times. The answer to a try that was given up is not heard, so where
 * answers take longer than a try for a while, tries of one length would bring none at all, and more work the more callers wait.
 */
export function tryMs(tries: number, firstMs: number): number {
  return firstMs * 2 ** Math.min(tries - 1, 2);
}

interface Question<T> {
  readonly subject: string;
  readonly bytes: Uint8Array;
  /** Of a tensor that the bytes only refer to. */
  readonly offer?: Offer | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly deadlineMs: number;
  readonly retries: number;
  readonly parse: (bytes: Uint8Array) => Parsed<Outcome<T>>;
}

function settle<T>(outcome: RequestOutcome, parse: Question<T>["parse"], tries: number): ClientOutcome<T> {
  if (outcome.kind !== "reply") return { kind: "failed", why: outcome.kind, message: sayOf(outcome), tries };
  const parsed = parse(outcome.data);
  if (parsed.kind === "refused") return { kind: "failed", why: "garbled", message: parsed.message, tries };
  return { ...parsed.value, tries };
}

/** The cluster's own word for how long to wait, where it gave one. */
function pauseAfter<T>(outcome: ClientOutcome<T>, tries: number): number {
  const ownMs = Math.min(pauseMs.most, pauseMs.least * 2 ** (tries - 1));
  return outcome.kind === "refusal" ? (outcome.refusal.retryAfterMs ?? ownMs) : ownMs;
}

function isPassing<T>(outcome: ClientOutcome<T>): boolean {
  if (outcome.kind === "refusal") return retriedCodes.includes(outcome.refusal.code);
  return outcome.kind === "failed" && (outcome.why === "timeout" || outcome.why === "no_responders");
}

function sayOf(failure: RequestFailure): string {
  switch (failure.kind) {
    case "timeout":
      return "no answer in time";
    case "no_responders":
      return "no node serves this model";
    case "closed":
      return "the connection is closed";
    case "denied":
      return failure.message;
  }
}
