// Processes that write one model under a process root, over a real nats-server, and the log they learn from.

import { fileURLToPath } from "node:url";
import { type Random, seededRandom } from "../../models/clock.js";
import { type ExperienceBatch, noLooks, type UpdateTask } from "../../models/experience.js";
import { loadModel, type Model } from "../../models/manifest.js";
import { halvesOf, numbersOf } from "../../models/numbers/half.js";
import { argmax, headLogits, softmax } from "../../models/numbers/softmax.js";
import { digitsFolder } from "../../operations/cluster/local-cluster.js";
import { ModelLog } from "../../operations/log/model-log.js";
import { replayModel } from "../../operations/log/replay.js";
import { systemClock } from "../../supervision/clock.js";
import { silentLogger } from "../../supervision/logger.js";
import { type ProcessTree, startProcesses } from "../../supervision/process/process-root.js";
import type { ProcessEvent, ProcessSpec } from "../../supervision/process/process-spec.js";
import { backoffDefaults } from "../../supervision/tree/backoff.js";
import type { Credential } from "../../transport/access/credentials.js";
import type { Bus } from "../../transport/bus/bus.js";
import { evictAll } from "../../transport/log/lease-sweep.js";
import type { Commit } from "../../transport/log/records.js";
import { ensureLeaseBucket, ensureStreams } from "../../transport/log/streams.js";
import type { Subjects } from "../../transport/subjects.js";
import { type Cluster, startCluster } from "../transport/fixture.js";

export const folder = digitsFolder(fileURLToPath(new URL("../../cli.js", import.meta.url)));
export const model: Model = await loadModel(folder);
const program = fileURLToPath(new URL("./writing-process.js", import.meta.url));
const waitMs = 60_000;

export const faultPoints = [
  "after lease",
  "after recover",
  "before apply",
  "after apply, before commit",
  "after commit, before snapshot",
  "in the middle of the snapshot",
  "after snapshot, before truncation",
  "after truncation",
] as const;
export type FaultPoint = (typeof faultPoints)[number] | "stopped before commit";

export interface WritingOptions {
  readonly name: string;
  /** Of the root: the owner's run in every lease. */
  readonly run: string;
  readonly folder: string;
  readonly url: string;
  readonly identity: Credential;
  readonly snapshotEvery: number;
  /** Of the first incarnation, the second, ... */
  readonly faults: readonly FaultPoint[];
  /** Experience sequence of the task that ends the process each time. */
  readonly poisonAt?: number;
}

const run = "lab";

export interface Lab {
  readonly cluster: Cluster;
  readonly subjects: Subjects;
  readonly bus: Bus;
  readonly log: ModelLog;
  start(name: string, options?: Partial<WritingOptions>): Promise<ProcessTree>;
  readonly events: ProcessEvent[];
}

/** A broker with the streams of the digits; everything ends with the test. */
export async function openLab(t: { teardown(fn: () => Promise<void>): void }): Promise<Lab> {
  const cluster = await startCluster();
  t.teardown(cluster.end);
  const { subjects } = cluster;
  const bus = await cluster.bus();
  await ensureStreams(bus, subjects, "digits");
  await ensureLeaseBucket(bus, subjects);
  const log = new ModelLog(bus, subjects, model, systemClock, ({ stream, seq, message }) => {
    throw new Error(`${stream} ${seq} cannot be read: ${message}`);
  });
  const events: ProcessEvent[] = [];
  const start: Lab["start"] = async (name, options = {}) => {
    const { url } = cluster.broker;
    const given = {
      name,
      run,
      folder,
      url,
      identity: cluster.credentials.node,
      snapshotEvery: 8,
      faults: [],
      ...options,
    };
    const tree = await startProcesses([specOf(given)], {
      clock: systemClock,
      random: seededRandom(1),
      log: silentLogger,
      intensity: { restarts: 100, withinMs: 1_000 },
      // Many deaths in a row are the matter here, and nothing is gained by waiting between them.
      backoff: { ...backoffDefaults, maxMs: 20 },
      beforeRestart: async (node, incarnation) => {
        const swept = await evictAll(bus, systemClock, subjects.leaseBucket, { node, incarnation, run });
        return { leasesCleaned: swept.kind === "swept" ? swept.leases : 0 };
      },
      onEvent: (event) => events.push(event),
    });
    t.teardown(() => tree.stop());
    return tree;
  };
  return { cluster, subjects, bus, log, events, start };
}

function specOf(options: WritingOptions): ProcessSpec {
  return {
    id: options.name,
    role: "learning",
    command: process.execPath,
    args: ["--enable-source-maps", program, JSON.stringify(options)],
    env: { PATH: process.env.PATH ?? "" },
    spawnArgs: (generation) => ({ args: [`${generation}`] }),
    shutdownMs: 5_000,
  };
}

