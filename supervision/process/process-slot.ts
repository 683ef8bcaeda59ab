// One supervised process: generation after generation of one ProcessSpec.
//
// Owns: the state between generations, its generation number, what is logged of an unexpected exit.
// Does not own: how often it may restart (process-root.ts), the handle (os-process.ts).
//
// P1. Between the exit of a generation and the spawn of the next the cleanup was confirmed, or its bound has passed (law 6).
// P2. A planned stop is never logged as an unexpected exit, nor is the end of a spare.
// P3. A spare changes how the next generation starts and nothing else: its number, the cleanup before it and the budgets are the same.

import type { Clock, Random } from "../../models/clock.js";
import { within } from "../deadline.js";
import { asError } from "../exit-reason.js";
import type { Logger } from "../logger.js";
import type { Backoff } from "../tree/backoff.js";
import { aged, type SpentBudgets } from "../tree/restart-intensity.js";
import type { TreeNode } from "../tree/tree.js";
import { OsProcess } from "./os-process.js";
import {
  type BeforeRestart,
  describeProcessExit,
  type ProcessExit,
  type ProcessFact,
  type ProcessSpec,
  processDefaults,
} from "./process-spec.js";
import { end, Spare } from "./spare.js";

type SlotState =
  | { readonly kind: "new" | "waiting" | "stopped" }
  | { readonly kind: "starting" | "running" | "ending"; readonly process: OsProcess };

/** When the next generation starts, or undefined when there is none: asked once per unexpected exit. */
export type NextStart = (slot: ProcessSlot, ranMs: number, exit: ProcessExit) => Backoff | undefined;

export interface SlotSurroundings {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly beforeRestart: BeforeRestart;
  readonly nextStart: NextStart;
  emit(slot: ProcessSlot, fact: ProcessFact): void;
  onMessage(slot: ProcessSlot, message: unknown): void;
}

export class ProcessSlot {
  readonly spec: ProcessSpec;
  readonly #around: SlotSurroundings;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  readonly #force = new AbortController();
  readonly #forced: Promise<"forced">;
  readonly #spare: Spare | undefined;
  /** True once a generation is ready; false when it was stopped before. */
  readonly firstReady: Promise<boolean>;
  #settleFirstReady: (isReady: boolean) => void = () => undefined;
  #state: SlotState = { kind: "new" };
  #generation: number;
  #lastExit: ProcessExit | undefined;
  #life: Promise<void> = Promise.resolve();
  /** What the last generation handed on when it gave up, and when. */
  #handedOn: { readonly spent: SpentBudgets; readonly atMs: number } = { spent: {}, atMs: 0 };

