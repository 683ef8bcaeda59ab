// `driftmend health`: how the cluster is, every check with its figure, and what to do about what fails.
//
// Owns: the verb's ending: 0 for healthy and degraded, 1 for unhealthy. Does not own: the checks (health/), the picture (terminal/health.ts).
import { done, type Outcome } from "../cluster/outcome.js";
import { renderHealth } from "../terminal/health.js";
import type { Terminal } from "../terminal/terminal.js";
import { printable } from "../text.js";
import { type ClusterOptions, withCluster } from "./cluster.js";
import { askPatiently, noReport } from "./reports.js";

export async function health(options: ClusterOptions, terminal: Terminal): Promise<Outcome> {
  return withCluster(options, "telemetry", terminal, async (client) => {
    const asked = await askPatiently(client, "health", terminal);
    if (asked.kind === "unavailable") return noReport(asked, terminal);
    const { report } = asked;
    if (terminal.json) terminal.print(JSON.stringify(report));
    else terminal.print(renderHealth(report, terminal.width, terminal.colours));
    if (report.status !== "unhealthy") return done;
    const failing = report.checks.filter(({ status }) => status === "fail");
    const names = [...new Set(failing.map(({ name, about }) => `${name} (${printable(about)})`))];
    return {
      kind: "failed",
      message: `the cluster is unhealthy: ${names.join(", ")}`,
      next: `${terminal.self} tree; ${terminal.self} watch`,
    };
  });
}