/** Experience about digits, drawn around the anchors: `rows` answers of the source model. */
export function digitsAnswered(rows: number, random: Random): ExperienceBatch {
  const { anchorEmbeddings, anchorLabels, anchorCount, width, channels, classes, head } = model.calibration;
  const embeddings = new Float32Array(rows * width);
  const slots = new Uint8Array(rows);
  for (let row = 0; row < rows; row += 1) {
    const anchor = Math.floor(random() * anchorCount);
    slots[row] = anchorLabels[anchor] ?? 0;
    for (let axis = 0; axis < width; axis += 1)
      embeddings[row * width + axis] = Math.max(
        0,
        (anchorEmbeddings[anchor * width + axis] ?? 0) + 0.2 * (random() - 0.5),
      );
  }
  const logits = Float32Array.from(headLogits(embeddings, head, width));
  const shares = Array.from({ length: rows }, (_, row) => softmax(logits.subarray(row * classes, (row + 1) * classes)));
  const moments = Float32Array.from({ length: rows * 2 * channels }, () => random());
  return {
    ...{ kind: "answers", model: "digits", node: "feeder", incarnation: 1, atMs: 1_000, version: 0 },
    ids: shares.map((_, row) => `r${row}.${random()}`),
    traceIds: shares.map(() => "0".repeat(32)),
    cold: new Uint8Array(rows),
    bySource: new Uint8Array(rows),
    learn: new Uint8Array(rows),
    answers: Uint16Array.from(shares, (share) => argmax(share)),
    confidences: Float32Array.from(shares, (share) => Math.max(...share)),
    priorities: new Float32Array(rows).fill(0.5),
    slots,
    densities: new Float32Array(rows).fill(0.875),
    looks: noLooks,
    embeddings,
    logits,
    moments: numbersOf(halvesOf(moments)),
  };
}

/** Warm experience, then `tasks` records with a task each; the experience sequences of the tasks. */
export async function feed(log: ModelLog, tasks: number, seed: number): Promise<readonly number[]> {
  const random = seededRandom(seed);
  const seqs: number[] = [];
  const append = async (): Promise<number> => {
    const outcome = await log.append(`feed.${seed}.${random()}`, digitsAnswered(6, random));
    if (outcome.kind !== "appended") throw new Error(`not appended: ${outcome.why}`);
    return outcome.seq;
  };
  for (let warm = 0; warm < 25; warm += 1) await append();
  for (let count = 0; count < tasks; count += 1) {
    const seq = await append();
    const task: UpdateTask = {
      ...{ model: "digits", traceId: "0".repeat(32), node: "feeder", atMs: 1_000 },
      experience: { seq, index: count % 6 },
      confidence: random(),
    };
    const outcome = await log.enqueue({ kind: "task", task }, `${seq}.${count % 6}`);
    if (outcome.kind !== "appended") throw new Error(`not enqueued: ${outcome.why}`);
    seqs.push(seq);
  }
  return seqs;
}

/** Every commit of the chain, once it covers all updates that are on the stream now. */
export async function settledChain(log: ModelLog): Promise<readonly Commit[]> {
  const { lastSeq } = await log.state("update");
  const reading = new AbortController();
  const late = systemClock.after(waitMs, () => reading.abort());
  const commits: Commit[] = [];
  try {
    for await (const { commit } of log.commits(1, reading.signal)) {
      commits.push(commit);
      if (commit.updateSeq >= lastSeq) return commits;
    }
    throw new Error(`no commit covers update ${lastSeq}; the last is ${JSON.stringify(commits.at(-1)?.updateSeq)}`);
  } finally {
    late();
    reading.abort();
  }
}

/** The first commit, past or to come, that is as wanted. */
export async function commitThat(log: ModelLog, wanted: (commit: Commit) => boolean): Promise<Commit> {
  const reading = new AbortController();
  const late = systemClock.after(waitMs, () => reading.abort());
  try {
    for await (const { commit } of log.commits(1, reading.signal)) if (wanted(commit)) return commit;
    throw new Error("no such commit in time");
  } finally {
    late();
    reading.abort();
  }
}

/** Tasks that a commit accounts for. */
export function accounted({ counters }: Commit): number {
  const refused = Object.values(counters.refused).reduce((sum, count) => sum + count, 0);
  return counters.applied + counters.duplicates + refused;
}

export function replayed({ bus, subjects }: Lab, until?: number) {
  return replayModel({
    ...{ bus, subjects, model: "digits", folder, clock: systemClock },
    ...(until === undefined ? {} : { until }),
  });
}
