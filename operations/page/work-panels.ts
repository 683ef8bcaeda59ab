// The work: requests and how long they take, jobs by phase, pools by how full they are.
//
// Owns: these panels. Does not own: the figures (operations/metrics/).

import type { JobFigures, PoolFigures } from "../metrics/cluster-metrics.js";
import { count, decimal, share, span } from "./figures.js";
import { deathsIn } from "./live.js";
import type { ColourName } from "./palette.js";
import { bar, empty, panel, table, trend } from "./panel.js";
import { Plot } from "./plot.js";
import type { Scene } from "./scene.js";
import { h, html, type View } from "./view.js";

export function trafficPanels({ live }: Scene): View {
  const series = live.series?.points ?? [];
  if (series.length < 2) return panel({ title: "Requests", wide: true }, empty("No traffic yet"));
  const atMs = series.map((point) => point.atMs);
  const marks = deathsIn(live.series);
  return [
    panel(
      { title: "Requests", hint: "Answered per second" },
      h(Plot, {
        label: "Requests per second",
        atMs,
        marks,
        curves: [
          {
            label: "per second",
            colour: "line1",
            look: "filled",
            values: series.map((point) => point.requestsPerSecond),
          },
        ],
        format: decimal,
        height: 160,
      }),
    ),
    panel(
      { title: "Time to answer", hint: "From acceptance to the reply" },
      h(Plot, {
        label: "Time to answer",
        atMs,
        marks,
        curves: [
          { label: "p99", colour: "line5", values: series.map((point) => point.p99Ms) },
          { label: "p50", colour: "line3", values: series.map((point) => point.p50Ms) },
        ],
        format: span,
        height: 160,
      }),
    ),
  ];
}

export function jobsPanel({ live }: Scene): View {
  const jobs = live.metrics?.jobs ?? [];
  const right = (title: string) => ({ title, align: "right" as const });
  const columns = [
    { title: "Job" },
    right("Finished"),
    right("Failed"),
    right("Success"),
    right("p50"),
    right("p95"),
    right("p99"),
    right("Queued p50"),
    { title: "Failures" },
  ];
  const seconds = live.metrics?.window.seconds ?? 0;
  return panel(
    { title: "Jobs", hint: `Times over the last ${count(seconds)} s`, wide: true },
    jobs.length === 0 ? empty("No job yet") : table("Jobs", columns, jobs.map(jobRow)),
    html`<div class="phases">${jobs.map(phaseBar)}</div>`,
  );
}

function jobRow(job: JobFigures): View {
  return html`<tr>
    <th scope="row">${job.kind}</th>
    <td class="right">${count(job.finished)}</td>
    <td class=${job.failed > 0 ? "right text-warn" : "right"}>${count(job.failed)}</td>
    <td class="right">${share(job.successRate, 2)}</td>
    <td class="right">${span(job.durationMs.p50)}</td>
    <td class="right">${span(job.durationMs.p95)}</td>
    <td class="right">${span(job.durationMs.p99)}</td>
    <td class="right">${span(job.queueTimeMs.p50)}</td>
    <td>${trend(job.failureTrend)}</td>
  </tr>`;
}

const sectionLine: Readonly<Record<JobFigures["phases"][number]["section"], ColourName>> = {
  transport: "line2",
  serialize: "line5",
  compute: "line1",
  store: "line3",
};

/** Where the time goes: the mean of each phase as a part of their sum. */
function phaseBar({ kind, phases }: JobFigures): View {
  const known = phases.flatMap((phase) =>
    phase.durationMs.mean === null ? [] : [{ ...phase, meanMs: phase.durationMs.mean }],
  );
  const sum = known.reduce((total, { meanMs }) => total + meanMs, 0);
  if (sum === 0) return null;
  return html`<div class="phase-row">
    <h3>${kind} <span class="quiet">${span(sum)} on average</span></h3>
    <div class="phase-bar" aria-hidden="true">${known.map(({ section, meanMs }) => html`<span style=${{ width: `${(100 * meanMs) / sum}%`, background: `var(--${sectionLine[section]})` }}></span>`)}</div>
    <ul class="phase-words">${known.map(({ phase, section, meanMs, failureRate }) => html`<li><i class="swatch" aria-hidden="true" style=${{ color: `var(--${sectionLine[section]})` }}></i>${phase} <b>${span(meanMs)}</b> <span class="quiet">${section}${failureRate !== null && failureRate > 0 ? `, ${share(failureRate, 2)} failed` : ""}</span></li>`)}</ul>
  </div>`;
}

export function poolsPanel({ live }: Scene): View {
  const pools = live.metrics?.pools ?? [];
  if (pools.length === 0) return panel({ title: "Pools" }, empty("No worker yet"));
  return panel(
    { title: "Pools", hint: "How much of the workers is in use" },
    html`<div class="pools">${pools.map(pool)}</div>`,
  );
}

function pool(figures: PoolFigures): View {
  const { name, slots, active, utilizationPct, peakUtilizationPct, queueDepth, queueDepthTrend, slotWaitMs } = figures;
  return html`<div class="pool">
    <h3>${name}</h3>
    ${bar(utilizationPct / 100, `${utilizationPct.toFixed(0)} %`, utilizationPct > 90 ? "warn" : "info")}
    <p class="quiet">${decimal(Math.round(active * 100) / 100)} of ${count(slots)} slots busy, ${peakUtilizationPct.toFixed(0)} % at the peak</p>
    <p class="quiet">${count(queueDepth)} waiting, ${trend(queueDepthTrend)}; a wait of ${span(slotWaitMs.p50)} (p50)</p>
  </div>`;
}
