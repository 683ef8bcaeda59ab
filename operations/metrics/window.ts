// Cumulative samples of many processes: sums that never fall, and what came about in a window.
//
// Owns: which process a sample belongs to, what is kept of it, the difference of two samples.
// Does not own: the meaning of a name (catalogue.ts), figures made of them (aggregate.ts).
//
// W1. A process is one life of a node: node, incarnation, run and pid together. Its counters only grow; a sample that is older than what is
//     known of it is passed by.
// W2. A total is the sum over all lives, also of those that ended: what is forgotten of the oldest goes into a base. So it never falls.
// W3. What came about in a window is the difference of two samples of one life, so a lost beat loses nothing. A life that began in the
//     window began with zero; of one that was there before it was first heard, what it did before is nobody's.
// W4. The order of a process's samples is that of its uptime, which no clock sets back. When the clock of whoever hears them is set back, what
//     was heard before moves along: windows stay as long as they are, and nobody was heard in the future.

import type { MetricsSample } from "../../transport/messages/events.js";
import { emptySketch, readSketch, type Sketch, sketchSince } from "./distribution.js";

export type Values = Readonly<Record<string, number>>;

export interface LifeName {
  readonly node: string;
  readonly incarnation: number;
  readonly run: string;
  readonly pid: number;
}

interface Beat {
  /** By whoever heard it: no clock of a node is compared with another's. */
  readonly heardAtMs: number;
  readonly values: Values;
  /** Undefined in most beats but the newest. */
  sketches: Sketches | undefined;
}

/** The sketches of one beat, each read when it is asked for, and once. */
class Sketches {
  readonly #bytes: Readonly<Record<string, Uint8Array>>;
  readonly #read = new Map<string, Sketch | undefined>();

  constructor(bytes: Readonly<Record<string, Uint8Array>>) {
    this.#bytes = bytes;
  }

