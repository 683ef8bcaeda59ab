// A seeded schedule of faults: which iteration strikes, what kind of target, which mode, which of the candidates.
//
// Owns: the draws, and which modes each kind of target may have. Does not own: striking (verbs/chaos-run.ts, sim/worker-chaos.ts), the clock.
//
// S1. An iteration's draw follows from the seed and its number alone: each takes the same count of random numbers, whether it strikes or not.
// S2. A target is drawn as a share of the candidates' list, which is sorted by name: the same tree and seed give the same targets.

import { type Random, seededRandom } from "../../models/clock.js";
import type { FaultMode } from "../../transport/messages/chaos-orders.js";
import type { TreeNode } from "../../transport/messages/look-orders.js";
import { brokerName } from "../broker/broker-watch.js";

export const targetKinds = ["actors", "nodes", "broker"] as const;
export type TargetKind = (typeof targetKinds)[number];

export interface ScheduleSettings {
  /** Of a strike in one iteration, 0..1. */
  readonly probability: number;
  /** 32-bit integer. */
  readonly seed: number;
  readonly targets: readonly TargetKind[];
  /** Only these; the usual ones of each kind when left out. */
  readonly modes?: readonly FaultMode[] | undefined;
}

export interface Draw {
  /** From 0. */
  readonly iteration: number;
  readonly kind: TargetKind;
  readonly mode: FaultMode;
  /** Uniform in [0, 1): the share of the way through the sorted candidates. */
  readonly pick: number;
}

/** How often each kind is drawn, and each mode of it: relative weights. */
const kindWeights: Readonly<Record<TargetKind, number>> = { actors: 7, nodes: 2, broker: 1 };
const usualModes: Readonly<Record<TargetKind, Partial<Record<FaultMode, number>>>> = {
  actors: { kill: 1, crash: 1 },
  nodes: { sigkill: 9, sigstop: 1 },
  broker: { sigkill: 1 },
};
const possibleModes: Readonly<Record<TargetKind, Partial<Record<FaultMode, number>>>> = {
  actors: { kill: 1, crash: 1, hang: 1, slow: 1 },
  nodes: { sigkill: 9, sigstop: 1 },
  broker: { sigkill: 1 },
};

/** The kinds that the settings leave something to do for; none means that nothing can ever strike. */
export function strikableKinds({ targets, modes }: Pick<ScheduleSettings, "targets" | "modes">): readonly TargetKind[] {
  return targetKinds.filter((kind) => targets.includes(kind) && Object.keys(modesOf(kind, modes)).length > 0);
}

/** One entry per iteration, without end: the draw, or undefined when the iteration passes quietly. */
export function* faultSchedule(settings: ScheduleSettings): Generator<Draw | undefined, never> {
  const random = seededRandom(settings.seed);
  const kinds = strikableKinds(settings);
  const weights: Partial<Record<TargetKind, number>> = {};
  for (const kind of kinds) weights[kind] = kindWeights[kind];
  for (let iteration = 0; ; iteration += 1) {
    const strikes = random() < settings.probability;
    const [forKind, forMode, pick] = [random(), random(), random()];
    const kind = weighted(weights, forKind);
    const mode = kind === undefined ? undefined : weighted(modesOf(kind, settings.modes), forMode);
    yield strikes && kind !== undefined && mode !== undefined ? { iteration, kind, mode, pick } : undefined;
  }
}

function modesOf(kind: TargetKind, chosen: readonly FaultMode[] | undefined): Partial<Record<FaultMode, number>> {
  if (chosen === undefined) return usualModes[kind];
  const kept = Object.entries(possibleModes[kind]).filter(([mode]) => chosen.some((each) => each === mode));
  return Object.fromEntries(kept);
}

/** The name whose share of the total weight holds `at`, 0..1; undefined when there are no names. */
function weighted<K extends string>(weights: Partial<Record<K, number>>, at: ReturnType<Random>): K | undefined {
  const names = Object.keys(weights) as K[];
  const total = names.reduce((sum, name) => sum + (weights[name] ?? 0), 0);
  let below = 0;
  for (const name of names) {
    below += weights[name] ?? 0;
    if (at * total < below) return name;
  }
  return names.at(-1);
}

/** What can be struck in a tree. `node` is whom to ask: a node, or the root. */
export interface Candidate {
  readonly kind: TargetKind;
  /** Unique in the tree: `node`, or `node/path`. */
  readonly name: string;
  readonly node: string;
  /** An actor's path, or the name of the node or the broker. */
  readonly target: string;
  /** Of the process it lives in. */
  readonly pid: number | undefined;
  readonly state: string;
  readonly generation: number;
}

/** Everything that can be struck, sorted by name: of a node that was joined by hand its actors, for no root owns its process. */
export function candidatesIn(tree: TreeNode): readonly Candidate[] {
  const found = tree.children.flatMap((child) => [
    ...(child.joined === true ? [] : [whole(child)]),
    ...actorsBelow(child, child, []),
  ]);
  return found.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

/** The candidate that a draw means; undefined when there is none of its kind. */
export function drawn({ kind, pick }: Draw, candidates: readonly Candidate[]): Candidate | undefined {
  const of = candidates.filter((candidate) => candidate.kind === kind);
  return of[Math.floor(pick * of.length)];
}

function whole({ name, pid, state, generation }: TreeNode): Candidate {
  return { kind: name === brokerName ? "broker" : "nodes", name, node: "root", target: name, pid, state, generation };
}

function actorsBelow(node: TreeNode, above: TreeNode, path: readonly string[]): Candidate[] {
  return above.children.flatMap((child) => {
    const below = [...path, child.name];
    if (child.kind !== "actor") return actorsBelow(node, child, below);
    const target = below.join("/");
    const { state, generation } = child;
    return [
      { kind: "actors", name: `${node.name}/${target}`, node: node.name, target, pid: node.pid, state, generation },
    ];
  });
}
