// One updater in a real supervision tree over a store in memory, and what the same logs give when nothing is in between.

import { type UpdaterDeps, updater } from "../../actors/learning/updater.js";
import { seededRandom } from "../../models/clock.js";
import { openLearner } from "../../models/learning/learner.js";
import type { Model } from "../../models/manifest.js";
import { checksum, type Policy, sourcePolicy } from "../../models/policy/policy.js";
import { LogFold } from "../../operations/log/log-fold.js";
import type { ActorTree, TreeDeps } from "../../supervision/tree/system.js";
import { answersOf, taskFor } from "../models/small-world.js";
import { type EventLog, smallTree } from "../supervision/small-tree.js";
import { MemoryLease, type MemoryStore } from "./memory-store.js";
import { recorded } from "./small-node.js";

export interface WritingNode {
  readonly tree: ActorTree;
  readonly events: EventLog;
  readonly around: ReturnType<typeof recorded>;
}

export async function writingNode(
  model: Model,
  store: MemoryStore,
  deps: Partial<UpdaterDeps> = {},
  treeDeps: Partial<TreeDeps> = {},
): Promise<WritingNode> {
  const around = recorded();
  const given: UpdaterDeps = {
    model,
    node: "node-a",
    nodeIncarnation: 1,
    store,
    acquireLease: new MemoryLease().acquire,
    openLearner: () => openLearner("wasm"),
    telemetry: around.telemetry,
    ...deps,
  };
  const child = { id: "updater", restart: "permanent", mailboxMax: 256, behaviour: () => updater(given) } as const;
  return { ...(await smallTree([child], { deps: treeDeps })), around };
}

/** Warm experience, then `tasks` tasks, each after a record of its own. */
export function learn(model: Model, store: MemoryStore, tasks: number, seed = 21): void {
  const random = seededRandom(seed);
  const labels = [0, 1, 2, 0, 1, 2];
  for (let warm = 0; warm < 2; warm += 1) store.answer(answersOf(model, labels, random, 0.6));
  for (let task = 0; task < tasks; task += 1) {
    const seq = store.answer(answersOf(model, labels, random, 0.6));
    const experience = { seq, index: task % labels.length };
    store.updateLog.append(`${seq}.${experience.index}`, { kind: "task", task: taskFor(experience, random()) });
  }
}

/** Resolves with the chain's end once it covers every update. */
export async function committedAll(store: MemoryStore): Promise<void> {
  for (let links = 1; store.chain.entries.at(-1)?.updateSeq !== store.updateLog.lastSeq; links += 1)
    await store.chain.reached(links);
}

/** The same logs, folded from the source without any actor. */
export async function foldedStraight(model: Model, store: MemoryStore): Promise<{ policy: Policy; checksum: string }> {
  const learner = await openLearner("wasm");
  const reading = new AbortController();
  const fold = new LogFold(sourcePolicy(model), store.experiences(1, reading.signal), learner, model);
  for (const [index, entry] of store.updateLog.entries.entries()) await fold.apply({ seq: index + 1, entry });
  reading.abort();
  learner.close();
  return { policy: fold.policy, checksum: checksum(fold.policy) };
}
