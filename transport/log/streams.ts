// The streams of a model: what is kept, how much of it, and what happens at the bound.
//
// Owns: stream configurations and their one literal of limits. Does not own: what is written (log.ts, chain.ts, snapshot.ts).
//
// S0. Every stream and bucket has as many copies as the cluster was told (`--replicas`), the telemetry in memory included: it is what an
//     operations node on another machine goes on from, and a memory stream with one copy would end with its server, and stand still while
//     that is away. A stream that has more copies keeps them (jetstream.ts, ensureStream).
// S1. Limits retention everywhere: nothing that is kept depends on an acknowledgement (law 4).
// S2. Experience and update streams discard new at their bound: the log never loses what it took, it refuses more (back-pressure).
//     Commits and snapshots discard old: the newest is the one that counts.

import type { Bus } from "../bus/bus.js";
import { bucketKeys, bucketStream, type StreamKind, type Subjects, streamKinds } from "../subjects.js";
import { ensureStream, type StreamConfig, type Unavailable } from "./jetstream.js";
import type { BoundOf } from "./log.js";

export interface StreamLimits {
  readonly experienceMaxBytes: number;
  readonly updateMaxBytes: number;
  readonly weightsMaxBytes: number;
  readonly snapshotMaxBytes: number;
  readonly snapshotsKept: number;
  readonly replicas: number;
}

const mebibyte = 1024 * 1024;
export const streamLimits: StreamLimits = {
  experienceMaxBytes: 512 * mebibyte,
  updateMaxBytes: 64 * mebibyte,
  weightsMaxBytes: 128 * mebibyte,
  snapshotMaxBytes: 128 * mebibyte,
  snapshotsKept: 5,
  replicas: 1,
};

/** The update stream's share of the experience log's bound: a task is a few hundred bytes, a record some thousands for each task. */
const updateShare = 1 / 8;
const updateMinBytes = mebibyte / 16;

/** The limits that follow from a wanted bound of the experience log, in bytes, and from wanted copies; the defaults where there is none. */
export function limitsFor(experienceMaxBytes: number | undefined, replicas?: number): StreamLimits {
  const copied = replicas === undefined ? streamLimits : { ...streamLimits, replicas };
  if (experienceMaxBytes === undefined) return copied;
  const updateMaxBytes = Math.max(updateMinBytes, Math.round(experienceMaxBytes * updateShare));
  return { ...copied, experienceMaxBytes, updateMaxBytes };
}

/** Room for what several nodes append at the same moment, all of them having found that it fits. */
const serverHeadroomBytes = 4 * mebibyte;

/** The bounds as the server gets them: above those that the nodes keep, because it must never come to its own (log.ts, L3). */
export function withHeadroom(limits: StreamLimits): StreamLimits {
  return {
    ...limits,
    experienceMaxBytes: limits.experienceMaxBytes + serverHeadroomBytes,
    updateMaxBytes: limits.updateMaxBytes + serverHeadroomBytes,
  };
}

/** The bounds of a model's experience and update streams, as the nodes keep them. */
export function boundsOf(subjects: Subjects, model: string, limits: StreamLimits): BoundOf {
  const bounds = new Map([
    [subjects.experience(model), { stream: subjects.stream("experience", model), maxBytes: limits.experienceMaxBytes }],
    [subjects.updates(model), { stream: subjects.stream("update", model), maxBytes: limits.updateMaxBytes }],
  ]);
  return (subject) => bounds.get(subject);
}

/** A publication with the same id inside this window is stored once. */
const duplicateWindowMs = 120_000;
export const nanosPerMs = 1_000_000;
export const dayMs = 86_400_000;

/** Of the dead letters: a client may come back with the same job for minutes, so the window is longer. */
export const bookLimits = {
  maxBytes: 16 * mebibyte,
  maxAgeDays: 90,
  duplicateWindowMs: 3_600_000,
  replicas: 1,
} as const;

/** All four streams of a model; existing ones get these limits. */
export async function ensureStreams(
  bus: Bus,
  subjects: Subjects,
  model: string,
  limits: Partial<StreamLimits> = {},
): Promise<{ readonly kind: "ready" } | Unavailable> {
  const settled = { ...streamLimits, ...limits };
  const outcomes = await Promise.all(
    streamKinds.map((kind) => ensureStream(bus, configOf(kind, subjects, model, settled))),
  );
  return outcomes.find(({ kind }) => kind === "unavailable") ?? { kind: "ready" };
}

/** The bucket of the leader leases. */
export async function ensureLeaseBucket(
  bus: Bus,
  subjects: Subjects,
  replicas: number = streamLimits.replicas,
): Promise<{ readonly kind: "ready" } | Unavailable> {
  return ensureStream(bus, bucketInFiles(subjects.leaseBucket, mebibyte, replicas));
}

/**
 * Deaths and cleanups: tens of thousands of records of about 200 bytes, a week at most. Whoever confirms may have been stopped for long
 * (SIGSTOP), so the window in which a second confirmation is recognised is far longer than that of the log.
 */
const cleanupLimits = { maxBytes: 16 * mebibyte, maxAgeMs: 7 * dayMs, duplicateWindowMs: dayMs } as const;

