// The consumer of one reader, as the server is asked for it: in memory, of one copy of the stream, unacknowledged, gone when nobody fetches.
//
// Owns: its configuration and that of a fetch. Does not own: its life (follow.ts).

import type { Bus } from "../bus/bus.js";
import { jetStreamApi } from "../subjects.js";
import { type ApiOutcome, ask } from "./jetstream.js";

export const heartbeatMs = 500;
const fetchExpiresMs = 2_000;
/** The server removes a consumer that nobody fetches from; deleting it ourselves would need a right that readers do not have. */
export const consumerIdleMs = 10_000;
const nanosPerMs = 1_000_000;

/** `subject`: only messages on it, which may have wildcards. */
export function makeConsumer(
  bus: Bus,
  stream: string,
  name: string,
  fromSeq: number,
  subject: string | undefined,
): Promise<ApiOutcome> {
  const config = {
    name,
    deliver_policy: "by_start_sequence",
    opt_start_seq: fromSeq,
    ack_policy: "none",
    replay_policy: "instant",
    ...(subject === undefined ? {} : { filter_subject: subject }),
    inactive_threshold: consumerIdleMs * nanosPerMs,
    num_replicas: 1,
    mem_storage: true,
  };
  const order = { stream_name: stream, config };
  return ask(bus, jetStreamApi.consumerCreate(stream, name), order, bus.timeouts.consumer);
}

/** The server that a new consumer stands on, empty where there is one alone. */
export function serverIn(made: Readonly<Record<string, unknown>>): string {
  const { cluster } = made as { readonly cluster?: { readonly leader?: string } };
  return cluster?.leader ?? "";
}

/** `isLazy`: the server waits for the first message, sends what is there then, and ends the fetch. */
export function fetchOrder(batch: number, isLazy: boolean): Uint8Array {
  const wanted = { batch, expires: fetchExpiresMs * nanosPerMs, idle_heartbeat: heartbeatMs * nanosPerMs };
  return Buffer.from(JSON.stringify(isLazy ? { ...wanted, no_wait: true } : wanted));
}
