// What the actors of a node are given in tests: a small model, a bus that records, askers that remember, inboxes to look into.

import { setImmediate as eventLoopTurn } from "node:timers/promises";
import type { Answerer, NewRequest } from "../../actors/serving/desk.js";
import { Desk, type OpenRequest } from "../../actors/serving/desk.js";
import type { EmbeddedBatch } from "../../actors/serving/messages.js";
import type { Embedded } from "../../models/adaptation/pass.js";
import { type ExperienceBatch, noLooks } from "../../models/experience.js";
import type { Model } from "../../models/manifest.js";
import type { LearningSettings } from "../../models/settings.js";
import { Counters, Telemetry } from "../../operations/metrics/telemetry.js";
import { newTimings } from "../../operations/timings/batch-timings.js";
import { systemClock } from "../../supervision/clock.js";
import type { ChildSpec } from "../../supervision/tree/child-spec.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import type { Bus, Incoming, Subscribed } from "../../transport/bus/bus.js";
import { parseEvent, type TelemetryEvent } from "../../transport/messages/events.js";
import { type InferenceReply, parseInferenceReply } from "../../transport/messages/wire.js";
import { subjectsOf } from "../../transport/subjects.js";
import { timeoutDefaults } from "../../transport/timeouts.js";
import { smallSubject } from "../models/small-world.js";

export const subjects = subjectsOf("test");

export function smallModel(overrides: Partial<LearningSettings> = {}): Model {
  const nothing = new Uint8Array();
  return { ...smallSubject(overrides), folder: "", modelBytes: nothing, sourceBytes: nothing };
}

/** A connection to nobody: keeps what is published, brings subscribers what a test sends them. */
export class RecordingBus implements Bus {
  connected = true;
  readonly serverVersion = "2.9.10";
  readonly payloadMaxBytes = 1_000_000;
  readonly timeouts = timeoutDefaults;
  readonly closed = new Promise<Error | undefined>(() => undefined);
  readonly published: { readonly subject: string; readonly data: Uint8Array }[] = [];
  readonly #handlers = new Map<string, (message: Incoming) => void | Promise<void>>();
  readonly #waiting = new Set<() => void>();

  publish(subject: string, data: Uint8Array): boolean {
    if (!this.connected) return false;
    this.published.push({ subject, data });
    for (const wake of [...this.#waiting]) wake();
    return true;
  }

  subscribe(subject: string, _options: object, handler: (message: Incoming) => void | Promise<void>): Subscribed {
    this.#handlers.set(subject, handler);
    const unsubscribe = (): void => {
      this.#handlers.delete(subject);
    };
    return { unsubscribe, drain: async () => unsubscribe() };
  }

  /** Brings a message to its subscriber; false when nobody listens. The answer is published on "reply". */
  deliver(subject: string, data: Uint8Array, named: Readonly<Record<string, string>> = {}): boolean {
    const [, handler] = [...this.#handlers].find(([pattern]) => isUnder(pattern, subject)) ?? [];
    const headers = { get: (name: string) => named[name], status: 0, description: "" };
    void handler?.({ subject, data, headers, replyTo: "reply", respond: (bytes) => this.publish("reply", bytes) });
    return handler !== undefined;
  }

  events(kind: string): TelemetryEvent[] {
    return this.published.flatMap(({ subject, data }) => {
      const parsed = subject === subjects.event(kind) ? parseEvent(data) : undefined;
      return parsed?.kind === "ok" ? [parsed.value] : [];
    });
  }

  /** Resolves once `count` messages were published on the subject. */
  async until(subject: string, count = 1): Promise<void> {
    while (this.published.filter((message) => message.subject === subject).length < count)
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          resolve();
        };
        this.#waiting.add(wake);
      });
  }

  request = (): Promise<never> => Promise.reject(new Error("nobody is there"));
  requestMany = async (): Promise<[]> => [];
  inbox = (): string => "inbox";
  onEvent = () => () => undefined;
  flush = async (): Promise<boolean> => true;
  drain = async (): Promise<void> => undefined;
  close = async (): Promise<void> => undefined;
  rttMs = async (): Promise<number> => 0;
}

