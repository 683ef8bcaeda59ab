// The part of bench/RESULTS.md about learning: what each stage adds to a request, steps, the memory, and heartbeats beside it.
import type { StepRate } from "./guarded-steps.js";
import type { Lateness } from "./heartbeats.js";
import type { Percentiles, Recall } from "./recall.js";
import type { StageCost } from "./stage-cost.js";
import { grouped, spread, table } from "./tables.js";

export interface LearningCosts {
  readonly stages: readonly StageCost[];
  readonly steps: readonly StepRate[];
  readonly recalls: readonly Recall[];
  readonly lateness: readonly Lateness[];
}

export function learningLines(costs: LearningCosts): string[] {
  return [
    ...stageLines(costs.stages),
    "",
    ...stepLines(costs.steps),
    "",
    ...recallLines(costs.recalls),
    "",
    ...latenessLines(costs.lateness),
  ];
}

function stageLines(stages: readonly StageCost[]): string[] {
  return [
    "## Stages of adaptation, us per request",
    "",
    "In process, one thread, against the source graph. The aim for A is 1.2 at 64; one look more is one run more.",
    "",
    ...table(
      ["batch", "", "us", "", "time / source graph", ""],
      stages.map(({ batch, stage, us, ratio }) => [`${batch}`, stage, ...spread(us, 1), ...spread(ratio, 2)]),
    ),
  ];
}

function stepLines(steps: readonly StepRate[]): string[] {
  return [
    "## Steps of the head, per second",
    "",
    "32 rows. A guarded step is the gradient, and clip, Adam, restore, KL, all anchors and the average around it. Plain loops are the " +
      "reference that every backend is held to.",
    "",
    ...table(
      ["backend", "", "per second", "", "rate / plain loops", ""],
      steps.map(({ backend, what, rate, ratio }) => [backend, what, ...spread(rate, 0), ...spread(ratio, 2)]),
    ),
  ];
}

function recallLines(recalls: readonly Recall[]): string[] {
  return [
    "## Memory: 10 nearest of embeddings of drifting digits",
    "",
    "Through the memory's thread. Exact is a search over every experience, in this thread; recall is held against it. Rebuilding is what a " +
      "restart from the log does, until the last experience is in the graph. The file is hnswlib's own, for comparison: the memory writes none.",
    "",
    ...table(
      [
        "experiences",
        "recall@10",
        "one search, us p50",
        "p99",
        "exact, us p50",
        "p99",
        "of 64 in one call, us a row p50",
        "p99",
        "inserts/s",
        "hnswlib alone",
        "rebuild ms",
        "file: write ms",
        "read ms",
      ],
      recalls.map((recall) => [
        whole(recall.size),
        recall.recallAt10.toFixed(3),
        ...both(recall.one),
        ...both(recall.exact),
        ...both(recall.batchRowUs),
        whole(recall.insertsPerSecond),
        whole(recall.hnswlib.insertsPerSecond),
        whole(recall.rebuildMs),
        whole(recall.hnswlib.writeMs),
        whole(recall.hnswlib.readMs),
      ]),
    ),
  ];
}

function latenessLines(lateness: readonly Lateness[]): string[] {
  return [
    "## The thread that beats the heart, ms between two turns of its loop",
    "",
    "One turn a millisecond is asked for. Beside it the memory's thread takes in 10,000 experiences, as fast as it can.",
    "",
    ...table(
      ["meanwhile", "p50", "", "p99", "", "most", ""],
      lateness.map(({ what, p50Ms, p99Ms, mostMs }) => [
        what,
        ...spread(p50Ms, 2),
        ...spread(p99Ms, 2),
        ...spread(mostMs, 2),
      ]),
    ),
  ];
}

function both({ p50, p99 }: Percentiles): [string, string] {
  return [whole(p50), whole(p99)];
}

function whole(value: number): string {
  return grouped(value.toFixed(0));
}
