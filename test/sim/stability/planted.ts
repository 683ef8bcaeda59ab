// Facts of a run in which all is well, for tests that plant one thing that is not.

import type { CleanupAudit } from "../../../operations/cleanup/cleanup-audit.js";
import type { Facts, Point } from "../../../sim/stability/facts.js";
import type { Crash } from "../../../sim/stability/learning-watch.js";
import type { MemoryReading, NodeLife } from "../../../sim/stability/memory.js";

export const mebibyte = 1024 * 1024;
export const beganAtMs = Date.UTC(2026, 0, 1);
/** Ten minutes, looked at every five seconds. */
export const elapsedMs = 600_000;
export const everyMs = 5_000;

export const experience = "driftmend-experience-digits";
export const logMaxBytes = 128 * mebibyte;

export function point(atElapsedMs: number, changes: Partial<Point> = {}): Point {
  const seconds = atElapsedMs / 1_000;
  return {
    atMs: beganAtMs + atElapsedMs,
    elapsedMs: atElapsedMs,
    updateRate: 600,
    knnFailureRate: 0,
    meanKlDivergence: 0.001,
    queueSize: 12,
    accuracyAdapting: 0.9,
    accuracySource: 0.6,
    requestsPerSecond: 200,
    p50Ms: 6,
    p99Ms: 60,
    confidence: 0.9,
    gateRate: 0.06,
    updatesEnqueued: Math.round(10 * seconds) + 12,
    updatesApplied: Math.round(10 * seconds),
    knnSearches: Math.round(200 * seconds),
    knnFailures: 0,
    loopDelayMaxMs: 30,
    nodeRestarts: 0,
    actorRestarts: 0,
    leasesHeld: 1,
    logBytes: { [experience]: (60 + 8 * Math.sin(seconds / 20)) * mebibyte, "driftmend-update-digits": mebibyte },
    ...changes,
  };
}

export function points(change: (atElapsedMs: number) => Partial<Point> = () => ({})): Point[] {
  return Array.from({ length: elapsedMs / everyMs + 1 }, (_, i) => point(i * everyMs, change(i * everyMs)));
}

/** A process of 200 MB that warms up, and then keeps its memory but for some noise. */
export function life(node: string, incarnation: number, livedMs: number, leakBytesPerSecond = 0): NodeLife {
  const readings = Array.from({ length: Math.floor(livedMs / everyMs) + 1 }, (_, i): MemoryReading => {
    const seconds = (i * everyMs) / 1_000;
    const warming = Math.min(1, seconds / 40);
    // Deterministic, and without a trend.
    const noise = 2 * Math.sin(1.7 * i) * mebibyte;
    const rssBytes = (120 + 80 * warming) * mebibyte + noise + leakBytesPerSecond * seconds;
    return { atMs: beganAtMs + i * everyMs, rssBytes, heapUsedBytes: rssBytes / 4 };
  });
  return { node, incarnation, roles: [node.replace(/-\d+$/, "")], readings, fullAtMs: beganAtMs + 50_000 };
}

export function crash(incarnation: number, atElapsedMs: number, changes: Partial<Crash> = {}): Crash {
  const atMs = beganAtMs + atElapsedMs;
  return {
    ...{
      pid: 100 + incarnation,
      nextPid: 101 + incarnation,
      signal: "SIGKILL",
      at: new Date(atMs).toISOString(),
      atMs,
    },
    ...{ node: "learning-1", incarnation, recoveryMs: 400, backToPaceMs: 1_500 },
    ...{ appliedBefore: atElapsedMs / 100, appliedAfter: elapsedMs / 100 },
    ...changes,
  };
}

export function cleanups(crashes: readonly Crash[], changes: Partial<CleanupAudit> = {}): CleanupAudit {
  return {
    deaths: crashes.length,
    confirmations: crashes.length,
    pairs: crashes.map(({ node, incarnation }) => ({
      ...{ node, incarnation, run: "r", cause: "SIGKILL", by: "watchdog" as const, leases: 1, tookMs: 20 },
    })),
    ...{ missing: [], doubled: [], late: [], overdue: [], unasked: [], reclaimed: 0, holds: true },
    ...changes,
  };
}

export function facts(changes: Partial<Facts> = {}): Facts {
  const crashes = changes.crashes ?? [crash(1, 150_000), crash(2, 400_000)];
  return {
    seed: 1,
    model: "digits",
    startedAtMs: beganAtMs,
    elapsedMs,
    planned: { durationMs: elapsedMs, requests: null, atMostMs: elapsedMs },
    interrupted: false,
    chaos: { enabled: true, probability: 0.01, graceMs: 30_000, requestsPerIteration: 200 },
    punctuality: {
      ...{ due: 120_000, answeredInTime: 119_990, wantedPerSecond: 200, sentPerSecond: 200, answeredPerSecond: 200 },
      ...{
        limitedBy: "nobody",
        latencyMs: { p50: 6, p95: 40, p99: 80, max: 900 },
        lateMs: { p50: 0, p99: 2, max: 40 },
      },
    },
    refused: { deadline: 10 },
    retried: 3,
    accuracy: { scored: 119_990, adapting: 0.9, source: 0.6 },
    points: points(),
    pointsMissed: 1,
    logBounds: { [experience]: logMaxBytes, "driftmend-update-digits": 16 * mebibyte, "driftmend-cleanup": null },
    lives: [life("serving-1", 1, elapsedMs), life("learning-1", 2, 250_000), life("learning-1", 1, 30_000)],
    appliedBySecond: Array.from({ length: elapsedMs / 1_000 }, (_, second) => ({
      second,
      applied: crashes.some(({ atMs }) => (atMs - beganAtMs) / 1_000 === second) ? 0 : 10,
    })),
    updatesDecreased: 0,
    cleanups: cleanups(crashes),
    evidence: {
      updates: { enqueued: 6_012, applied: 6_000, refused: { kl: 12 }, rolledBack: 0 },
      modelVersion: 6_000,
      log: { experiences: 90_000, updates: 6_012, bytes: 60 * mebibyte },
      replay: { updates: 1_000, checksum: "ab12cd34ef", committedChecksum: "ab12cd34ef", equal: true },
      actorRestarts: 0,
    },
    snapshots: 120,
    ...changes,
    crashes,
  };
}
