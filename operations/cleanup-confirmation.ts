// Cleanup before restart, for a whole node: ask the watchdog, wait a bounded time, else do it oneself.
//
// Owns: the wait, and who confirms. Does not own: the watchdog (actors/watchdog.ts), the restart (supervision/process-root.ts).
//
// C1. Each death is confirmed on the cleanup subject, by "watchdog" or by "supervisor", before the next incarnation starts. A watchdog
//     that answers after the bound confirms a second time: whoever counts, counts by node and incarnation.
// C2. A watchdog that is dead, or is what died, delays a restart by `confirmWithinMs` and no more.

import type { Clock } from "../models/clock.js";
import type { Bus } from "../transport/bus.js";
import { encodeEvent, parseEvent } from "../transport/events.js";
import { evictAll } from "../transport/lease.js";
import type { Subjects } from "../transport/subjects.js";
import type { Telemetry } from "./telemetry.js";

export interface CleanupDeps {
  readonly bus: Bus;
  readonly subjects: Subjects;
  readonly telemetry: Telemetry;
  readonly clock: Clock;
}

export interface Death {
  readonly node: string;
  readonly incarnation: number;
  readonly cause: string;
}

const confirmWithinMs = 500;

export async function confirmCleanup(deps: CleanupDeps, death: Death): Promise<{ readonly leasesCleaned: number }> {
  const { bus, subjects, telemetry, clock } = deps;
  const { node, incarnation, cause } = death;
  const ended = new AbortController();
  const confirmed = new Promise<number>((resolve) => {
    const subscription = bus.subscribe(subjects.cleanup(node), {}, (message) => {
      const event = parseEvent(message.data);
      if (event.kind === "ok" && event.value.incarnation === incarnation) resolve(Number(event.value.items[0]?.leases));
    });
    ended.signal.addEventListener("abort", () => subscription.unsubscribe());
  });
  telemetry.event("node_died", { actor: node, incarnation }, () => [
    { about: node, about_incarnation: incarnation, cause },
  ]);
  const byWatchdog = await Promise.race([confirmed, clock.delay(confirmWithinMs, ended.signal).then(() => undefined)]);
  ended.abort();
  if (byWatchdog !== undefined) return { leasesCleaned: byWatchdog };
  return { leasesCleaned: await cleanUpMyself(deps, death) };
}

async function cleanUpMyself({ bus, subjects, clock }: CleanupDeps, { node, incarnation }: Death): Promise<number> {
  const leases = await evictAll(bus, clock, subjects.leaseBucket, { node, incarnation });
  const atMs = clock.nowMs();
  const items = [{ leases, by: "supervisor" }];
  bus.publish(subjects.cleanup(node), encodeEvent({ kind: "cleanup", node, actor: "root", incarnation, atMs, items }));
  return leases;
}
