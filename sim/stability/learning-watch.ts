// What the chain of commits says of learning while a run goes on: updates by the second, and how each crash of the writer mended.
//
// Owns: updates applied by second, the recovery of each crash. Does not own: the chain (operations/log/model-log.ts), the kills (sim/worker-chaos.ts).
//
// L1. A crash has recovered at the first commit of a later life that applied an update: not when a process is there, but when it learns.
// L2. Read from the log, so nothing is missed while a subscriber is away.

import type { WorkerKill } from "../worker-chaos.js";

/** One commit of the chain. */
export interface Link {
  readonly node: string;
  readonly incarnation: number;
  /** Updates applied since the beginning of the log. */
  readonly applied: number;
  readonly atMs: number;
}

export interface Crash extends WorkerKill {
  /** From the kill to the next applied update; null when there was none. */
  readonly recoveryMs: number | null;
  /** Applied in total: at the kill, and at the end of the run. */
  readonly appliedBefore: number;
  readonly appliedAfter: number;
  /** From the kill until updates were applied at 80 % of the pace before it; null when they never were, or there was no pace. */
  readonly backToPaceMs: number | null;
}

/** Updates applied in one second that began `second` seconds after the run. */
export interface AppliedIn {
  readonly second: number;
  readonly applied: number;
}

interface Open {
  readonly kill: WorkerKill;
  readonly appliedBefore: number;
  recoveredAtMs?: number;
}

/** Some minutes of commits. */
const recentMax = 20_000;
/** What counts as the pace before a crash, and behind it. */
const pace = { beforeSeconds: 30, behindSeconds: 5, share: 0.8 } as const;

export class LearningWatch {
  readonly #beganAtMs: number;
  readonly #bySecond = new Map<number, number>();
  readonly #crashes: Open[] = [];
  /** The newest; a kill is told of when it is mended, and then its next life has committed already. */
  readonly #recent: Link[] = [];
  #lastSecond = -1;
  #applied = 0;
  #decreased = 0;

  /** `beganAtMs`: epoch milliseconds of second 0. */
  constructor(beganAtMs: number) {
    this.#beganAtMs = beganAtMs;
  }

  /** Updates applied in all. */
  get applied(): number {
    return this.#applied;
  }

  /** Links whose total was below that of the one before. */
  get decreased(): number {
    return this.#decreased;
  }

  take(link: Link): void {
    const before = this.#applied;
    this.#recent.push(link);
    if (this.#recent.length > recentMax) this.#recent.shift();
    if (link.applied < before) this.#decreased += 1;
    if (link.applied <= before) return;
    const second = Math.floor((link.atMs - this.#beganAtMs) / 1_000);
    this.#lastSecond = Math.max(this.#lastSecond, second);
    this.#bySecond.set(second, (this.#bySecond.get(second) ?? 0) + link.applied - before);
    this.#applied = link.applied;
    for (const crash of this.#crashes)
      if (crash.recoveredAtMs === undefined && isLater(link, crash.kill)) crash.recoveredAtMs = link.atMs;
  }

  /** Told of a kill when it is mended, or later. */
  killed(kill: WorkerKill): void {
    const appliedBefore = this.#recent.findLast((link) => !isLater(link, kill))?.applied ?? 0;
    const next = this.#recent.find((link) => isLater(link, kill) && link.applied > appliedBefore);
    this.#crashes.push({ kill, appliedBefore, ...(next === undefined ? {} : { recoveredAtMs: next.atMs }) });
  }

  crashes(): readonly Crash[] {
    return this.#crashes.map(({ kill, appliedBefore, recoveredAtMs }) => {
      const recoveryMs = recoveredAtMs === undefined ? null : Math.max(0, recoveredAtMs - kill.atMs);
      const backToPaceMs = recoveryMs === null ? null : this.#backToPace(kill.atMs, recoveryMs);
      return { ...kill, recoveryMs, appliedBefore, appliedAfter: this.#applied, backToPaceMs };
    });
  }

  /** Every second from 0 to the newest in which something was applied; zeros included. */
  bySecond(): readonly AppliedIn[] {
    return Array.from({ length: this.#lastSecond + 1 }, (_, second) => ({
      second,
      applied: this.#bySecond.get(second) ?? 0,
    }));
  }

  #backToPace(killedAtMs: number, recoveryMs: number): number | null {
    const killedIn = Math.floor((killedAtMs - this.#beganAtMs) / 1_000);
    const before = Math.min(pace.beforeSeconds, killedIn);
    const wanted = (pace.share * this.#sum(killedIn - before, killedIn)) / Math.max(1, before);
    if (wanted === 0) return null;
    for (let second = killedIn + Math.floor(recoveryMs / 1_000); second <= this.#lastSecond; second += 1) {
      const behind = this.#sum(second - pace.behindSeconds + 1, second + 1) / pace.behindSeconds;
      if (behind >= wanted) return Math.max(recoveryMs, (second + 1) * 1_000 + this.#beganAtMs - killedAtMs);
    }
    return null;
  }

  #sum(from: number, to: number): number {
    let sum = 0;
    for (let second = from; second < to; second += 1) sum += this.#bySecond.get(second) ?? 0;
    return sum;
  }
}

/** By a life after the one that was killed, of the same node or of one that took over. */
function isLater({ node, incarnation, atMs }: Link, kill: WorkerKill): boolean {
  return node === kill.node ? incarnation > kill.incarnation : atMs > kill.atMs;
}
