// What a node needs to serve models that are added while the cluster runs: the registry, a cache, the roster; put together before the tree.
//
// Owns: where these meet the bus and the disk. Does not own: what they do (roster.ts, registrar.ts, operations/registry/model-cache.ts).

import { rm } from "node:fs/promises";
import { packLoaded } from "../../models/adoption/model-package.js";
import { openModelCache } from "../../operations/registry/model-cache.js";
import type { ChildSpec, SupervisorSpec } from "../../supervision/tree/child-spec.js";
import type { StandingsOutcome } from "../../transport/log/model-registry.js";
import { type ModelRegistry, openModelRegistry } from "../../transport/log/model-registry.js";
import type { HostOptions } from "../host-options.js";
import type { ModelWiring } from "../wiring/model-wiring.js";
import { prepareModel } from "../wiring/prepared-streams.js";
import type { Surroundings } from "../wiring/surroundings.js";
import type { NodeWiring } from "../wiring/wiring.js";
import type { RegistrarDeps } from "./registrar.js";
import { Roster } from "./roster.js";

/** Of a model on this node, as children of its top supervisor. */
export type PartsOf = (wiring: NodeWiring, model: ModelWiring) => readonly (ChildSpec | SupervisorSpec)[];

export interface AddedModels {
  readonly roster: Roster;
  readonly registrar: RegistrarDeps;
  /** Once nothing runs any more. */
  close(): Promise<void>;
}

/** The child of the tree in front of which models go. */
export const registrarId = "registrar";

const timing = { tickMs: 1_000, sweepEveryMs: 60_000, pauseMs: 250 } as const;

/** Undefined for a node that serves what it was started with, and nothing else. What the registry says now is loaded when it resolves. */
export async function openAddedModels(
  options: HostOptions,
  { telemetry }: Surroundings,
  wiring: NodeWiring,
  partsOf: PartsOf,
): Promise<AddedModels | undefined> {
  const { bus, logBus = bus, clock, subjects, added, node, incarnation } = options;
  if (added === undefined) return undefined;
  const registry = openModelRegistry(logBus, clock, subjects);
  const cache = openModelCache({ registry, ...added });
  const [read, given] = await Promise.all([
    readWithin(registry, options),
    Promise.all(options.models.map(async (model) => ({ model, sha256: (await packLoaded(model)).package.sha256 }))),
  ]);
  if (read.kind === "unavailable") throw new Error(`the registry of models cannot be read: ${read.why}`);
  const roster = new Roster({
    ...{ node, incarnation, given, wiring, telemetry, clock },
    partsOf: (model) => partsOf(wiring, model),
    acquire: cache.acquire,
    drop: cache.drop,
    ensureStreams: (model) => prepareModel(options, model),
    doorMs: bus.timeouts.door,
    before: registrarId,
  });
  await roster.begin(read.standings);
  const tidies = options.roles.includes("operations");
  return {
    roster,
    registrar: { registry, roster, tidies, ...timing },
    close: async () => {
      if (added.ends) await rm(added.folder, { recursive: true, force: true });
    },
  };
}

/** A broker that is on its way back does not cost the node one of its restarts. */
async function readWithin(registry: ModelRegistry, { bus, clock }: HostOptions): Promise<StandingsOutcome> {
  const deadlineAtMs = clock.monotonicMs() + bus.timeouts.comeback;
  for (;;) {
    const read = await registry.standings();
    const isOver = read.kind === "standings" || read.why === "closed" || read.why === "denied";
    if (isOver || clock.monotonicMs() >= deadlineAtMs) return read;
    await clock.delay(timing.pauseMs);
  }
}
