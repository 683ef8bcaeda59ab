// The supervision tree as data.
//
// Owns: the shape of a spec, its defaults in one literal, and its validation.
// Does not own: what is done with it (supervisor.ts, cell.ts).

import type { BatchBehaviour, Behaviour } from "../actor/behaviour.js";
import type { Refs } from "../actor/ref.js";
import type { BackoffSettings } from "./backoff.js";
import type { RestartIntensity } from "./restart-intensity.js";
import type { RestartType, Strategy } from "./strategies.js";

/** A spec of any actor is a ChildSpec<unknown, unknown>, so a list of children needs no type arguments. */
export interface ChildSpec<M = unknown, S = unknown> {
  readonly id: string;
  /** Called for every incarnation. */
  readonly behaviour: (refs: Refs) => Behaviour<M, S> | BatchBehaviour<M, S>;
  readonly restart: RestartType;
  /** How long a turn in flight and then `stop` may take before the incarnation is abandoned. */
  readonly shutdownMs?: number;
  /** Messages queued and in flight together. */
  readonly mailboxMax?: number;
  /** Deliveries that crashed before a message becomes a dead letter. Kills do not count. */
  readonly maxDeliver?: number;
  /** A turn longer than this is a hang and ends the incarnation. Without it only the end of a fault's lease helps. */
  readonly turnMaxMs?: number;
  readonly contained?: Contained;
}

/**
 * Asked at each restart. While true, a child's restarts count against a budget of its own, as large as its supervisor's; when that is spent
 * the child stays down, alone (supervisor.ts S5). Never, when left out.
 */
export type Contained = () => boolean;

export interface SupervisorSpec {
  readonly id: string;
  readonly strategy: Strategy;
  readonly intensity: RestartIntensity;
  readonly backoff?: BackoffSettings;
  readonly contained?: Contained;
  readonly ahead?: Ahead;
  /** Started in this order, each ready before the next; stopped in reverse. */
  readonly children: readonly (ChildSpec | SupervisorSpec)[];
}

/**
 * What a child will need and what takes long: begun when its supervisor starts, beside the children before it, so that the order of ready
 * stays as it is. Begins again with each start of the supervisor; ends behind its last child, whether a child took it or not.
 */
export interface Ahead {
  /** Does not throw: what fails is heard of by the child that takes it. */
  begin(): void;
  /** Bounded. What a child has taken is the child's. */
  end(): Promise<void>;
}

export const childDefaults = { shutdownMs: 5_000, mailboxMax: 10_000, maxDeliver: 3 } as const;

export function isSupervisor(spec: ChildSpec | SupervisorSpec): spec is SupervisorSpec {
  return "strategy" in spec;
}

/** Throws on what the compiler cannot see: duplicate ids and bounds that are not positive. */
export function checkSpec(spec: SupervisorSpec): void {
  const ids = new Set<string>();
  for (const child of spec.children) {
    if (ids.has(child.id)) throw new Error(`supervisor "${spec.id}" has two children "${child.id}"`);
    ids.add(child.id);
    checkChild(child);
  }
  positive(spec.id, "intensity.withinMs", spec.intensity.withinMs);
}

export function checkChild(child: ChildSpec | SupervisorSpec): void {
  if (isSupervisor(child)) checkSpec(child);
  else checkBounds(child);
}

function checkBounds(spec: ChildSpec): void {
  for (const bound of ["shutdownMs", "mailboxMax", "maxDeliver", "turnMaxMs"] as const) {
    const value = spec[bound];
    if (value !== undefined) positive(spec.id, bound, value);
  }
}

function positive(id: string, bound: string, value: number): void {
  if (!(value > 0)) throw new Error(`"${id}": ${bound} must be positive, is ${value}`);
}
