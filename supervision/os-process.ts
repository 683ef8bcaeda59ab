// One generation of a child process: the only file that starts processes and sends them signals.
//
// Owns: the handle, its readiness, its exit. Does not own: whether there is a next generation (process-root.ts).
//
// O1. `exit` resolves once, also when there never was a process.
// O2. The child's stdout goes to our stderr, or to the spec's output: stdout belongs to our own documents.
// O3. The child leads its own process group: a terminal's Ctrl-C reaches only us, and we stop children in order.

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { isReady } from "./parent-watch.js";
import type { ProcessExit, ProcessSpec } from "./process-spec.js";

export type Signal = "SIGTERM" | "SIGKILL" | "SIGSTOP" | "SIGCONT";

export class OsProcess {
  readonly exit: Promise<ProcessExit>;
  /** Resolves when the child said so; never, when it does not. */
  readonly ready: Promise<void>;
  readonly #child: ChildProcess;
  #why: string | undefined;

  constructor(spec: ProcessSpec, generation: number, onMessage: (message: unknown) => void) {
    const extras = spec.spawnArgs?.(generation);
    const output = spec.output ?? 2;
    const stdout = spec.readyLine === undefined ? output : "pipe";
    this.#child = spawn(spec.command, [...spec.args, ...(extras?.args ?? [])], {
      env: { ...spec.env, ...extras?.env },
      stdio: ["ignore", stdout, output, "ipc"],
      detached: true,
    });
    this.exit = new Promise((resolve) => {
      this.#child.once("error", (error) => {
        if (this.#child.pid === undefined) resolve({ kind: "not_spawned", error });
      });
      this.#child.once("exit", (code, signal) => resolve(this.#exitOf(code, signal)));
    });
    this.ready = this.#readiness(spec.readyLine, onMessage);
  }

  /** Undefined when it could not be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** False when it is gone already. */
  signal(signal: Signal): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null && this.#child.kill(signal);
  }

  /** It may hang or be stopped, so nothing is asked of it. */
  declareDead(why: string): void {
    this.#why ??= why;
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

  /** Says something to the child over IPC. False when the channel is closed. */
  send(message: object): boolean {
    return this.#child.connected && this.#child.send(message, () => undefined);
  }

  #readiness(readyLine: string | undefined, onMessage: (message: unknown) => void): Promise<void> {
    return new Promise((resolve) => {
      this.#child.on("message", (message) => {
        if (isReady(message)) resolve();
        else onMessage(message);
      });
      const stdout = this.#child.stdout;
      if (readyLine === undefined || stdout === null) return;
      createInterface({ input: stdout }).on("line", (line) => {
        process.stderr.write(`${line}\n`);
        if (line.includes(readyLine)) resolve();
      });
    });
  }

  #exitOf(code: number | null, signal: NodeJS.Signals | null): ProcessExit {
    if (this.#why !== undefined) return { kind: "declared_dead", why: this.#why };
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
