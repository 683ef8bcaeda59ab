// What can be learnt of a NATS server that somebody else runs: from JetStream's account, and from its monitoring port where one is open.
//
// Owns: the questions, and the reading of what foreign servers answer. Does not own: what is thought of it (operations/verbs/server-checks.ts).

import { z } from "zod";
import type { Clock } from "../../models/clock.js";
import { abortedAfter } from "../aborted-after.js";
import type { Bus } from "../bus/bus.js";
import { ask } from "../log/jetstream.js";
import { jetStreamApi } from "../subjects.js";

const limit = z.number().int().default(-1);
const accountShape = z.object({
  storage: z.number().nonnegative(),
  reserved_storage: z.number().nonnegative().default(0),
  streams: z.number().int().nonnegative(),
  limits: z.object({ max_storage: limit, max_streams: limit }).optional(),
  tiers: z.record(z.string(), z.unknown()).optional(),
});

/** -1 as a bound: none. Bytes on disk. */
export interface JetStreamAccount {
  readonly storageBytes: number;
  /** What bounded streams may grow to; the server counts it as taken. */
  readonly reservedBytes: number;
  readonly storageMaxBytes: number;
  readonly streams: number;
  readonly streamsMax: number;
  /** The account is bounded per number of replicas; then the bounds here are not known. */
  readonly tiered: boolean;
}

export type AccountLook =
  | { readonly kind: "account"; readonly account: JetStreamAccount }
  /** JetStream is off: for the server or for this account. */
  | { readonly kind: "off"; readonly description: string }
  | { readonly kind: "unavailable"; readonly why: string };

export async function lookAtAccount(bus: Bus): Promise<AccountLook> {
  const outcome = await ask(bus, jetStreamApi.account, undefined);
  if (outcome.kind === "unavailable") return outcome;
  if (outcome.kind === "refused") return { kind: "off", description: outcome.description };
  const read = accountShape.safeParse(outcome.body);
  if (!read.success) return { kind: "unavailable", why: "its answer cannot be read" };
  const { storage, reserved_storage: reservedBytes, streams, limits, tiers } = read.data;
  return {
    kind: "account",
    account: {
      storageBytes: storage,
      reservedBytes,
      storageMaxBytes: limits?.max_storage ?? -1,
      streams,
      streamsMax: limits?.max_streams ?? -1,
      tiered: tiers !== undefined && Object.keys(tiers).length > 0,
    },
  };
}

const varzShape = z.object({
  version: z.string(),
  jetstream: z
    .object({
      config: z
        .object({
          max_storage: z.number().optional(),
          /** Nanoseconds; told from 2.10 on. */
          sync_interval: z.number().optional(),
          sync_always: z.boolean().optional(),
        })
        .optional(),
      meta: z.object({ cluster_size: z.number().int().optional() }).optional(),
    })
    .optional(),
});

export interface MonitorFacts {
  readonly version: string;
  /** Of the whole server; undefined when it does not say. */
  readonly storageMaxBytes: number | undefined;
  readonly sync:
    | { readonly kind: "always" }
    | { readonly kind: "every"; readonly ms: number }
    | { readonly kind: "untold" };
  readonly clusterSize: number | undefined;
}

export type MonitorLook =
  | { readonly kind: "seen"; readonly facts: MonitorFacts }
  | { readonly kind: "unseen"; readonly url: string; readonly why: string };

/** The page `/varz` of a monitoring port. */
export async function lookAtMonitor(url: string, timeoutMs: number, clock: Clock): Promise<MonitorLook> {
  try {
    return await abortedAfter(clock, timeoutMs, async (signal): Promise<MonitorLook> => {
      const response = await fetch(new URL("/varz", url), { signal, redirect: "error" });
      if (!response.ok) return { kind: "unseen", url, why: `it answered ${response.status}` };
      const read = varzShape.safeParse(await response.json());
      if (!read.success) return { kind: "unseen", url, why: "what answers there is no NATS server" };
      return { kind: "seen", facts: factsIn(read.data) };
    });
  } catch (error) {
    return { kind: "unseen", url, why: whyUnseen(error) };
  }
}

function factsIn({ version, jetstream }: z.infer<typeof varzShape>): MonitorFacts {
  const { config, meta } = jetstream ?? {};
  return {
    version,
    storageMaxBytes: config?.max_storage,
    sync: syncIn(config?.sync_always, config?.sync_interval),
    clusterSize: meta?.cluster_size,
  };
}

function syncIn(always: boolean | undefined, intervalNs: number | undefined): MonitorFacts["sync"] {
  if (always === true) return { kind: "always" };
  return intervalNs === undefined || intervalNs <= 0 ? { kind: "untold" } : { kind: "every", ms: intervalNs / 1e6 };
}

/** fetch wraps what the system said as a cause. */
function whyUnseen(error: unknown): string {
  if (!(error instanceof Error)) throw error;
  if (error.name === "TimeoutError") return "no answer in time";
  if (error instanceof SyntaxError) return "what answers there is no NATS server";
  return error.cause instanceof Error ? error.cause.message : error.message;
}
