// What happened in a cluster that never was: what was learned, what was given up, traces, stability runs.

import { seededRandom } from "../../models/clock.js";
import type { Learning, Letters, Trace, Traces } from "../../operations/http/answer-shapes.js";
import type { Span } from "../../operations/traces/span.js";
import type { StabilityReport } from "./world.js";

export function learningOf(nowMs: number): Learning {
  const random = seededRandom(11);
  const guards = ["kl_to_source", "confidence_collapse", "delta_norm"];
  const updates = Array.from({ length: 240 }, (_, index) => {
    const kl = 0.008 + 0.03 * random() * (index / 240) + (index > 225 ? 0.04 : 0);
    const isRefused = random() < 0.06;
    return {
      atMs: nowMs - (240 - index) * 420,
      traceId: traceId(index),
      kind: isRefused ? ("refused" as const) : ("applied" as const),
      kl: isRefused ? kl + 0.05 : kl,
      rate: 0.0012 * (0.5 + random()),
      ...(isRefused ? { guard: guards[index % 3] ?? "" } : {}),
    };
  });
  return {
    v: 1,
    models: [
      {
        name: "digits",
        commits: Array.from({ length: 120 }, (_, index) => ({
          version: 1_363 + index,
          atMs: nowMs - (120 - index) * 840 - Math.round(300 * random()),
          updateSeq: 70_000 + index * 3,
        })),
        updates,
        returns: [
          { atMs: nowMs - 2_400_000, domain: "4", to: "source" },
          { atMs: nowMs - 1_900_000, domain: "4", to: "adapted" },
          { atMs: nowMs - 240_000, domain: "7", to: "source" },
        ],
        snapshots: [12, 11, 10, 9].map((seq, index) => ({
          seq,
          version: 1_400 - 100 * index,
          atMs: nowMs - (index + 1) * 600_000,
        })),
      },
    ],
  };
}

export function lettersOf(nowMs: number): Letters {
  const base = {
    model: "digits",
    node: "serving-1",
    phase: "inference",
    state: "condemned",
    attempts: 3,
    payload: { kind: "omitted", byteLength: 3_200 },
    investigated: false,
    resolution: null,
    requeued_at: null,
  };
  return {
    entries: [
      {
        ...base,
        id: 31,
        jobId: "4f1d0c8be2aa4d0e",
        cause: "every try ended its process: SIGSEGV in the engine's thread",
        traceId: traceId(3),
        atMs: nowMs - 2_400_000,
      },
      {
        ...base,
        id: 28,
        jobId: "b8e11c02a9914f02",
        phase: "voter",
        state: "exhausted",
        cause: "TypeError: Cannot read properties of undefined (reading 'confidence')",
        traceId: traceId(5),
        atMs: nowMs - 9_400_000,
        requeued_at: nowMs - 9_000_000,
      },
      {
        ...base,
        id: 12,
        jobId: "00c3aa712e6b41d8",
        phase: "update",
        state: "skipped",
        cause: "the row is not finite",
        traceId: traceId(8),
        atMs: nowMs - 40_400_000,
        investigated: true,
        resolution: "a broken camera",
      },
    ],
    cursor: null,
  };
}

export function traceId(index: number): string {
  const random = seededRandom(1_000 + index);
  return Array.from({ length: 32 }, () => Math.floor(16 * random()).toString(16)).join("");
}

export function traceLine(index: number, nowMs: number): Traces["traces"][number] {
  const isFailed = index % 17 === 9;
  return {
    traceId: traceId(index),
    name: index % 4 === 0 ? "infer, update" : "infer",
    startMs: nowMs - 400 * index - 900,
    durationMs: index % 4 === 0 ? 380 + 3 * index : 2.1 + (index % 7) * 0.6,
    status: isFailed ? "error" : "ok",
    spans: index % 4 === 0 ? 14 : 8,
  };
}

type Row = readonly [id: string, parent: string | null, name: string, actor: string, fromMs: number, toMs: number];

