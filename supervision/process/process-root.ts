// The root: supervises the processes of one machine, one for one.
//
// Owns: the restart intensity over all of them, faults, their order of end.
// Does not own: one process's generations (process-slot.ts), the actors inside (system.ts), any model code.
//
// Children die with the root: each holds an IPC channel to it and exits when that closes (parent-watch.ts). A command
// that is not ours knows nothing of the channel; it has to be wrapped by one that does.
//
// Unlike actors, processes start side by side: they find each other over NATS, and a cold start is long.

import type { Clock, Random } from "../../models/clock.js";
import type { ChaosReceipt } from "../../transport/messages/chaos-orders.js";
import { UnknownActorError } from "../actor/ref.js";
import type { PoolMember } from "../faults/fault-guard.js";
import { Listeners } from "../listeners.js";
import type { Logger } from "../logger.js";
import { type Backoff, type BackoffSettings, backoffDefaults, nextBackoff } from "../tree/backoff.js";
import { EscalationError } from "../tree/escalation.js";
import { type RestartHistory, type RestartIntensity, recordRestart, restartsLeft } from "../tree/restart-intensity.js";
import type { TreeNode } from "../tree/tree.js";
import { HeartbeatWatch } from "./heartbeat-watch.js";
import { type ProcessFaultMode, strikeProcess } from "./process-chaos.js";
import { ProcessSlot, type SlotSurroundings } from "./process-slot.js";
import {
  type BeforeRestart,
  describeProcessExit,
  isEndedFromOutside,
  type ProcessEvent,
  type ProcessExit,
  type ProcessFact,
  type ProcessSpec,
} from "./process-spec.js";

export interface ProcessDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly intensity: RestartIntensity;
  readonly backoff?: BackoffSettings;
  readonly beforeRestart?: BeforeRestart;
  onEvent(event: ProcessEvent): void;
  /** What a child says over IPC, other than its words to its supervisor (parent-watch.ts). */
  onMessage?(id: string, generation: number, message: unknown): void;
}

export interface ProcessTree {
  tree(): TreeNode;
  /** Adds a process while the others run; resolves when it is ready. */
  add(spec: ProcessSpec): Promise<void>;
  /** Stops a process for good. */
  remove(id: string): Promise<void>;
  /** One fault, with its receipt; resolves when the process works again. SIGSTOP is undone after `forMs`, or by `halted`. */
  kill(id: string, mode: ProcessFaultMode, forMs?: number, halted?: AbortSignal): Promise<ChaosReceipt>;
  /** Who belongs to which pool (its role), and is running and ready. */
  members(): readonly PoolMember[];
  /** Someone found it hanging (heartbeats stopped): it is killed, and restarted like any other. */
  declareDead(id: string, why: string): void;
  /** Says something to a child over IPC. False when its channel is closed. */
  send(id: string, message: object): boolean;
  /** In order, for good, and its place stays in the tree. How it ended; undefined when it was stopped before. */
  drain(id: string): Promise<ProcessExit | undefined>;
  /** The next generation of a drained process; true when it is ready, false when it was stopped before. */
  revive(id: string): Promise<boolean>;
  /**
   * In reverse order: SIGTERM, grace, SIGKILL. "force" kills all at once, and cuts short an orderly stop under way. Either way it resolves
   * when every process is gone.
   */
  stop(how?: "orderly" | "force"): Promise<void>;
  /** Restarted too often: everything was stopped. Never settles otherwise. */
  readonly failed: Promise<EscalationError>;
}

/** Resolves when every process is ready; rejects with an EscalationError when they fail too often before. */
export async function startProcesses(specs: readonly ProcessSpec[], deps: ProcessDeps): Promise<ProcessTree> {
  const root = new ProcessRoot(deps);
  try {
    const areReady = await Promise.all(specs.map((spec) => root.admit(spec)));
    if (areReady.includes(false)) throw await root.failed;
    return root;
  } catch (error) {
    await root.stop();
    throw error;
  }
}

/** How long a SIGSTOP lasts when nobody says. */
export const stopForMs = 1_000;

class ProcessRoot implements ProcessTree {
  readonly failed: Promise<EscalationError>;
  readonly #deps: ProcessDeps;
  readonly #events: Listeners<ProcessEvent>;
  readonly #slots = new Map<string, ProcessSlot>();
  readonly #failures = new Map<string, number>();
  #restarts: RestartHistory = [];
  #state: "running" | "ending" | "stopped" = "running";
  #fail: (error: EscalationError) => void = () => undefined;
  readonly #heartbeats: HeartbeatWatch;
  #stopping: Promise<void> | undefined;

  constructor(deps: ProcessDeps) {
    this.#deps = deps;
    this.#events = new Listeners((error) => deps.log.error("a listener threw", { error }));
    this.#events.add((event) => deps.onEvent(event));
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
    this.#heartbeats = new HeartbeatWatch(deps.clock, () =>
      [...this.#slots.values()].flatMap((slot) => slot.processes),
    );
    void this.#heartbeats.run();
  }

  async add(spec: ProcessSpec): Promise<void> {
    if (!(await this.admit(spec))) throw new Error(`process "${spec.id}" was stopped before it was ready`);
  }