  /** `generation`: of the last process in this place, 0 when there was none. */
  constructor(spec: ProcessSpec, around: SlotSurroundings, generation = 0) {
    this.#generation = generation;
    this.spec = spec;
    this.#around = around;
    this.#log = around.log.child({ process: spec.id, role: spec.role });
    this.firstReady = new Promise((resolve) => {
      this.#settleFirstReady = resolve;
    });
    const { clock, random, emit } = around;
    this.#forced = new Promise((resolve) => {
      this.#force.signal.addEventListener("abort", () => resolve("forced"), { once: true });
    });
    if (spec.spare !== undefined)
      this.#spare = new Spare(spec, spec.spare, { clock, random, emit: (fact) => emit(this, fact) });
  }

  get generation(): number {
    return this.#generation;
  }

  /** The process of the present generation, while there is one. */
  get process(): OsProcess | undefined {
    return "process" in this.#state ? this.#state.process : undefined;
  }

  /** Every process there is: of the present generation, and the spare. */
  get processes(): readonly OsProcess[] {
    return [this.process, this.#spare?.process].filter((each) => each !== undefined);
  }

  get lastExit(): ProcessExit | undefined {
    return this.#lastExit;
  }

  get isUp(): boolean {
    return this.#state.kind === "running";
  }

  start(): void {
    this.#life = this.#live();
  }

  /** Its next exit is planned, whoever brings it about. */
  dismiss(): void {
    this.#stop.abort();
  }

  /** SIGTERM, the grace of the spec, SIGKILL. No generation follows, and no spare stays. */
  async stop(): Promise<void> {
    this.dismiss();
    const state = this.#state;
    const spareGone = this.#spare?.stop(this.#force.signal);
    if ("process" in state) {
      this.#state = { ...state, kind: "ending" };
      await end(state.process, this.spec.shutdownMs, this.#around.clock, this.#force.signal);
    }
    await this.#life;
    await spareGone;
    this.#state = { kind: "stopped" };
  }

  /** Cuts short whatever a stop, under way or to come, would wait for. */
  force(): void {
    this.dismiss();
    this.#force.abort();
  }

  node(): TreeNode {
    const pid = this.process?.pid;
    const spare = this.#spare?.process?.pid;
    return {
      name: this.spec.id,
      kind: "node",
      ...(pid === undefined ? {} : { pid }),
      ...(spare === undefined ? {} : { spare }),
      generation: this.#generation,
      state: this.#state.kind,
      restarts: Math.max(0, this.#generation - 1),
      ...(this.#lastExit === undefined ? {} : { lastExit: describeProcessExit(this.#lastExit) }),
      children: [],
    };
  }

  async #live(): Promise<void> {
    const { clock, emit, nextStart } = this.#around;
    for (let isRestarted = true; isRestarted; ) {
      const { exit, ranMs } = await this.#oneGeneration();
      this.#lastExit = exit;
      this.#state = { kind: "waiting" };
      if (this.#stop.signal.aborted) {
        emit(this, { kind: "stopped", exit });
        break;
      }
      const cause = describeProcessExit(exit);
      const detectMs = exit.kind === "declared_dead" ? exit.silentMs : undefined;
      emit(this, { kind: "crashed", exit, cause, ...(detectMs === undefined ? {} : { detectMs }) });
      const next = nextStart(this, ranMs, exit);
      this.#logUnexpected(cause, next !== undefined);
      await this.#cleanUp(exit);
      if (next !== undefined) {
        emit(this, { kind: "restarting", failures: next.failures, backoffMs: next.delayMs, cause });
        await clock.delay(next.delayMs, this.#stop.signal);
      }
      isRestarted = next !== undefined && !this.#stop.signal.aborted;
    }
    this.#settleFirstReady(false);
  }

  async #oneGeneration(): Promise<{ exit: ProcessExit; ranMs: number }> {
    const { clock, emit } = this.#around;
    this.#generation += 1;
    const { process, wasSpare } = this.#launched();
    process.onMessage = (message) => this.#around.onMessage(this, message);
    const spawnedAtMs = clock.monotonicMs();
    this.#state = { kind: "starting", process };
    if (process.pid !== undefined) emit(this, { kind: "spawned", pid: process.pid, wasSpare });
    const readyMaxMs = this.spec.readyMs ?? processDefaults.readyMs;
    const cancel = clock.after(readyMaxMs, () => process.declareDead(`not ready within ${readyMaxMs} ms`));
    let readyAtMs: number | undefined;
    void process.ready.then(() => {
      if (this.process !== process) return;
      cancel();
      readyAtMs = clock.monotonicMs();
      if (this.#state.kind === "starting") this.#becomeReady(process, readyAtMs - spawnedAtMs);
    });
    const exit = await process.exit;
    cancel();
    this.#handedOn = { spent: process.spent, atMs: clock.monotonicMs() };
    return { exit, ranMs: readyAtMs === undefined ? 0 : clock.monotonicMs() - readyAtMs };
  }

  /** The spare when there is one, else a new process. */
  #launched(): { readonly process: OsProcess; readonly wasSpare: boolean } {
    const { clock } = this.#around;
    const { spent: handedOn, atMs } = this.#handedOn;
    const spent = aged(handedOn, clock.monotonicMs() - atMs);
    const generation = this.#generation;
    const spare = this.#spare?.take();
    spare?.activate(generation, spent);
    if (spare !== undefined) return { process: spare, wasSpare: true };
    return { process: new OsProcess(this.spec, { kind: "generation", generation, spent }, clock), wasSpare: false };
  }

  #becomeReady(process: OsProcess, readyMs: number): void {
    this.#state = { kind: "running", process };
    this.#around.emit(this, { kind: "started", pid: process.pid ?? 0, readyMs });
    this.#settleFirstReady(true);
    if (!this.#stop.signal.aborted) this.#spare?.keep();
  }

  async #cleanUp(exit: ProcessExit): Promise<void> {
    const { clock, beforeRestart, emit } = this.#around;
    const cleanupMaxMs = this.spec.cleanupMs ?? processDefaults.cleanupMs;
    try {
      const confirmed = Promise.race([beforeRestart(this.spec.id, this.#generation, exit), this.#forced]);
      const cleanup = await within(clock, cleanupMaxMs, confirmed);
      if (cleanup.kind === "done" && cleanup.value !== "forced") {
        emit(this, { kind: "cleanup_confirmed", by: "hook", ...cleanup.value });
        return;
      }
      this.#log.warn("cleanup was not confirmed in time; going on without it", { cleanupMaxMs });
    } catch (thrown) {
      this.#log.warn("cleanup failed; going on without it", { error: asError(thrown) });
    }
    emit(this, { kind: "cleanup_confirmed", by: "supervisor", leasesCleaned: 0 });
  }

  #logUnexpected(cause: string, isRestarted: boolean): void {
    const worker = this.spec.role === "learning" ? "Update worker" : this.spec.role;
    const what = `[Supervisor] - ${worker} process has terminated unexpectedly.`;
    const then = isRestarted ? "Attempting to restart." : "Restarted too often; giving up.";
    this.#log.fatal(`${what} ${then}`, { node: this.spec.id, incarnation: this.#generation, cause });
  }
}
