// `driftmend metrics`, `subjects` and `top`: the cluster's figures, as an operations node has folded them.
//
// Owns: these looks, and the redrawing. Does not own: the figures (operations/metrics/), their layout (terminal/metrics.ts).

import type { DriftmendClient } from "../../transport/client.js";
import { decodeMessage, encodeMessage } from "../../transport/messages/codec.js";
import { type AskedReport, askReport, type Report } from "../ask-report.js";
import { done, type Outcome } from "../cluster/outcome.js";
import { renderMetrics, renderQueues, renderTop } from "../terminal/metrics.js";
import { type Canvas, openPainter } from "../terminal/painter.js";
import type { Terminal } from "../terminal/terminal.js";
import { type ClusterOptions, withCluster } from "./cluster.js";
import { askPatiently, noReport } from "./reports.js";

export interface TopOptions extends ClusterOptions {
  readonly once?: boolean;
}

const topEveryMs = 1_000;

export async function metrics(options: ClusterOptions, terminal: Terminal): Promise<Outcome> {
  return withCluster(options, "telemetry", terminal, async (client) => {
    const asked = await askPatiently(client, "metrics", terminal);
    if (asked.kind === "unavailable") return noReport(asked, terminal);
    const { width, colours } = terminal;
    terminal.print(terminal.json ? JSON.stringify(asked.report) : renderMetrics(asked.report, width, colours));
    return done;
  });
}

export async function listSubjects(options: ClusterOptions, terminal: Terminal): Promise<Outcome> {
  return withCluster(options, "telemetry", terminal, async (client) => {
    const asked = await askPatiently(client, "metrics", terminal);
    if (asked.kind === "unavailable") return noReport(asked, terminal);
    const { cluster, atMs, queues } = asked.report;
    const { width, colours } = terminal;
    terminal.print(
      terminal.json ? JSON.stringify({ cluster, atMs, queues }) : renderQueues(asked.report, width, colours),
    );
    return done;
  });
}

export async function resetPeaks(options: ClusterOptions, terminal: Terminal): Promise<Outcome> {
  return withCluster(options, "operator", terminal, async ({ bus, subjects }) => {
    const { look } = bus.timeouts;
    const outcome = await bus.request(subjects.peakOrders, encodeMessage({ v: 1 }), { timeoutMs: look });
    const decoded = outcome.kind === "reply" ? decodeMessage(outcome.data) : undefined;
    if (decoded?.kind !== "message" || decoded.fields.reset !== true)
      return { kind: "failed", message: `the peaks are as they were: ${outcome.kind}`, next: "driftmend tree" };
    terminal.print(terminal.json ? JSON.stringify({ reset: true }) : "the highest utilization counts anew from here");
    return done;
  });
}

/** Redraws until Ctrl-C or `q`; where nobody sees it, or with `--once` or `--json`, one look. */
export async function top(options: TopOptions, terminal: Terminal, screen: TopScreen): Promise<Outcome> {
  return withCluster(options, "telemetry", terminal, async (client) => {
    const first = await look(client, terminal);
    if (first.metrics.kind === "unavailable") return noReport(first.metrics, terminal);
    if (terminal.json) {
      const health = first.health.kind === "report" ? first.health.report : null;
      terminal.print(JSON.stringify({ metrics: first.metrics.report, health }));
      return done;
    }
    if (options.once === true || !screen.canvas.live) {
      terminal.print(draw(first, terminal, terminal.width));
      return done;
    }
    return redraw(client, terminal, screen, first);
  });
}

/** The live terminal: where `top` draws, and its key. */
export interface TopScreen {
  readonly canvas: Canvas;
  /** Calls back when `q` is typed; returns how to stop listening. */
  readonly onQuit: (quit: () => void) => () => void;
}

interface Looked {
  readonly metrics: AskedReport<Report<"metrics">>;
  readonly health: AskedReport<Report<"health">>;
}

async function look(client: DriftmendClient, terminal: Terminal): Promise<Looked> {
  const metrics = await askPatiently(client, "metrics", terminal);
  return { metrics, health: await askReport(client, "health") };
}

async function redraw(client: DriftmendClient, terminal: Terminal, screen: TopScreen, first: Looked): Promise<Outcome> {
  const { clock, interrupted } = terminal;
  const painter = openPainter(screen.canvas, clock);
  const quitting = new AbortController();
  const stop = screen.onQuit(() => quitting.abort());
  const end = (): void => quitting.abort();
  interrupted.addEventListener("abort", end, { once: true });
  let shown = first;
  try {
    while (!quitting.signal.aborted) {
      const current = shown;
      painter.paint({ screen: (width) => draw(current, terminal, width), line: () => "" });
      await clock.delay(topEveryMs, quitting.signal);
      if (quitting.signal.aborted) break;
      const [metrics, health] = await Promise.all([askReport(client, "metrics"), askReport(client, "health")]);
      // Figures that were seen stay: they say how old they are.
      shown = {
        metrics: metrics.kind === "report" ? metrics : shown.metrics,
        health: health.kind === "report" ? health : shown.health,
      };
    }
  } finally {
    stop();
    painter.close();
  }
  return interrupted.aborted ? { kind: "interrupted" } : done;
}

function draw({ metrics, health }: Looked, terminal: Terminal, width: number): string {
  if (metrics.kind === "unavailable") return metrics.message;
  const report = health.kind === "report" ? health.report : undefined;
  return renderTop(metrics.report, report, terminal.clock.nowMs(), width, terminal.colours);
}