/** The wildcards that the actors use stand at the end. */
function isUnder(pattern: string, subject: string): boolean {
  return /\.[>*]$/.test(pattern) ? subject.startsWith(pattern.slice(0, -1)) : subject === pattern;
}

export interface Recorded {
  readonly bus: RecordingBus;
  readonly counters: Counters;
  readonly telemetry: Telemetry;
}

export function recorded(clock = systemClock): Recorded {
  const bus = new RecordingBus();
  const counters = new Counters();
  return { bus, counters, telemetry: new Telemetry(bus, subjects, "node-a", counters, clock) };
}

/** One line for each time an asker heard something: "answer <id>" or "refused <id> <code>". */
export class Askers {
  readonly heard: string[] = [];
  readonly replies: InferenceReply[] = [];
  readonly retryAfterMs: (number | undefined)[] = [];
  readonly #waiting = new Set<() => void>();

  answererOf(id: string): Answerer {
    return {
      answer: (payload) => {
        const parsed = parseInferenceReply(payload);
        if (parsed.kind === "ok" && parsed.value.kind === "reply") this.replies.push(parsed.value.reply);
        this.#note(`answer ${id}`);
      },
      refuse: (code, _message, retryAfterMs) => {
        this.retryAfterMs.push(retryAfterMs);
        this.#note(`refused ${id} ${code}`);
      },
    };
  }

  async until(count: number): Promise<void> {
    while (this.heard.length < count) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  #note(line: string): void {
    this.heard.push(line);
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}

export function wantedRequest(id: string, given: Partial<NewRequest> = {}): NewRequest {
  const input = new Float32Array(2);
  return { id, traceId: traceOf(id), input, explain: false, isRetry: false, priority: 5, deadlineMs: 60_000, ...given };
}

/** 32 hex digits that tell the ids of a test apart. */
export function traceOf(id: string): string {
  return Buffer.from(id).toString("hex").padStart(32, "0").slice(-32);
}

/** A desk at which no time passes. */
export function quietDesk(): Desk {
  return new Desk(new VirtualClock(), () => undefined);
}

export function openAt(desk: Desk, askers: Askers, id: string, given: Partial<NewRequest> = {}): OpenRequest {
  const admission = desk.open(wantedRequest(id, given), askers.answererOf(id));
  if (admission.kind !== "opened") throw new Error(`${id} was ${admission.kind}`);
  return admission.request;
}

/** The batch that leads to `record`: what the model said of each row. */
export function batchOf(
  record: ExperienceBatch,
  requests: readonly OpenRequest[],
  given: Partial<EmbeddedBatch> = {},
): EmbeddedBatch {
  const { embeddings, logits, moments, densities: density } = record;
  const rows = requests.length;
  const looks = { ...noLooks, weights: new Float32Array() };
  const plain = { embeddings, logits, moments, density, plain: logits };
  const embedded: Embedded = { rows, ...plain, domains: new Uint8Array(rows), bySource: new Uint8Array(rows), looks };
  const timings = newTimings({ rows, cold: false, version: 3 });
  return { batchId: "batch-1", requests, cold: false, version: 3, atMs: 1_000, embedded, timings, ...given };
}

export interface Inbox<M> {
  readonly messages: M[];
  child(id: string): ChildSpec<M, undefined>;
  until(count: number): Promise<void>;
}

/** An actor that keeps what it is told, and may do something about it. */
export function inbox<M>(react: (message: M) => void = () => undefined): Inbox<M> {
  const messages: M[] = [];
  const waiting = new Set<() => void>();
  return {
    messages,
    child: (id) => ({
      id,
      restart: "permanent",
      behaviour: () => ({
        init: () => undefined,
        receive: (_state, message) => {
          messages.push(message);
          react(message);
          for (const wake of waiting) wake();
          waiting.clear();
        },
      }),
    }),
    until: async (count) => {
      while (messages.length < count) await new Promise<void>((resolve) => waiting.add(resolve));
    },
  };
}

/** Lets everything that is ready run: what a premature effect would need to show itself. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 50; round += 1) await eventLoopTurn();
}
