// The client for programs: asks a cluster for inferences and sends late labels.
//
// Owns: the retry rule of a request. Does not own: the bytes (wire.ts), the connection (bus.ts).
//
// K1. A request keeps its id over all tries, so however often it is sent it is one experience in the log and one answer.
// K2. It ends within its deadline: answered, refused, or failed with a name; refused, if any try was.

import { randomUUID } from "node:crypto";
import type { Clock } from "../models/clock.js";
import { type Bus, connectBus } from "./bus.js";
import type { RequestFailure, RequestOutcome } from "./bus-outcome.js";
import type { Tensor } from "./codec.js";
import type { Parsed } from "./fields.js";
import { header, inboxPrefixOf, type Subjects, subjectsOf } from "./subjects.js";
import type { Timeouts } from "./timeouts.js";
import type { Tls } from "./tls-files.js";
import {
  encodeFeedbackRequest,
  encodeInferenceRequest,
  type FeedbackReply,
  type InferenceReply,
  type Outcome,
  parseFeedbackReply,
  parseInferenceReply,
  type Refusal,
} from "./wire.js";

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
const pauseMs = 50;
const retriedCodes: readonly string[] = ["not_ready", "log_unavailable"];

export class DriftmendClient {
  readonly subjects: Subjects;
  readonly bus: Bus;
  readonly #clock: Clock;

  private constructor(bus: Bus, subjects: Subjects, clock: Clock) {
    this.bus = bus;
    this.subjects = subjects;
    this.#clock = clock;
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
    return new DriftmendClient(bus, subjectsOf(options.cluster), options.clock);
  }

  async infer(model: string, input: Tensor, options: InferOptions = {}): Promise<ClientOutcome<InferenceReply>> {
    const id = options.id ?? randomUUID();
    const deadlineMs = options.deadlineMs ?? this.bus.timeouts.client;
    return this.#ask({
      subject: this.subjects.infer(model),
      bytes: encodeInferenceRequest({
        input,
        id,
        deadlineMs,
        priority: options.priority ?? 5,
        explain: options.explain ?? false,
      }),
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
    await this.bus.close();
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
      // A reply lost with a dying broker is asked for again after one try.
      const timeoutMs = tries > question.retries ? leftMs : Math.min(leftMs, this.bus.timeouts.clientTry);
      const outcome = await this.bus.request(question.subject, question.bytes, {
        timeoutMs,
        headers: tries === 1 ? question.headers : { ...question.headers, [header.attempt]: `${tries}` },
      });
      const settled = settle(outcome, question.parse, tries);
      const waitMs = outcome.kind === "timeout" ? 0 : pauseAfter(settled);
      const spent = tries > question.retries || this.#clock.monotonicMs() + waitMs >= deadlineAtMs;
      if (outcome.kind !== "timeout") word = settled;
      // What was heard of why there is no answer says more than the silence of the last try.
      if (spent && outcome.kind === "timeout" && word !== undefined) return { ...word, tries };
      if (spent || !isPassing(settled)) return settled;
      await this.#clock.delay(waitMs);
    }
  }
}

interface Question<T> {
  readonly subject: string;
  readonly bytes: Uint8Array;
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
function pauseAfter<T>(outcome: ClientOutcome<T>): number {
  return outcome.kind === "refusal" ? (outcome.refusal.retryAfterMs ?? pauseMs) : pauseMs;
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
