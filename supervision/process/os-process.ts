// One child process: the only file that starts processes and sends them signals.
//
// Owns: the handle, its readiness, its heartbeats, its exit. Does not own: whether there is a next generation (process-root.ts), who judges
// a silence (heartbeat-watch.ts).
//
// O1. `exit` resolves once, also when there never was a process.
// O2. The child's stdout goes to our stderr, or to the spec's output: stdout belongs to our own documents.
// O3. The child leads its own process group: a terminal's Ctrl-C reaches only us, and we stop children in order.

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { Clock } from "../../models/clock.js";
import type { SpentBudgets } from "../tree/restart-intensity.js";
import { AccrualDetector } from "./accrual-detector.js";
import { heartbeat } from "./heartbeat-watch.js";
import { lowerPriority } from "./niceness.js";
import { type Activation, type ChildWord, wordIn } from "./parent-watch.js";
import type { ProcessExit, ProcessSpec, SpareSpec } from "./process-spec.js";
import { waitedForCpuMs } from "./run-queue.js";

export type Signal = "SIGTERM" | "SIGKILL" | "SIGSTOP" | "SIGCONT";

export type Launch =
  | { readonly kind: "generation"; readonly generation: number; readonly spent: SpentBudgets }
  | { readonly kind: "spare"; readonly spare: SpareSpec };

export class OsProcess {
  readonly exit: Promise<ProcessExit>;
  /** Resolves when the child said so; never, when it does not. */
  readonly ready: Promise<void>;
  /** The same, of a spare. */
  readonly warm: Promise<void>;
  /** Hears what comes from the child that is none of its words to us. */
  onMessage: (message: unknown) => void = () => undefined;
  readonly pulse = new AccrualDetector(heartbeat);
  readonly #child: ChildProcess;
  readonly #clock: Clock;
  #dead: Extract<ProcessExit, { kind: "declared_dead" }> | undefined;
  #hasWord = false;
  #waitedAtBeatMs = 0;
  #spent: SpentBudgets = {};
  #isReady: () => void = () => undefined;
  #isWarm: () => void = () => undefined;

  constructor(spec: ProcessSpec, launch: Launch, clock: Clock) {
    this.#clock = clock;
    this.ready = new Promise((resolve) => {
      this.#isReady = resolve;
    });
    this.warm = new Promise((resolve) => {
      this.#isWarm = resolve;
    });
    this.#child = spawned(spec, launch, clock);
    this.exit = new Promise((resolve) => {
      // Not once: without a listener, a second one would end this process.
      this.#child.on("error", (error) => {
        if (this.#child.pid === undefined) resolve({ kind: "not_spawned", error });
      });
      this.#child.once("exit", (code, signal) => resolve(this.#exitOf(code, signal)));
    });
    this.#child.on("message", (message) => {
      const word = wordIn(message);
      if (word === undefined) this.onMessage(message);
      else this.#heard(word);
    });
    this.#watchLines(spec.readyLine);
  }

  /** Undefined when it could not be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** How long it has waited for a processor since it was last heard; 0 where the system does not say. */
  starvedMs(): number {
    return Math.max(0, this.#waitedMs() - this.#waitedAtBeatMs);
  }

  /** The restarts its next generation answers for, once it gave up. */
  get spent(): SpentBudgets {
    return this.#spent;
  }

  /** False when it is gone already. */
  signal(signal: Signal): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null && this.#child.kill(signal);
  }

  /** It may hang or be stopped, so nothing is asked of it. `silentMs`: since its last heartbeat. */
  declareDead(why: string, silentMs?: number): void {
    this.#dead ??= { kind: "declared_dead", why, ...(silentMs === undefined ? {} : { silentMs }) };
    this.signal("SIGKILL");
  }

  /**
   * Stops it (SIGSTOP) for `forMs`. Another process undoes it, so that it is undone when this one dies meanwhile. The returned function
   * undoes it at once, and leaves nothing behind.
   */
  freeze(forMs: number): () => void {
    if (!this.signal("SIGSTOP")) return () => undefined;
    const thaw = spawn("/bin/sh", ["-c", `sleep ${forMs / 1000}; kill -CONT ${this.pid}`], {
      stdio: "ignore",
      detached: true,
    });
    thaw.unref();
    thaw.once("error", () => this.#child.kill("SIGCONT"));
    void this.exit.then(() => endGroup(thaw));
    return () => {
      this.signal("SIGCONT");
      endGroup(thaw);
    };
  }

  /** A spare becomes this generation. A spare that is not warm yet reads it when it is. */
  activate(generation: number, spent: SpentBudgets): void {
    const activation: Activation = { kind: "activate", generation, spent };
    this.send(activation);
  }

  /** Says something to the child over IPC. False when the channel is closed. */
  send(message: object): boolean {
    return this.#child.connected && this.#child.send(message, () => undefined);
  }

  #waitedMs(): number {
    return this.pid === undefined ? 0 : (waitedForCpuMs(this.pid) ?? 0);
  }

  #heard(word: ChildWord): void {
    // Another word comes when it comes; only the first of them begins the beat.
    if (word.kind === "beat" || !this.#hasWord) this.pulse.heard(this.#clock.monotonicMs());
    this.#hasWord = true;
    this.#waitedAtBeatMs = this.#waitedMs();
    switch (word.kind) {
      case "ready":
        this.#isReady();
        return;
      case "warm":
        this.#isWarm();
        return;
      case "spent":
        this.#spent = word.spent;
        return;
      case "beat":
        return;
      default:
        word satisfies never;
    }
  }

  #watchLines(readyLine: string | undefined): void {
    const stdout = this.#child.stdout;
    if (readyLine === undefined || stdout === null) return;
    createInterface({ input: stdout }).on("line", (line) => {
      process.stderr.write(`${line}\n`);
      if (line.includes(readyLine)) this.#isReady();
    });
  }

  #exitOf(code: number | null, signal: NodeJS.Signals | null): ProcessExit {
    if (this.#dead !== undefined) return this.#dead;
    return code === null ? { kind: "signalled", signal: signal ?? "unknown" } : { kind: "exited", code };
  }
}

/** The shell and what it waits for: both lead and share one group, and neither may outlive its purpose. */
function endGroup(leader: ChildProcess): void {
  if (leader.pid === undefined || leader.exitCode !== null || leader.signalCode !== null) return;
  try {
    process.kill(-leader.pid, "SIGKILL");
  } catch (error) {
    // Gone a moment ago.
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

function spawned(spec: ProcessSpec, launch: Launch, clock: Clock): ChildProcess {
  const isSpare = launch.kind === "spare";
  const extras = isSpare ? launch.spare : spec.spawnArgs?.(launch.generation, launch.spent);
  const output = spec.output ?? 2;
  const stdout = spec.readyLine === undefined ? output : "pipe";
  const child = spawn(spec.command, [...spec.args, ...(extras?.args ?? [])], {
    env: { ...spec.env, ...extras?.env },
    stdio: ["ignore", stdout, output, "ipc"],
    detached: true,
  });
  const niceness = isSpare ? launch.spare.niceness : undefined;
  // At once, while it has one thread.
  if (niceness !== undefined && child.pid !== undefined) lowerPriority(child.pid, niceness, clock);
  return child;
}
