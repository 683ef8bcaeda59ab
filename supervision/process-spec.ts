// A supervised process as data, and what its supervisor tells the outside.

import type { Cleanup } from "./cleanup.js";

export interface ProcessSpec {
  readonly id: string;
  readonly role: string;
  readonly command: string;
  readonly args: readonly string[];
  /** The child's whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** What a child has to know of its own generation, counted from 1. */
  readonly spawnArgs?: (generation: number) => SpawnExtras;
  /** Between SIGTERM and SIGKILL. */
  readonly shutdownMs: number;
  /** A child that is not ready in time is killed, which is a crash. */
  readonly readyMs?: number;
  /** A line of stdout that contains this means ready. Without it the child says so over IPC (parent-watch.ts). */
  readonly readyLine?: string;
  /** File descriptor that takes the child's stdout and stderr; our stderr when left out. */
  readonly output?: number;
}

/** Added to `args` and `env`. */
export interface SpawnExtras {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export const processDefaults = { readyMs: 30_000 } as const;

export type ProcessExit =
  | { readonly kind: "exited"; readonly code: number }
  | { readonly kind: "signalled"; readonly signal: string }
  /** It was declared dead, then killed. */
  | { readonly kind: "declared_dead"; readonly why: string }
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

/** Awaited, bounded, between the death of a generation and the start of the next (law 6). */
export type BeforeRestart = (id: string, generation: number, exit: ProcessExit) => Promise<Cleanup>;

export type ProcessFact =
  | { readonly kind: "spawned"; readonly pid: number }
  | { readonly kind: "started"; readonly pid: number; readonly readyMs: number }
  | { readonly kind: "crashed"; readonly exit: ProcessExit; readonly cause: string }
  | { readonly kind: "stopped"; readonly exit: ProcessExit }
  | { readonly kind: "cleanup_confirmed"; readonly by: "hook" | "supervisor"; readonly leasesCleaned: number }
  | { readonly kind: "restarting"; readonly failures: number; readonly backoffMs: number; readonly cause: string }
  | { readonly kind: "escalated"; readonly cause: string; readonly restarts: number; readonly withinMs: number };

/** `generation` is the node's incarnation. */
export type ProcessEvent = {
  readonly id: string;
  readonly role: string;
  readonly generation: number;
  readonly atMs: number;
} & ProcessFact;