  /** True once it is ready; false when it was stopped before, or the root gave up. */
  async admit(spec: ProcessSpec): Promise<boolean> {
    if (this.#state !== "running") throw new Error("the root is stopping: it takes no more processes");
    if (this.#slots.has(spec.id)) throw new Error(`there is a process "${spec.id}" already`);
    return this.#fill(spec, 0);
  }

  /** A slot that goes on after `generation`. */
  #fill(spec: ProcessSpec, generation: number): Promise<boolean> {
    const { clock, random, log, beforeRestart, onMessage } = this.#deps;
    const surroundings: SlotSurroundings = {
      clock,
      random,
      log,
      beforeRestart: beforeRestart ?? (async () => ({ leasesCleaned: 0 })),
      nextStart: (of, ranMs, exit) => this.#nextStart(of, ranMs, exit),
      emit: (of, fact) => this.#emit(of, fact),
      onMessage: (of, message) => onMessage?.(of.spec.id, of.generation, message),
    };
    const slot = new ProcessSlot(spec, surroundings, generation);
    this.#slots.set(spec.id, slot);
    slot.start();
    return slot.firstReady;
  }

  async remove(id: string): Promise<void> {
    await this.#slot(id).stop();
    this.#slots.delete(id);
    this.#failures.delete(id);
  }

  async drain(id: string): Promise<ProcessExit | undefined> {
    const slot = this.#slot(id);
    const wasStopped = slot.node().state === "stopped";
    await slot.stop();
    return wasStopped ? undefined : slot.lastExit;
  }

  async revive(id: string): Promise<boolean> {
    const { spec, generation } = this.#slot(id);
    if (this.#state !== "running" || this.#slot(id).node().state !== "stopped") return false;
    return this.#fill(spec, generation);
  }

  tree(): TreeNode {
    const { clock, intensity } = this.#deps;
    return {
      name: "root",
      kind: "root",
      pid: process.pid,
      generation: 1,
      state: this.#state,
      restarts: 0,
      strategy: "one_for_one",
      intensity: { ...intensity, left: restartsLeft(this.#restarts, clock.monotonicMs(), intensity) },
      children: [...this.#slots.values()].map((slot) => slot.node()),
    };
  }

  async kill(id: string, mode: ProcessFaultMode, forMs = stopForMs, halted?: AbortSignal): Promise<ChaosReceipt> {
    const listen = (listener: (event: ProcessEvent) => void) => this.#events.add(listener);
    return strikeProcess(this.#slot(id), mode, forMs, { clock: this.#deps.clock, listen, halted });
  }

  members(): readonly PoolMember[] {
    return [...this.#slots.values()].map(({ spec, isUp }) => ({ id: spec.id, pool: spec.role, isUp }));
  }

  declareDead(id: string, why: string): void {
    this.#slot(id).process?.declareDead(why);
  }

  send(id: string, message: object): boolean {
    return this.#slot(id).process?.send(message) ?? false;
  }

  stop(how: "orderly" | "force" = "orderly"): Promise<void> {
    if (how === "force") for (const slot of this.#slots.values()) slot.force();
    this.#stopping ??= this.#stopAll();
    return this.#stopping;
  }

  async #stopAll(): Promise<void> {
    this.#state = "ending";
    const slots = [...this.#slots.values()].reverse();
    for (const slot of slots) slot.dismiss();
    for (const slot of slots) await slot.stop();
    this.#heartbeats.stop();
    this.#state = "stopped";
  }

  #nextStart(slot: ProcessSlot, ranMs: number, exit: ProcessExit): Backoff | undefined {
    if (this.#state !== "running") return undefined;
    const { clock, intensity } = this.#deps;
    const verdict = recordRestart(this.#restarts, clock.monotonicMs(), intensity);
    this.#restarts = verdict.history;
    if (verdict.kind === "exceeded") {
      this.#giveUp(slot, describeProcessExit(exit));
      return undefined;
    }
    const next = this.#backoffFor(slot, ranMs, exit);
    this.#failures.set(slot.spec.id, next.failures);
    return next;
  }

  /** Killed from outside after it had been ready: restarted at once, as an actor is (supervisor.ts). It counts for the intensity. */
  #backoffFor({ spec }: ProcessSlot, ranMs: number, exit: ProcessExit): Backoff {
    const { random, backoff } = this.#deps;
    const failures = this.#failures.get(spec.id) ?? 0;
    if (isEndedFromOutside(exit) && ranMs > 0) return { failures, delayMs: 0 };
    return nextBackoff(failures, ranMs, backoff ?? backoffDefaults, random);
  }

  #giveUp(slot: ProcessSlot, cause: string): void {
    const { intensity } = this.#deps;
    this.#emit(slot, { kind: "escalated", cause, ...intensity });
    const error = new EscalationError("root", `"${slot.spec.id}": ${cause}`, intensity);
    void this.stop().then(() => this.#fail(error));
  }

  #emit({ spec, generation }: ProcessSlot, fact: ProcessFact): void {
    this.#events.tell({ id: spec.id, role: spec.role, generation, atMs: this.#deps.clock.nowMs(), ...fact });
  }

  #slot(id: string): ProcessSlot {
    const slot = this.#slots.get(id);
    if (slot === undefined) throw new UnknownActorError(id, this.#slots.keys());
    return slot;
  }
}
