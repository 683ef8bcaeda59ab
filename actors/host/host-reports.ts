// What a node tells of itself: its actors' lives, its connection, and what it serves.
//
// Owns: how events of the tree and of the bus become telemetry and log lines, and the service discovery entry. Does not own: when
// (host.ts), the wire (transport/messages/events.ts, transport/bus/service.ts).

import type { Counters, Telemetry } from "../../operations/metrics/telemetry.js";
import type { SupervisionEvent } from "../../supervision/events.js";
import type { Logger } from "../../supervision/logger.js";
import type { BusEvent } from "../../transport/bus/bus.js";
import { announceService, type EndpointStats } from "../../transport/bus/service.js";
import type { HostOptions } from "../host-options.js";
import type { Desk } from "../serving/desk.js";
import type { NodeWiring } from "../wiring/wiring.js";

const loud = new Set<SupervisionEvent["kind"]>(["crashed", "escalated", "left_down", "dead_letter"]);

export function reportSupervision(telemetry: Telemetry, log: Logger, event: SupervisionEvent): void {
  const { kind, path, incarnation, node: _node, nodeIncarnation, atMs: _at, ...facts } = event;
  const line = { actor: path, incarnation, nodeIncarnation, ...plain(facts) };
  if (loud.has(kind)) log.warn(`actor ${kind}`, line);
  else log.debug(`actor ${kind}`, line);
  telemetry.counters.add(`actors_${kind}`);
  telemetry.event(kind, { actor: path, incarnation }, () => [{ nodeIncarnation, ...plain(facts) }]);
}

function plain(facts: Readonly<Record<string, unknown>>): Readonly<Record<string, string | number>> {
  return Object.fromEntries(
    Object.entries(facts).map(([name, value]) => [
      name,
      typeof value === "number" || typeof value === "string" ? value : ((value as { kind?: string }).kind ?? ""),
    ]),
  );
}

export function reportBus(telemetry: Telemetry, log: Logger, incarnation: number, event: BusEvent): void {
  const origin = { actor: "bus", incarnation };
  switch (event.kind) {
    case "denied":
      log.warn("permission denied", { operation: event.operation, subject: event.subject });
      telemetry.event("permission_violation", origin, () => [{ about: event.subject, cause: event.operation }]);
      return;
    case "reconnected":
      telemetry.event("reconnected", origin, () => [{ outageMs: event.outageMs }]);
      return;
    case "handler_failed":
    case "server_error":
      log.error(event.kind, { error: event.error });
      return;
    case "disconnected":
    case "server_leaving":
    case "slow_consumer":
      log.warn(event.kind, { ...event });
      return;
    case "closed":
      // The end of the node (host.ts), or at its end.
      return;
    default:
      event satisfies never;
  }
}

export function announce(
  options: HostOptions,
  counters: Counters,
  wiring: NodeWiring,
  startedAtMs: number,
): () => void {
  const { bus, subjects, node, roles, incarnation, origin } = options;
  const identity = {
    name: "driftmend",
    id: origin,
    version: options.version,
    description: "inference that mends crashes and drift",
    get metadata() {
      const of = { cluster: subjects.cluster, node, role: roles.join(","), incarnation: `${incarnation}` };
      return { ...of, model: wiring.roll.names.join(",") };
    },
  };
  const served = () => (roles.includes("serving") ? wiring.models : []);
  const endpoints = () =>
    served().map(({ name, desk }) => ({
      name,
      subject: subjects.infer(name),
      queueGroup: subjects.servingGroup,
      stats: () => endpointStats(counters, name, desk),
    }));
  return announceService(bus, identity, endpoints, startedAtMs);
}

/** Requests that were opened at the desk of a model: answered, or refused later. Those refused at the door are counted by telemetry. */
function endpointStats(counters: Counters, model: string, { lastRefusal }: Desk): EndpointStats {
  const errors = counters.get(`closed_refused_${model}`);
  return {
    requests: counters.get(`answered_${model}`) + errors,
    errors,
    lastError: lastRefusal,
    processingMs: counters.get(`processing_ms_${model}`),
  };
}
