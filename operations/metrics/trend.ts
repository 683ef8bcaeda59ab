// Whether something rises or falls: a slope test with hysteresis, so that the word neither flickers nor follows noise.
//
// Owns: the tests and their levels. Does not own: what is tested (aggregate.ts).
//
// T1. A word is said when the fitted rise is large beside the level and beside its own standard error; it is taken back at half of that.
// T2. A share of failures is fitted over jobs, not over time: more traffic with the same share is stable.

import type { Trend } from "./cluster-metrics.js";

/** Levels of the slope test. +-10 % of even noise on a flat line of eight points has a rise of 7 % (one standard error). */
const slopeTest = {
  windowMs: 60_000,
  pointsMin: 8,
  spanMinMs: 7_000,
  /** Rise over the window, relative to the mean level. */
  enter: 0.3,
  leave: 0.15,
  /** Rise over its standard error. */
  enterErrors: 3,
  leaveErrors: 2,
  /** Levels below count as this: a queue that goes from one to three does not grow. */
  levelMin: 5,
} as const;

interface Point {
  readonly x: number;
  readonly y: number;
  readonly weight: number;
}

interface Fit {
  /** Of y over the whole span of x. */
  readonly rise: number;
  readonly mean: number;
  /** Sum of weighted squares of x about its mean, and the span of x. */
  readonly spread: number;
  readonly span: number;
  /** Weighted sum of squares that the line leaves. */
  readonly residual: number;
}

/** Weighted least squares; undefined for fewer than two places of x. */
function fitLine(points: readonly Point[]): Fit | undefined {
  const sum = (of: (point: Point) => number): number => points.reduce((total, each) => total + of(each), 0);
  const weight = sum((each) => each.weight);
  if (!(weight > 0)) return undefined;
  const meanX = sum((each) => each.weight * each.x) / weight;
  const mean = sum((each) => each.weight * each.y) / weight;
  const spread = sum((each) => each.weight * (each.x - meanX) ** 2);
  if (!(spread > 0)) return undefined;
  const slope = sum((each) => each.weight * (each.x - meanX) * (each.y - mean)) / spread;
  const residual = sum((each) => each.weight * (each.y - mean - slope * (each.x - meanX)) ** 2);
  const xs = points.map(({ x }) => x);
  const span = Math.max(...xs) - Math.min(...xs);
  return { rise: slope * span, mean, spread, span, residual };
}

/** The trend of one quantity that is looked at again and again. */
export class SlopeTrend {
  #points: Point[] = [];
  #word: Trend = "stable";

  /** `atMs` rises from call to call; the newest minute counts. */
  add(atMs: number, value: number): Trend {
    this.#points = this.#points.filter(({ x }) => x > atMs - slopeTest.windowMs && x < atMs);
    this.#points.push({ x: atMs, y: value, weight: 1 });
    this.#word = this.#decide();
    return this.#word;
  }

  #decide(): Trend {
    const { pointsMin, spanMinMs, levelMin, enter, leave, enterErrors, leaveErrors } = slopeTest;
    const fit = this.#points.length < pointsMin ? undefined : fitLine(this.#points);
    if (fit === undefined || fit.span < spanMinMs) return "stable";
    const error = fit.span * Math.sqrt(fit.residual / (this.#points.length - 2) / fit.spread);
    const relative = fit.rise / Math.max(levelMin, Math.abs(fit.mean));
    const errors = error === 0 ? Number.POSITIVE_INFINITY : Math.abs(fit.rise) / error;
    const isSaid = this.#word !== "stable" && this.#word === wordOf(fit.rise);
    const [rise, sure] = isSaid ? [leave, leaveErrors] : [enter, enterErrors];
    return Math.abs(relative) >= rise && errors >= sure ? wordOf(fit.rise) : "stable";
  }
}

function wordOf(rise: number): Trend {
  return rise === 0 ? "stable" : rise > 0 ? "increasing" : "decreasing";
}

/** Jobs that trends look at, at least: the newest ones. */
export const trendJobs = 100;

/** Levels of the test of shares. */
const shareTest = {
  jobsMin: 20,
  /** Looks in which jobs ended: with much traffic a hundred jobs are less than one. */
  looksMin: 20,
  ageMaxMs: 600_000,
  /** Rise of the share, 0..1, and over its standard error when nothing changed. */
  enter: 0.1,
  leave: 0.05,
  enterErrors: 3,
  leaveErrors: 2,
} as const;

interface Ended {
  readonly atMs: number;
  readonly jobs: number;
  readonly failed: number;
}

/** The trend of the share of jobs that failed, over the newest hundred. */
export class ShareTrend {
  #ended: Ended[] = [];
  #word: Trend = "stable";

  /** What ended since the look before. */
  add(atMs: number, jobs: number, failed: number): Trend {
    if (jobs > 0) this.#ended.push({ atMs, jobs, failed: Math.min(failed, jobs) });
    this.#ended = newest(this.#ended.filter((each) => each.atMs > atMs - shareTest.ageMaxMs && each.atMs <= atMs));
    this.#word = this.#decide();
    return this.#word;
  }

  #decide(): Trend {
    const { jobsMin, enter, leave, enterErrors, leaveErrors } = shareTest;
    let position = 0;
    const points = this.#ended.map(({ jobs, failed }) => {
      position += jobs;
      return { x: position - jobs / 2, y: failed / jobs, weight: jobs };
    });
    const fit = position < jobsMin ? undefined : fitLine(points);
    if (fit === undefined) return "stable";
    const error = fit.span * Math.sqrt((fit.mean * (1 - fit.mean)) / fit.spread);
    const errors = error === 0 ? 0 : Math.abs(fit.rise) / error;
    const isSaid = this.#word !== "stable" && this.#word === wordOf(fit.rise);
    const [rise, sure] = isSaid ? [leave, leaveErrors] : [enter, enterErrors];
    return Math.abs(fit.rise) >= rise && errors >= sure ? wordOf(fit.rise) : "stable";
  }
}

/** The end of the list that is enough: a hundred jobs in twenty looks. */
function newest(ended: readonly Ended[]): Ended[] {
  let jobs = 0;
  for (let index = ended.length - 1; index >= 0; index -= 1) {
    jobs += ended[index]?.jobs ?? 0;
    if (jobs >= trendJobs && ended.length - index >= shareTest.looksMin) return ended.slice(index);
  }
  return [...ended];
}
