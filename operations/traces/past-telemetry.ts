// The recent past as the telemetry stream holds it: read from its beginning, or what is still left of it, up to now and on.
//
// Owns: where a reading begins and ends. Does not own: the stream (transport/log/streams.ts), what a message means.

import type { Clock } from "../../models/clock.js";
import type { Bus } from "../../transport/bus/bus.js";
import { type Followed, follow } from "../../transport/log/follow.js";
import { storedMessage, type Unavailable } from "../../transport/log/jetstream.js";
import type { Subjects } from "../../transport/subjects.js";

export interface PastOptions {
  /** Only these, wildcards allowed; all when left out. */
  readonly subject?: string;
  /** Go on with what comes, until the signal aborts. */
  readonly follow?: boolean;
  /** 1 when left out. */
  readonly fromSeq?: number;
  readonly signal: AbortSignal;
}

export type Past =
  | { readonly kind: "past"; readonly messages: AsyncIterable<Followed> }
  | { readonly kind: "unavailable"; readonly why: Unavailable["why"] };

/** What is there now is known to its last message before the first is read, so that a reading ends also where more comes all the time. */
export async function readPast(bus: Bus, clock: Clock, subjects: Subjects, options: PastOptions): Promise<Past> {
  const stream = subjects.telemetryStream;
  const { subject = ">", fromSeq = 1, signal } = options;
  const last = await storedMessage(bus, stream, { last_by_subj: subject });
  if (last.kind === "unavailable") return last;
  const endSeq = last.kind === "found" ? last.message.seq : 0;
  const messages = follow(bus, clock, stream, { fromSeq, signal, ...(subject === ">" ? {} : { subject }) });
  return { kind: "past", messages: options.follow === true ? messages : upTo(messages, endSeq) };
}

async function* upTo(messages: AsyncIterable<Followed>, endSeq: number): AsyncGenerator<Followed> {
  if (endSeq === 0) return;
  for await (const message of messages) {
    yield message;
    // The last one may be gone by now: then nothing is pending behind the one before it.
    if (message.seq >= endSeq || message.pending === 0) return;
  }
}
