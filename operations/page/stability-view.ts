// The nightly stability test: the one under way, and what earlier ones said.
//
// Owns: how a run is laid out. Does not own: the run, its report (sim/stability/).

import type { Series, Stability } from "../http/answer-shapes.js";
import { useAnswer, whenAnswered } from "./answered.js";
import { age, count, day, decimal } from "./figures.js";
import { memoryPanel } from "./node-panels.js";
import { badge, bar, empty, panel, table } from "./panel.js";
import { Plot } from "./plot.js";
import type { Scene } from "./scene.js";
import { readRun, type StabilityRun } from "./stability-run.js";
import { h, html, type View } from "./view.js";

const everyMs = 2_000;

export function StabilityView({ scene }: { readonly scene: Scene }): View {
  const question = useAnswer<Stability>(scene, "/api/stability", everyMs);
  return whenAnswered("The stability test", question, ({ running, reports }) => {
    const run = running === null ? null : readRun(running);
    return html`<div class="stack">
      ${run === null ? idle(reports.length) : [progressPanel(run), assertionsPanel(run)]}
      ${ratePanel(scene, run)}
      ${memoryPanel(scene)}
      ${reportsPanel(reports, scene.nowMs)}
    </div>`;
  });
}

function idle(reports: number): View {
  return panel(
    { title: "No test runs now", wide: true },
    empty(
      reports === 0 ? "None has run here yet" : "The newest report is below",
      html`<code>driftmend stability --duration 8h</code> drives a cluster through a night of drift and crashes, and judges it.`,
    ),
  );
}

function progressPanel(run: StabilityRun): View {
  const left = run.leftMs === null ? "" : `, at most ${age(run.leftMs)} left`;
  return panel(
    {
      title: `Running now: ${run.name}`,
      hint: `Since ${day(run.startedAtMs)}`,
      wide: true,
      aside: badge("info", run.phase),
    },
    html`<div class="progress" role="progressbar" aria-label="Progress of the test" aria-valuenow=${Math.round(100 * run.progress)} aria-valuemin="0" aria-valuemax="100">${bar(run.progress, `${(100 * run.progress).toFixed(0)} %${left}`)}</div>`,
    html`<dl class="figures-row">${run.figures.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`,
  );
}

const stateBadge = {
  holds: badge("good", "holds"),
  broken: badge("bad", "broken"),
  pending: badge("quiet", "not yet known"),
} as const;

function assertionsPanel({ assertions }: StabilityRun): View {
  const columns = [{ title: "Assertion" }, { title: "State" }, { title: "Measured" }];
  const rows = assertions.map(
    ({ name, state, message }) =>
      html`<tr><th scope="row">${name}</th><td>${stateBadge[state]}</td><td class="cause">${message}</td></tr>`,
  );
  return panel(
    { title: "Assertions", hint: "What the test will be judged by", wide: true },
    assertions.length === 0
      ? empty(
          "Judged at the end",
          "Memory, queue, searches, logs, cleanups, accuracy, punctuality and an equal replay; the report says what was measured and what is allowed.",
        )
      : table("Assertions", columns, rows),
  );
}

function ratePanel({ live }: Scene, run: StabilityRun | null): View {
  const series = since(live.series, run?.startedAtMs ?? 0);
  const title = "Update rate and worker crashes";
  const hint = "update_rate, updates applied per minute; a line for every crash of a learning worker";
  if (series === null || series.points.length < 2)
    return panel({ title, hint, wide: true }, empty("Nothing to draw yet"));
  const crashes = series.marks.filter(({ label }) => label === "Worker Crash");
  return panel(
    {
      title,
      hint,
      wide: true,
      aside: html`<span class="quiet">${count(crashes.length)} in ${age((series.points.at(-1)?.atMs ?? 0) - (series.points[0]?.atMs ?? 0))}</span>`,
    },
    h(Plot, {
      label: "update_rate with worker crashes",
      atMs: series.points.map(({ atMs }) => atMs),
      curves: [
        {
          label: "update_rate",
          colour: "line1",
          look: "filled",
          values: series.points.map(({ updateRate }) => updateRate),
        },
      ],
      marks: crashes,
      format: decimal,
      height: 260,
    }),
  );
}

function since(series: Series | null, fromMs: number): Series | null {
  if (series === null) return null;
  return {
    ...series,
    points: series.points.filter(({ atMs }) => atMs >= fromMs),
    marks: series.marks.filter(({ atMs }) => atMs >= fromMs),
  };
}

function reportsPanel(reports: Stability["reports"], nowMs: number): View {
  const columns = [{ title: "Run" }, { title: "Verdict" }, { title: "Began" }, { title: "File" }];
  const rows = reports.map(
    ({ id, startedAtMs, passed, file }) => html`<tr key=${id}>
      <th scope="row"><a href=${`/api/stability/${encodeURIComponent(id)}`} target="_blank" rel="noopener">${id}</a></th>
      <td>${passed === null ? badge("quiet", "not judged") : passed ? badge("good", "passed") : badge("bad", "failed")}</td>
      <td>${day(startedAtMs)} <span class="quiet">${age(nowMs - startedAtMs)} ago</span></td>
      <td><code>${file}</code></td>
    </tr>`,
  );
  return panel(
    { title: "Reports", hint: "Newest first", wide: true },
    reports.length === 0 ? empty("No report yet") : table("Reports", columns, rows),
  );
}
