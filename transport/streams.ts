// The streams of a model: what is kept, how much of it, and what happens at the bound.
//
// Owns: stream configurations and their one literal of limits. Does not own: what is written (log.ts, chain.ts, snapshot.ts).
//
// S1. Limits retention everywhere: nothing that is kept depends on an acknowledgement (law 4).
// S2. Experience and update streams discard new at their bound: the log never loses what it took, it refuses more (back-pressure).
//     Commits and snapshots discard old: the newest is the one that counts.

import type { Bus } from "./bus.js";
import { ensureStream, type Unavailable } from "./jetstream.js";
import { bucketKeys, bucketStream, type StreamKind, type Subjects, streamKinds } from "./subjects.js";

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

/** A publication with the same id inside this window is stored once. */
const duplicateWindowMs = 120_000;
const nanosPerMs = 1_000_000;

/** All four streams of a model; existing ones get these limits. */
export async function ensureStreams(
  bus: Bus,
  subjects: Subjects,
  model: string,
  limits: Partial<StreamLimits> = {},
): Promise<{ readonly kind: "ready" } | Unavailable> {
  const settled = { ...streamLimits, ...limits };
  for (const kind of streamKinds) {
    const outcome = await ensureStream(bus, configOf(kind, subjects, model, settled));
    if (outcome.kind === "unavailable") return outcome;
  }
  return { kind: "ready" };
}

/** The bucket of the leader leases: one value per key, in the layout of the NATS key-value convention. */
export async function ensureLeaseBucket(
  bus: Bus,
  subjects: Subjects,
  replicas: number = streamLimits.replicas,
): Promise<{ readonly kind: "ready" } | Unavailable> {
  return ensureStream(bus, {
    name: bucketStream(subjects.leaseBucket),
    subjects: [bucketKeys(subjects.leaseBucket)],
    retention: "limits",
    storage: "file",
    discard: "new",
    max_msgs_per_subject: 1,
    max_bytes: mebibyte,
    num_replicas: replicas,
    deny_delete: true,
    allow_rollup_hdrs: true,
    allow_direct: true,
  });
}

const dayMs = 24 * 60 * 60 * 1_000;
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
    name: subjects.cleanupStream,
    subjects: [subjects.all.cleanup],
    retention: "limits",
    storage: "file",
    discard: "old",
    max_bytes: cleanupLimits.maxBytes,
    max_age: cleanupLimits.maxAgeMs * nanosPerMs,
    duplicate_window: cleanupLimits.duplicateWindowMs * nanosPerMs,
    num_replicas: replicas,
    deny_delete: true,
    allow_direct: true,
  });
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
    name: subjects.stream(kind, model),
    subjects: [subjects.logSubject(kind, model)],
    retention: "limits",
    storage: "file",
    discard: keepsOld ? "new" : "old",
    max_bytes: maxBytes[kind],
    max_msgs_per_subject: kind === "snapshot" ? limits.snapshotsKept : -1,
    duplicate_window: duplicateWindowMs * nanosPerMs,
    num_replicas: limits.replicas,
    deny_delete: true,
    allow_direct: true,
  };
}
