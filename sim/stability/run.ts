// A stability run: a cluster under an open-loop load of drifting inputs, its writer killed now and then, looked at all the while.
//
// Owns: the order of it: load, kills, looks, the calm before the end, evidence. Does not own: the cluster (who calls starts and stops it),
// the kills (sim/worker-chaos.ts), the judgement (assertions.ts).
//
// R1. Kills end `graceMs` before the load does: what is asserted at the end is a cluster that had the time to repair itself.
// R2. An interrupted run ends the load and the kills, and does all the rest: its report is as true as a full one's.

import type { Clock } from "../../models/clock.js";
import type { Model } from "../../models/manifest.js";
import { openSession } from "../../models/serving/onnx-session.js";
import { auditCleanups } from "../../operations/cleanup/cleanup-audit.js";
import { ModelLog } from "../../operations/log/model-log.js";
import type { ClusterMetrics } from "../../operations/metrics/cluster-metrics.js";
import { accessAs, type ClusterContext } from "../../transport/access/context.js";
import type { Bus } from "../../transport/bus/bus.js";
import { DriftmendClient } from "../../transport/client.js";
import { subjectsOf } from "../../transport/subjects.js";
import { connectAs } from "../connection.js";
import { gatherEvidence } from "../evidence.js";
import { Load } from "../load.js";
import { tellScores } from "../score-telling.js";
import type { Sample } from "../stream.js";
import { killWorkers } from "../worker-chaos.js";
import type { Facts, Point } from "./facts.js";
import { LearningWatch } from "./learning-watch.js";
import { type ProgressVoice, tellProgress } from "./progress-telling.js";
import { Punctuality } from "./punctuality.js";
import { VitalWatch } from "./vital-watch.js";

export interface RunOptions {
  readonly seed: number;
  /** Requests per second. */
  readonly rate: number;
  readonly requests: number | null;
  readonly durationMs: number | null;
  readonly sampleEveryMs: number;
  /** Null: nothing is killed. */
  readonly crashProbability: number | null;
  readonly graceMs: number;
  readonly model: Model;
  readonly folder: string;
  /** Begins every request id. */
  readonly run: string;
  /** At the end, for learning to take in what was asked for. */
  readonly settleMs?: number;
}

export interface RunDeps {
  readonly context: ClusterContext;
  /** The figures of the whole cluster; undefined when nobody answers. */
  readonly look: (operator: Bus) => Promise<ClusterMetrics | undefined>;
  readonly samples: Iterator<Sample, never>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onSample: (sample: TakenSample) => void;
  readonly onProgress: (progress: Progress) => void;
}

/** One line of samples.jsonl. */
export interface TakenSample {
  readonly step: number;
  readonly point: Point;
  /** As the cluster's own interfaces show them. */
  readonly metrics: ClusterMetrics;
}

export interface Progress {
  readonly phase: "running" | "checking";
  readonly startedAtMs: number;
  readonly elapsedMs: number;
  /** At most. */
  readonly plannedMs: number;
  /** 0..1 */
  readonly progress: number;
  readonly sent: number;
  readonly kills: number;
  readonly inTime: number | null;
  readonly accuracy: { readonly adapting: number; readonly source: number } | null;
  readonly newest: Point | undefined;
}

/** Of each request, from when it was due. */
export const deadlineMs = 5_000;
const inFlightDeadlines = 4;
const lookEveryMaxMs = 5_000;
/** A cluster that has just started has no figures yet. */
const firstFigures = { withinMs: 10_000, againMs: 100 } as const;
const progressMs = 1_000;

/**
 * A second's worth of requests. Ten requests, as the demo has it, would be a kill every five seconds at 200 a second: more restarts than the
 * root allows within a minute, and no life of the writer would be long enough to judge its memory.
 */
export function requestsPerIteration(rate: number): number {
  return Math.max(1, Math.round(rate));
}

/** When the limits end the run at the latest. */
export function atMostMs({ requests, durationMs, rate }: Pick<RunOptions, "requests" | "durationMs" | "rate">): number {
  const byRequests = requests === null ? Number.POSITIVE_INFINITY : (requests / rate) * 1_000;
  return Math.min(durationMs ?? Number.POSITIVE_INFINITY, byRequests);
}

