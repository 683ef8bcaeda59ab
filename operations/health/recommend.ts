// What to do about a failing check, with its numbers in it.
//
// Owns: the placeholders of `recommend:`, and how many slots a pool needs. Does not own: the texts (default-rules.ts, an operations file).
//
// Slots needed = arrival rate x mean service time / utilisation aimed at (Little's law, L = lambda W: the product is how many slots are busy
// on average). Source: J. D. C. Little, A Proof for the Queuing Formula L = lambda W, Operations Research 9 (1961).

import type { ClusterMetrics, PoolFigures } from "../metrics/cluster-metrics.js";
import { figure, type History } from "./history.js";

export const placeholders = ["value", "threshold", "about", "pool", "from", "to", "arrivals", "service"] as const;
export type Placeholder = (typeof placeholders)[number];
/** These need a pool whose size they speak of. */
export const sizingPlaceholders: readonly Placeholder[] = ["pool", "from", "to", "arrivals", "service"];

/** Below the level of any built-in check that is more than information, with room for a busy minute. */
const aimedUtilization = 0.7;
const overMs = 60_000;

export interface Sizing {
  readonly from: number;
  readonly to: number;
  readonly arrivalsPerSecond: number;
  /** Time that a job holds a slot, mean; null when no job ended. */
  readonly serviceMs: number | null;
}

export function placeholdersIn(text: string): readonly { readonly name: string; readonly at: number }[] {
  return Array.from(text.matchAll(/\{([^{}]*)\}/g), (match) => ({ name: match[1] ?? "", at: match.index }));
}

export interface RecommendedFor {
  readonly text: string;
  readonly about: string;
  /** As people read them. */
  readonly value: string;
  readonly threshold: string;
  /** Undefined for what is no pool. */
  readonly sizing: Sizing | undefined;
}

export function recommendation({ text, about, value, threshold, sizing }: RecommendedFor): string {
  const asksForMore = placeholdersIn(text).some(({ name }) => name === "to");
  if (asksForMore && !(sizing !== undefined && sizing.serviceMs !== null && sizing.to > sizing.from))
    return enoughSlots(about, sizing);
  const words: Readonly<Record<Placeholder, string>> = {
    value,
    threshold,
    about,
    pool: about,
    from: String(sizing?.from ?? "–"),
    to: String(sizing?.to ?? "–"),
    arrivals: sizing === undefined ? "–" : `${Number(sizing.arrivalsPerSecond.toPrecision(3))} per second`,
    service: sizing === undefined || sizing.serviceMs === null ? "–" : `${Number(sizing.serviceMs.toPrecision(3))} ms`,
  };
  return text.replace(/\{([^{}]*)\}/g, (whole, name: string) => (isPlaceholder(name) ? words[name] : whole));
}

function isPlaceholder(name: string): name is Placeholder {
  return placeholders.some((each) => each === name);
}

function enoughSlots(about: string, sizing: Sizing | undefined): string {
  if (sizing === undefined || sizing.serviceMs === null)
    return `No job of ${about} ended within the last minute, and more slots would fill up too: find out what holds them (driftmend tree, driftmend profile)`;
  return `More slots would not help ${about}: its ${sizing.from} are enough for what arrives, so find out what holds its jobs up (driftmend profile)`;
}

/** How many slots a pool needs for what arrives now. Undefined when there is no such pool, or it has no slots. */
export function sizingOf(about: string, { pools }: ClusterMetrics, history: History): Sizing | undefined {
  const pool = pools.find(({ name }) => name === about);
  if (pool === undefined || pool.slots === 0) return undefined;
  const ended = endedPerSecond(pool.name, history);
  const arrivals = ended + queuedPerSecond(pool.name, history);
  const busy = history.mean(figure.active(pool.name), overMs) ?? pool.active;
  // How long a job holds its slot follows from how many are held and how many end, whatever phases hold one.
  const serviceMs = ended > 0 ? (busy / ended) * 1_000 : null;
  const wanted = serviceMs === null ? busy : (arrivals * serviceMs) / 1_000;
  return { from: pool.slots, to: slotsNeeded(wanted), arrivalsPerSecond: arrivals, serviceMs };
}

/** `offered`: slots that would be busy on average if there were enough of them. At least 1. */
function slotsNeeded(offered: number): number {
  // A hair less than the quotient: 7 busy slots at 70 % are 10, and not the 11 that floating point makes of it.
  return Math.max(1, Math.ceil(offered / aimedUtilization - 1e-9));
}

function endedPerSecond(pool: PoolFigures["name"], history: History): number {
  const [well, badly] = [history.growth(figure.finished(pool), overMs), history.growth(figure.failed(pool), overMs)];
  if (well === null || badly === null) return 0;
  return ((well.by + badly.by) / well.overMs) * 1_000;
}

/** Jobs that came and found no slot, as far as the queue grew by them. */
function queuedPerSecond(pool: PoolFigures["name"], history: History): number {
  const grown = history.growth(figure.depth(pool), overMs);
  return grown === null ? 0 : (grown.by / grown.overMs) * 1_000;
}
