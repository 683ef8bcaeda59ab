// A root under observation: its children (obedient-child.ts), its events, its fatal lines.

import { fileURLToPath } from "node:url";
import { seededRandom } from "../../models/clock.js";
import { systemClock } from "../../supervision/clock.js";
import type { LogFields, Logger } from "../../supervision/logger.js";
import type { ProcessDeps } from "../../supervision/process/process-root.js";
import type { ProcessEvent, ProcessSpec } from "../../supervision/process/process-spec.js";

export const childFile = fileURLToPath(new URL("./obedient-child.js", import.meta.url));
export const parentFile = fileURLToPath(new URL("./rooted-parent.js", import.meta.url));

export function child(id: string, behaviour = "serve", spec: Partial<ProcessSpec> = {}): ProcessSpec {
  return {
    id,
    role: "serving",
    command: process.execPath,
    args: [childFile, behaviour],
    env: {},
    spawnArgs: (generation) => ({ args: [`${generation}`] }),
    shutdownMs: 2_000,
    ...spec,
  };
}

interface Fatal {
  readonly message: string;
  readonly fields: LogFields;
}

/** Events and fatal lines of one root. */
export function observed(overrides: Partial<ProcessDeps> = {}) {
  const events: ProcessEvent[] = [];
  const fatals: Fatal[] = [];
  const waiting = new Set<() => void>();
  const quiet = () => undefined;
  const log: Logger = {
    debug: quiet,
    info: quiet,
    warn: quiet,
    error: quiet,
    fatal: (message, fields = {}) => void fatals.push({ message, fields }),
    child: () => log,
  };
  const deps: ProcessDeps = {
    clock: systemClock,
    random: seededRandom(1),
    log,
    intensity: { restarts: 10, withinMs: 60_000 },
    onEvent: (event) => {
      events.push(event);
      for (const look of waiting) look();
    },
    ...overrides,
  };
  const lines = () => events.map(({ kind, id, generation }) => `${kind} ${id} ${generation}`);
  /** Resolves at the event of that kind, id and generation, seen already or to come. */
  const until = (kind: ProcessEvent["kind"], id: string, generation: number): Promise<ProcessEvent> =>
    new Promise((resolve) => {
      const look = (): void => {
        const found = events.find((event) => event.kind === kind && event.id === id && event.generation === generation);
        if (found === undefined) return;
        waiting.delete(look);
        resolve(found);
      };
      waiting.add(look);
      look();
    });
  return { deps, events, fatals, lines, until };
}

export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ESRCH") return false;
    throw error;
  }
}

export async function untilDead(pid: number): Promise<void> {
  while (isAlive(pid)) await systemClock.delay(5);
}
