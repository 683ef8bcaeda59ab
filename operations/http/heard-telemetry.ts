// Telemetry with its recent past: what the telemetry stream still holds on some subjects, then each new message.
//
// Owns: that nothing is missed or told twice where the past meets the present. Does not own: the stream (transport/log/streams.ts), what a
// message means.
//
// P1. Listening begins before the past is read, so nothing falls in between; what both tell is told once, in the past's place.
// P2. Without the stream, or with one that is wiped, there is only what comes from now on: telemetry is best effort.
// P3. What comes while the past is read is bounded: a JetStream that does not answer while nodes go on telling must not fill the memory. The
//     oldest of it goes first; the past, once it can be read, has it.

import { createHash } from "node:crypto";
import { openLog } from "../../transport/log/log.js";
import { LogWipedError } from "../../transport/log/read-stream.js";
import type { ClusterDoor } from "./cluster-sources.js";

/** Messages in one fetch: most of the stream is passed by undecoded. */
const batch = 512;
/** Of the past, the newest that may come a second time: what was published between the beginning to listen and the look at the stream. */
const tailMax = 4_096;
/** Messages that wait for the past. */
export const earlyMax = 4_096;

/** `wanted` may end in ".*". Goes on until the signal aborts; resolves when the past is told. */
export async function hearTelemetry(
  door: ClusterDoor,
  wanted: readonly string[],
  take: (bytes: Uint8Array) => void,
  signal: AbortSignal,
): Promise<void> {
  /** What came while the past was read; undefined once it is. */
  let early: { readonly subject: string; readonly data: Uint8Array }[] | undefined = [];
  const subscriptions = wanted.map((each) =>
    door.bus.subscribe(each, {}, ({ subject, data }) => {
      if (early === undefined) return take(data);
      early.push({ subject, data });
      if (early.length > earlyMax) early.shift();
    }),
  );
  const unsubscribe = (): void => {
    for (const subscription of subscriptions) subscription.unsubscribe();
  };
  signal.addEventListener("abort", unsubscribe, { once: true });
  const tail = new Set<string>();
  for await (const { subject, bytes } of pastOf(door, wanted, signal)) {
    take(bytes);
    tail.add(keyOf(subject, bytes));
    const [oldest] = tail;
    if (tail.size > tailMax && oldest !== undefined) tail.delete(oldest);
  }
  const waiting = early;
  early = undefined;
  for (const { subject, data } of waiting) if (!tail.has(keyOf(subject, data))) take(data);
}

async function* pastOf({ bus, subjects, clock }: ClusterDoor, wanted: readonly string[], signal: AbortSignal) {
  const log = openLog(bus, clock);
  const stream = subjects.telemetryStream;
  const state = await log.state(stream);
  if (state.kind === "unavailable" || state.state.messages === 0) return;
  const { firstSeq: fromSeq, lastSeq } = state.state;
  try {
    for await (const message of log.follow(stream, { fromSeq, signal, batch })) {
      if (wanted.some((each) => fits(each, message.subject))) yield message;
      if (message.seq >= lastSeq || message.pending === 0) return;
    }
  } catch (error) {
    if (!(error instanceof LogWipedError)) throw error;
  }
}

function fits(wanted: string, subject: string): boolean {
  return wanted.endsWith("*") ? subject.startsWith(wanted.slice(0, -1)) : subject === wanted;
}

function keyOf(subject: string, bytes: Uint8Array): string {
  return `${subject} ${createHash("sha256").update(bytes).digest("base64")}`;
}
