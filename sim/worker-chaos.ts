// Kills of the learning process while a load runs: each iteration of a few requests may be the one.
//
// Owns: the pace in requests, the list of kills. Does not own: the draws (operations/faults/fault-schedule.ts), the kill and its guard (the root).
//
// K1. One kill at a time: the next iteration is drawn when the worker is back. What the guard refuses is not tried again.
// K2. A kill stands in the list with the process that died and the one that came after, as the root's tree names them.

import type { Clock } from "../models/clock.js";
import { askFault, type ChaosDoor } from "../operations/faults/chaos-client.js";
import { candidatesIn, drawn, faultSchedule } from "../operations/faults/fault-schedule.js";
import type { ChaosTally } from "../operations/terminal/report.js";
import { askTreeOf } from "../operations/whole-tree.js";
import type { ClusterContext } from "../transport/access/context.js";
import type { TreeNode } from "../transport/messages/look-orders.js";
import { subjectsOf } from "../transport/subjects.js";
import { connectAs } from "./connection.js";

export interface WorkerChaosOptions {
  /** Of a kill in one iteration. */
  readonly probability: number;
  readonly seed: number;
  /** Requests sent so far. */
  readonly sent: () => number;
  /** Of one iteration; `requestsPerIteration` when left out. */
  readonly requestsPerIteration?: number;
  /** Told of each kill when it is mended or given up. */
  readonly onKill?: (kill: WorkerKill) => void;
}

export type Kill = ChaosTally["kills"][number];

/** A kill, and which life it ended. */
export interface WorkerKill extends Kill {
  readonly node: string;
  readonly incarnation: number;
  readonly atMs: number;
}

/** Requests of one iteration. */
export const requestsPerIteration = 10;
export const defaultCrashProbability = 0.01;
export const noKills: ChaosTally = { kills: [], count: 0 };

const lookMs = 25;

/** Strikes until the signal aborts; resolves with all kills, each mended or given up. */
export async function killWorkers(
  context: ClusterContext,
  clock: Clock,
  options: WorkerChaosOptions,
  signal: AbortSignal,
): Promise<ChaosTally> {
  const subjects = subjectsOf(context.cluster);
  const bus = await connectAs(context, "operator", "driftmend-chaos", clock);
  const kills: Kill[] = [];
  const schedule = faultSchedule({ ...options, targets: ["nodes"], modes: ["sigkill"] });
  const perIteration = options.requestsPerIteration ?? requestsPerIteration;
  try {
    for (let iteration = 0; !signal.aborted; ) {
      if (options.sent() < (iteration + 1) * perIteration) {
        await clock.delay(lookMs, signal);
        continue;
      }
      iteration += 1;
      const draw = schedule.next().value;
      const kill = draw === undefined ? undefined : await killWorker({ bus, subjects }, clock, draw);
      if (kill === undefined) continue;
      const { pid, at, signal: sent, nextPid } = kill;
      kills.push({ pid, at, signal: sent, nextPid });
      options.onKill?.(kill);
    }
  } finally {
    await bus.close();
  }
  return { kills, count: kills.length };
}

async function killWorker(
  door: ChaosDoor,
  clock: Clock,
  draw: Parameters<typeof drawn>[0],
): Promise<WorkerKill | undefined> {
  const worker = drawn(draw, workersIn(await treeOf(door)));
  if (worker?.pid === undefined) return undefined;
  const atMs = clock.nowMs();
  const answer = await askFault(door, "root", { target: worker.target, mode: "sigkill" });
  if (answer.kind === "refused") return undefined;
  const after = workersIn(await treeOf(door)).find(({ name }) => name === worker.name);
  const nextPid = after?.pid === worker.pid ? null : (after?.pid ?? null);
  const { pid, name: node, generation: incarnation } = worker;
  return { pid, at: new Date(atMs).toISOString(), signal: "SIGKILL", nextPid, node, incarnation, atMs };
}

/** The processes that hold an updater. */
function workersIn(tree: TreeNode | undefined) {
  if (tree === undefined) return [];
  const candidates = candidatesIn(tree);
  const learning = new Set(candidates.flatMap(({ node, target }) => (target.endsWith("-updater") ? [node] : [])));
  return candidates.filter(({ kind, name }) => kind === "nodes" && learning.has(name));
}

/** The root's own: nobody else's processes are its to kill. */
async function treeOf(door: ChaosDoor): Promise<TreeNode | undefined> {
  const answer = await askTreeOf(door, "root", door.bus.timeouts.look);
  return answer.kind === "tree" ? answer.tree : undefined;
}
