// A cluster's figures, folded from what its nodes tell and what is looked up: pure, and driven by the moments it is given.
//
// Owns: which parts make a ClusterMetrics. Does not own: those parts (the files beside this one), who listens and looks (actors/operations/observer.ts).
//
// A1. The same samples, events, records and looks at the same moments give the same figures: an observer that replays them goes on where
//     the one before it ended.
// A2. Totals never fall (window.ts, W2). Every distribution and every rate is of the newest minute.

import type { CleanupRecord, MetricsSample, TelemetryEvent } from "../../transport/messages/events.js";
import type { Subjects } from "../../transport/subjects.js";
import { lookUp } from "./catalogue.js";
import { CleanupTally } from "./cleanup-tally.js";
import type { ClusterMetrics } from "./cluster-metrics.js";
import type { Looked } from "./looked.js";
import { modelFigures, type ObservedModel } from "./model-figures.js";
import { NodeRoll, silentAfterMs } from "./node-figures.js";
import { QueueRoll } from "./queue-figures.js";
import { trendJobs } from "./trend.js";
import { AccuracyWatch, KlWatch, MinuteRate } from "./vitals.js";
import { type KeptTotals, Lives } from "./window.js";
import { type Peaks, WorkFigures } from "./work-figures.js";

export interface AggregateOptions {
  readonly subjects: Subjects;
  readonly models: readonly ObservedModel[];
}

/** What outlives an observer beside what the telemetry stream still holds. */
export interface KeptFigures {
  readonly totals: KeptTotals;
  readonly peaks: Peaks;
  readonly roles: Readonly<Record<string, readonly string[]>>;
  readonly runs: readonly string[];
}

const windowMs = 60_000;
const runsMax = 256;

export class Aggregate {
  readonly #options: AggregateOptions;
  readonly #lives = new Lives(windowMs);
  readonly #nodes = new NodeRoll();
  readonly #work = new WorkFigures();
  readonly #queues: QueueRoll;
  readonly #cleanups = new CleanupTally();
  readonly #rate = new MinuteRate();
  readonly #accuracy = new AccuracyWatch();
  readonly #kl = new KlWatch();
  readonly #sums = new Map<string, boolean>();
  readonly #runs = new Set<string>();
  #looked: Looked | undefined;

  constructor(options: AggregateOptions) {
    this.#options = options;
    this.#queues = new QueueRoll(options.subjects);
  }

