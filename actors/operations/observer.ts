// The observer: folds what the nodes tell into the figures of the cluster, once a second, and answers whoever asks for them.
//
// Owns: the pace, the newest report, what is left behind for the next observer.
// Does not own: the figures (operations/metrics/), their health (operations/health/), streams and subjects (observer-wiring.ts).
//
// O1. An incarnation begins with the recent past: it folds what the telemetry stream still holds, second by second, so that rates, trends
//     and the clocks of health checks go on where its predecessor ended.
// O2. One look at a time, and every look ends. While the broker is away there are no new figures: the newest keep the moment they are of.
// O3. A report goes to its listeners when it is complete, and never waits for them.

import type { Transition } from "../../operations/health/health.js";
import type { HealthReport } from "../../operations/health/health-report.js";
import type { Aggregate } from "../../operations/metrics/aggregate.js";
import type { ClusterMetrics } from "../../operations/metrics/cluster-metrics.js";
import type { Kept } from "../../operations/metrics/kept-figures.js";
import type { Looked } from "../../operations/metrics/looked.js";
import { Series } from "../../operations/metrics/series.js";
import type { Behaviour, Life, Turn } from "../../supervision/actor/behaviour.js";
import type { Ref } from "../../supervision/actor/ref.js";
import { tellLater } from "../../supervision/actor/tell-later.js";
import { asError } from "../../supervision/exit-reason.js";
import type { CleanupRecord, MetricsSample, TelemetryEvent } from "../../transport/messages/events.js";
import type { ReportName } from "../../transport/subjects.js";
import { tellWhenRoom } from "../tell-firmly.js";

/** What listeners are told once a second. */
export interface ReportMessage {
  readonly kind: "report";
  readonly metrics: ClusterMetrics;
  readonly health: HealthReport;
}

/** Judges figures, each set once and in their order. */
export interface Judge {
  evaluate(metrics: ClusterMetrics): HealthReport;
  /** Changes of the status, oldest first. */
  readonly transitions: readonly Transition[];
  /** What has to outlive it beside the recent past. */
  frozen(): Readonly<Record<string, number>>;
}

/** What the nodes told, with the moment it was heard. */
export type Told =
  | { readonly kind: "sample"; readonly sample: MetricsSample; readonly atMs: number }
  | { readonly kind: "event"; readonly event: TelemetryEvent; readonly atMs: number }
  | { readonly kind: "cleanup"; readonly record: CleanupRecord };
/** A look of an earlier observer stands for its second. */
export type Past = Told | { readonly kind: "looked"; readonly looked: Looked; readonly atMs: number };

export type AnsweredReport = Extract<ReportName, "metrics" | "health" | "series">;

export type ObserverMessage =
  | Told
  | { readonly kind: "tick" }
  | { readonly kind: "looked"; readonly looked: Looked | undefined; readonly roles: Roles }
  /** The connection is back. */
  | { readonly kind: "hears_again" }
  | { readonly kind: "asked"; readonly what: AnsweredReport; readonly answer: (report: Answer) => void }
  | { readonly kind: "reset_peaks"; readonly done: () => void };

type Roles = ReadonlyMap<string, readonly string[]>;
/** Null: there is none yet. */
export type Answer = ClusterMetrics | HealthReport | ReturnType<Series["report"]> | null;

export interface Recalled {
  readonly kept: Kept | undefined;
  /** From when on samples come again. */
  readonly fromMs: number;
  readonly past: AsyncIterable<Past>;
}

export interface ObserverDeps {
  readonly lookEveryMs: number;
  readonly keepEveryMs: number;
  readonly aggregate: () => Aggregate;
  /** Nobody judges when left out: there is no health report then. `frozen` is of an earlier judge. */
  readonly judge?: (frozen: Readonly<Record<string, number>>) => Judge;
  /** Whether nodes can be heard now. */
  readonly hears: () => boolean;
  /** What nodes tell from now on, and the records of the cleanup stream behind the recalled ones, until the signal. */
  readonly listen: (tell: (message: ObserverMessage) => boolean, signal: AbortSignal) => Promise<void>;
  readonly recall: (signal: AbortSignal) => Promise<Recalled>;
  /** Undefined when something could not be asked. */
  readonly look: () => Promise<Looked | undefined>;
  readonly callRoles: () => Promise<Roles>;
  readonly leave: (
    left: { readonly kind: "looked"; readonly looked: Looked } | { readonly kind: "kept"; readonly kept: Kept },
  ) => void;
  readonly listeners: readonly Ref<ReportMessage>[];
  /** The status is another one than at the last look. */
  readonly turned?: (transition: Transition, life: Life<ObserverMessage>) => void;
}

interface State {
  readonly aggregate: Aggregate;
  readonly judge: Judge | undefined;
  readonly series: Series;
  metrics: ClusterMetrics | undefined;
  health: HealthReport | undefined;
  looking: boolean;
  looks: number;
  keptAtMs: number;
}

/** A fresh node is heard within a beat: figures before that would show a cluster without nodes. */
const firstLookAfterMs = 1_200;
/** Figures without a look at the log are given only when JetStream does not answer for so many looks. */
const blindLooksMax = 5;
/** Who is a stranger is asked for every so many looks. */
const rolesEveryLooks = 5;
/** Seconds of the past in which not every node has been heard yet. */
const settleMs = 2_000;

export function observer(deps: ObserverDeps): Behaviour<ObserverMessage, State> {
  return {
    init: (life) => init(deps, life),
    receive: (state, message, turn) => receive(deps, state, message, turn),
    summary: ({ metrics, health, looks }) => ({
      figuresAtMs: metrics?.atMs ?? null,
      health: health?.status ?? null,
      looks,
      nodes: metrics?.nodes.map(({ node, state }) => `${node} ${state}`) ?? [],
    }),
  };
}

