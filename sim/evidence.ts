// The evidence of a run: read from the log and the chain, not from anybody's memory of it.
//
// Owns: waiting until everything enqueued is committed, counting what the log holds, the replay. Does not own: the fold (operations/).

import type { Clock } from "../models/clock.js";
import { rowsOf } from "../models/experience.js";
import { guardrailsOf } from "../models/learning/guard-limits.js";
import type { Model } from "../models/manifest.js";
import { ModelLog } from "../operations/log/model-log.js";
import { type Replayed, replayModel } from "../operations/log/replay.js";
import type { DemoReport } from "../operations/terminal/report.js";
import { askWholeTree } from "../operations/whole-tree.js";
import type { ClusterContext } from "../transport/access/context.js";
import type { Bus } from "../transport/bus/bus.js";
import type { TreeNode } from "../transport/messages/look-orders.js";
import { type Subjects, subjectsOf } from "../transport/subjects.js";
import { connectAs } from "./connection.js";

export interface Evidence {
  readonly updates: DemoReport["updates"];
  readonly modelVersion: number;
  readonly log: DemoReport["log"];
  readonly replay: Pick<Replayed, "updates" | "checksum" | "committedChecksum" | "equal">;
  readonly actorRestarts: number;
}

/** Learning may lag behind the answers; it is waited for this long. */
const settleWithinMs = 30_000;
const lookMs = 100;

export async function gatherEvidence(
  context: ClusterContext,
  model: Model,
  folder: string,
  clock: Clock,
  withinMs = settleWithinMs,
): Promise<Evidence> {
  const subjects = subjectsOf(context.cluster);
  const bus = await connectAs(context, "operator", "driftmend-evidence", clock);
  try {
    const log = new ModelLog(bus, subjects, model, clock, () => undefined);
    await settled(log, clock, withinMs);
    const { name } = model.manifest;
    const replay = await replayModel({ bus, subjects, model: name, folder, clock, guardrails: guardrailsOf(model) });
    const commit = (await log.lastCommit())?.commit;
    const [experience, update] = [await log.state("experience"), await log.state("update")];
    return {
      updates: {
        enqueued: update.messages,
        applied: commit?.counters.applied ?? 0,
        refused: nonZero(commit?.counters.refused ?? {}),
        // The way back is the source model, where it does better (models/adaptation/standing.ts).
        rolledBack: replay.returnsToSource,
      },
      modelVersion: commit?.version ?? 0,
      log: {
        experiences: await experiencesIn(log, experience.lastSeq),
        updates: update.messages,
        bytes: experience.bytes + update.bytes,
      },
      replay: {
        updates: replay.updates,
        checksum: replay.checksum,
        committedChecksum: replay.committedChecksum,
        equal: replay.equal,
      },
      actorRestarts: await actorRestarts(bus, subjects),
    };
  } finally {
    await bus.close();
  }
}

/** Until the newest update is committed, or learning has taken too long. */
async function settled(log: ModelLog, clock: Clock, withinMs: number): Promise<void> {
  const untilMs = clock.monotonicMs() + withinMs;
  while (clock.monotonicMs() < untilMs) {
    const [update, last] = [await log.state("update"), await log.lastCommit()];
    if ((last?.commit.updateSeq ?? 0) >= update.lastSeq) return;
    await clock.delay(lookMs);
  }
}

async function experiencesIn(log: ModelLog, lastSeq: number): Promise<number> {
  if (lastSeq === 0) return 0;
  const reading = new AbortController();
  let rows = 0;
  for await (const { seq, record } of log.experiences(1, reading.signal)) {
    if (record?.kind === "answers") rows += rowsOf(record);
    if (seq >= lastSeq) break;
  }
  reading.abort();
  return rows;
}

async function actorRestarts(bus: Bus, subjects: Subjects): Promise<number> {
  const { tree } = await askWholeTree({ bus, subjects });
  return tree === undefined ? 0 : restartsIn(tree);
}

function restartsIn(node: TreeNode): number {
  const own = node.kind === "actor" && node.name !== "nats-server" ? node.restarts : 0;
  return node.children.reduce((sum, child) => sum + restartsIn(child), own);
}

function nonZero(counts: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}
