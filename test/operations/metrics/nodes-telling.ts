// Nodes as an aggregate hears them: samples of processes that count and measure, in a time that the test makes pass.

import { Aggregate } from "../../../operations/metrics/aggregate.js";
import type { ClusterMetrics } from "../../../operations/metrics/cluster-metrics.js";
import type { Looked } from "../../../operations/metrics/looked.js";
import { PercentileSketch } from "../../../operations/metrics/percentile-sketch.js";
import type { CleanupRecord, MetricsSample } from "../../../transport/messages/events.js";
import { subjectsOf } from "../../../transport/subjects.js";

export const subjects = subjectsOf("test");
export const startMs = 1_750_000_000_000;

export const digits = { name: "digits", coldStart: 100, capacity: 10_000 } as const;

export function freshAggregate(): Aggregate {
  return new Aggregate({ subjects, models: [digits] });
}

let pids = 100;

/** One process of a node. */
export class Telling {
  readonly values: Record<string, number>;
  readonly sketches = new Map<string, PercentileSketch>();
  readonly node: string;
  readonly incarnation: number;
  readonly run: string;
  readonly beganAtMs: number;

  constructor(node: string, beganAtMs: number, incarnation = 1, run = "r1") {
    this.node = node;
    this.incarnation = incarnation;
    this.run = run;
    this.beganAtMs = beganAtMs;
    this.values = { pid: pids++ };
  }

  count(name: string, by = 1): void {
    this.values[name] = (this.values[name] ?? 0) + by;
  }

  measure(name: string, ...values: readonly number[]): void {
    const sketch = this.sketches.get(name) ?? new PercentileSketch();
    this.sketches.set(name, sketch);
    for (const value of values) sketch.add(value);
  }

  sample(atMs: number): MetricsSample {
    const { node, incarnation, run, values } = this;
    const sketches = Object.fromEntries([...this.sketches].map(([name, sketch]) => [name, sketch.encode()]));
    return { node, incarnation, run, atMs, values: { ...values, uptimeMs: atMs - this.beganAtMs }, sketches };
  }
}

export function lookedAt(of: Partial<Looked["models"][number]> = {}, rest: Partial<Looked> = {}): Looked {
  const model = {
    name: "digits",
    stream: subjects.stream("update", "digits"),
    lastSeq: 0,
    committedSeq: 0,
    version: 0,
  };
  return {
    v: 1,
    streams: [],
    models: [{ ...model, applied: 0, refused: {}, oldestAtMs: null, ...of }],
    leases: { held: 0, oldestAgeMs: null },
    deadLetters: { stream: subjects.deadLetterStream, open: 0, oldestAtMs: null },
    ...rest,
  };
}

/** Lets seconds pass in which these processes beat; the newest figures. */
export function pass(
  aggregate: Aggregate,
  fromMs: number,
  seconds: number,
  processes: readonly Telling[],
  each: (second: number) => Looked | undefined = () => undefined,
): ClusterMetrics {
  let metrics: ClusterMetrics | undefined;
  for (let second = 1; second <= seconds; second += 1) {
    const nowMs = fromMs + second * 1_000;
    const looked = each(second);
    for (const process of processes) aggregate.take(process.sample(nowMs), nowMs);
    metrics = aggregate.view(nowMs, looked);
  }
  if (metrics === undefined) throw new Error("no second passed");
  return metrics;
}

export function cleanup(
  kind: "died" | "cleanup_confirmed" | "started",
  node: string,
  incarnation: number,
  atMs: number,
): CleanupRecord {
  const head = { node, incarnation, run: "r1", by: "supervisor", author: "root", atMs } as const;
  if (kind === "died") return { kind, ...head, cause: "SIGKILL" };
  return kind === "started" ? { kind, ...head } : { kind, ...head, leases: 1 };
}
