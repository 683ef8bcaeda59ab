// What must hold at the end of a stability run: pure functions from its facts to assertions with what was measured and what is allowed.
//
// Owns: the assertions, their names and bounds. Does not own: the facts (facts.ts), how they are shown (report/).
//
// A1. An assertion that could not be judged says why, and is neither passed nor failed. What a run was long enough for must be judged:
//     a run that saw nothing fails.

import { bytes, count, percent, plural } from "../../operations/text.js";
import type { Facts } from "./facts.js";
import type { Crash } from "./learning-watch.js";
import { judgeMemory, type MemoryVerdict, memoryRule } from "./memory.js";

export const assertionNames = [
  "memory_stable",
  "update_queue_bounded",
  "knn_failures",
  "log_truncated",
  "crashes_cleaned_up",
  "no_other_deaths",
  "updates_grow",
  "accuracy_above_source",
  "answered_in_time",
  "replay_equal",
  "metrics_seen",
] as const;
export type AssertionName = (typeof assertionNames)[number];

export interface Assertion {
  readonly name: AssertionName;
  /** Null: it could not be judged, `how` says why. */
  readonly passed: boolean | null;
  /** In words, with units. */
  readonly measured: string;
  readonly allowed: string;
  /** The same as numbers: null where nothing was measured. */
  readonly value: number | null;
  readonly limit: number;
  /** From which source, over what. */
  readonly how: string;
  /** Which ones, when it is not the whole run. */
  readonly about: readonly string[];
}

export interface Limits {
  /** A crash must be repaired within it, milliseconds: a restart with backoff, the lease, the fold, on a busy machine. */
  readonly repairMs: number;
  /** Of the update queue, whatever the rate of tasks is. */
  readonly queueFloor: number;
  /** Share of a stream's bound: it is truncated from half of it on. */
  readonly logShare: number;
  readonly answeredShare: number;
  /** Fewer scored answers say nothing about accuracy. */
  readonly scoredLeast: number;
  /** Share of the looks at the cluster that must have had an answer. */
  readonly pointsShare: number;
}

export const limits: Limits = {
  repairMs: 30_000,
  queueFloor: 500,
  logShare: 0.75,
  answeredShare: 0.995,
  scoredLeast: 2_000,
  pointsShare: 0.9,
};

export function assertionsOn(facts: Facts, allowed: Limits = limits): readonly Assertion[] {
  return [
    memoryStable(facts, judgeMemory(facts.lives)),
    updateQueueBounded(facts, allowed),
    knnFailures(facts),
    logTruncated(facts, allowed),
    crashesCleanedUp(facts),
    noOtherDeaths(facts),
    updatesGrow(facts, allowed),
    accuracyAboveSource(facts, allowed),
    answeredInTime(facts, allowed),
    replayEqual(facts),
    metricsSeen(facts, allowed),
  ];
}

export function hold(assertions: readonly Assertion[]): boolean {
  return assertions.every(({ passed }) => passed !== false);
}

function memoryStable({ elapsedMs }: Facts, verdicts: readonly MemoryVerdict[]): Assertion {
  const judged = verdicts.flatMap((verdict) => (verdict.judged === null ? [] : [{ ...verdict, ...verdict.judged }]));
  const leaking = judged.filter(({ leaks }) => leaks);
  const [worst] = [...(leaking.length > 0 ? leaking : judged)].sort((a, b) => b.growthBytes - a.growthBytes);
  const short = verdicts.length - judged.length;
  const rule = `below ${memoryRule.ratioMax} times its baseline, or ${bytes(memoryRule.growthMaxBytes)} of growth at most`;
  const named = (each: (typeof judged)[number]) =>
    `${each.node} #${each.incarnation}: ${bytes(each.baselineBytes)} to ${bytes(each.finalBytes)} (${each.ratio.toFixed(2)} times)`;
  // Twice the least life: whoever runs for so long has a life that is long enough, or something is wrong.
  const mustBeJudged = elapsedMs >= 2 * memoryRule.leastLifeMs;
  return {
    name: "memory_stable",
    passed: worst === undefined ? (mustBeJudged ? false : null) : leaking.length === 0,
    measured: worst === undefined ? "no process lived long enough behind its warm-up" : named(worst),
    allowed: rule,
    value: worst?.ratio ?? null,
    limit: memoryRule.ratioMax,
    how: `resident memory of each incarnation of more than ${memoryRule.leastLifeMs / 60_000} min: the median of the last window over that of the first one, behind ${memoryRule.warmUpMs / 1_000} s of warm-up and a full memory of experiences; ${judged.length} judged, ${short} too short`,
    about: leaking.map(named),
  };
}

