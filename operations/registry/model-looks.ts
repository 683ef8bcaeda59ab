// Where each model stands on the nodes of a cluster, asked from outside.
//
// Owns: whom to ask, and the wait for all of them. Does not own: the answer (actors/host/roster.ts), how it is shown (verbs/models.ts).

import type { Clock } from "../../models/clock.js";
import type { DriftmendClient } from "../../transport/client.js";
import { encodeLookRequest } from "../../transport/messages/look-orders.js";
import { type ModelOnNode, parseModelLook } from "../../transport/messages/model-looks.js";
import { discoverNodes } from "../discovery.js";

export interface NodeModels {
  readonly node: string;
  /** Undefined when it does not answer, or is of a version without a registrar. */
  readonly models: readonly ModelOnNode[] | undefined;
}

type Door = Pick<DriftmendClient, "bus" | "subjects">;

const registrarPath = "registrar";
const pollMs = 100;
const discoverEveryMs = 2_000;

export async function lookAtModels(door: Door): Promise<readonly NodeModels[]> {
  return lookAt(door, await discoverNodes(door));
}

function lookAt(door: Door, nodes: readonly string[]): Promise<NodeModels[]> {
  return Promise.all(nodes.map(async (node) => ({ node, models: await modelsOf(door, node) })));
}

async function modelsOf({ bus, subjects }: Door, node: string): Promise<readonly ModelOnNode[] | undefined> {
  const outcome = await bus.request(subjects.actor(node, registrarPath), encodeLookRequest(), {
    timeoutMs: bus.timeouts.look,
  });
  if (outcome.kind !== "reply") return undefined;
  const parsed = parseModelLook(outcome.data);
  return parsed.kind === "ok" && parsed.value.kind === "reply" ? parsed.value.reply : undefined;
}

/** The first look that is `enough`, or the last one within `withinMs`. Nodes that come meanwhile are looked at too. */
export async function awaitModels(
  door: Door,
  clock: Clock,
  withinMs: number,
  enough: (looks: readonly NodeModels[]) => boolean,
): Promise<readonly NodeModels[]> {
  const deadlineAtMs = clock.monotonicMs() + withinMs;
  let nodes = await discoverNodes(door);
  let discoveredAtMs = clock.monotonicMs();
  for (;;) {
    const looks = await lookAt(door, nodes);
    if (enough(looks) || clock.monotonicMs() >= deadlineAtMs) return looks;
    await clock.delay(pollMs);
    if (clock.monotonicMs() - discoveredAtMs < discoverEveryMs) continue;
    nodes = await discoverNodes(door);
    discoveredAtMs = clock.monotonicMs();
  }
}