export async function runStability(options: RunOptions, deps: RunDeps): Promise<Facts> {
  const { context, clock } = deps;
  const operator = await connectAs(context, "operator", "driftmend-stability", clock);
  const client = await DriftmendClient.connect({
    ...accessAs(context, "client"),
    cluster: context.cluster,
    clock,
  });
  const following = new AbortController();
  try {
    const log = new ModelLog(operator, subjectsOf(context.cluster), options.model, clock, () => undefined);
    await figuresThere(deps, operator);
    const scene = await setUp(options, deps, { operator, client });
    const [{ lastSeq: commits }, snapshots] = [await log.state("weights"), await log.state("snapshot")];
    const followed = followChain(log, commits + 1, scene.learning, following.signal);
    const chaos = await play(options, deps, scene, { operator, followed });
    const elapsedMs = clock.monotonicMs() - scene.beganAtMs;
    deps.onProgress({ ...progressOf(options, deps, scene), phase: "checking" });
    const evidence = await gatherEvidence(context, options.model, options.folder, clock, options.settleMs);
    const cleanups = await auditCleanups(operator, subjectsOf(context.cluster), clock);
    const stored = (await log.state("snapshot")).lastSeq - snapshots.lastSeq;
    following.abort();
    await followed;
    return { ...factsOf(options, deps, scene), elapsedMs, chaos, evidence, cleanups, snapshots: stored };
  } finally {
    following.abort();
    await client.close();
    await operator.close();
  }
}

/** Until the cluster tells figures; a run without them says so at its end. */
async function figuresThere({ clock, look, signal }: RunDeps, operator: Bus): Promise<void> {
  const untilMs = clock.monotonicMs() + firstFigures.withinMs;
  while (!signal.aborted && clock.monotonicMs() < untilMs && (await look(operator)) === undefined)
    await clock.delay(firstFigures.againMs, signal);
}

interface Scene {
  readonly load: Load;
  readonly punctuality: Punctuality;
  readonly vitals: VitalWatch;
  readonly learning: LearningWatch;
  readonly voice: ProgressVoice;
  readonly startedAtMs: number;
  readonly beganAtMs: number;
  kills: number;
  missed: number;
}

async function setUp(
  options: RunOptions,
  { context, clock, samples, signal }: RunDeps,
  { operator, client }: { readonly operator: Bus; readonly client: DriftmendClient },
): Promise<Scene> {
  const { model, run, rate, requests, durationMs } = options;
  const source = await openSession(model.sourceBytes);
  const punctuality = new Punctuality(rate, deadlineMs);
  const load = new Load(
    {
      ...{ model: model.manifest.name, run, rate, deadlineMs },
      requests: requests ?? Number.POSITIVE_INFINITY,
      durationMs: durationMs ?? Number.POSITIVE_INFINITY,
      // More than can be open before their deadlines, so the loop is open; and bounded, when this process was stalled and catches up.
      inFlightMax: Math.ceil((inFlightDeadlines * rate * deadlineMs) / 1_000),
    },
    { client, source, samples, clock, signal, onEnd: (ended) => punctuality.take(ended) },
  );
  const startedAtMs = clock.nowMs();
  const voice = { bus: operator, subjects: subjectsOf(context.cluster), clock };
  const learning = new LearningWatch(startedAtMs);
  return {
    ...{ load, punctuality, vitals: new VitalWatch(), learning, voice, startedAtMs },
    ...{ beganAtMs: clock.monotonicMs(), kills: 0, missed: 0 },
  };
}

/** Resolves when the load and the kills are over; rejects when anything beside the load fails. */
async function play(
  options: RunOptions,
  deps: RunDeps,
  scene: Scene,
  { operator, followed }: { readonly operator: Bus; readonly followed: Promise<void> },
): Promise<Facts["chaos"]> {
  const { clock } = deps;
  const { crashProbability: probability, graceMs, rate, seed } = options;
  const { scoreboard } = scene.load;
  const endScores = await tellScores(deps.context, clock, options.run, () => ({
    ...scoreboard.right,
    labels: scoreboard.scored,
  }));
  const over = new AbortController();
  const calm = new AbortController();
  const cancelCalm = clock.after(Math.max(0, atMostMs(options) - graceMs), () => calm.abort());
  const perIteration = requestsPerIteration(rate);
  const killing =
    probability === null
      ? undefined
      : killWorkers(
          deps.context,
          clock,
          {
            ...{ probability, seed, requestsPerIteration: perIteration, sent: () => scene.load.sent },
            onKill: (kill) => {
              scene.kills += 1;
              scene.learning.killed(kill);
            },
          },
          calm.signal,
        );
  const looking = lookOn(options, deps, scene, operator, over.signal);
  const stopTelling = tellOn(options, deps, scene);
  try {
    // The last look belongs to the load: it comes before anything is replayed.
    const failed = [killing, looking, followed].flatMap((work) => (work === undefined ? [] : [work.then(never)]));
    await Promise.race([scene.load.run(), ...failed]);
  } finally {
    cancelCalm();
    calm.abort();
    over.abort();
    stopTelling();
    await endScores();
  }
  await killing;
  await looking;
  return {
    ...{ enabled: probability !== null, probability: probability ?? 0, graceMs },
    requestsPerIteration: perIteration,
  };
}

