// A cluster on several hosts: a nats-server on each, the nodes of a plan, a client per host, and an operator who looks.
//
// Owns: the order of start and end. Does not own: where a host is (lan.ts, servers.ts), what is done to it (faults.ts).

import { askReport } from "../../operations/ask-report.js";
import type { HealthReport } from "../../operations/health/health-report.js";
import { type Readings, readAll } from "../../sim/soak/readings.js";
import { systemClock as clock } from "../../supervision/clock.js";
import { type Bus, connectBus } from "../../transport/bus/bus.js";
import { subjectsOf } from "../../transport/subjects.js";
import { folder, model } from "../cluster/running.js";
import { until } from "../until.js";
import { Loads } from "./loads.js";
import { HostNode, type NodePlace } from "./nodes.js";
import { type ServerPlace, type Servers, startServers } from "./servers.js";

export const cluster = "driftmend";
export const subjects = subjectsOf(cluster);
const modelName = model.manifest.name;

export interface WorldPlan {
  readonly places: readonly ServerPlace[];
  /** Which nodes run on which host, by the host's name. */
  readonly nodes: readonly PlannedNode[];
  /** Nodes that somebody starts later. */
  readonly later?: readonly PlannedNode[];
  readonly replicas: number;
  readonly searchPath: string;
  /** File descriptor of the nodes' log lines. */
  readonly output: number;
  /** Requests per second. */
  readonly rate: number;
  readonly deadlineMs: number;
  /** Begins every request id. */
  readonly run: string;
}

export type PlannedNode = Pick<NodePlace, "name" | "role"> & { readonly on: string };

export interface World {
  readonly servers: Servers;
  readonly nodes: readonly HostNode[];
  readonly loads: Loads;
  /** Sees what an operator sees. */
  readonly bus: Bus;
  readonly readyMs: number;
  node(name: string): HostNode;
  /** From the nodes' own beats, as the operations nodes add them up; undefined when none answers. */
  health(): Promise<HealthReport | undefined>;
  /** After the load has stopped. */
  read(): Promise<Readings>;
  end(): Promise<void>;
}

export async function startWorld(plan: WorldPlan): Promise<World> {
  const startedAtMs = clock.monotonicMs();
  const servers = await startServers(plan.places, cluster, plan.searchPath);
  const ending: (() => Promise<unknown>)[] = [() => servers.end()];
  const end = async (): Promise<void> => {
    for (const each of ending.splice(0).reverse()) await each();
  };
  try {
    const first = plan.nodes.map((each) => nodeOf(plan, servers, each));
    const nodes = [...first, ...(plan.later ?? []).map((each) => nodeOf(plan, servers, each))];
    ending.push(() => Promise.all(nodes.map((node) => node.end("SIGKILL"))));
    await Promise.all(first.map((node) => node.start()));
    const bus = await connectBus({ url: servers.urls(), name: "driftmend-hosts-operator", clock });
    ending.push(() => bus.close());
    const { rate, deadlineMs, run } = plan;
    const urls = plan.places.map(({ name }) => servers.urls(name));
    const loads = await Loads.start({ cluster, model: modelName, run, rate, deadlineMs, urls });
    ending.push(() => loads.close());
    const servingNodes = (): string[] =>
      nodes.filter(({ place, running }) => running && place.role === "serving").map(({ name }) => name);
    return {
      servers,
      nodes,
      loads,
      bus,
      readyMs: clock.monotonicMs() - startedAtMs,
      node: (name) => {
        const found = nodes.find((node) => node.name === name);
        if (found === undefined) throw new Error(`no node ${name}`);
        return found;
      },
      health: async () => {
        const asked = await askReport({ bus, subjects }, "health");
        return asked.kind === "report" ? asked.report : undefined;
      },
      read: () => readAll({ bus, subjects, model, folder, clock, servingNodes: servingNodes() }),
      end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

function nodeOf(plan: WorldPlan, servers: Servers, { name: node, role, on }: PlannedNode): HostNode {
  const place = plan.places.find(({ name }) => name === on);
  if (place === undefined) throw new Error(`no host ${on}`);
  const { replicas, output, searchPath } = plan;
  return new HostNode({ name: node, role, prefix: place.prefix, urls: servers.urls(on), replicas, output }, searchPath);
}

/** Every client of the load has so many answers more. */
export async function flowing(world: World, what: string, withinMs: number, each = 5): Promise<void> {
  const fromMs = clock.monotonicMs();
  await until(what, withinMs, () => world.loads.answersSince(fromMs).every((count) => count >= each));
}
