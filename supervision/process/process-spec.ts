// A supervised process as data, and what its supervisor tells the outside.

import type { Cleanup } from "../tree/cleanup.js";
import type { SpentBudgets } from "../tree/restart-intensity.js";

export interface ProcessSpec {
  readonly id: string;
  readonly role: string;
  readonly command: string;
  readonly args: readonly string[];
  /** The child's whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** What a child has to know of its own generation, counted from 1, and of the restarts it answers for. */
  readonly spawnArgs?: (generation: number, spent: SpentBudgets) => SpawnExtras;
  /** Between SIGTERM and SIGKILL. */
  readonly shutdownMs: number;
  /** A child that is not ready in time is killed, which is a crash. */
  readonly readyMs?: number;
  /** A cleanup after its death that is not confirmed within this time is not waited for. */
  readonly cleanupMs?: number;
  /** A line of stdout that contains this means ready. Without it the child says so over IPC (parent-watch.ts). */
  readonly readyLine?: string;
  /** File descriptor that takes the child's stdout and stderr; our stderr when left out. */
  readonly output?: number;
  /** One more process is kept, which has loaded all that does not need its identity and waits to be the next generation (spare.ts). */
  readonly spare?: SpareSpec;
}

/** Added to `args` and `env` instead of `spawnArgs`: they make the child say "warm" and wait (parent-watch.ts). */
export interface SpareSpec extends SpawnExtras {
  /** Of the operating system, from the start on: what a process gives away, it cannot take back when it is activated. */
  readonly niceness?: number;
}

/** Added to `args` and `env`. */
export interface SpawnExtras {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export const processDefaults = { readyMs: 30_000, cleanupMs: 5_000 } as const;

export type ProcessExit =
  | { readonly kind: "exited"; readonly code: number }
  | { readonly kind: "signalled"; readonly signal: string }
  /** It was declared dead, then killed. `silentMs`: since its last heartbeat, when that was why. */
  | { readonly kind: "declared_dead"; readonly why: string; readonly silentMs?: number }
  /** There never was a process. */
  | { readonly kind: "not_spawned"; readonly error: Error };

export function describeProcessExit(exit: ProcessExit): string {
  switch (exit.kind) {
    case "exited":
      return `exit code ${exit.code}`;
    case "signalled":
      return `signal ${exit.signal}`;
    case "declared_dead":
      return `declared dead: ${exit.why}`;
    case "not_spawned":
      return `could not be started: ${exit.error.message}`;
    default:
      return exit satisfies never;
  }
}

/** Somebody else ended it: that says nothing of its health. (What crashes of itself ends by SIGSEGV, SIGABRT and the like.) */
export function isEndedFromOutside(exit: ProcessExit): boolean {
  return exit.kind === "signalled" && (exit.signal === "SIGKILL" || exit.signal === "SIGTERM");
}

/** Awaited, bounded, between the death of a generation and the start of the next (law 6). */
export type BeforeRestart = (id: string, generation: number, exit: ProcessExit) => Promise<Cleanup>;

export type ProcessFact =
  | { readonly kind: "spawned"; readonly pid: number; readonly wasSpare: boolean }
  | { readonly kind: "started"; readonly pid: number; readonly readyMs: number }
  /** `detectMs`: from the last heartbeat until a hung one was found; an exit is noticed at once. */
  | { readonly kind: "crashed"; readonly exit: ProcessExit; readonly cause: string; readonly detectMs?: number }
  | { readonly kind: "stopped"; readonly exit: ProcessExit }
  | { readonly kind: "cleanup_confirmed"; readonly by: "hook" | "supervisor"; readonly leasesCleaned: number }
  | { readonly kind: "restarting"; readonly failures: number; readonly backoffMs: number; readonly cause: string }
  | { readonly kind: "spare_warm"; readonly pid: number }
  | { readonly kind: "spare_lost"; readonly cause: string }
  | { readonly kind: "escalated"; readonly cause: string; readonly restarts: number; readonly withinMs: number };

/** `generation` is the node's incarnation. */
export type ProcessEvent = {
  readonly id: string;
  readonly role: string;
  readonly generation: number;
  readonly atMs: number;
} & ProcessFact;
