// What the watchdog is given: heartbeats, the cleanup stream and the leases of a real cluster.
//
// Owns: how its messages come from the bus and the stream. Does not own: what follows from them (watchdog.ts).

import type { Clock } from "../../models/clock.js";
import { CleanupLog, cleanupWriteMaxMs, lifeKey } from "../../operations/cleanup/cleanup-log.js";
import { watchTensorLeases } from "../../operations/cluster/tensor-lease-watch.js";
import type { Telemetry } from "../../operations/metrics/telemetry.js";
import { AccrualDetector, accrualDefaults } from "../../supervision/process/accrual-detector.js";
import type { Bus } from "../../transport/bus/bus.js";
import { evictAll, LeaseWatch, type Reclaimed } from "../../transport/log/lease-sweep.js";
import { type Cleaner, type NodeLife, parseEvent, parseMetrics } from "../../transport/messages/events.js";
import { isToken, type Subjects } from "../../transport/subjects.js";
import type { ReclaimedLease, WatchdogDeps, WatchdogMessage } from "../operations/watchdog.js";

export interface WatchdogSurroundings {
  readonly identity: { readonly node: string };
  readonly bus: Bus;
  /** For whatever JetStream keeps; `bus` when left out. */
  readonly logBus?: Bus;
  readonly subjects: Subjects;
  readonly telemetry: Telemetry;
  readonly clock: Clock;
  /** Where shared memory is mounted; its tensor leases are nobody's concern when left out. */
  readonly shm?: string;
}

/** Every period and bound, in one literal. Phi 8: a live node is suspected once in a hundred million beats. */
const timing = { lookEveryMs: 500, suspectPhi: 8, declareAfterMs: 10_000, againMs: 20 } as const;
/** Of a process that does not say which run it belongs to. */
const noRun = "unknown";

type Tell = (message: WatchdogMessage) => boolean;

export function wireWatchdog(around: WatchdogSurroundings): WatchdogDeps {
  const { bus, logBus = bus, subjects, clock, telemetry, identity, shm } = around;
  const log = new CleanupLog(logBus, subjects, clock);
  const leases = new LeaseWatch(logBus, clock, subjects.leaseBucket);
  const said = () => ({ by: "watchdog", author: identity.node, atMs: clock.nowMs() }) as const;
  return {
    ...timing,
    telemetry,
    detector: () => new AccrualDetector(accrualDefaults),
    hears: () => bus.connected,
    listen: async (tell, signal) => {
      const stops = [hearBeats(around, tell), hearLeavings(around, tell)];
      const stop = (): void => {
        for (const each of stops) each();
      };
      signal.addEventListener("abort", stop, { once: true });
      await followDeaths(around, log, tell, signal);
    },
    declare: async (life, cause) => (await log.write({ kind: "died", ...life, ...said(), cause })).kind === "written",
    sweep: async (life, signal) => {
      const outcome = await evictAll(logBus, clock, subjects.leaseBucket, life, { forMs: cleanupWriteMaxMs, signal });
      if (outcome.kind === "swept") return outcome.leases;
      throw new Error(`the leases of ${life.node} #${life.incarnation} could not be swept: ${outcome.why}`);
    },
    confirm: async (life, swept) => {
      const outcome = await log.write({ kind: "cleanup_confirmed", ...life, ...said(), leases: swept });
      if (outcome.kind === "written") return outcome.first;
      throw new Error(`the cleanup of ${life.node} #${life.incarnation} could not be confirmed: ${outcome.why}`);
    },
    reclaim: async (isKnownRun) => {
      const reclaimed = (await leases.reclaim()).map((lease) => reclaimedOf(lease, isKnownRun));
      for (const { unchangedMs: _, ...lease } of reclaimed)
        await log.write({ kind: "reclaimed", ...said(), ...lease, node: isToken(lease.node) ? lease.node : noRun });
      return reclaimed;
    },
    ...(shm === undefined ? {} : { tensors: watchTensorLeases(shm, subjects.cluster, () => clock.nowMs()) }),
  };
}

function reclaimedOf({ key, owner, unchangedMs }: Reclaimed, isKnownRun: (run: string) => boolean): ReclaimedLease {
  const { node, incarnation, run = noRun } = owner;
  return { key, node, incarnation, run, unchangedMs, why: isKnownRun(run) ? "stale" : "former_run" };
}

function hearBeats({ bus, subjects }: WatchdogSurroundings, tell: Tell): () => void {
  const beats = bus.subscribe(subjects.all.metrics, {}, (message) => {
    const sample = parseMetrics(message.data);
    if (sample.kind !== "ok") return;
    const { node, incarnation, run = noRun, rooted = true } = sample.value;
    // One that finds the mailbox full is lost: the next one comes in a second.
    tell({ kind: "heartbeat", node, incarnation, run, rooted });
  });
  return () => beats.unsubscribe();
}

function hearLeavings({ bus, subjects }: WatchdogSurroundings, tell: Tell): () => void {
  const leavings = bus.subscribe(subjects.event("node_left"), {}, (message) => {
    const event = parseEvent(message.data);
    if (event.kind === "ok") tell({ kind: "left", node: event.value.node, incarnation: event.value.incarnation });
  });
  return () => leavings.unsubscribe();
}

/** Deaths, from the beginning of what is kept: one whose confirmation is on the stream already is nobody's work any more. */
async function followDeaths(
  { clock }: WatchdogSurroundings,
  log: CleanupLog,
  tell: Tell,
  signal: AbortSignal,
): Promise<void> {
  const unconfirmed = new Map<string, NodeLife & { readonly by: Cleaner }>();
  let hasCaughtUp = await isEmpty(log, clock, signal);
  for await (const { record, pending } of log.follow(1, signal)) {
    if (record?.kind === "died") unconfirmed.set(lifeKey(record), record);
    if (record?.kind === "cleanup_confirmed") unconfirmed.delete(lifeKey(record));
    hasCaughtUp ||= pending === 0;
    if (!hasCaughtUp) continue;
    for (const { node, incarnation, run, by } of unconfirmed.values())
      while (!(signal.aborted || tell({ kind: "died", node, incarnation, run, by })))
        await clock.delay(timing.againMs, signal);
    unconfirmed.clear();
  }
}

async function isEmpty(log: CleanupLog, clock: Clock, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    const outcome = await log.count();
    if (outcome.kind === "count") return outcome.records === 0;
    await clock.delay(timing.againMs, signal);
  }
  return false;
}
