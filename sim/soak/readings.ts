// What the log says after a soak: every row, task and commit, and an undisturbed run over all of it.
//
// Owns: waiting until everything enqueued is committed, reading the streams whole, the fold from the source by one learner in this process.
// Does not own: the fold's rules (operations/log/log-fold.ts), the judgement (invariants.ts).
//
// R1. The fold begins at the source and reads the same two streams; nothing of what the cluster kept besides (snapshots, memories) enters.

import { createHash } from "node:crypto";
import type { Clock } from "../../models/clock.js";
import { openLearner } from "../../models/learning/learner.js";
import { type Backend, backends } from "../../models/learning/tensorflow.js";
import type { Model } from "../../models/manifest.js";
import { checksum, type Policy, sourcePolicy } from "../../models/policy/policy.js";
import { auditCleanups, type CleanupAudit } from "../../operations/cleanup/cleanup-audit.js";
import { LogFold, type LoggedUpdate } from "../../operations/log/log-fold.js";
import { ModelLog } from "../../operations/log/model-log.js";
import { replayModel } from "../../operations/log/replay.js";
import type { Bus } from "../../transport/bus/bus.js";
import { encodeLookRequest, parseActorLook } from "../../transport/messages/look-orders.js";
import type { StreamKind, Subjects } from "../../transport/subjects.js";
import type { FoldedStep, LoggedLink, LoggedRow, LoggedTask, Parameters } from "./evidence.js";

export interface ReadingDeps {
  readonly bus: Bus;
  readonly subjects: Subjects;
  readonly model: Model;
  readonly folder: string;
  readonly clock: Clock;
  /** Names of the serving nodes: each is asked which version it serves. */
  readonly servingNodes: readonly string[];
}

export interface Readings {
  readonly rows: readonly LoggedRow[];
  readonly tasks: readonly LoggedTask[];
  readonly chain: readonly LoggedLink[];
  readonly folded: readonly FoldedStep[];
  readonly parameters: Parameters;
  readonly cleanups: CleanupAudit;
}

/** Learning may lag behind the answers; it is waited for this long. */
const settleWithinMs = 120_000;
const servedWithinMs = 15_000;
const lookMs = 100;
const stillMs = 700;

export async function readAll(deps: ReadingDeps): Promise<Readings> {
  const { bus, subjects, model, folder, clock } = deps;
  const log = new ModelLog(bus, subjects, model, clock, ({ stream, seq, message }) => {
    throw new Error(`${stream} ${seq} cannot be read: ${message}`);
  });
  await settled(log, clock);
  const rows = await rowsIn(log);
  const updates = await whole(log, "update", (signal) => log.updates(1, signal));
  const chain = await chainIn(log);
  const { steps, policy } = await foldAll(log, model, updates, chain.at(-1)?.updateSeq ?? 0);
  const replay = await replayModel({ bus, subjects, model: model.manifest.name, folder, clock });
  const last = chain.at(-1);
  const undisturbed = { checksum: checksum(policy), served: digest(policy.served), version: policy.version };
  return {
    rows,
    tasks: updates.flatMap(({ seq, entry }) =>
      entry.kind === "task" ? [{ updateSeq: seq, of: entry.task.experience, atMs: entry.task.atMs }] : [],
    ),
    chain,
    cleanups: await auditCleanups(bus, subjects, clock),
    folded: steps,
    parameters: {
      // Before the first commit the source's parameters are served.
      live: last ?? undisturbed,
      replay: { checksum: replay.checksum },
      undisturbed,
      servedBy: await servedBy(deps, last?.version ?? 0),
    },
  };
}

/**
 * Until the log stands still and the newest update is committed, or learning has taken too long: the invariants say so then. A task is
 * published after its reply, so the log moves on for a moment when the last request has its end.
 */
async function settled(log: ModelLog, clock: Clock): Promise<void> {
  const untilMs = clock.monotonicMs() + settleWithinMs;
  let stood = { at: "", sinceMs: 0 };
  while (clock.monotonicMs() < untilMs) {
    const [experience, update, last] = [
      await log.state("experience"),
      await log.state("update"),
      await log.lastCommit(),
    ];
    const at = `${experience.lastSeq} ${update.lastSeq} ${last?.seq}`;
    const nowMs = clock.monotonicMs();
    if (at !== stood.at) stood = { at, sinceMs: nowMs };
    const isCommitted = (last?.commit.updateSeq ?? 0) >= update.lastSeq;
    if (isCommitted && nowMs - stood.sinceMs >= stillMs) return;
    await clock.delay(lookMs);
  }
}

