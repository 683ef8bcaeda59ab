// The plan of a soak: which faults strike what, and when, all from one seed.
//
// Owns: the choice of targets, their order, the pace. Does not own: striking (strikes.ts), what must hold afterwards (invariants.ts).
//
// P1. Equal options and equal targets give equal plans, fault for fault.
// P2. No supervisor is asked for more restarts than its intensity allows (10 in 10 s for actors, 20 in 60 s for the root): a soak tests
//     repair, and escalation is a repair that gives up. Outages and lost leases add crashes of their own, so the pace keeps below the bound.

import { type Random, seededRandom } from "../../models/clock.js";
import type { TreeNode } from "../../transport/messages/look-orders.js";
import { grouped } from "./evidence.js";

export interface FaultCounts {
  readonly actorKills: number;
  readonly nodeKills: number;
  readonly stops: number;
  readonly brokerKills: number;
}

/** An actor that may be struck, and the supervisor whose budget its restart takes from. */
export interface Target {
  readonly node: string;
  readonly path: string;
  readonly supervisor: string;
}

export type Fault = { readonly atMs: number; readonly lane: string } & (
  | { readonly kind: "actor"; readonly node: string; readonly path: string; readonly mode: "kill" | "crash" }
  | { readonly kind: "node"; readonly node: string }
  | { readonly kind: "stop"; readonly node: string; readonly forMs: number }
  | { readonly kind: "broker" }
);

export interface Plan {
  readonly seed: number;
  /** By time. Faults of one lane strike one after the other; lanes strike side by side. */
  readonly faults: readonly Fault[];
  readonly durationMs: number;
}

/** Time between two faults of one lane, on average; `actorLeastMs` holds for each two, also when a fault is struck again. */
export const pace = { actorMs: 1_200, actorLeastMs: 1_120, nodeMs: 3_500, stopMs: 6_000, brokerMs: 8_000 } as const;
/** Longer than the writer's lease lives, and shorter. */
const frozen = { longMs: 2_500, shortMs: 300 } as const;

/** Every actor of every node of a tree, in the order of their names. */
export function targetsIn(root: TreeNode): Target[] {
  const found = root.children.flatMap((node) => (node.kind === "node" ? actorsBelow(node, node.name, "") : []));
  return found.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

function keyOf({ node, path }: Target): string {
  return `${node}/${path}`;
}

function actorsBelow(above: TreeNode, node: string, supervisor: string): Target[] {
  return above.children.flatMap((child) => {
    const path = supervisor === "" ? child.name : `${supervisor}/${child.name}`;
    return child.kind === "actor" ? [{ node, path, supervisor }] : actorsBelow(child, node, path);
  });
}

export function planFaults(counts: FaultCounts, targets: readonly Target[], seed: number): Plan {
  const random = seededRandom(seed);
  const lanes = [...grouped(targets, ({ node, supervisor }) => `${node}:${supervisor}`)];
  const nodes = [...new Set(targets.map(({ node }) => node))];
  if (lanes.length === 0) throw new RangeError("a soak needs actors to strike");
  const durationMs = Math.max(
    Math.ceil(counts.actorKills / lanes.length) * pace.actorMs,
    counts.nodeKills * pace.nodeMs,
    counts.stops * pace.stopMs,
    counts.brokerKills * pace.brokerMs,
  );
  const faults: Fault[] = [
    ...lanes.flatMap(([lane, members], index) => {
      const share = Math.floor((counts.actorKills + lanes.length - 1 - index) / lanes.length);
      return times(share, durationMs, random).map((atMs) => actorFault(atMs, lane, members, random));
    }),
    ...times(counts.nodeKills, durationMs, random).map(
      (atMs): Fault => ({ atMs, lane: "nodes", kind: "node", node: oneOf(nodes, random) }),
    ),
    ...times(counts.stops, durationMs, random).map((atMs, index) => stopFault(atMs, index, nodes, random)),
    ...times(counts.brokerKills, durationMs, random).map((atMs): Fault => ({ atMs, lane: "broker", kind: "broker" })),
  ];
  return { seed, faults: faults.sort((a, b) => a.atMs - b.atMs), durationMs };
}

function actorFault(atMs: number, lane: string, members: readonly Target[], random: Random): Fault {
  const { node, path } = oneOf(members, random);
  return { atMs, lane, kind: "actor", node, path, mode: random() < 0.5 ? "kill" : "crash" };
}

/** Every other one freezes a writer for longer than its lease lives. */
function stopFault(atMs: number, index: number, nodes: readonly string[], random: Random): Fault {
  const writers = nodes.filter((node) => node.startsWith("learning"));
  const isLong = index % 2 === 0 && writers.length > 0;
  const node = oneOf(isLong ? writers : nodes, random);
  return { atMs, lane: "stops", kind: "stop", node, forMs: isLong ? frozen.longMs : frozen.shortMs };
}

/** `count` moments over the duration: even shares, each struck somewhere in its middle half. */
function times(count: number, durationMs: number, random: Random): number[] {
  const shareMs = durationMs / Math.max(1, count);
  return Array.from({ length: count }, (_, index) => Math.round((index + 0.25 + random() / 2) * shareMs));
}

function oneOf<T>(items: readonly T[], random: Random): T {
  const item = items[Math.floor(random() * items.length)];
  if (item === undefined) throw new RangeError("nothing to choose from");
  return item;
}
