// The broker's pulse: finds a server that lives and answers, but whose JetStream has switched itself off, and has it replaced.
//
// Owns: the decision that a broker is deaf, and when it may be killed for it. Does not own: the restart (broker-watch.ts), the server.
//
// P1. Deaf means: the process answers and its JetStream does not, `misses` times in a row. A stopped or dead server is not deaf but silent,
//     and somebody else sees to it.
// P2. A deaf server is killed only once the disk has room again: until then its successor would fail the same way.
// P3. Killing it costs nothing that was acknowledged: what it acknowledged is in its files (transport/server/broker.ts says what was seen).

import type { Clock } from "../../models/clock.js";
import type { Logger } from "../../supervision/logger.js";
import type { Broker } from "../../transport/server/broker.js";
import type { Telemetry } from "../metrics/telemetry.js";

export interface PulseDeps {
  /** Its watch starts the next one (broker-watch.ts). */
  readonly broker: Pick<Broker, "hasRoom" | "pulse" | "kill">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly telemetry: Pick<Telemetry, "event">;
}

export interface PulseSettings {
  readonly everyMs: number;
  /** Times in a row. */
  readonly misses: number;
}
/** Patient: a server that is slow on a busy machine is not deaf. */
export const pulseDefaults: PulseSettings = { everyMs: 1_000, misses: 3 };

const about = "nats-server";

/** Feels the pulse until the signal aborts. */
export async function feelPulse(
  deps: PulseDeps,
  signal: AbortSignal,
  settings: PulseSettings = pulseDefaults,
): Promise<void> {
  let missed = 0;
  let isTold = false;
  while (!signal.aborted) {
    await deps.clock.delay(settings.everyMs, signal);
    if (signal.aborted) return;
    const heard = await deps.broker.pulse();
    if (heard === "silent") continue;
    missed = heard === "well" ? 0 : missed + 1;
    if (heard === "well" && isTold) report(deps, "log_flows", "JetStream answers again");
    if (heard === "well") isTold = false;
    if (missed < settings.misses) continue;
    // Its successor is as patiently heard as it was.
    if (await replace(deps, !isTold)) missed = 0;
    isTold = true;
  }
}

/** Whether it was killed. */
async function replace(deps: PulseDeps, isNews: boolean): Promise<boolean> {
  const hasRoom = await deps.broker.hasRoom();
  if (isNews) {
    const cause = hasRoom ? "JetStream does not answer" : "the disk is full";
    deps.log.error("nats-server has switched JetStream off", { cause });
    report(deps, "log_backpressure", cause);
  }
  if (hasRoom) deps.broker.kill();
  return hasRoom;
}

function report({ telemetry }: PulseDeps, kind: "log_backpressure" | "log_flows", cause: string): void {
  telemetry.event(kind, { actor: about, incarnation: 0 }, () => [{ about, cause }]);
}
