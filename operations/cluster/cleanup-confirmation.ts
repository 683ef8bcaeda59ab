// Cleanup before restart, for a whole node: ask the watchdog, wait a bounded time, else do it oneself.
//
// Owns: the wait, and what the root says of its nodes' lives on the cleanup stream. Does not own: the watchdog (actors/operations/watchdog.ts), the
// restart (supervision/process/process-root.ts).
//
// C1. Each death is on the cleanup stream, and is confirmed there once, by "watchdog" or by "supervisor": whose record was stored first.
//     What is waited for is the stored record, not the word of somebody who tried.
// C2. A watchdog that is dead, or is what died, delays a restart by the timeout `cleanup` and no more; a broker that is away by as much
//     on top. Then the restart goes on, the stream gets `cleanup_overdue`, and the sweep and its confirmation follow when the broker is back.

import type { Clock } from "../../models/clock.js";
import { within } from "../../supervision/deadline.js";
import type { Cleanup } from "../../supervision/tree/cleanup.js";
import type { Bus } from "../../transport/bus/bus.js";
import { evictAll, LeaseWatch, staleAfterTtls } from "../../transport/log/lease-sweep.js";
import type { CleanupRecord, NodeLife } from "../../transport/messages/events.js";
import { isToken, type Subjects } from "../../transport/subjects.js";
import { CleanupLog, cleanupWriteMaxMs } from "../cleanup/cleanup-log.js";
import type { Telemetry } from "../metrics/telemetry.js";

export interface CleanupDeps {
  readonly bus: Bus;
  readonly subjects: Subjects;
  readonly telemetry: Telemetry;
  readonly clock: Clock;
  /** Of the root that asks. */
  readonly run: string;
}

export interface Death {
  readonly node: string;
  readonly incarnation: number;
  readonly cause: string;
  /** From its last heartbeat until it was found, of a node that hung. */
  readonly detectMs?: number | undefined;
}

/** Neither the watchdog nor the root could clean up in time: the broker is away. */
export class CleanupOverdueError extends Error {
  override readonly name = "CleanupOverdueError";
  readonly waitedMs: number;
  constructor({ node, incarnation }: Death, waitedMs: number) {
    super(
      `the cleanup of ${node} #${incarnation} was not confirmed within ${waitedMs} ms; it follows when the broker is back`,
    );
    this.waitedMs = waitedMs;
  }
}

const author = "root";

/** Resolves when the dead incarnation's resources are gone; throws CleanupOverdueError when that could not be had within the bound. */
export async function confirmCleanup(deps: CleanupDeps, death: Death): Promise<Cleanup> {
  const { bus, clock, telemetry, run } = deps;
  const { node, incarnation, cause, detectMs } = death;
  const life = { node, incarnation, run };
  telemetry.event("node_died", { actor: node, incarnation }, () => [
    { about: node, about_incarnation: incarnation, cause, ...(detectMs === undefined ? {} : { detectMs }) },
  ]);
  const asked = new AbortController();
  const byWatchdog = await within(clock, bus.timeouts.cleanup, confirmationOf(deps, life, cause, asked.signal));
  asked.abort();
  if (byWatchdog.kind === "done" && byWatchdog.value !== undefined) return { leasesCleaned: byWatchdog.value };
  const mine = await within(clock, bus.timeouts.cleanup, cleanUpMyself(deps, life));
  if (mine.kind === "done" && mine.value !== undefined) return { leasesCleaned: mine.value };
  const waitedMs = 2 * bus.timeouts.cleanup;
  telemetry.counters.add("cleanups_overdue");
  telemetry.event("cleanup_overdue", { actor: node, incarnation }, () => [
    { about: node, about_incarnation: incarnation, waitedMs },
  ]);
  say(deps, { kind: "cleanup_overdue", ...life, ...saidBy(deps), waitedMs });
  throw new CleanupOverdueError(death, waitedMs);
}

/** The next incarnation was started: what must not precede its predecessor's cleanup. */
export function recordStart(deps: CleanupDeps, node: string, incarnation: number): void {
  say(deps, { kind: "started", node, incarnation, run: deps.run, ...saidBy(deps) });
}