  get(name: string): Sketch | undefined {
    if (this.#read.has(name)) return this.#read.get(name);
    const bytes = this.#bytes[name];
    const sketch = bytes === undefined ? undefined : readSketch(bytes);
    this.#read.set(name, sketch);
    return sketch;
  }

  /** How many values each has had, and their sum: counters like any other. */
  sums(): Values {
    const sums: Record<string, number> = {};
    for (const name of Object.keys(this.#bytes)) {
      const sketch = this.get(name);
      if (sketch === undefined) continue;
      sums[`${name}_count`] = sketch.count;
      sums[`${name}_sum`] = sketch.sum;
    }
    return sums;
  }
}

/** What is known of an ended life, and of all that are forgotten. */
export interface KeptTotals {
  readonly base: Values;
  readonly lives: readonly (LifeName & { readonly heardAtMs: number; readonly values: Values })[];
}

/** Ended lives that are remembered one by one, in case they are heard again. */
const endedMax = 32;
/** Beats are kept for a little longer than the longest window, so that there is one behind its beginning. */
const slackMs = 10_000;
/** A window of a distribution may begin so much earlier than it is asked for. */
const sketchesEveryMs = 5_000;
/** A node that nobody heard for so long is not shown any more. */
const forgottenAfterMs = 600_000;
/** A process is older than its first beat. */
const startSlackMs = 500;

export class Life implements LifeName {
  readonly node: string;
  readonly incarnation: number;
  readonly run: string;
  readonly pid: number;
  heardAtMs = 0;
  /** The newest sample's place in their order. */
  #said = { uptimeMs: Number.NEGATIVE_INFINITY, atMs: Number.NEGATIVE_INFINITY };
  ended: "left" | "died" | undefined;
  #beats: Beat[] = [];
  #values: Values | undefined = {};
  /** The newest beat but one that has its sketches. */
  #measuredAtMs = Number.NEGATIVE_INFINITY;

  constructor({ node, incarnation, run, pid }: LifeName) {
    this.node = node;
    this.incarnation = incarnation;
    this.run = run;
    this.pid = pid;
  }

  /** Its newest, those of its sketches included. */
  get values(): Values {
    const newest = this.#beats.at(-1);
    this.#values ??= { ...newest?.values, ...newest?.sketches?.sums() };
    return this.#values;
  }

  /** When its newest sample was taken, by its own clock. */
  get saidAtMs(): number {
    return this.#said.atMs;
  }

  /** Whether the sample is newer than all before. */
  isNews({ atMs, values: { uptimeMs = 0 } }: MetricsSample): boolean {
    return uptimeMs > this.#said.uptimeMs || (uptimeMs === this.#said.uptimeMs && atMs > this.#said.atMs);
  }

  hear(heardAtMs: number, { atMs, values, sketches = {} }: MetricsSample, keepMs: number): void {
    this.#said = { uptimeMs: values.uptimeMs ?? 0, atMs };
    const last = this.#beats.at(-1);
    // Of beats close together one is enough to take a difference from.
    if (last !== undefined && last.heardAtMs - this.#measuredAtMs < sketchesEveryMs) last.sketches = undefined;
    else if (last !== undefined) this.#measuredAtMs = last.heardAtMs;
    this.#beats.push({ heardAtMs, values, sketches: new Sketches(sketches) });
    this.#values = undefined;
    this.heardAtMs = heardAtMs;
    this.forget(heardAtMs - keepMs);
  }

  /** The clock of whoever hears it was set back. */
  moveBack(byMs: number): void {
    this.heardAtMs -= byMs;
    this.#measuredAtMs -= byMs;
    this.#beats = this.#beats.map((beat) => ({ ...beat, heardAtMs: beat.heardAtMs - byMs }));
  }

  /** Of an earlier observer. */
  revive(heardAtMs: number, values: Values): void {
    this.#values = values;
    this.heardAtMs = heardAtMs;
  }

  /** Drops beats that are older, but for the newest of them. */
  forget(beforeMs: number): void {
    const first = this.#beats.findIndex(({ heardAtMs }) => heardAtMs > beforeMs);
    if (first > 1) this.#beats.splice(0, first - 1);
  }

  /** How much a counter grew since then: interpolated between the beats around that moment. */
  grown(name: string, sinceMs: number): number {
    const newest = this.#beats.at(-1);
    if (newest === undefined || newest.heardAtMs <= sinceMs) return 0;
    return Math.max(0, (newest.values[name] ?? 0) - this.#valueAt(name, sinceMs));
  }

  #valueAt(name: string, atMs: number): number {
    const after = this.#beats.findIndex(({ heardAtMs }) => heardAtMs > atMs);
    const [before, next] = [this.#beats[after - 1], this.#beats[after]];
    if (next === undefined) return this.values[name] ?? 0;
    if (before === undefined) return this.#isOlderThan(atMs) ? (next.values[name] ?? 0) : 0;
    const [from, to] = [before.values[name] ?? 0, next.values[name] ?? 0];
    return from + ((to - from) * (atMs - before.heardAtMs)) / (next.heardAtMs - before.heardAtMs);
  }

  /** What was added to a sketch since then; undefined when it has none of that name. */
  sketch(name: string, sinceMs: number): Sketch | undefined {
    const newest = this.#beats.at(-1);
    if (newest === undefined || newest.heardAtMs <= sinceMs) return undefined;
    const now = newest.sketches?.get(name);
    if (now === undefined) return undefined;
    const measured = this.#beats.filter(({ sketches }) => sketches !== undefined);
    const before = measured.findLast(({ heardAtMs }) => heardAtMs <= sinceMs);
    const base = before ?? (this.#isOlderThan(sinceMs) ? measured[0] : undefined);
    return sketchSince(now, base?.sketches?.get(name) ?? emptySketch());
  }

  /** It was there already, so what its first beat says came about before. */
  #isOlderThan(atMs: number): boolean {
    const { heardAtMs, values } = this.#beats.at(-1) ?? { heardAtMs: this.heardAtMs, values: this.values };
    return heardAtMs - (values.uptimeMs ?? 0) < atMs - startSlackMs;
  }
}

export class Lives {
  readonly #lives = new Map<string, Life>();
  readonly #keepMs: number;
  #base: Values = {};
  #newestMs = 0;

  /** `windowMs`: the longest window that is asked for. */
  constructor(windowMs: number) {
    this.#keepMs = windowMs + slackMs;
  }

  /** False for a sample that says nothing new. */
  take(sample: MetricsSample, heardAtMs: number): boolean {
    const { node, incarnation, run = node, values } = sample;
    const name = { node, incarnation, run, pid: values.pid ?? 0 };
    const life = this.#lives.get(keyOf(name)) ?? new Life(name);
    if (!life.isNews(sample)) return false;
    if (heardAtMs < this.#newestMs) for (const each of this.#lives.values()) each.moveBack(this.#newestMs - heardAtMs);
    this.#lives.delete(keyOf(name));
    this.#lives.set(keyOf(name), life);
    this.#newestMs = heardAtMs;
    life.hear(heardAtMs, sample, this.#keepMs);
    this.#forgetOldest();
    return true;
  }

  /** All that are remembered, the one that was heard last at the end. */
  all(): readonly Life[] {
    return [...this.#lives.values()];
  }

  /** Those that nobody replaced and that were heard of late: of each node the life that was heard last, but for earlier incarnations. */
  current(): readonly Life[] {
    const newest = new Map<string, Life>();
    for (const life of this.#lives.values()) {
      if (life.heardAtMs < this.#newestMs - forgottenAfterMs) continue;
      const other = newest.get(life.node);
      if (other === undefined || other.run !== life.run || other.incarnation <= life.incarnation)
        newest.set(life.node, life);
    }
    return [...newest.values()];
  }

  /** Sum over all lives since the beginning. */
  total(name: string): number {
    let sum = this.#base[name] ?? 0;
    for (const { values } of this.#lives.values()) sum += values[name] ?? 0;
    return sum;
  }

  /** Every name that any life ever had. */
  names(): ReadonlySet<string> {
    const names = new Set(Object.keys(this.#base));
    for (const { values } of this.#lives.values()) for (const name of Object.keys(values)) names.add(name);
    return names;
  }

  grown(name: string, sinceMs: number): number {
    let sum = 0;
    for (const life of this.#lives.values()) sum += life.grown(name, sinceMs);
    return sum;
  }

  /** Merged over all lives; empty when nobody has one. */
  sketch(name: string, sinceMs: number): Sketch {
    const merged = emptySketch();
    for (const life of this.#lives.values()) {
      const part = life.sketch(name, sinceMs);
      if (part !== undefined) merged.merge(part);
    }
    return merged;
  }

  /** The sum of a gauge over the current lives that were heard since then. */
  gauge(name: string, sinceMs: number): number {
    return this.current()
      .filter(({ heardAtMs }) => heardAtMs > sinceMs)
      .reduce((sum, { values }) => sum + (values[name] ?? 0), 0);
  }

  /** The highest of a gauge over the current lives; undefined when none has it. */
  highest(name: string): number | undefined {
    const found = this.current().flatMap(({ values }) => values[name] ?? []);
    return found.length === 0 ? undefined : Math.max(...found);
  }

  kept(isSum: (name: string) => boolean): KeptTotals {
    const sums = (values: Values): Values => Object.fromEntries(Object.entries(values).filter(([name]) => isSum(name)));
    const lives = this.all().map(({ node, incarnation, run, pid, heardAtMs, values }) => {
      return { node, incarnation, run, pid, heardAtMs, values: sums(values) };
    });
    return { base: sums(this.#base), lives };
  }

  /** Of an earlier observer, before anything is taken. What was heard from `untilMs` on is left out: it is going to be heard again. */
  restore({ base, lives }: KeptTotals, untilMs: number): void {
    this.#base = base;
    for (const life of lives) if (life.heardAtMs < untilMs) this.#revive(life);
  }

  /** Once the past is taken: lives that were not heard again after all. */
  restoreRest({ lives }: KeptTotals): void {
    for (const life of lives) if (!this.#lives.has(keyOf(life))) this.#revive(life);
  }

  #revive({ heardAtMs, values, ...name }: KeptTotals["lives"][number]): void {
    const life = new Life(name);
    life.revive(heardAtMs, values);
    this.#lives.set(keyOf(life), life);
    this.#newestMs = Math.max(this.#newestMs, heardAtMs);
  }

  /** The lives that are not current any more are ended; of those the ones that were heard longest ago go into the base. */
  #forgetOldest(): void {
    if (this.#lives.size <= endedMax) return;
    const current = new Set(this.current());
    const ended = this.all().filter((life) => !current.has(life));
    for (const life of ended.slice(0, Math.max(0, ended.length - endedMax))) {
      const base: Record<string, number> = { ...this.#base };
      for (const [name, value] of Object.entries(life.values)) base[name] = (base[name] ?? 0) + value;
      this.#base = base;
      this.#lives.delete(keyOf(life));
    }
  }
}

function keyOf({ node, incarnation, run, pid }: LifeName): string {
  return `${node}@${run}#${incarnation}:${pid}`;
}
