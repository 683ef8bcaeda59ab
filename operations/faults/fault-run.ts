// A schedule of faults against a live cluster: strikes, receipts, and what is said at the end.
//
// Owns: the pace of iterations, the faults under way, the report. Does not own: the draws (fault-schedule.ts), whether a fault may be (the
// guard refuses by name), the terminal.
//
// C1. A refused fault is counted by its code and not tried again: the schedule is the seed's, not the cluster's.
// C2. The run is over when every fault has its receipt, or its bound, and every struck target was looked for in the tree.
// C3. Whoever halts chaos ends this run too: by telemetry at once, by the root's word within a second.

import type { Clock } from "../../models/clock.js";
import type { FaultMode } from "../../transport/messages/chaos-orders.js";
import type { TreeNode } from "../../transport/messages/look-orders.js";
import { askFault, type ChaosDoor, keepSchedule, releaseSchedule } from "./chaos-client.js";
import {
  type Candidate,
  candidatesIn,
  type Draw,
  drawn,
  faultSchedule,
  type ScheduleSettings,
} from "./fault-schedule.js";

export interface FaultRunSettings extends ScheduleSettings {
  readonly everyMs: number;
  readonly durationMs: number;
}

export interface FaultRunDeps {
  readonly door: ChaosDoor;
  readonly clock: Clock;
  /** Unique among schedules. */
  readonly id: string;
  /** The whole cluster now; undefined when nobody answers. */
  readonly tree: () => Promise<TreeNode | undefined>;
  readonly interrupted: AbortSignal;
  readonly onFault: (record: FaultRecord) => void;
}

/** One fault that was asked for and not refused. */
export interface FaultRecord {
  readonly iteration: number;
  /** ISO 8601. */
  readonly at: string;
  readonly target: string;
  readonly mode: FaultMode;
  readonly pidBefore: number | null;
  readonly pidAfter: number | null;
  readonly detectMs: number | null;
  readonly repairMs: number | null;
  readonly lost: number | null;
  readonly cause: string | null;
  /** False when no receipt came: it was lost with what was struck, or another fault met it. */
  readonly hasReceipt: boolean;
  /** It runs again, by the tree at the end of the run. */
  mended: boolean;
}

export interface Spread {
  readonly p50: number | null;
  readonly p95: number | null;
}

export interface FaultReport {
  readonly seed: number;
  readonly probability: number;
  readonly everyMs: number;
  readonly iterations: number;
  readonly seconds: number;
  readonly endedBy: "duration" | "interrupted" | "halted";
  readonly faults: readonly FaultRecord[];
  readonly totals: {
    readonly injected: number;
    /** By code: the guard's, or what else stood against it. */
    readonly refused: Readonly<Record<string, number>>;
    readonly withoutReceipt: number;
    readonly notMended: number;
    /** Messages, over all faults that could see messages. */
    readonly lost: number;
    readonly detectMs: Spread;
    readonly repairMs: Spread;
  };
}

const underWayMax = 32;
const leaseMs = 5_000;
const renewMs = 1_000;
/** How long a fault lasts that lasts. */
const lastsMs = 500;
const actorMendedWithinMs = 10_000;
const processMendedWithinMs = 45_000;
const lookMs = 250;
const lookWithinMs = 30_000;

export class FaultRun {
  readonly #settings: FaultRunSettings;
  readonly #deps: FaultRunDeps;
  readonly #records: FaultRecord[] = [];
  readonly #refused: Record<string, number> = {};
  readonly #underWay = new Set<Promise<void>>();
  readonly #halted = new AbortController();
  readonly #over = new AbortController();
  #iterations = 0;

  constructor(settings: FaultRunSettings, deps: FaultRunDeps) {
    this.#settings = settings;
    this.#deps = deps;
  }

