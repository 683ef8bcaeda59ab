// The figures as a person reads them.

import test from "ava";
import { plain } from "../../operations/terminal/colours.js";
import { renderMetrics, renderQueues, renderTop, renderVitals } from "../../operations/terminal/metrics.js";
import { widthOf } from "../../operations/text.js";
import { freshAggregate, lookedAt, pass, startMs, Telling } from "./metrics/nodes-telling.js";

function busy() {
  const serving = new Telling("serving-1", startMs);
  Object.assign(serving.values, { pool_infer_slots: 8, pool_infer_active: 2, rssBytes: 1_048_576, cpuPct: 12 });
  serving.count("jobs_infer_finished", 99);
  serving.count("jobs_infer_failed", 1);
  serving.measure("job_infer_ms", ...Array.from({ length: 30 }, (_, i) => i + 1));
  const looked = lookedAt({ lastSeq: 5, committedSeq: 2, oldestAtMs: startMs });
  return pass(freshAggregate(), startMs, 3, [serving], () => looked);
}

test("nothing is wider than the terminal, and what is not known is a dash", (t) => {
  for (const metrics of [freshAggregate().view(startMs), busy()])
    for (const width of [72, 80, 100, 160]) {
      const screen = renderMetrics(metrics, width, plain);
      for (const line of screen.split("\n")) t.true(widthOf(line) <= width, `${width}: ${line}`);
    }
  t.regex(renderVitals(freshAggregate().view(startMs)), /KL –, kNN failures –, accuracy –/);
});

test("the window, the percentiles that can be had and the queues are on the screen (S1-14, S2-12)", (t) => {
  const screen = renderMetrics(busy(), 160, plain);
  t.regex(screen, /over 60 s, trends over 100 jobs/);
  t.regex(screen, /infer\s+99\s+1\s+99\.0 %\s+–\s+15(\.\d)? ms\s+2\d(\.\d)? ms\s+–/);
  t.regex(renderQueues(busy(), 160, plain), /update\s+3\s+3\.0 s\s+stable\s+test-update-digits/);
});

test("figures that are old say so, and fresh ones do not", (t) => {
  const metrics = busy();
  t.notRegex(renderTop(metrics, undefined, metrics.atMs + 1_000, 160, plain), /figures are/);
  t.regex(renderTop(metrics, undefined, metrics.atMs + 42_000, 160, plain), /figures are 42\.0 s old/);
});
