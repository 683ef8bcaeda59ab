// The command line as a process of its own, and what it leaves behind in the process table.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { systemClock } from "../../supervision/clock.js";
import { type ClusterContext, contextFile } from "../../transport/access/context.js";
import type { TreeNode } from "../../transport/messages/look-orders.js";
import { identify, isAlive, type ProcessIdentity } from "../../transport/process-identity.js";
import { entry, type Sight, treeOf } from "./running.js";

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly tookMs: number;
}

export interface Program {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Resolves when the cluster in the store is ready, rejects when the program ended before. */
  readonly ready: Promise<ClusterContext>;
}

/** A verb that runs a cluster, in a store of its own. */
export function start(store: string, ...words: readonly string[]): Program {
  const written = contextWritten(store);
  const { child, ended } = spawned([...words, "--store", store]);
  const tooEarly = ended.then(({ code, stderr }): never => {
    written.stop();
    throw new Error(`ended with ${code} before it was ready: ${stderr}`);
  });
  const ready = Promise.race([written.context, tooEarly]);
  // Not everybody waits for it.
  ready.catch(() => undefined);
  return { child, ended, ready };
}

export async function run(store: string, ...words: readonly string[]): Promise<Ended> {
  return start(store, ...words).ended;
}

/** A verb typed in `directory`, with the default store, `.driftmend` in there. */
export function typedIn(directory: string, ...words: readonly string[]): Pick<Program, "child" | "ended"> {
  return spawned(words, directory);
}

/** A verb that finds its cluster by the context file in the store; what it printed as JSON, when it ended well. */
export async function ask(store: string, ...words: readonly string[]): Promise<unknown> {
  const { code, stdout, stderr } = await spawned([...words, "--json", "--context", contextFile(store)]).ended;
  if (code !== 0) throw new Error(`${words.join(" ")} ended with ${code}: ${stderr}`);
  return JSON.parse(stdout);
}

function spawned(words: readonly string[], cwd = process.cwd()): Pick<Program, "child" | "ended"> {
  const startedAtMs = systemClock.monotonicMs();
  const child = spawn(process.execPath, [entry, ...words], { cwd, stdio: ["ignore", "pipe", "pipe"] });
  const read = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const)
    child[stream].setEncoding("utf8").on("data", (text: string) => {
      read[stream] += text;
    });
  const ended = once(child, "close").then(([code]: (number | null)[]) => {
    return { code: code ?? null, ...read, tookMs: systemClock.monotonicMs() - startedAtMs };
  });
  return { child, ended };
}

/** The file appears by a rename, so the first sight of it is the whole of it. */
function contextWritten(store: string): { readonly context: Promise<ClusterContext>; stop(): void } {
  const watcher = watch(store);
  const context = new Promise<ClusterContext>((resolve, reject) => {
    watcher.on("change", (_kind, name) => {
      if (name !== "context.json") return;
      watcher.close();
      readFile(contextFile(store), "utf8").then((text) => resolve(JSON.parse(text)), reject);
    });
  });
  return { context, stop: () => watcher.close() };
}

/** Every process of a cluster: the root, the broker, the nodes. */
export async function processesOf(sight: Sight): Promise<ProcessIdentity[]> {
  const pids = [sight.context.pid, ...pidsIn(await treeOf(sight))];
  const found = await Promise.all([...new Set(pids)].map(identify));
  return found.filter((each) => each !== undefined);
}

function pidsIn(node: TreeNode): number[] {
  return [node.pid, node.spare].filter((pid) => pid !== undefined).concat(node.children.flatMap(pidsIn));
}

/** Those still there after `withinMs`. Nobody is told of the end of a process that is not his child, so this asks again and again. */
export async function survivors(processes: readonly ProcessIdentity[], withinMs: number): Promise<ProcessIdentity[]> {
  const untilMs = systemClock.monotonicMs() + withinMs;
  for (;;) {
    const alive = await Promise.all(processes.map(isAlive));
    const left = processes.filter((_, index) => alive[index]);
    if (left.length === 0 || systemClock.monotonicMs() >= untilMs) return left;
    await systemClock.delay(20);
  }
}