/** What arrives in the time in which a crash must be repaired. */
function updateQueueBounded({ points, elapsedMs }: Facts, { queueFloor, repairMs }: Limits): Assertion {
  const last = points.at(-1);
  const perMs = last === undefined || elapsedMs === 0 ? 0 : last.updatesEnqueued / elapsedMs;
  const limit = Math.max(queueFloor, Math.ceil(perMs * repairMs));
  const value = points.length === 0 ? null : Math.max(...points.map(({ queueSize }) => queueSize));
  return {
    name: "update_queue_bounded",
    passed: value === null ? null : value <= limit,
    measured: value === null ? "no look at the cluster" : `${plural(value, "task")} at most`,
    allowed: plural(limit, "task"),
    value,
    limit,
    how: `queue_size of ${plural(points.length, "look")}; allowed is what arrives in ${repairMs / 1_000} s at the mean rate, ${count(queueFloor)} at least`,
    about: [],
  };
}

function knnFailures({ points }: Facts): Assertion {
  const last = points.at(-1);
  const value = last?.knnFailures ?? null;
  const searches = last?.knnSearches ?? 0;
  return {
    name: "knn_failures",
    passed: value === null || searches === 0 ? null : value === 0,
    measured: searches === 0 ? "no search" : `${count(value ?? 0)} of ${count(searches)} searches failed`,
    allowed: "0",
    value,
    limit: 0,
    how: "counters knn_failures and knn_searches, summed over all nodes and incarnations",
    about: [],
  };
}

function logTruncated({ points, logBounds, snapshots }: Facts, { logShare }: Limits): Assertion {
  const highest = Object.entries(logBounds).flatMap(([stream, maxBytes]) => {
    if (maxBytes === null || !/-(experience|update)-/.test(stream)) return [];
    const most = Math.max(0, ...points.map(({ logBytes }) => logBytes[stream] ?? 0));
    return [{ stream, most, maxBytes, share: most / maxBytes }];
  });
  const over = highest.filter(({ share }) => share > logShare);
  const [worst] = [...highest].sort((a, b) => b.share - a.share);
  return {
    name: "log_truncated",
    passed: worst === undefined ? null : over.length === 0,
    measured:
      worst === undefined
        ? "no stream was seen"
        : `${bytes(worst.most)} of ${bytes(worst.maxBytes)} at most (${worst.stream})`,
    allowed: `${percent(logShare)} of its bound`,
    value: worst?.share ?? null,
    limit: logShare,
    how: `bytes of the experience and update streams in ${plural(points.length, "look")}, after ${plural(snapshots, "snapshot")}; they are truncated from half their bound on`,
    about: over.map(({ stream, most }) => `${stream}: ${bytes(most)}`),
  };
}

/** Each kill is found on the cleanup stream, by node and incarnation, with exactly one confirmation before the next start. */
function crashesCleanedUp({ crashes, cleanups }: Facts): Assertion {
  const lifeOf = ({ node, incarnation }: { readonly node: string; readonly incarnation: number }) =>
    `${node} #${incarnation}`;
  const confirmed = new Set(cleanups.pairs.map(lifeOf));
  const wrong = new Map<string, string>();
  for (const { life, what } of [
    ...crashes.filter((crash) => !confirmed.has(lifeOf(crash))).map((life) => ({ life, what: "no confirmation" })),
    ...cleanups.missing.map((life) => ({ life, what: "no confirmation" })),
    ...cleanups.doubled.map((life) => ({ life, what: "confirmed twice" })),
    ...cleanups.late.map((life) => ({ life, what: "confirmed after the next start" })),
  ])
    wrong.set(lifeOf(life), what);
  const paired = crashes.filter((crash) => confirmed.has(lifeOf(crash))).length;
  return {
    name: "crashes_cleaned_up",
    passed: paired === crashes.length && wrong.size === 0,
    measured: `${plural(paired, "cleanup")} for ${crashes.length === 1 ? "1 crash" : `${count(crashes.length)} crashes`}`,
    allowed: "one for each",
    value: paired,
    limit: crashes.length,
    how: "kills joined by node and incarnation with the deaths and confirmations on the cleanup stream",
    about: [...wrong].map(([life, what]) => `${life}: ${what}`),
  };
}

function noOtherDeaths({ crashes, cleanups }: Facts): Assertion {
  const killed = new Set(crashes.map(({ node, incarnation }) => `${node} #${incarnation}`));
  const others = [...cleanups.pairs, ...cleanups.missing].filter(
    ({ node, incarnation }) => !killed.has(`${node} #${incarnation}`),
  );
  return {
    name: "no_other_deaths",
    passed: others.length === 0,
    measured: `${plural(others.length, "death")} that nobody injected`,
    allowed: "0",
    value: others.length,
    limit: 0,
    how: "deaths on the cleanup stream that are no kill of this run",
    about: others.map((life) => `${life.node} #${life.incarnation}${"cause" in life ? `: ${life.cause}` : ""}`),
  };
}

