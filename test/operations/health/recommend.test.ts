// Recommendations against a pool that queues by the rules of queues, so that following one can be seen to help.
import test from "ava";
import fc from "fast-check";
import { recommendation } from "../../../operations/health/recommend.js";
import type { ClusterMetrics } from "../../../operations/metrics/cluster-metrics.js";
import { failing, healthOf, job, minuteMs, pool, run } from "./figures.js";

/** A pool of `slots` to which jobs come at a rate, each holding a slot for so long; what finds none waits. */
class Pool {
  slots: number;
  readonly #arrivalsPerSecond: number;
  readonly #serviceSeconds: number;
  #waiting = 0;
  #finished = 0;
  #busy = 0;

  constructor(slots: number, arrivalsPerSecond: number, serviceSeconds: number) {
    this.slots = slots;
    this.#arrivalsPerSecond = arrivalsPerSecond;
    this.#serviceSeconds = serviceSeconds;
  }

  get waiting(): number {
    return this.#waiting;
  }

  pass(seconds: number): void {
    const wanted = this.#arrivalsPerSecond * seconds + this.#waiting;
    const done = Math.min(wanted, (this.slots / this.#serviceSeconds) * seconds);
    this.#waiting = wanted - done;
    this.#finished += done;
    this.#busy = (done * this.#serviceSeconds) / seconds;
  }

  figures(): Partial<ClusterMetrics> {
    return {
      pools: [
        {
          ...pool("infer", (this.#busy / this.slots) * 100, Math.floor(this.#waiting), this.slots),
          active: this.#busy,
        },
      ],
      jobs: [{ ...job("infer", 1), finished: Math.floor(this.#finished) }],
    };
  }
}

function textsOf(report: ReturnType<typeof run>, check: string): readonly string[] {
  return report.recommendations.filter((each) => each.check === check).map(({ text }) => text);
}

test("at saturation the number of slots follows from Little's law, and with so many the checks pass (S1-22)", (t) => {
  const health = healthOf();
  const saturated = new Pool(5, 14, 0.4);
  const step = (): Partial<ClusterMetrics> => {
    saturated.pass(1);
    return saturated.figures();
  };
  const full = run(health, { untilMs: 5 * minuteMs }, step);
  t.true(failing(full).includes("critical pool_capacity infer"));
  t.is(full.status, "unhealthy");
  const [text = ""] = textsOf(full, "pool_capacity");
  t.regex(text, /^Increase infer slots from 5 to 8: 14 per second arrive, each holds a slot for 400 ms/);
  saturated.slots = 8;
  const mended = run(health, { fromMs: 5 * minuteMs + 1_000, untilMs: 10 * minuteMs }, step);
  t.deepEqual(failing(mended), ["info pool_capacity infer"], "70 % is busy, and no more than information");
  t.is(mended.status, "healthy");
  t.is(saturated.waiting, 0);
});

test("with one slot fewer than recommended the pool would be above the utilisation that is aimed at (S1-22)", (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.double({ min: 1.05, max: 3, noNaN: true }), (slots, overload) => {
      const serviceSeconds = 0.25;
      const offered = slots * overload;
      const health = healthOf();
      const one = new Pool(slots, offered / serviceSeconds, serviceSeconds);
      const report = run(health, { untilMs: 5 * minuteMs, stepMs: 5_000 }, () => {
        one.pass(5);
        return one.figures();
      });
      const to = Number(/from \d+ to (\d+)/.exec(textsOf(report, "pool_capacity")[0] ?? "")?.[1]);
      // Counts are whole, so a number that lies on the edge may fall on either side of it.
      return offered / to <= 0.7 + 0.01 && offered / (to - 1) > 0.7 - 0.01;
    }),
    { numRuns: 30 },
  );
  t.pass();
});

test("where more slots would not help, that is said instead of a number", (t) => {
  const health = healthOf();
  const report = run(health, { untilMs: minuteMs }, (elapsedMs) => ({
    pools: [pool("infer", 20, 500)],
    jobs: [{ ...job("infer", 1), finished: elapsedMs / 100 }],
  }));
  const [text = ""] = textsOf(report, "queue_depth");
  t.regex(text, /^More slots would not help infer: its 5 are enough/);
});

test("where no job ends, slots are not what is missing", (t) => {
  const report = run(healthOf(), { untilMs: minuteMs }, () => ({ pools: [pool("infer", 100, 500)] }));
  t.regex(textsOf(report, "queue_depth")[0] ?? "", /^No job of infer ended within the last minute/);
});

test("a recommendation names value, threshold and what it is about", (t) => {
  const text = recommendation({
    text: "{about}: {value} beyond {threshold}",
    about: "serving-1",
    value: "6 s",
    threshold: "5 s",
    sizing: undefined,
  });
  t.is(text, "serving-1: 6 s beyond 5 s");
});

test("a check that passes recommends nothing", (t) => {
  t.deepEqual(run(healthOf(), { untilMs: minuteMs }, () => ({})).recommendations, []);
});
