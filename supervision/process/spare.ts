// A hot spare: one more process of a spec, which has loaded all that does not need its identity and waits to be the next generation.
//
// Owns: its start, its end, its replacement. Does not own: when it is needed (process-slot.ts), what it loads (node.ts).
//
//   empty -> resting -> warming -> warm
//     ^         ^          |        |
//     |         +- backoff + - died +
//     +------------------- taken ---+      any -> stopped
//
// P1. It starts after the active process is ready and `restMs` have passed, so that it takes nothing from a start that is waited for.
// P2. Its death is no crash: it counts for no intensity, and is replaced after a backoff.
// P3. A spare that is still warming is taken too: it is ahead of a process that begins now.

import type { Clock, Random } from "../../models/clock.js";
import { within } from "../deadline.js";
import { type BackoffSettings, nextBackoff } from "../tree/backoff.js";
import { OsProcess } from "./os-process.js";
import {
  describeProcessExit,
  type ProcessFact,
  type ProcessSpec,
  processDefaults,
  type SpareSpec,
} from "./process-spec.js";

type SpareState =
  | { readonly kind: "empty" | "resting" | "stopped" }
  | { readonly kind: "warming" | "warm"; readonly process: OsProcess };

export interface SpareSurroundings {
  readonly clock: Clock;
  readonly random: Random;
  emit(fact: ProcessFact): void;
}

const restMs = 1_000;
/** Nobody waits for a spare, so one that keeps dying is tried at leisure. */
const backoff: BackoffSettings = { initialMs: 1_000, factor: 2, maxMs: 60_000, jitter: 0.5, resetAfterMs: 60_000 };

export class Spare {
  readonly #spec: ProcessSpec;
  readonly #spare: SpareSpec;
  readonly #around: SpareSurroundings;
  readonly #stop = new AbortController();
  #state: SpareState = { kind: "empty" };
  #life: Promise<void> = Promise.resolve();

  constructor(spec: ProcessSpec, spare: SpareSpec, around: SpareSurroundings) {
    this.#spec = spec;
    this.#spare = spare;
    this.#around = around;
  }

  get process(): OsProcess | undefined {
    return "process" in this.#state ? this.#state.process : undefined;
  }

  /** There is to be one from now on, until it is taken. */
  keep(): void {
    if (this.#state.kind !== "empty") return;
    this.#state = { kind: "resting" };
    this.#life = this.#live();
  }

  /** Hands the spare over; undefined when there is none. */
  take(): OsProcess | undefined {
    const process = this.process;
    if (process?.pid === undefined) return undefined;
    this.#state = { kind: "empty" };
    return process;
  }

  /** SIGTERM, the grace of the spec, SIGKILL; `forced` cuts the grace short. */
  async stop(forced: AbortSignal): Promise<void> {
    const process = this.process;
    this.#stop.abort();
    this.#state = { kind: "stopped" };
    if (process !== undefined) await end(process, this.#spec.shutdownMs, this.#around.clock, forced);
    await this.#life;
  }

  async #live(): Promise<void> {
    const { clock, random, emit } = this.#around;
    let [failures, delayMs] = [0, restMs];
    for (;;) {
      await clock.delay(delayMs, this.#stop.signal);
      if (this.#state.kind !== "resting") return;
      const bornAtMs = clock.monotonicMs();
      const process = this.#begin();
      const exit = await process.exit;
      if (this.process !== process) return;
      this.#state = { kind: "resting" };
      emit({ kind: "spare_lost", cause: describeProcessExit(exit) });
      const next = nextBackoff(failures, clock.monotonicMs() - bornAtMs, backoff, random);
      failures = next.failures;
      delayMs = Math.max(restMs, next.delayMs);
    }
  }

  #begin(): OsProcess {
    const { clock, emit } = this.#around;
    const process = new OsProcess(this.#spec, { kind: "spare", spare: this.#spare }, clock);
    this.#state = { kind: "warming", process };
    const maxMs = this.#spec.readyMs ?? processDefaults.readyMs;
    const cancel = clock.after(maxMs, () => {
      if (this.process === process) process.declareDead(`not warm within ${maxMs} ms`);
    });
    void process.exit.then(cancel);
    void process.warm.then(() => {
      cancel();
      if (this.process !== process) return;
      this.#state = { kind: "warm", process };
      emit({ kind: "spare_warm", pid: process.pid ?? 0 });
    });
    return process;
  }
}

/** SIGTERM, a grace, SIGKILL; at once when `forced` is or becomes aborted. */
export async function end(process: OsProcess, graceMs: number, clock: Clock, forced: AbortSignal): Promise<void> {
  if (!forced.aborted) {
    process.signal("SIGTERM");
    const grace = new Promise<void>((resolve) => forced.addEventListener("abort", () => resolve(), { once: true }));
    const ended = await within(clock, graceMs, Promise.race([process.exit.then(() => "exited" as const), grace]));
    if (ended.kind === "done" && ended.value === "exited") return;
  }
  process.signal("SIGKILL");
  await process.exit;
}
