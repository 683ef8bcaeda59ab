// Nodes of a cluster on several hosts: each a process that was started by hand with `driftmend node`, with no root above it.
//
// Owns: the processes, which word says that one is ready. Does not own: where they run (the prefix says), which servers there are.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { systemClock as clock } from "../../supervision/clock.js";
import { within } from "../../supervision/deadline.js";
import { entry, folder } from "../cluster/running.js";

export interface NodePlace {
  readonly name: string;
  readonly role: "serving" | "learning" | "operations" | "learning,operations";
  /** Words in front of a command that is to run there. */
  readonly prefix: readonly string[];
  /** As `--nats` takes it. */
  readonly urls: string;
  readonly replicas: number;
  /** File descriptor of the log lines. */
  readonly output: number;
}

/** Ten times what a start takes beside servers that elect: whoever needs longer hangs, and is said to. */
const readyWithinMs = 60_000;

/** Resolves when the node says that it is ready, or says nothing more. */
async function readiness(stdout: Readable): Promise<void> {
  for await (const line of createInterface({ input: stdout })) if (JSON.parse(line).ready === true) return;
}

export class HostNode {
  readonly place: NodePlace;
  readonly #searchPath: string;
  #child: ChildProcess | undefined;
  #started = 0;

  constructor(place: NodePlace, searchPath: string) {
    this.place = place;
    this.#searchPath = searchPath;
  }

  get name(): string {
    return this.place.name;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Resolves with the milliseconds until it said that it is ready; rejects when it ended before, or takes too long. */
  async start(): Promise<number> {
    const startedAtMs = clock.monotonicMs();
    this.#started += 1;
    const { name, role, prefix, urls, replicas, output } = this.place;
    const words = [
      ...["node", "--json", "--role", role, "--name", name, "--model", folder, "--incarnation", `${this.#started}`],
      ...["--nats", urls, "--replicas", `${replicas}`],
    ];
    const [program = "", ...args] = [...prefix, process.execPath, "--enable-source-maps", entry, ...words];
    const child = spawn(program, args, { env: { PATH: this.#searchPath }, stdio: ["ignore", "pipe", output] });
    const { stdout } = child;
    if (stdout === null) throw new Error(`${name} has no standard output`);
    this.#child = child;
    const said = await within(clock, readyWithinMs, readiness(stdout));
    if (said.kind === "late") throw new Error(`${name} did not say within ${readyWithinMs / 1_000} s that it is ready`);
    if (!this.running) throw new Error(`${name} ended before it was ready`);
    stdout.resume();
    return clock.monotonicMs() - startedAtMs;
  }

  /** Resolves with its exit code when it has ended; null for one that was killed. */
  async end(signal: "SIGKILL" | "SIGTERM"): Promise<number | null> {
    const child = this.#child;
    if (child === undefined || !this.running) return child?.exitCode ?? null;
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
    return child.exitCode;
  }
}
