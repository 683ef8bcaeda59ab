// Children of one test, by fork: none outlives it.

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { ExecutionContext } from "ava";

export interface Child {
  readonly pid: number;
  /** What it tells first. */
  readonly said: unknown;
  /** kill -9; resolves when it is gone. */
  kill(): Promise<void>;
}

export async function child(t: ExecutionContext, ...args: readonly string[]): Promise<Child> {
  const process: ChildProcess = fork(fileURLToPath(new URL("./owner-process.js", import.meta.url)), [...args]);
  const gone = once(process, "exit");
  t.teardown(() => process.kill("SIGKILL"));
  const died = gone.then(() => Promise.reject(new Error("the child ended before it said anything")));
  died.catch(() => undefined);
  const [said] = await Promise.race([once(process, "message"), died]);
  if (process.pid === undefined) throw new Error("no child");
  return {
    pid: process.pid,
    said,
    kill: async () => {
      process.kill("SIGKILL");
      await gone;
    },
  };
}