  /** Until its duration is over, it is interrupted or halted. */
  async run(): Promise<FaultReport> {
    const { door, clock, interrupted, id } = this.#deps;
    const beganAtMs = clock.monotonicMs();
    const heard = door.bus.subscribe(door.subjects.event("chaos_halted"), {}, () => this.#halted.abort());
    const stop = (): void => this.#over.abort();
    for (const signal of [interrupted, this.#halted.signal]) signal.addEventListener("abort", stop, { once: true });
    if (interrupted.aborted) stop();
    const renewing = this.#renew();
    await this.#iterate(beganAtMs);
    stop();
    await Promise.all([...this.#underWay, renewing]);
    await this.#lookForAll();
    heard.unsubscribe();
    releaseSchedule(door, id);
    return this.#report((clock.monotonicMs() - beganAtMs) / 1000);
  }

  async #iterate(beganAtMs: number): Promise<void> {
    const { clock } = this.#deps;
    const { everyMs, durationMs } = this.#settings;
    for (const draw of faultSchedule(this.#settings)) {
      const dueMs = (this.#iterations + 1) * everyMs;
      if (dueMs > durationMs) return;
      const waitMs = beganAtMs + dueMs - clock.monotonicMs();
      if (waitMs > 0) await clock.delay(waitMs, this.#over.signal);
      while (this.#underWay.size >= underWayMax && !this.#over.signal.aborted) await Promise.race(this.#underWay);
      if (this.#over.signal.aborted) return;
      this.#iterations += 1;
      if (draw !== undefined) this.#launch(draw);
    }
  }

  #launch(draw: Draw): void {
    const done = this.#strike(draw).finally(() => this.#underWay.delete(done));
    this.#underWay.add(done);
  }

  async #strike(draw: Draw): Promise<void> {
    const { door, clock, onFault } = this.#deps;
    const tree = await this.#deps.tree();
    if (this.#halted.signal.aborted) return;
    const candidate = tree === undefined ? undefined : drawn(draw, candidatesIn(tree));
    if (candidate === undefined) return this.#refuse(tree === undefined ? "unreachable" : "no_target");
    const { mode } = draw;
    const at = new Date(clock.nowMs()).toISOString();
    const forMs = mode === "hang" || mode === "slow" || mode === "sigstop" ? lastsMs : undefined;
    const request = { target: candidate.target, mode, ...(forMs === undefined ? {} : { forMs }) };
    const withinMs = candidate.kind === "actors" ? actorMendedWithinMs : processMendedWithinMs;
    const answer = await askFault(door, candidate.node, request, withinMs);
    if (answer.kind === "refused") return this.#refuse(answer.code);
    if (answer.kind === "silent" && answer.why === "no_responders") return this.#refuse("unreachable");
    const receipt = answer.kind === "reply" ? answer.reply : undefined;
    const record: FaultRecord = {
      iteration: draw.iteration,
      at,
      target: candidate.name,
      mode,
      pidBefore: candidate.pid ?? null,
      pidAfter: receipt === undefined ? null : await this.#pidAfter(candidate),
      detectMs: receipt?.detectMs ?? null,
      repairMs: receipt?.repairMs ?? null,
      lost: receipt?.lost ?? null,
      cause: receipt?.cause ?? null,
      hasReceipt: receipt !== undefined,
      mended: false,
    };
    this.#records.push(record);
    onFault(record);
  }

  #refuse(code: string): void {
    this.#refused[code] = (this.#refused[code] ?? 0) + 1;
  }

  /** A fault of an actor leaves its process alone. */
  async #pidAfter({ kind, name, pid }: Candidate): Promise<number | null> {
    if (kind === "actors") return pid ?? null;
    const tree = await this.#deps.tree();
    return tree?.children.find((child) => child.name === name)?.pid ?? null;
  }

  async #renew(): Promise<void> {
    const { door, clock, id } = this.#deps;
    while (!this.#over.signal.aborted) {
      if (!(await keepSchedule(door, id, leaseMs))) this.#halted.abort();
      await clock.delay(renewMs, this.#over.signal);
    }
  }

  /** Bounded: what does not run by then was not mended. */
  async #lookForAll(): Promise<void> {
    const { clock } = this.#deps;
    const untilMs = clock.monotonicMs() + lookWithinMs;
    for (;;) {
      const waiting = this.#records.filter(({ mended }) => !mended);
      if (waiting.length === 0 || clock.monotonicMs() >= untilMs) return;
      const tree = await this.#deps.tree();
      const running = new Set(
        (tree === undefined ? [] : candidatesIn(tree)).flatMap(({ name, state }) =>
          state === "running" ? [name] : [],
        ),
      );
      for (const record of waiting) record.mended = running.has(record.target);
      if (this.#records.some(({ mended }) => !mended)) await clock.delay(lookMs);
    }
  }

  #report(seconds: number): FaultReport {
    const { seed, probability, everyMs } = this.#settings;
    const faults = [...this.#records].sort((a, b) => a.iteration - b.iteration);
    return {
      ...{ seed, probability, everyMs, iterations: this.#iterations, seconds },
      endedBy: this.#halted.signal.aborted ? "halted" : this.#deps.interrupted.aborted ? "interrupted" : "duration",
      faults,
      totals: {
        injected: faults.length,
        refused: this.#refused,
        withoutReceipt: faults.filter(({ hasReceipt }) => !hasReceipt).length,
        notMended: faults.filter(({ mended }) => !mended).length,
        lost: faults.reduce((sum, { lost }) => sum + (lost ?? 0), 0),
        detectMs: spread(faults.map(({ detectMs }) => detectMs)),
        repairMs: spread(faults.map(({ repairMs }) => repairMs)),
      },
    };
  }
}

/** By nearest rank, of those that were measured. */
export function spread(values: readonly (number | null)[]): Spread {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  const at = (share: number): number | null => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
  return { p50: at(0.5), p95: at(0.95) };
}
