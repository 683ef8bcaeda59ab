// What telemetry says of learning and of restarts while a run goes on: for the screen. The report asks the log instead.

import type { Clock } from "../models/clock.js";
import type { ClusterContext } from "../transport/access/context.js";
import type { Bus } from "../transport/bus/bus.js";
import { parseEvent, type TelemetryEvent } from "../transport/messages/events.js";
import { subjectsOf } from "../transport/subjects.js";
import { connectAs } from "./connection.js";

export interface UpdateTally {
  applied: number;
  readonly refused: Record<string, number>;
  actorRestarts: number;
  event: string | undefined;
  close(): Promise<void>;
}

export async function followUpdates(context: ClusterContext, clock: Clock): Promise<UpdateTally> {
  const subjects = subjectsOf(context.cluster);
  const bus = await connectAs(context, "telemetry", "driftmend-demo", clock);
  const tally: UpdateTally = { applied: 0, refused: {}, actorRestarts: 0, event: undefined, close: () => bus.close() };
  on(bus, subjects.event("update"), (event) => {
    for (const item of event.items) count(tally, item);
  });
  on(bus, subjects.event("restarting"), (event) => {
    tally.actorRestarts += 1;
    tally.event = `${event.node}/${event.actor} restarts: ${String(event.items[0]?.cause ?? "")}`;
  });
  on(bus, subjects.event("node_died"), (event) => {
    tally.event = `${event.actor} died: ${String(event.items[0]?.cause ?? "")}`;
  });
  on(bus, subjects.event("node_ready"), (event) => {
    if (tally.event !== undefined) tally.event = `${event.node} is back, generation ${event.incarnation}`;
  });
  return tally;
}

function on(bus: Bus, subject: string, take: (event: TelemetryEvent) => void): void {
  bus.subscribe(subject, {}, (message) => {
    const parsed = parseEvent(message.data);
    if (parsed.kind === "ok") take(parsed.value);
  });
}

function count(tally: UpdateTally, item: TelemetryEvent["items"][number]): void {
  if (item.kind === "applied") tally.applied += 1;
  const guard = item.guard;
  if (item.kind === "refused" && typeof guard === "string") tally.refused[guard] = (tally.refused[guard] ?? 0) + 1;
}