const spanRows: readonly Row[] = [
  ["a1", "caller0", "infer", "digits/inference", 0, 4.31],
  ["a2", "a1", "infer.receive", "digits/inference", 0, 0.14],
  ["a3", "a1", "infer.queue", "digits/inference", 0.14, 0.71],
  ["a4", "a1", "infer.model", "digits/inference", 0.71, 2.04],
  ["a5", "a1", "infer.retrieve", "digits/buffer", 2.06, 2.52],
  ["a6", "a1", "infer.vote", "digits/voter", 2.53, 2.66],
  ["a7", "a1", "infer.remember", "digits/voter", 2.66, 4.2],
  ["a8", "a1", "infer.reply", "digits/voter", 4.2, 4.31],
  ["b1", "a1", "update", "digits-updater", 4.6, 18.2],
  ["b2", "b1", "update.claim", "digits-updater", 4.6, 6.1],
  ["b3", "b1", "update.load", "digits-updater", 6.1, 6.6],
  ["b4", "b1", "update.step", "digits-updater", 6.6, 13.9],
  ["b5", "b1", "update.verify", "digits-updater", 13.9, 15.1],
  ["b6", "b1", "update.publish", "digits-updater", 15.1, 18.2],
];

const spanNotes: Readonly<Record<string, Partial<Span>>> = {
  a1: { attributes: { request: "demo.1204", model: "digits", confidence: 0.62, "batch.rows": 6, gate: true } },
  b1: { status: "error", attributes: { guard: "kl_to_source", "update.seq": 71_204 } },
  b5: { status: "error", attributes: { kl: 0.083, limit: 0.05 } },
};

/** A request, and the update that it led to, which a guard refused. */
export function traceOf(id: string, nowMs: number): Trace {
  const startMs = nowMs - 5_000;
  const spans = spanRows.map(([spanId, parentSpanId, name, actor, fromMs, toMs]): Span => {
    const [node, incarnation] = name.startsWith("infer") ? (["serving-1", 1] as const) : (["learning-1", 6] as const);
    const at = { startMs: startMs + fromMs, endMs: startMs + toMs };
    const bare = { traceId: id, spanId, parentSpanId, name, node, actor, incarnation, ...at };
    return { ...bare, status: "ok", attributes: {}, ...spanNotes[spanId] };
  });
  const standing = { trace: id, span: null, phase: null } as const;
  const voter = { ...standing, node: "serving-1", actor: "digits/voter", incarnation: 1, component: "voter" } as const;
  const updater = { ...standing, node: "learning-1", actor: "digits-updater", incarnation: 6, component: "updater" };
  return {
    v: 1,
    traceId: id,
    spans,
    logs: [
      {
        ...{ atMs: startMs + 4, level: "info", message: "below the gate: an update is asked for", ...voter },
        fields: { confidence: 0.62 },
      },
      {
        ...{ atMs: startMs + 15, level: "warn", message: "step refused", ...updater },
        fields: { guard: "kl_to_source", kl: 0.083 },
      },
    ],
  };
}

export function stabilityRun(nowMs: number): Record<string, unknown> {
  const plannedMs = 8_200_000;
  const elapsedMs = 3_400_000;
  return {
    phase: "running",
    startedAtMs: nowMs - elapsedMs,
    elapsedMs,
    plannedMs,
    progress: elapsedMs / plannedMs,
    sent: 1_182_400,
    kills: 5,
    inTime: 0.99998,
    run: "2026-11-22T1245",
    seed: 7,
    probability: 0.02,
  };
}

export function reportsOf(nowMs: number): StabilityReport[] {
  return [true, true, false, true, null].map((passed, index) => ({
    id: `2026-11-${21 - index}`,
    startedAtMs: nowMs - (index + 1) * 86_400_000,
    passed,
    file: `.driftmend/stability/2026-11-${21 - index}/report.html`,
  }));
}