/** Work beside the load may end before it, and only its failure matters. */
function never(): Promise<never> {
  return new Promise(() => undefined);
}

/** Looks at the cluster every few seconds, and at the end once more; every `sampleEveryMs` one of them is a sample. */
async function lookOn(
  { sampleEveryMs }: RunOptions,
  { clock, look, onSample }: RunDeps,
  scene: Scene,
  operator: Bus,
  over: AbortSignal,
): Promise<void> {
  const perSample = Math.ceil(sampleEveryMs / lookEveryMaxMs);
  const everyMs = sampleEveryMs / perSample;
  let lastAtMs = scene.beganAtMs;
  let sampled = -1;
  for (let index = 0, step = 0; ; ) {
    const isLast = over.aborted;
    const metrics = await look(operator);
    const nowMs = clock.monotonicMs();
    const { answered, p50Ms, p99Ms } = scene.punctuality.sincePoint();
    const requestsPerSecond = (answered * 1_000) / Math.max(1, nowMs - lastAtMs);
    lastAtMs = nowMs;
    if (metrics === undefined) scene.missed += 1;
    else {
      const elapsedMs = nowMs - scene.beganAtMs;
      const figures = { answered: scene.load.answered, elapsedMs, requestsPerSecond, p50Ms, p99Ms };
      const point = scene.vitals.take(metrics, figures);
      const sample = Math.floor(index / perSample);
      if (sample > sampled || isLast) onSample({ step: step++, point, metrics });
      sampled = sample;
    }
    if (isLast) return;
    // After a stall of this process the looks that were due in it are not made up for: they would all see the same.
    index = Math.max(index + 1, Math.ceil((clock.monotonicMs() - scene.beganAtMs) / everyMs));
    await clock.delay(Math.max(0, scene.beganAtMs + index * everyMs - clock.monotonicMs()), over);
  }
}

function tellOn(options: RunOptions, deps: RunDeps, scene: Scene): () => void {
  let cancel = (): void => undefined;
  const again = (): void => {
    const progress = progressOf(options, deps, scene);
    deps.onProgress(progress);
    const { accuracy: _, newest: __, ...told } = progress;
    tellProgress(scene.voice, {
      ...told,
      run: options.run,
      seed: options.seed,
      probability: options.crashProbability,
    });
    cancel = deps.clock.after(progressMs, again);
  };
  again();
  return () => cancel();
}

function progressOf(options: RunOptions, { clock }: RunDeps, scene: Scene): Progress {
  const { load, punctuality, vitals, startedAtMs, beganAtMs, kills } = scene;
  const elapsedMs = clock.monotonicMs() - beganAtMs;
  const plannedMs = atMostMs(options);
  const byRequests = options.requests === null ? 0 : load.sent / options.requests;
  return {
    ...{ phase: "running", startedAtMs, elapsedMs, plannedMs, kills, sent: load.sent },
    progress: Math.min(1, Math.max(elapsedMs / plannedMs, byRequests)),
    inTime: punctuality.inTime,
    accuracy: load.scoreboard.scored === 0 ? null : load.scoreboard.accuracy,
    newest: vitals.points.at(-1),
  };
}

async function followChain(
  log: ModelLog,
  fromSeq: number,
  learning: LearningWatch,
  signal: AbortSignal,
): Promise<void> {
  for await (const { commit } of log.commits(fromSeq, signal)) {
    const { node, incarnation, counters, atMs } = commit;
    learning.take({ node, incarnation, applied: counters.applied, atMs });
  }
}

type Measured = Omit<Facts, "elapsedMs" | "chaos" | "evidence" | "cleanups" | "snapshots">;

function factsOf(options: RunOptions, { signal }: RunDeps, scene: Scene): Measured {
  const { load, punctuality, vitals, learning, startedAtMs, missed } = scene;
  const { scored, accuracy } = load.scoreboard;
  return {
    seed: options.seed,
    model: options.model.manifest.name,
    startedAtMs,
    planned: { durationMs: options.durationMs, requests: options.requests, atMostMs: atMostMs(options) },
    interrupted: signal.aborted,
    punctuality: punctuality.figures(),
    refused: load.refused,
    retried: load.retried,
    accuracy: {
      scored,
      adapting: scored === 0 ? null : accuracy.adapting,
      source: scored === 0 ? null : accuracy.source,
    },
    points: vitals.points,
    pointsMissed: missed,
    logBounds: vitals.logBounds,
    lives: vitals.lives,
    crashes: learning.crashes(),
    appliedBySecond: learning.bySecond(),
    updatesDecreased: learning.decreased,
  };
}
