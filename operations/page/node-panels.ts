// The processes: what each takes of the machine, and whether its memory creeps.
//
// Owns: the table of nodes, the plot of their memory with a fitted line each. Does not own: the fit (growth.ts).

import type { NodeFigures } from "../metrics/cluster-metrics.js";
import { age, bytes, count, decimal, span } from "./figures.js";
import { type Growth, growthOf } from "./growth.js";
import { deathsIn, type SeriesPoint } from "./live.js";
import type { ColourName } from "./palette.js";
import { badge, empty, panel, type Tone, table } from "./panel.js";
import { Plot } from "./plot.js";
import type { Scene } from "./scene.js";
import { h, html, type View } from "./view.js";

const lines: readonly ColourName[] = ["line1", "line3", "line4", "line5", "line6", "line2"];

export function nodesPanel({ live }: Scene): View {
  const nodes = live.metrics?.nodes ?? [];
  if (nodes.length === 0) return panel({ title: "Nodes", wide: true }, empty("No node has said anything yet"));
  const right = (title: string) => ({ title, align: "right" as const });
  const columns = [
    { title: "Node" },
    { title: "State" },
    { title: "Roles" },
    right("Incarnation"),
    right("Process"),
    right("CPU"),
    right("Memory"),
    right("Heap"),
    { title: "Memory trend" },
    right("Loop delay"),
    right("Up"),
  ];
  const points = live.series?.points ?? [];
  const rows = nodes.map((node) => row(node, growthOf(heldBy(points, node.node))));
  return panel({ title: "Nodes", hint: "One process each", wide: true }, table("Nodes", columns, rows));
}

const stateTone: Readonly<Record<NodeFigures["state"], Tone>> = { running: "good", silent: "bad", left: "quiet" };

function row(node: NodeFigures, growth: Growth): View {
  return html`<tr>
    <th scope="row">${node.node}</th>
    <td>${badge(stateTone[node.state], node.state)}${node.state === "silent" ? html` <span class="quiet">for ${age(node.heartbeatAgeMs)}</span>` : null}</td>
    <td class="quiet">${node.roles.join(", ")}</td>
    <td class="right">${count(node.incarnation)}</td>
    <td class="right">${node.pid}</td>
    <td class="right">${node.cpuPct.toFixed(0)} %</td>
    <td class="right">${bytes(node.rssBytes)}</td>
    <td class="right">${bytes(node.heapUsedBytes)}</td>
    <td>${growthBadge(growth)}</td>
    <td class="right">${span(node.loopDelayMaxMs)}</td>
    <td class="right">${age(node.uptimeMs)}</td>
  </tr>`;
}

function growthBadge(growth: Growth): View {
  if (growth.kind === "unknown") return html`<span class="quiet">too early to say</span>`;
  const tone: Tone = growth.kind === "growing" ? "bad" : "good";
  const slope = growth.bytesPerHour / 1_000_000;
  const signed = `${slope >= 0 ? "+" : "−"}${decimal(Math.abs(slope))} MB/h`;
  return html`<span class="growth" data-growth=${growth.kind}>${badge(tone, growth.kind)} <span class=${growth.kind === "growing" ? "text-bad" : ""}>${signed}</span></span>`;
}

export function memoryPanel({ live }: Scene): View {
  const title = "Memory by node";
  const hint = "Resident, with a fitted line; red when it climbs by more than it scatters";
  const series = live.series?.points ?? [];
  if (series.length < 2)
    return panel({ title, hint, wide: true }, empty("Nothing to draw yet", "A point comes every few seconds."));
  const names = namesIn(series);
  const growths = names.map((name) => ({ name, growth: growthOf(heldBy(series, name)) }));
  return panel(
    { title, hint, wide: true },
    html`<ul class="growths">${growths.map(({ name, growth }) => html`<li><b>${name}</b> ${growthBadge(growth)}</li>`)}</ul>`,
    h(Plot, {
      label: "Resident memory by node",
      atMs: series.map(({ atMs }) => atMs),
      curves: [
        ...names.map((name, index) => curveOf(series, name, lines[index % lines.length] ?? "line1")),
        ...growths.flatMap((each) => fitted(series, each)),
      ],
      marks: deathsIn(live.series),
      format: bytes,
      fromZero: false,
      height: 220,
    }),
  );
}

function namesIn(series: readonly SeriesPoint[]): readonly string[] {
  return [...new Set(series.flatMap(({ rssBytes }) => Object.keys(rssBytes)))].sort();
}

function heldBy(series: readonly SeriesPoint[], node: string) {
  return series.flatMap(({ atMs, rssBytes }) => {
    const bytesHeld = rssBytes[node];
    return bytesHeld === undefined ? [] : [{ atMs, bytes: bytesHeld }];
  });
}

function curveOf(series: readonly SeriesPoint[], label: string, colour: ColourName) {
  return { label, colour, values: series.map(({ rssBytes }) => rssBytes[label] ?? null) };
}

/** The line through a node that grows: only what is wrong is drawn twice. */
function fitted(series: readonly SeriesPoint[], { name, growth }: { readonly name: string; readonly growth: Growth }) {
  if (growth.kind !== "growing") return [];
  const { from, to } = growth;
  const at = (ms: number) => from.bytes + ((to.bytes - from.bytes) * (ms - from.atMs)) / (to.atMs - from.atMs);
  const values = series.map(({ atMs }) => (atMs < from.atMs ? null : at(atMs)));
  return [{ label: `${name}, fitted`, colour: "bad" as const, look: "fit" as const, values }];
}