async function rowsIn(log: ModelLog): Promise<LoggedRow[]> {
  const rows: LoggedRow[] = [];
  for (const { seq, record } of await whole(log, "experience", (signal) => log.experiences(1, signal))) {
    if (record?.kind !== "answers") continue;
    for (const [index, id] of record.ids.entries())
      rows.push({
        seq,
        index,
        id,
        answer: record.answers[index] ?? -1,
        confidence: record.confidences[index] ?? -1,
        learn: record.learn[index] === 1,
      });
  }
  return rows;
}

async function chainIn(log: ModelLog): Promise<LoggedLink[]> {
  // Messages that do not count may stand behind the newest link.
  const end = (await log.lastCommit())?.seq ?? 0;
  const commits = await whole(log, "weights", (signal) => log.commits(1, signal), end);
  return commits.map(({ seq, commit }) => ({
    seq,
    version: commit.version,
    updateSeq: commit.updateSeq,
    experienceSeq: commit.experienceSeq,
    checksum: commit.checksum,
    served: digest(commit.served),
    applied: commit.counters.applied,
    by: `${commit.node}#${commit.incarnation}`,
    atMs: commit.atMs,
  }));
}

/** A stream from its first message to its present end. Throws when its beginning was truncated: nothing could be said of it then. */
async function whole<T extends { readonly seq: number }>(
  log: ModelLog,
  kind: StreamKind,
  follow: (signal: AbortSignal) => AsyncIterable<T>,
  endSeq?: number,
): Promise<T[]> {
  const { firstSeq, lastSeq: streamEndSeq, messages } = await log.state(kind);
  const lastSeq = endSeq ?? streamEndSeq;
  if (messages === 0) return [];
  if (firstSeq > 1)
    throw new Error(`the ${kind} stream begins at ${firstSeq}: it was truncated, a soak needs all of it`);
  const found: T[] = [];
  const reading = new AbortController();
  for await (const each of follow(reading.signal)) {
    found.push(each);
    if (each.seq >= lastSeq) break;
  }
  reading.abort();
  return found;
}

async function foldAll(
  log: ModelLog,
  model: Model,
  updates: readonly LoggedUpdate[],
  untilSeq: number,
): Promise<{ readonly steps: FoldedStep[]; readonly policy: Policy }> {
  const reading = new AbortController();
  const learner = await openLearner(await backendIn(log));
  const policy = sourcePolicy(model);
  const fold = new LogFold(policy, log.experiences(1, reading.signal), learner, model);
  const steps: FoldedStep[] = [];
  try {
    for (const update of updates) {
      if (update.seq > untilSeq) break;
      const outcome = await fold.apply(update);
      const of = update.entry.kind === "task" ? update.entry.task.experience : null;
      const { version, served } = policy;
      steps.push({ updateSeq: update.seq, of, outcome: outcome?.kind ?? "mark", version, served: digest(served) });
    }
    return { steps, policy };
  } finally {
    reading.abort();
    learner.close();
  }
}

/** Bits agree between equal backends only, so the fold takes the one that committed. */
async function backendIn(log: ModelLog): Promise<Backend | "auto"> {
  const committed = (await log.lastCommit())?.commit.backend;
  return backends.find((backend) => backend === committed) ?? "auto";
}

/** Each serving node follows the chain; it is asked until it says the newest version, or time is up. */
async function servedBy(deps: ReadingDeps, version: number): Promise<Parameters["servedBy"]> {
  const { bus, subjects, model, clock, servingNodes } = deps;
  const untilMs = clock.monotonicMs() + servedWithinMs;
  const ask = async (node: string): Promise<{ readonly node: string; readonly version: number }> => {
    for (;;) {
      const path = `${model.manifest.name}/inference`;
      const outcome = await bus.request(subjects.actor(node, path), encodeLookRequest(), { timeoutMs: 2_000 });
      const parsed = outcome.kind === "reply" ? parseActorLook(outcome.data) : undefined;
      const said =
        parsed?.kind === "ok" && parsed.value.kind === "reply" ? parsed.value.reply.summary.modelVersion : -1;
      const late = clock.monotonicMs() >= untilMs;
      if (said === version || late) return { node, version: Number(said) };
      await clock.delay(lookMs);
    }
  };
  return Promise.all(servingNodes.map(ask));
}

function digest(head: Float32Array): string {
  return createHash("sha256")
    .update(new Uint8Array(head.buffer, head.byteOffset, head.byteLength))
    .digest("hex");
}