  /** A heartbeat, by the moment it was heard. */
  take(sample: MetricsSample, heardAtMs: number): void {
    if (!this.#lives.take(sample, heardAtMs)) return;
    this.#runs.add(sample.run ?? sample.node);
    const [oldest] = this.#runs;
    if (this.#runs.size > runsMax && oldest !== undefined) this.#runs.delete(oldest);
  }

  event(event: TelemetryEvent, heardAtMs: number): void {
    switch (event.kind) {
      case "node_ready":
        this.#nodes.knows(event.node, String(event.items[0]?.roles ?? "").split(","));
        return;
      case "node_left":
        this.#end(event.node, (life) => life.incarnation <= event.incarnation, "left");
        return;
      case "scored":
        this.#accuracy.score(event, heardAtMs);
        return;
      default:
    }
  }

  /** From the cleanup stream, each record once and in its order. */
  cleanup(record: CleanupRecord): void {
    this.#cleanups.take(record);
    if (record.kind !== "died") return;
    const { incarnation, run } = record;
    this.#end(record.node, (life) => life.run === run && life.incarnation <= incarnation, "died");
  }

  /** What service discovery says of a node that was ready before anybody listened. */
  knows(node: string, roles: readonly string[]): void {
    this.#nodes.knows(node, roles);
  }

  rolesOf(node: string): readonly string[] {
    return this.#nodes.roles().get(node) ?? [];
  }

  strangers(): readonly string[] {
    return this.#nodes.strangers(this.#lives);
  }

  hearsAgain(nowMs: number): void {
    this.#nodes.hearsAgain(nowMs);
  }

  resetPeaks(nowMs: number): void {
    this.#work.resetPeaks(nowMs);
  }

  /**
   * The figures now; trends and peaks move on by one step, so it is asked for once a second, at rising moments. Without a look the one
   * before counts: the log stands still while nobody can reach it.
   */
  view(nowMs: number, looked?: Looked): ClusterMetrics {
    this.#looked = looked ?? this.#looked;
    const { subjects, models } = this.#options;
    const lives = this.#lives;
    const sinceMs = nowMs - windowMs;
    const heardSinceMs = nowMs - silentAfterMs;
    const pools = this.#work.pools(lives, nowMs, windowMs, heardSinceMs);
    const cleanups = this.#cleanups.figures((run) => this.#runs.has(run));
    const names = models.map(({ name }) => name);
    const found = { lives, pools, looked: this.#looked, cleanups, models: names, heardSinceMs };
    return {
      v: 1,
      cluster: subjects.cluster,
      atMs: nowMs,
      window: { seconds: windowMs / 1_000, jobs: trendJobs },
      vitals: this.#vitals(nowMs),
      models: models.map((model) => {
        const learned = this.#looked?.models.find(({ name }) => name === model.name);
        return modelFigures(model, lives, learned, sinceMs);
      }),
      pools,
      jobs: this.#work.jobs(lives, nowMs, windowMs),
      queues: this.#queues.figures(found, nowMs),
      logs: [...(this.#looked?.streams ?? [])],
      nodes: this.#nodes.figures(lives, nowMs),
      leases: { ...(this.#looked?.leases ?? { held: 0, oldestAgeMs: null }), reclaimed: cleanups.reclaimed },
      restarts: { nodes: cleanups.restarts, actors: lives.total("actors_restarting") },
      cleanups: { deaths: cleanups.deaths, confirmed: cleanups.confirmed, overdue: cleanups.overdue },
      counters: this.#counters(),
    };
  }

  kept(): KeptFigures {
    return {
      totals: this.#lives.kept((name) => this.#isSum(name)),
      peaks: this.#work.peaks,
      roles: Object.fromEntries(this.#nodes.roles()),
      runs: [...this.#runs],
    };
  }

  /** Before anything is taken. `untilMs`: samples from there on are going to be taken again. */
  restore(kept: KeptFigures, untilMs: number): void {
    this.#lives.restore(kept.totals, untilMs);
    this.#work.restorePeaks(kept.peaks);
    for (const [node, roles] of Object.entries(kept.roles)) this.#nodes.knows(node, roles);
    for (const run of kept.runs) this.#runs.add(run);
  }

  /** Once the past is taken: what of it was lost on the way. */
  restoreRest(kept: KeptFigures): void {
    this.#lives.restoreRest(kept.totals);
  }

  #vitals(nowMs: number): ClusterMetrics["vitals"] {
    const lives = this.#lives;
    const models = this.#looked?.models ?? [];
    const searches = lives.grown("knn_searches", nowMs - windowMs);
    const failures = lives.grown("knn_failures", nowMs - windowMs);
    this.#accuracy.feed(lives, nowMs);
    // Neither counts an update that was not: the log knows more than the nodes of a writer that was killed, the nodes know more than the
    // log of the minute before this observer first looked at it.
    const committed = this.#rate.add(
      nowMs,
      models.reduce((total, { applied }) => total + applied, 0),
    );
    return {
      updateRate: Math.max(committed, lives.grown("updates_applied", nowMs - windowMs)),
      knnFailureRate: searches > 0 ? Math.min(1, failures / searches) : null,
      meanKlDivergence: this.#kl.look(lives),
      queueSize: models.reduce((total, { lastSeq, committedSeq }) => total + Math.max(0, lastSeq - committedSeq), 0),
      accuracy: this.#accuracy.at(nowMs),
    };
  }

  #counters(): Record<string, number> {
    const sums = [...this.#lives.names()].filter((name) => this.#isSum(name)).sort();
    return Object.fromEntries(sums.map((name) => [name, this.#lives.total(name)]));
  }

  /** A counter, or how many values a sketch has had and their sum. */
  #isSum(name: string): boolean {
    const known = this.#sums.get(name);
    if (known !== undefined) return known;
    const sketch = /^(.+)_(?:count|sum)$/.exec(name)?.[1];
    const isSum =
      lookUp(name)?.metric.kind === "counter" || (sketch !== undefined && lookUp(sketch)?.metric.kind === "sketch");
    this.#sums.set(name, isSum);
    return isSum;
  }

  #end(
    node: string,
    isMeant: (life: { readonly run: string; readonly incarnation: number }) => boolean,
    how: "left" | "died",
  ): void {
    for (const life of this.#lives.all()) if (life.node === node && isMeant(life)) life.ended ??= how;
  }
}
