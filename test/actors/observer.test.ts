// The observer under a virtual clock: its pace, a broker that is away, a look that takes its time, and what it leaves for the next one.

import test from "ava";
import {
  type Judge,
  type ObserverDeps,
  type ObserverMessage,
  observer,
  type Past,
  type ReportMessage,
} from "../../actors/operations/observer.js";
import type { HealthReport } from "../../operations/health/health-report.js";
import type { ClusterMetrics } from "../../operations/metrics/cluster-metrics.js";
import type { Kept } from "../../operations/metrics/kept-figures.js";
import type { Looked } from "../../operations/metrics/looked.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import { freshAggregate, lookedAt, startMs, Telling } from "../operations/metrics/nodes-telling.js";
import { smallTree } from "../supervision/small-tree.js";

/** Degraded while more than ten updates have waited for ten seconds: a rule with a clock, driven by the figures alone. */
class TenSeconds implements Judge {
  #sinceMs: number | undefined;

  evaluate({ atMs, vitals }: ClusterMetrics): HealthReport {
    this.#sinceMs = vitals.queueSize > 10 ? (this.#sinceMs ?? atMs) : undefined;
    const status = this.#sinceMs !== undefined && atMs - this.#sinceMs >= 10_000 ? "degraded" : "healthy";
    const rules = { source: "test", rejected: null };
    return { v: 1, status, sinceMs: this.#sinceMs ?? 0, atMs, checks: [], recommendations: [], rules };
  }

  readonly transitions = [];

  frozen(): Readonly<Record<string, number>> {
    return { ten: 10 };
  }
}

interface Scene {
  readonly clock: VirtualClock;
  readonly reports: ReportMessage[];
  readonly left: Parameters<ObserverDeps["leave"]>[0][];
  readonly started: () => number;
  tell(message: ObserverMessage): void;
  ask(what: "metrics" | "health" | "series"): Promise<unknown>;
  /** Lets seconds pass in which these processes beat. */
  pass(seconds: number, ...processes: readonly Telling[]): Promise<void>;
}

interface World {
  hears: boolean;
  look: () => Promise<Looked | undefined>;
  readonly past: readonly Past[];
  readonly kept?: Kept;
  /** From when on samples come again. */
  readonly fromMs?: number;
}

async function scene(world: World, atMs = startMs): Promise<Scene> {
  const clock = new VirtualClock(atMs);
  const reports: ReportMessage[] = [];
  const left: Scene["left"] = [];
  let looks = 0;
  let tell: Scene["tell"] = () => undefined;
  const deps: ObserverDeps = {
    lookEveryMs: 1_000,
    keepEveryMs: 10_000,
    aggregate: freshAggregate,
    judge: () => new TenSeconds(),
    hears: () => world.hears,
    listen: async (taken) => {
      tell = taken;
    },
    recall: async () => ({ kept: world.kept, fromMs: world.fromMs ?? startMs, past: recalled(world.past) }),
    look: () => {
      looks += 1;
      return world.look();
    },
    callRoles: async () => new Map([["learning-1", ["learning"]]]),
    leave: (each) => left.push(each),
    listeners: [
      {
        path: "alerter" as ReportPath,
        tell: (report) => {
          reports.push(report);
          return "ok";
        },
      },
    ],
  };
  await smallTree([{ id: "observer", restart: "permanent", behaviour: () => observer(deps) }], { deps: { clock } });
  return {
    clock,
    reports,
    left,
    started: () => looks,
    tell: (message) => tell(message),
    ask: async (what) => {
      const answer = new Promise((resolve) => tell({ kind: "asked", what, answer: resolve }));
      await clock.advance(1);
      return answer;
    },
    pass: async (seconds, ...processes) => {
      for (let second = 0; second < seconds; second += 1) {
        for (const each of processes) tell({ kind: "sample", sample: each.sample(clock.nowMs()), atMs: clock.nowMs() });
        await clock.advance(1_000);
      }
    },
  };
}

type ReportPath = ObserverDeps["listeners"][number]["path"];

async function* recalled(past: readonly Past[]): AsyncGenerator<Past> {
  for (const each of past) yield each;
}

const steady = (looked = lookedAt()): World => ({ hears: true, look: async () => looked, past: [] });

test("once a second there are figures, their health, and a look left behind (S0-7)", async (t) => {
  const { pass, reports, left } = await scene(steady());
  await pass(11, new Telling("learning-1", startMs));
  t.true(reports.length >= 9 && reports.length <= 11, `${reports.length}`);
  const steps = reports.slice(1).map(({ metrics }, index) => metrics.atMs - (reports[index]?.metrics.atMs ?? 0));
  t.true(steps.every((step) => step === 1_000));
  t.deepEqual(reports.at(-1)?.metrics.nodes[0]?.roles, ["learning"]);
  t.is(left.filter(({ kind }) => kind === "looked").length, reports.length);
  t.is(left.filter(({ kind }) => kind === "kept").length, 1);
});

test("nobody has figures before the first look", async (t) => {
  const { ask } = await scene(steady());
  t.is(await ask("metrics"), null);
  t.is(await ask("health"), null);
});

test("whoever asks gets the newest figures, as they were told (S0-28)", async (t) => {
  const { pass, reports, ask } = await scene(steady());
  await pass(3, new Telling("learning-1", startMs));
  t.deepEqual(await ask("metrics"), reports.at(-1)?.metrics);
  t.deepEqual(await ask("health"), reports.at(-1)?.health);
});

test("while the broker is away figures keep their moment, and nobody crashes; then they go on (S2-41)", async (t) => {
  const world = steady();
  const { pass, reports, ask, tell } = await scene(world);
  const node = new Telling("learning-1", startMs);
  await pass(5, node);
  const newest = reports.at(-1)?.metrics;
  world.hears = false;
  world.look = async () => undefined;
  await pass(20);
  t.deepEqual(await ask("metrics"), newest);
  world.hears = true;
  world.look = async () => lookedAt({ lastSeq: 2 });
  tell({ kind: "hears_again" });
  await pass(2);
  t.is(reports.at(-1)?.metrics.vitals.queueSize, 2);
  t.is(reports.at(-1)?.metrics.nodes[0]?.state, "running");
});

test("a look that takes long is the only one, and the figures wait for it", async (t) => {
  const world = steady();
  let answer: (looked: Looked | undefined) => void = () => undefined;
  const { pass, started, reports } = await scene(world);
  await pass(3);
  const [looks, seen] = [started(), reports.length];
  world.look = () =>
    new Promise((resolve) => {
      answer = resolve;
    });
  await pass(10);
  t.is(started(), looks + 1);
  t.is(reports.length, seen);
  answer(lookedAt({ lastSeq: 4 }));
  await pass(1);
  t.is(reports.at(-1)?.metrics.vitals.queueSize, 4);
});

test("where JetStream does not answer, the nodes are shown all the same", async (t) => {
  const { pass, reports } = await scene({ hears: true, look: async () => undefined, past: [] });
  await pass(10, new Telling("serving-1", startMs));
  t.is(reports.at(-1)?.metrics.nodes.length, 1);
});

/** Seconds in which twenty updates wait. */
function backlog(seconds: number): Past[] {
  const process = new Telling("learning-1", startMs);
  return Array.from({ length: seconds }, (_, index) => startMs + index * 1_000).flatMap((atMs): Past[] => {
    process.count("updates_enqueued");
    return [
      { kind: "sample", sample: process.sample(atMs), atMs },
      { kind: "looked", looked: lookedAt({ lastSeq: 20 }), atMs },
    ];
  });
}

test("the clocks of health checks survive the observer: its past is judged second by second (S1-40)", async (t) => {
  const world = { ...steady(lookedAt({ lastSeq: 20 })), past: backlog(9) };
  const { pass, reports } = await scene(world, startMs + 9_000);
  await pass(5);
  t.is(reports.find(({ health }) => health.status === "degraded")?.health.sinceMs, startMs + 2_000);
});

test("without that past the same check would begin anew: the negative control (S1-40)", async (t) => {
  const { pass, reports } = await scene(steady(lookedAt({ lastSeq: 20 })), startMs + 9_000);
  await pass(5);
  t.deepEqual([...new Set(reports.map(({ health }) => health.status))], ["healthy"]);
});

test("sums, the highest utilization and an hour of points survive the observer (S1-40, S0-46)", async (t) => {
  const first = await scene(steady());
  const serving = new Telling("serving-1", startMs);
  Object.assign(serving.values, { pool_infer_slots: 4, pool_infer_active: 4, requests: 70 });
  await first.pass(12, serving);
  const left = first.left.findLast(({ kind }) => kind === "kept");
  t.is(left?.kind, "kept");
  if (left?.kind !== "kept") return;
  const later = new Telling("serving-1", startMs + 13_000, 2);
  Object.assign(later.values, { pool_infer_slots: 4, requests: 5 });
  const successor = await scene({ ...steady(), kept: left.kept, fromMs: startMs + 3_500_000 }, startMs + 3_600_000);
  // Nothing of the past is in the stream any more, so that only what was kept can tell.
  await successor.pass(3, later);
  const metrics = successor.reports.at(-1)?.metrics;
  t.is(metrics?.counters.requests, 75);
  t.is(metrics?.pools[0]?.peakUtilizationPct, 100);
  t.true(((await successor.ask("series")) as { points: unknown[] }).points.length >= 3);
});

test("what was kept before the clock was set back keeps no observer from keeping (S1-40)", async (t) => {
  const first = await scene(steady());
  await first.pass(12, new Telling("serving-1", startMs));
  const left = first.left.findLast(({ kind }) => kind === "kept");
  if (left?.kind !== "kept") return t.fail();
  const successor = await scene({ ...steady(), kept: left.kept }, startMs - 3_600_000);
  await successor.pass(3, new Telling("serving-1", startMs - 3_600_000, 2));
  t.is(successor.left.filter(({ kind }) => kind === "kept").length, 1);
});