/**
 * Leases that runs before this one left behind. On a broker that we have just started nobody can hold any; on somebody else's they are
 * watched for two TTLs first. Resolves to the number of leases reclaimed.
 */
export async function reclaimFormer(
  deps: CleanupDeps,
  broker: "ours" | "shared",
  signal: AbortSignal,
): Promise<number> {
  const { bus, clock, subjects, run, telemetry } = deps;
  const watch = new LeaseWatch(bus, clock, subjects.leaseBucket);
  const when = broker === "ours" ? "at_once" : "stale";
  const wanted = (owner: { readonly run?: string }) => (owner.run === run ? "never" : when);
  const reclaimed = [...(await watch.reclaim(wanted))];
  if (broker === "shared") {
    await clock.delay(staleAfterTtls * bus.timeouts.lease, signal);
    if (!signal.aborted) reclaimed.push(...(await watch.reclaim(wanted)));
  }
  for (const { key, owner } of reclaimed) {
    telemetry.counters.add("leases_reclaimed");
    telemetry.event("cleanup", { actor: author, incarnation: 1 }, () => [
      { about: owner.node, about_incarnation: owner.incarnation, leases: 1, by: "supervisor", why: "former_run", key },
    ]);
    const life = { node: owner.node, incarnation: owner.incarnation, run: owner.run ?? "unknown" };
    if (isToken(owner.node)) say(deps, { kind: "reclaimed", ...life, ...saidBy(deps), key, why: "former_run" });
  }
  return reclaimed.length;
}

/** The leases that whoever confirmed first has swept; undefined when the death could not be written. */
async function confirmationOf(
  deps: CleanupDeps,
  life: NodeLife,
  cause: string,
  signal: AbortSignal,
): Promise<number | undefined> {
  const log = new CleanupLog(deps.bus, deps.subjects, deps.clock);
  const written = await log.write({ kind: "died", ...life, ...saidBy(deps), cause });
  if (written.kind === "unavailable") {
    deps.telemetry.counters.add("cleanups_unwritten");
    return undefined;
  }
  for await (const { record } of log.follow(written.seq + 1, signal))
    if (record?.kind === "cleanup_confirmed" && isOf(record, life)) return record.leases;
  return undefined;
}

function isOf(record: NodeLife, { node, incarnation, run }: NodeLife): boolean {
  return record.node === node && record.incarnation === incarnation && record.run === run;
}

/** Goes on beyond anybody's wait for it, until the broker is back. */
async function cleanUpMyself(deps: CleanupDeps, life: NodeLife): Promise<number | undefined> {
  const { bus, clock, subjects, telemetry } = deps;
  const swept = await evictAll(bus, clock, subjects.leaseBucket, life, { forMs: cleanupWriteMaxMs });
  const leases = swept.kind === "swept" ? swept.leases : undefined;
  const written =
    leases === undefined
      ? undefined
      : await new CleanupLog(bus, subjects, clock).write({
          kind: "cleanup_confirmed",
          ...life,
          ...saidBy(deps),
          leases,
        });
  if (leases === undefined || written?.kind !== "written") {
    telemetry.counters.add("cleanups_unwritten");
    return undefined;
  }
  if (!written.first) return leases;
  telemetry.counters.add("supervisor_cleanups");
  telemetry.counters.add("leases_reclaimed", leases);
  telemetry.event("cleanup", { actor: author, incarnation: 1 }, () => [
    { about: life.node, about_incarnation: life.incarnation, leases, by: "supervisor", why: "died" },
  ]);
  return leases;
}

/** Nobody waits for it. */
function say(deps: CleanupDeps, record: CleanupRecord): void {
  const unwritten = (): void => deps.telemetry.counters.add("cleanups_unwritten");
  new CleanupLog(deps.bus, deps.subjects, deps.clock).write(record).then((outcome) => {
    if (outcome.kind === "unavailable") unwritten();
  }, unwritten);
}

function saidBy({ clock }: CleanupDeps) {
  return { by: "supervisor", author, atMs: clock.nowMs() } as const;
}
