// How the cluster is, report by report: every rule held against the newest figures, its state carried on, one status for it all.
//
// Owns: the state of every check, the transitions of the status, words and recommendations.
// Does not own: the rules (rules.ts and where they come from), the figures (metrics/), who asks and who is told (observer, alerter).
//
// H1. Time is what the figures say (`atMs`): the same reports in the same order give the same health, replayed or live.
// H2. Unhealthy while a critical check fails, degraded while a warning does, healthy otherwise. Information changes nothing.
// H3. Rules may change between two reports. A rule that is still there under its name and severity keeps its state: what fails does not
//     end and begin anew because somebody saved a file.
// H4. Of one check (or one alert) about one thing that fails in several severities, the most severe speaks: the milder ones fail too, and
//     neither raise an alert nor recommend anything.

import { defaults } from "../../models/settings.js";
import type { EventItem } from "../../transport/messages/events.js";
import { formatDuration } from "../duration.js";
import type { ClusterMetrics } from "../metrics/cluster-metrics.js";
import { asked, type CheckState, nextState } from "./checks.js";
import { Baselines, Figures, type Finding, findingsOf, type KlLimitOf } from "./conditions.js";
import { type CheckResult, type HealthReport, severities } from "./health-report.js";
import { History } from "./history.js";
import { measureOf } from "./measures.js";
import { recommendation, sizingOf } from "./recommend.js";
import type { Rule } from "./rules.js";
import { sayLevel } from "./units.js";

export type HealthStatus = HealthReport["status"];

export interface RuleSet {
  readonly rules: readonly Rule[];
  /** Where they came from, for people. */
  readonly source: string;
  /** What is wrong with a newer version that was not taken. */
  readonly rejected: string | null;
}

export interface HealthOptions {
  /** Asked at every report, so that a reload holds from the next one on. */
  readonly rules: () => RuleSet;
  /** The limit that a model's settings name; the shipped one where it is not known. */
  readonly klLimitOf?: KlLimitOf;
  /** From `frozen()` of an earlier process. */
  readonly frozen?: Readonly<Record<string, number>>;
}

/** A change of the status. */
export interface Transition {
  readonly from: HealthStatus;
  readonly to: HealthStatus;
  /** Since when it is so. */
  readonly atMs: number;
  /** The checks that make it so, as `name about`; none when all is well. */
  readonly because: readonly string[];
}

export interface Health {
  evaluate(metrics: ClusterMetrics): HealthReport;
  /** The newest hundred, oldest first. */
  readonly transitions: readonly Transition[];
  /** Baselines that are frozen: kept elsewhere, they survive this process. */
  frozen(): Readonly<Record<string, number>>;
}

const transitionsMax = 100;

/** A transition as an item of a telemetry event. */
export function transitionItem({ from, to, atMs, because }: Transition): EventItem {
  return { from, to, sinceMs: atMs, because: because.join(", ") };
}

export function openHealth(options: HealthOptions): Health {
  return new RunningHealth(options);
}

/** A check in the making. */
interface Judged {
  readonly rule: Rule;
  readonly finding: Finding;
  readonly state: CheckState;
}

/** By severity, rule and what it is about; `when`: the question it is the answer to. */
type States = Map<string, { readonly when: string; readonly state: CheckState }>;

class RunningHealth implements Health {
  readonly #options: HealthOptions;
  readonly #history = new History();
  readonly #baselines: Baselines;
  #states: States = new Map();
  #status: HealthStatus | undefined;
  #sinceMs = 0;
  readonly #transitions: Transition[] = [];

  constructor(options: HealthOptions) {
    this.#options = options;
    this.#baselines = new Baselines(options.frozen);
  }

  get transitions(): readonly Transition[] {
    return this.#transitions;
  }

  frozen(): Readonly<Record<string, number>> {
    return this.#baselines.frozen();
  }