/** The stream of deaths, cleanups and starts; the oldest records go at its bounds. */
export async function ensureCleanupStream(
  bus: Bus,
  subjects: Subjects,
  replicas: number = streamLimits.replicas,
): Promise<{ readonly kind: "ready" } | Unavailable> {
  return ensureStream(bus, {
    ...inFiles(subjects.cleanupStream, subjects.all.cleanup, replicas),
    discard: "old",
    max_bytes: cleanupLimits.maxBytes,
    max_age: cleanupLimits.maxAgeMs * nanosPerMs,
    duplicate_window: cleanupLimits.duplicateWindowMs * nanosPerMs,
  });
}

/** Some minutes of everything that nodes tell, two hours at most: what an operations node needs to go on where a dead one ended. */
const telemetryLimits = {
  maxBytes: 48 * mebibyte,
  maxAgeMs: 7_200_000,
  /** A beat a second fits for more than an hour, whatever thousands of votes and spans a minute bring. */
  messagesPerSubjectMax: 4_096,
} as const;

/** The stream of telemetry and alerts, in memory: telemetry is best effort, and a full disk does not end it. The oldest goes first. */
export async function ensureTelemetryStream(
  bus: Bus,
  subjects: Subjects,
  replicas: number = streamLimits.replicas,
): Promise<{ readonly kind: "ready" } | Unavailable> {
  return ensureStream(bus, {
    name: subjects.telemetryStream,
    subjects: [subjects.all.telemetry, subjects.all.alert, subjects.all.observed],
    retention: "limits",
    storage: "memory",
    discard: "old",
    max_bytes: telemetryLimits.maxBytes,
    max_age: telemetryLimits.maxAgeMs * nanosPerMs,
    max_msgs_per_subject: telemetryLimits.messagesPerSubjectMax,
    num_replicas: replicas,
    allow_rollup_hdrs: true,
    allow_direct: true,
  });
}

/** Folders of models, a few MiB each, and what was said about them. At the bound an upload is refused: what is served is never dropped. */
const modelsMaxBytes = 256 * mebibyte;

/** The stream of the models that are added while the cluster runs. */
export async function ensureModelsStream(
  bus: Bus,
  subjects: Subjects,
  replicas: number = streamLimits.replicas,
): Promise<{ readonly kind: "ready" } | Unavailable> {
  return ensureStream(bus, {
    ...inFiles(subjects.modelsStream, subjects.all.model, replicas),
    discard: "new",
    max_bytes: modelsMaxBytes,
    duplicate_window: duplicateWindowMs * nanosPerMs,
  });
}

/** Of the bucket of the alerts (alert-bucket.ts). */
export const alertsMaxBytes = 8 * mebibyte;

/** What each stream of a cluster may hold, in bytes, by its name; the log as the nodes keep it. */
export function streamBounds(
  subjects: Subjects,
  models: readonly string[],
  limits: StreamLimits,
): ReadonlyMap<string, number> {
  const ofModels = models.flatMap((model) => [
    [subjects.stream("experience", model), limits.experienceMaxBytes] as const,
    [subjects.stream("update", model), limits.updateMaxBytes] as const,
    [subjects.stream("weights", model), limits.weightsMaxBytes] as const,
    [subjects.stream("snapshot", model), limits.snapshotMaxBytes] as const,
  ]);
  return new Map([
    ...ofModels,
    [subjects.cleanupStream, cleanupLimits.maxBytes],
    [subjects.deadLetterStream, bookLimits.maxBytes],
    [subjects.modelsStream, modelsMaxBytes],
    [subjects.telemetryStream, telemetryLimits.maxBytes],
    [bucketStream(subjects.leaseBucket), mebibyte],
    [bucketStream(subjects.alertBucket), alertsMaxBytes],
  ]);
}

function configOf(kind: StreamKind, subjects: Subjects, model: string, limits: StreamLimits) {
  const keepsOld = kind === "experience" || kind === "update";
  const maxBytes = {
    experience: limits.experienceMaxBytes,
    update: limits.updateMaxBytes,
    weights: limits.weightsMaxBytes,
    snapshot: limits.snapshotMaxBytes,
  };
  return {
    ...inFiles(subjects.stream(kind, model), subjects.logSubject(kind, model), limits.replicas),
    discard: keepsOld ? "new" : "old",
    max_bytes: maxBytes[kind],
    max_msgs_per_subject: kind === "snapshot" ? limits.snapshotsKept : -1,
    duplicate_window: duplicateWindowMs * nanosPerMs,
  };
}

/** What every stream has in common that outlives its broker: no message of it is taken out alone, and any replica may answer for it. */
export function inFiles(name: string, subject: string, replicas: number): StreamConfig {
  return {
    name,
    subjects: [subject],
    retention: "limits",
    storage: "file",
    num_replicas: replicas,
    deny_delete: true,
    allow_direct: true,
  };
}

/** A bucket: one value per key, in the layout of the NATS key-value convention. */
export function bucketInFiles(bucket: string, maxBytes: number, replicas: number): StreamConfig {
  return {
    ...inFiles(bucketStream(bucket), bucketKeys(bucket), replicas),
    discard: "new",
    max_msgs_per_subject: 1,
    max_bytes: maxBytes,
    allow_rollup_hdrs: true,
  };
}
