// How a server stores: a small stream of its own for as long as it takes, a few messages, and what their acknowledgements and times tell.
//
// Owns: the stream's life, the arithmetic of the clocks. Does not own: what is thought of the figures (operations/verbs/server-checks.ts).
//
// S1. The stream is gone afterwards, also when something fails in between; one that an earlier trial left behind is taken away first.
//
// The time of a stored message is the server's, taken between sending and acknowledgement. The quickest of a few appends tells it best: its
// middle is the server's time to within half of its round trip (Cristian, 1989).

import type { Clock } from "../../models/clock.js";
import type { Bus } from "../bus/bus.js";
import { ask, store, storedMessage } from "../log/jetstream.js";
import { jetStreamApi, type Subjects } from "../subjects.js";

export interface Appends {
  /** Milliseconds from sending to the acknowledgement; the median and the longest of a few. */
  readonly medianMs: number;
  readonly longestMs: number;
  /** The server's clock minus this machine's, ms, and how far off that may be. */
  readonly aheadMs: number;
  readonly uncertainMs: number;
}

export type StoringTried =
  | { readonly kind: "stored"; readonly appends: Appends; readonly replicas: number }
  /** So many replicas cannot be had here. */
  | { readonly kind: "too_few_servers"; readonly description: string }
  | { readonly kind: "refused"; readonly code: number; readonly description: string }
  | { readonly kind: "unavailable"; readonly why: string };

const appendsMax = 9;
/** err_code values of the server's errors.json: no suitable peers; replicas without a cluster. */
const tooFewCodes: readonly number[] = [10_005, 10_074];

export async function tryStoring(bus: Bus, subjects: Subjects, replicas: number, clock: Clock): Promise<StoringTried> {
  const { trialStream: stream, trial } = subjects;
  const config = {
    name: stream,
    subjects: [trial],
    storage: "file",
    retention: "limits",
    discard: "old",
    max_msgs: appendsMax,
    max_bytes: 64 * 1024,
    num_replicas: replicas,
  };
  await ask(bus, jetStreamApi.streamDelete(stream), undefined);
  const created = await ask(bus, jetStreamApi.streamCreate(stream), config);
  if (created.kind === "unavailable") return created;
  if (created.kind === "refused") {
    const { code, description } = created;
    return tooFewCodes.includes(code) ? { kind: "too_few_servers", description } : { ...created };
  }
  try {
    return await appendTo(bus, stream, trial, replicas, clock);
  } finally {
    await ask(bus, jetStreamApi.streamDelete(stream), undefined);
  }
}

interface Append {
  readonly seq: number;
  readonly sentAtMs: number;
  readonly tookMs: number;
}

async function appendTo(
  bus: Bus,
  stream: string,
  subject: string,
  replicas: number,
  clock: Clock,
): Promise<StoringTried> {
  const appends: Append[] = [];
  for (let count = 0; count < appendsMax; count += 1) {
    const [sentAtMs, beganAtMs] = [clock.nowMs(), clock.monotonicMs()];
    const outcome = await store(bus, subject, new Uint8Array(1_024), { timeoutMs: bus.timeouts.append });
    if (outcome.kind === "wrong_sequence") throw new Error(`${stream} expected a sequence that was not asked for`);
    if (outcome.kind === "unavailable") return outcome;
    appends.push({ seq: outcome.seq, sentAtMs, tookMs: clock.monotonicMs() - beganAtMs });
  }
  const [quickest, ...rest] = appends.sort((one, other) => one.tookMs - other.tookMs);
  if (quickest === undefined) throw new Error("no append was made");
  const found = await storedMessage(bus, stream, { seq: quickest.seq });
  if (found.kind !== "found") return { kind: "unavailable", why: found.kind === "none" ? "lost" : found.why };
  const all = [quickest, ...rest];
  return {
    kind: "stored",
    replicas,
    appends: {
      medianMs: all[all.length >> 1]?.tookMs ?? quickest.tookMs,
      longestMs: all.at(-1)?.tookMs ?? quickest.tookMs,
      ...clocksApart(quickest, found.message.atMs),
    },
  };
}

/** `atMs` is the server's time of the message, to the millisecond. */
export function clocksApart(
  { sentAtMs, tookMs }: Pick<Append, "sentAtMs" | "tookMs">,
  atMs: number,
): Pick<Appends, "aheadMs" | "uncertainMs"> {
  return { aheadMs: atMs - (sentAtMs + tookMs / 2), uncertainMs: tookMs / 2 + 1 };
}