async function init(deps: ObserverDeps, life: Life<ObserverMessage>): Promise<State> {
  // First, so that nothing is missed between the past and the present: what is heard twice counts once.
  const tell = (message: ObserverMessage): boolean => life.self.tell(message) !== "full";
  deps.listen(tell, life.signal).catch((error) => life.fail(asError(error)));
  const { kept, fromMs, past } = await deps.recall(life.signal);
  const aggregate = deps.aggregate();
  const state: State = {
    aggregate,
    judge: deps.judge?.(kept?.frozen ?? {}),
    series: new Series(),
    metrics: undefined,
    health: undefined,
    looking: false,
    looks: 0,
    keptAtMs: kept?.atMs ?? Number.NEGATIVE_INFINITY,
  };
  if (kept !== undefined) {
    aggregate.restore(kept.figures, fromMs);
    state.series.restore(kept.points);
  }
  for await (const each of past) {
    if (each.kind !== "looked") hear(state, each);
    else if (each.atMs >= fromMs + settleMs && each.atMs - (state.metrics?.atMs ?? 0) >= stepAt(each.atMs, life, deps))
      view(state, each.atMs, each.looked);
  }
  if (kept !== undefined) aggregate.restoreRest(kept.figures);
  tellLater(life, firstLookAfterMs, { kind: "tick" });
  return state;
}

/** Every look of the newest past counts, those of several observers once; before that some are enough for the clocks of the checks. */
function stepAt(atMs: number, { clock }: Life<ObserverMessage>, { lookEveryMs }: ObserverDeps): number {
  return (clock.nowMs() - atMs < newestPastMs ? 0.5 : 4.5) * lookEveryMs;
}

const newestPastMs = 60_000;

function receive(deps: ObserverDeps, state: State, message: ObserverMessage, turn: Turn<ObserverMessage>): void {
  switch (message.kind) {
    case "sample":
    case "event":
    case "cleanup":
      hear(state, message);
      return;
    case "hears_again":
      state.aggregate.hearsAgain(turn.clock.nowMs());
      return;
    case "tick":
      tellLater(turn, deps.lookEveryMs, { kind: "tick" });
      if (!state.looking) startLook(deps, state, turn);
      return;
    case "looked":
      looked(deps, state, message, turn);
      return;
    case "asked":
      message.answer(answerOf(state, message.what));
      return;
    case "reset_peaks":
      state.aggregate.resetPeaks(turn.clock.nowMs());
      state.keptAtMs = Number.NEGATIVE_INFINITY;
      message.done();
      return;
    default:
      message satisfies never;
  }
}

function hear({ aggregate, series }: Pick<State, "aggregate" | "series">, told: Told): void {
  switch (told.kind) {
    case "sample":
      aggregate.take(told.sample, told.atMs);
      return;
    case "event":
      aggregate.event(told.event, told.atMs);
      return;
    case "cleanup":
      aggregate.cleanup(told.record);
      series.mark(told.record, aggregate.rolesOf(told.record.node));
      return;
    default:
      told satisfies never;
  }
}

/** Not in this turn: what nodes tell does not wait for a broker that is slow to answer. */
function startLook(deps: ObserverDeps, state: State, turn: Turn<ObserverMessage>): void {
  state.looking = true;
  state.looks += 1;
  const isRollCall = state.looks % rolesEveryLooks === 1 && state.aggregate.strangers().length > 0;
  const look = async (): Promise<void> => {
    const [looked, roles] = await Promise.all([deps.look(), isRollCall ? deps.callRoles() : new Map()]);
    const message = { kind: "looked", looked, roles } as const;
    await tellWhenRoom(turn, message);
  };
  turn.onCommit(() => {
    look().catch((error) => turn.fail(asError(error)));
  });
}

function looked(
  deps: ObserverDeps,
  state: State,
  { looked: found, roles }: Extract<ObserverMessage, { kind: "looked" }>,
  turn: Turn<ObserverMessage>,
): void {
  state.looking = false;
  for (const [node, role] of roles) state.aggregate.knows(node, role);
  if (!deps.hears()) return;
  if (found === undefined && state.metrics === undefined && state.looks < blindLooksMax) return;
  const nowMs = turn.clock.nowMs();
  const before = state.judge?.transitions.at(-1);
  const { metrics, health } = view(state, nowMs, found);
  turn.onCommit(() => {
    const newest = state.judge?.transitions.at(-1);
    if (newest !== undefined && newest !== before) deps.turned?.(newest, turn);
    if (health !== undefined) for (const listener of deps.listeners) listener.tell({ kind: "report", metrics, health });
    if (found !== undefined) deps.leave({ kind: "looked", looked: found });
    // A clock that was set back is no reason to wait.
    if (nowMs >= state.keptAtMs && nowMs - state.keptAtMs < deps.keepEveryMs) return;
    state.keptAtMs = nowMs;
    deps.leave({ kind: "kept", kept: keptOf(state, nowMs) });
  });
}

function view(state: State, nowMs: number, found: Looked | undefined) {
  const metrics = state.aggregate.view(nowMs, found);
  const health = state.judge?.evaluate(metrics);
  state.metrics = metrics;
  state.health = health;
  state.series.take(metrics);
  return { metrics, health };
}

function keptOf({ aggregate, series, judge }: State, atMs: number): Kept {
  return { atMs, figures: aggregate.kept(), points: series.report().points, frozen: judge?.frozen() ?? {} };
}

function answerOf(state: State, what: AnsweredReport): Answer {
  switch (what) {
    case "metrics":
      return state.metrics ?? null;
    case "health":
      return state.health ?? null;
    case "series":
      return state.series.report();
  }
}