/** The total rises behind every crash, and never falls. */
function updatesGrow({ crashes, points, updatesDecreased, evidence }: Facts, { repairMs }: Limits): Assertion {
  // Where nothing waits, no update is due: an empty queue excuses the writer.
  const idle = (crash: Crash): boolean =>
    points.some(({ atMs, queueSize }) => {
      const afterMs = atMs - crash.atMs;
      return queueSize === 0 && afterMs >= repairMs / 2 && afterMs <= (crash.recoveryMs ?? afterMs);
    });
  const late = crashes.filter((crash) => (crash.recoveryMs ?? Infinity) > repairMs && !idle(crash));
  const dead = late.filter(({ recoveryMs }) => recoveryMs === null);
  const slow = late.filter(({ recoveryMs }) => recoveryMs !== null);
  const shrunk = crashes.filter((each) => each.recoveryMs !== null && each.appliedAfter <= each.appliedBefore);
  const steps = points.slice(1).map(({ updatesApplied }, i) => updatesApplied - (points[i]?.updatesApplied ?? 0));
  const falls = updatesDecreased + steps.filter((step) => step < 0).length;
  const wrong = late.length + shrunk.length + falls;
  const { applied, enqueued } = evidence.updates;
  const behind =
    crashes.length === 0
      ? ""
      : `of ${count(crashes.length)} crashes ${dead.length} had none behind them and ${slow.length} waited too long; `;
  const isStill = enqueued > 0 && applied + refusedIn(evidence.updates.refused) === 0;
  return {
    name: "updates_grow",
    passed: wrong === 0 && !isStill,
    measured: isStill
      ? `none of ${plural(enqueued, "task")} was applied`
      : `${plural(applied, "update")} applied; ${behind}${plural(falls + shrunk.length, "fall")}`,
    allowed: `an update within ${repairMs / 1_000} s of each crash where any is due, no fall`,
    value: wrong,
    limit: 0,
    how: "totals in the chain of commits: at each kill, behind it, and from one commit to the next",
    about: [...late, ...shrunk].map(
      ({ node, incarnation, recoveryMs }) =>
        `${node} #${incarnation}: ${recoveryMs === null ? "no update behind it" : `${Math.round(recoveryMs)} ms`}`,
    ),
  };
}

function refusedIn(refused: Readonly<Record<string, number>>): number {
  return Object.values(refused).reduce((sum, each) => sum + each, 0);
}

function accuracyAboveSource({ accuracy }: Facts, { scoredLeast }: Limits): Assertion {
  const { scored, adapting, source } = accuracy;
  const isKnown = adapting !== null && source !== null;
  const lead = isKnown ? adapting - source : null;
  return {
    name: "accuracy_above_source",
    passed: lead === null || scored < scoredLeast ? null : lead > 0,
    measured: isKnown ? `${percent(adapting)}, the source model ${percent(source)}` : "no answer",
    allowed: "more than the source model",
    value: lead,
    limit: 0,
    how:
      scored < scoredLeast
        ? `${plural(scored, "answer")} scored; it is judged from ${count(scoredLeast)} on`
        : `${plural(scored, "answer")} scored before anything was learned from them, the source model on the same inputs`,
    about: [],
  };
}

function answeredInTime({ punctuality, refused }: Facts, { answeredShare }: Limits): Assertion {
  const { due, answeredInTime: inTime } = punctuality;
  const value = due === 0 ? null : inTime / due;
  return {
    name: "answered_in_time",
    passed: value !== null && value >= answeredShare,
    measured: value === null ? "no request" : `${percentFine(value)} (${count(inTime)} of ${count(due)})`,
    allowed: `at least ${percentFine(answeredShare)}`,
    value,
    limit: answeredShare,
    how: "answers within the deadline, counted from when each request was due",
    about: [
      ...(punctuality.limitedBy === "load"
        ? [
            `the load could not keep its pace (up to ${Math.round(punctuality.lateMs?.max ?? 0)} ms late): this machine has too little for both`,
          ]
        : []),
      ...Object.entries(refused).map(([code, times]) => `${code}: ${count(times)}`),
    ],
  };
}

function replayEqual({ evidence }: Facts): Assertion {
  const { equal, updates, checksum, committedChecksum } = evidence.replay;
  return {
    name: "replay_equal",
    passed: equal,
    measured: equal
      ? `${checksum.slice(0, 8)}, as committed`
      : `${checksum.slice(0, 8)}, committed was ${committedChecksum.slice(0, 8)}`,
    allowed: "equal bit for bit",
    value: equal ? 1 : 0,
    limit: 1,
    how: `${plural(updates, "update")} of the log folded again`,
    about: [],
  };
}

function metricsSeen({ points, pointsMissed }: Facts, { pointsShare }: Limits): Assertion {
  const due = points.length + pointsMissed;
  const value = due === 0 ? null : points.length / due;
  return {
    name: "metrics_seen",
    passed: value !== null && value >= pointsShare,
    measured: `${count(points.length)} of ${plural(due, "look")} answered`,
    allowed: `at least ${percent(pointsShare)}`,
    value,
    limit: pointsShare,
    how: "figures of the whole cluster, asked for every few seconds",
    about: [],
  };
}

/** Two digits: 99.5 % is not 99.46 %. */
function percentFine(ratio: number): string {
  return `${(Math.floor(ratio * 1e4) / 1e2).toFixed(2)} %`;
}
