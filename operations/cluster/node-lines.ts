// The connections of a node process: one for requests and telemetry, one for the log (ARCHITECTURE.md).
//
// Owns: how they are named, that both are made at once. Does not own: one connection (transport/bus/), who waits for a broker that is away.

import type { Clock } from "../../models/clock.js";
import { type Bus, type BusOptions, connectBus } from "../../transport/bus/bus.js";
import { connectPatiently } from "../../transport/bus/patient-connection.js";
import { withTimeouts } from "../../transport/timeouts.js";
import { accessOf } from "./node-settings.js";
import type { NodeOptions } from "./run-options.js";

export interface NodeLines {
  readonly bus: Bus;
  readonly logBus: Bus;
  /** Of one more connection of the same node. */
  as(name: string): BusOptions;
}

interface Surroundings {
  readonly clock: Clock;
  readonly env: NodeJS.ProcessEnv;
  /** A node of a root waits for a broker that is on its way back. */
  readonly hasRoot: boolean;
}

export async function openLines(
  options: NodeOptions,
  node: string,
  { clock, env, hasRoot }: Surroundings,
): Promise<NodeLines> {
  const access = await accessOf(options, env);
  const timeouts = withTimeouts(options.timeout ?? {});
  const as = (name: string): BusOptions => ({ url: options.nats, name, clock, timeouts, ...access });
  const connect = hasRoot ? connectPatiently : connectBus;
  const [bus, logBus] = await Promise.all([connect(as(node)), connect(as(`${node}-log`))]);
  return { bus, logBus, as };
}