  evaluate(metrics: ClusterMetrics): HealthReport {
    const { rules, source, rejected } = this.#options.rules();
    const { atMs } = metrics;
    this.#history.take(metrics);
    const judged = this.#judge(rules, metrics);
    const checks = judged.map((each) => resultOf(each, atMs, isOvershadowed(each, judged)));
    const status = statusOf(checks);
    this.#turnTo(status, checks, atMs);
    return {
      v: 1,
      status,
      sinceMs: this.#sinceMs,
      atMs,
      checks,
      recommendations: judged
        .filter((each) => !isOvershadowed(each, judged))
        .flatMap((each) => this.#recommended(each, metrics)),
      rules: { source, rejected },
    };
  }

  /** A thing that is gone takes its state along: a node that left does not fail for ever. */
  #judge(rules: readonly Rule[], metrics: ClusterMetrics): readonly Judged[] {
    const world = {
      figures: new Figures(metrics, this.#history),
      baselines: this.#baselines,
      klLimitOf: this.#options.klLimitOf ?? (() => undefined),
      klLimitDefault: defaults.klAlert.above,
      atMs: metrics.atMs,
    };
    const states: States = new Map();
    const judged = rules.flatMap((rule) =>
      findingsOf(rule, world).map((finding): Judged => {
        const key = `${rule.severity} ${rule.name}:${finding.about}`;
        const known = this.#states.get(key);
        const before = known === undefined || known.when === rule.when ? known?.state : asked(known.state);
        const state = nextState(before, rule, { atMs: metrics.atMs, ...finding });
        states.set(key, { when: rule.when, state });
        return { rule, finding, state };
      }),
    );
    this.#states = states;
    return judged;
  }

  #turnTo(status: HealthStatus, checks: readonly CheckResult[], atMs: number): void {
    const from = this.#status;
    if (from === status) return;
    this.#status = status;
    this.#sinceMs = atMs;
    if (from === undefined) return;
    const because = new Set(checks.filter(degrades).map(({ name, about }) => `${name} ${about}`));
    this.#transitions.push({ from, to: status, atMs, because: [...because] });
    if (this.#transitions.length > transitionsMax) this.#transitions.shift();
  }

  #recommended({ rule, finding, state }: Judged, metrics: ClusterMetrics): HealthReport["recommendations"] {
    if (state.kind !== "failing" || rule.recommend === undefined) return [];
    const { about, value, level } = finding;
    const unit = unitOf(rule);
    const text = recommendation({
      text: rule.recommend,
      about,
      value: sayLevel(value, unit),
      threshold: sayLevel(level, unit),
      sizing: measureOf(rule.condition.lead.measure).sizes ? sizingOf(about, metrics, this.#history) : undefined,
    });
    return [{ check: rule.name, about, text }];
  }
}

/** H4. */
function isOvershadowed(one: Judged, all: readonly Judged[]): boolean {
  if (one.state.kind !== "failing") return false;
  const rank = severities.indexOf(one.rule.severity);
  return all.some(
    ({ rule, finding, state }) =>
      state.kind === "failing" &&
      finding.about === one.finding.about &&
      (rule.name === one.rule.name || (rule.alert !== undefined && rule.alert === one.rule.alert)) &&
      severities.indexOf(rule.severity) < rank,
  );
}

function resultOf({ rule, finding, state }: Judged, atMs: number, isQuiet: boolean): CheckResult {
  const isFailing = state.kind === "failing";
  return {
    name: rule.name,
    about: finding.about,
    severity: rule.severity,
    status: isFailing ? (rule.severity === "critical" ? "fail" : "warn") : "pass",
    message: messageOf(rule, finding, state, atMs),
    value: finding.value,
    threshold: finding.level,
    thresholdExceeded: isFailing,
    sinceMs: state.sinceMs,
    alert: isQuiet ? null : (rule.alert ?? null),
  };
}

/** `pool.utilization 96 % is > 95 % for 5 m 00 s`. */
function messageOf(rule: Rule, finding: Finding, state: CheckState, atMs: number): string {
  const { lead, others } = rule.condition;
  const unit = unitOf(rule);
  const figure = `${lead.measure} ${sayLevel(finding.value, unit)}${asRead(rule, finding)}`;
  const isWhat = others.length === 0 ? ` is ${lead.operator} ${sayLevel(finding.level, unit)}` : `: ${rule.when}`;
  switch (state.kind) {
    case "failing": {
      const lasting = formatDuration(atMs - state.beyondSinceMs);
      if (finding.isBeyond) return `${figure}${isWhat}${atMs === state.beyondSinceMs ? "" : ` for ${lasting}`}`;
      const calm = state.calmSinceMs === null ? `is not yet ${clearText(rule)}` : "is calming down";
      return `${figure} ${calm}; failing for ${lasting}`;
    }
    case "pending":
      return `${figure}${isWhat} for ${formatDuration(atMs - state.beyondSinceMs)} of ${formatDuration(rule.forMs)}`;
    case "calm":
      if (finding.value === null) return `${lead.measure}: ${whyUnknown(rule, finding)}`;
      return others.length === 0 ? `${figure}, not${isWhat.slice(" is".length)}` : `${figure}; fails when ${rule.when}`;
  }
}

/** The plain figure beside the multiple of what is usual. */
function asRead(rule: Rule, { reading, usual }: Finding): string {
  if (usual === null || reading === null) return "";
  const { unit } = measureOf(rule.condition.lead.measure);
  return ` (${sayLevel(reading, unit)}, usual ${sayLevel(usual, unit)})`;
}

function whyUnknown(rule: Rule, { isKnown }: Finding): string {
  if (isKnown) return "what is usual is not known yet";
  return rule.minSamples > 1 ? `not known, or made of fewer than ${rule.minSamples} samples` : "not known";
}

function clearText({ clear, condition, ...rule }: Rule): string {
  if (clear === undefined) return "over";
  return `${clear.operator} ${sayLevel(clear.value, unitOf({ ...rule, condition }))}`;
}

function unitOf({ condition: { lead } }: Pick<Rule, "condition">) {
  return lead.level.kind === "baseline" ? "times" : measureOf(lead.measure).unit;
}

function degrades({ status, severity }: CheckResult): boolean {
  return status !== "pass" && severity !== "info";
}

function statusOf(checks: readonly CheckResult[]): HealthStatus {
  if (checks.some(({ status }) => status === "fail")) return "unhealthy";
  return checks.some(degrades) ? "degraded" : "healthy";
}
