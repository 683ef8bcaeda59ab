// What the page is tested with is what the server's schemas accept.

import test from "ava";
import type { z } from "zod";
import { alertListSchema } from "../../operations/alerts/alert-list.js";
import { healthReportSchema } from "../../operations/health/health-report.js";
import {
  chaosReceiptSchema,
  learningSchema,
  queuesSchema,
  stabilitySchema,
  traceSchema,
  tracesSchema,
  treeSchema,
} from "../../operations/http/answer-shapes.js";
import { clusterMetricsSchema } from "../../operations/metrics/cluster-metrics.js";
import { seriesSchema } from "../../operations/metrics/series.js";
import { busyWorld, freshWorld, type World } from "./world.js";
import { traceId, traceOf } from "./world-jobs.js";
import { receiptFor } from "./world-tree.js";

const schemas: Readonly<Record<keyof World, z.ZodType>> = {
  metrics: clusterMetricsSchema,
  health: healthReportSchema,
  alerts: alertListSchema,
  series: seriesSchema,
  tree: treeSchema,
  learning: learningSchema,
  queues: queuesSchema,
  traces: tracesSchema,
  stability: stabilitySchema,
};

for (const [name, world] of [
  ["busy", busyWorld(1_790_000_000_000)],
  ["fresh", freshWorld(1_790_000_000_000)],
] as const)
  for (const part of Object.keys(schemas) as (keyof World)[])
    test(`the ${name} world's ${part} is one that the server could have told`, (t) => {
      const parsed = schemas[part].safeParse(world[part]);
      t.is(parsed.error?.message, undefined);
    });

test("a trace and a receipt of the fixture are ones that the server could have told", (t) => {
  t.is(traceSchema.safeParse(traceOf(traceId(1), 1_790_000_000_000)).error?.message, undefined);
  t.is(chaosReceiptSchema.safeParse(receiptFor("voter", "kill", 1)).error?.message, undefined);
});

test("a schema refuses a world that lacks a figure: the check can fail", (t) => {
  const { vitals: _, ...less } = busyWorld(1_790_000_000_000).metrics;
  t.false(clusterMetricsSchema.safeParse(less).success);
});
