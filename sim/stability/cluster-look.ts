// The figures of the whole cluster, asked of its operations nodes: the same that its own interfaces show.
//
// Owns: nothing but the question. Does not own: the figures (operations/metrics/).

import { askReport } from "../../operations/ask-report.js";
import type { ClusterMetrics } from "../../operations/metrics/cluster-metrics.js";
import type { ClusterContext } from "../../transport/access/context.js";
import type { Bus } from "../../transport/bus/bus.js";
import { subjectsOf } from "../../transport/subjects.js";

/** Undefined when no operations node answers, or none has figures yet. */
export function lookerAt({ cluster }: ClusterContext): (operator: Bus) => Promise<ClusterMetrics | undefined> {
  const subjects = subjectsOf(cluster);
  return async (bus) => {
    const asked = await askReport({ bus, subjects }, "metrics");
    return asked.kind === "report" ? asked.report : undefined;
  };
}
