// One supervised process: generation after generation of one ProcessSpec.
//
// Owns: the state between generations, its generation number, what is logged of an unexpected exit.
// Does not own: how often it may restart (process-root.ts), the handle (os-process.ts).
//
// P1. Between the exit of a generation and the spawn of the next the cleanup was confirmed, or its bound has passed (law 6).
// P2. A planned stop is never logged as an unexpected exit.

import type { Clock } from "../models/clock.js";
import type { Backoff } from "./backoff.js";
import { within } from "./deadline.js";
import { asError } from "./exit-reason.js";
import type { Logger } from "./logger.js";
import { OsProcess } from "./os-process.js";
import {
  type BeforeRestart,
  describeProcessExit,
  type ProcessExit,
  type ProcessFact,
  type ProcessSpec,
  processDefaults,
} from "./process-spec.js";
import type { TreeNode } from "./tree.js";

type SlotState =
  | { readonly kind: "new" | "waiting" | "stopped" }
  | { readonly kind: "starting" | "running" | "ending"; readonly process: OsProcess };

/** When the next generation starts, or undefined when there is none: asked once per unexpected exit. */
export type NextStart = (slot: ProcessSlot, ranMs: number, cause: string) => Backoff | undefined;

export interface SlotSurroundings {
  readonly clock: Clock;
  readonly log: Logger;
  readonly beforeRestart: BeforeRestart;
  readonly nextStart: NextStart;
  emit(slot: ProcessSlot, fact: ProcessFact): void;
  onMessage(slot: ProcessSlot, message: unknown): void;
}

/** A cleanup that is not confirmed within this time is not waited for. */
const cleanupMaxMs = 5_000;

export class ProcessSlot {
  readonly spec: ProcessSpec;
  readonly #around: SlotSurroundings;
  readonly #log: Logger;
  readonly #stop = new AbortController();
  /** True once a generation is ready; false when it was stopped before. */
  readonly firstReady: Promise<boolean>;
  #settleFirstReady: (isReady: boolean) => void = () => undefined;
  #state: SlotState = { kind: "new" };
  #generation = 0;
  #lastExit: ProcessExit | undefined;
  #life: Promise<void> = Promise.resolve();

  constructor(spec: ProcessSpec, around: SlotSurroundings) {
    this.spec = spec;
    this.#around = around;
    this.#log = around.log.child({ process: spec.id, role: spec.role });
    this.firstReady = new Promise((resolve) => {
      this.#settleFirstReady = resolve;
    });
  }

  get generation(): number {
    return this.#generation;
  }

  /** The process of the present generation, while there is one. */
  get process(): OsProcess | undefined {
    return "process" in this.#state ? this.#state.process : undefined;
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

  /** SIGTERM, the grace of the spec, SIGKILL. No generation follows. */
  async stop(): Promise<void> {
    this.dismiss();
    const state = this.#state;
    if ("process" in state) {
      this.#state = { ...state, kind: "ending" };
      state.process.signal("SIGTERM");
      const end = await within(this.#around.clock, this.spec.shutdownMs, state.process.exit);
      if (end.kind === "late") state.process.signal("SIGKILL");
    }
    await this.#life;
    this.#state = { kind: "stopped" };
  }

  node(): TreeNode {
    const pid = this.process?.pid;
    return {
      name: this.spec.id,
      kind: "node",
      ...(pid === undefined ? {} : { pid }),
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
      emit(this, { kind: "crashed", exit, cause });
      const next = nextStart(this, ranMs, cause);
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
    const { clock, emit, onMessage } = this.#around;
    this.#generation += 1;
    const process = new OsProcess(this.spec, this.#generation, (message) => onMessage(this, message));
    const spawnedAtMs = clock.monotonicMs();
    this.#state = { kind: "starting", process };
    if (process.pid !== undefined) emit(this, { kind: "spawned", pid: process.pid });
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
    return { exit, ranMs: readyAtMs === undefined ? 0 : clock.monotonicMs() - readyAtMs };
  }

  #becomeReady(process: OsProcess, readyMs: number): void {
    this.#state = { kind: "running", process };
    this.#around.emit(this, { kind: "started", pid: process.pid ?? 0, readyMs });
    this.#settleFirstReady(true);
  }

  async #cleanUp(exit: ProcessExit): Promise<void> {
    const { clock, beforeRestart, emit } = this.#around;
    try {
      const cleanup = await within(clock, cleanupMaxMs, beforeRestart(this.spec.id, this.#generation, exit));
      if (cleanup.kind === "done") {
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
