// What each model learned: versions, divergence, refusals, returns to the source, snapshots.
//
// Owns: how it is laid out. Does not own: the log it comes from.

import type { Learning } from "../http/answer-shapes.js";
import type { ModelFigures } from "../metrics/cluster-metrics.js";
import { useAnswer, whenAnswered } from "./answered.js";
import { age, count, day, decimal, hour } from "./figures.js";
import { badge, bar, empty, panel, table } from "./panel.js";
import { Plot } from "./plot.js";
import { traceAddress } from "./route.js";
import type { Scene } from "./scene.js";
import { h, html, type View } from "./view.js";

type ModelLearning = Learning["models"][number];
type Update = ModelLearning["updates"][number];

const everyMs = 3_000;
const updatesShown = 20;

export function LearningView({ scene }: { readonly scene: Scene }): View {
  const question = useAnswer<Learning>(scene, "/api/learning", everyMs);
  return whenAnswered("Learning", question, ({ models }) =>
    models.length === 0
      ? empty("No model is served", html`<code>driftmend up --model DIR</code> serves one.`)
      : html`<div class="stack">${models.map((model) => modelView(model, scene))}</div>`,
  );
}

function modelView(model: ModelLearning, scene: Scene): View {
  const figures = scene.live.metrics?.models.find(({ name }) => name === model.name);
  return html`<div class="stack">
    ${models(scene) > 1 ? html`<h2 class="row-title">${model.name}</h2>` : null}
    <div class="two">${versionsPanel(model)}${divergencePanel(model)}</div>
    <div class="three">${refusalsPanel(model, figures)}${returnsPanel(model, figures, scene.nowMs)}${snapshotsPanel(model, scene.nowMs)}</div>
    ${updatesPanel(model)}
  </div>`;
}

function models({ live }: Scene): number {
  return live.metrics?.models.length ?? 1;
}

function versionsPanel({ name, commits }: ModelLearning): View {
  const last = commits.at(-1);
  const title = "Versions";
  if (last === undefined)
    return panel({ title, hint: name }, empty("Still the source model", "The first applied update commits version 1."));
  const hint = `${name}: version ${count(last.version)} since ${hour(last.atMs)}, updates up to ${count(last.updateSeq)}`;
  return panel(
    { title, hint },
    h(Plot, {
      label: `Versions of ${name} over time`,
      atMs: commits.map(({ atMs }) => atMs),
      curves: [{ label: "version", colour: "line1", look: "steps", values: commits.map(({ version }) => version) }],
      format: count,
      fromZero: false,
    }),
  );
}

function divergencePanel({ name, updates }: ModelLearning): View {
  const title = "KL divergence";
  const hint = `${name}: of each step from the source model, nats`;
  const known = updates.filter(({ kl }) => kl !== undefined);
  if (known.length === 0) return panel({ title, hint }, empty("No step yet"));
  const valuesOf = (kind: Update["kind"]) => known.map((update) => (update.kind === kind ? (update.kl ?? null) : null));
  return panel(
    { title, hint },
    h(Plot, {
      label: `KL divergence of the update steps of ${name}`,
      atMs: known.map(({ atMs }) => atMs),
      curves: [
        { label: "applied", colour: "line4", look: "dots", values: valuesOf("applied") },
        { label: "refused", colour: "bad", look: "crosses", values: valuesOf("refused") },
      ],
      format: decimal,
    }),
  );
}

function refusalsPanel({ updates }: ModelLearning, figures: ModelFigures | undefined): View {
  const counted = figures?.updates.refused ?? countedBy(updates);
  const rows = Object.entries(counted)
    .filter(([, each]) => each > 0)
    .sort(([, a], [, b]) => b - a);
  const most = Math.max(1, ...rows.map(([, each]) => each));
  return panel(
    { title: "Refused by guard", hint: "Steps that a guardrail did not let through" },
    rows.length === 0
      ? empty("None was refused")
      : html`<ul class="bars">${rows.map(([guard, each]) => html`<li><span>${guard.replaceAll("_", " ")}</span>${bar(each / most, count(each), "warn")}</li>`)}</ul>`,
  );
}

function countedBy(updates: readonly Update[]): Readonly<Record<string, number>> {
  const counted: Record<string, number> = {};
  for (const { kind, guard = "unnamed" } of updates) if (kind === "refused") counted[guard] = (counted[guard] ?? 0) + 1;
  return counted;
}

function returnsPanel({ returns }: ModelLearning, figures: ModelFigures | undefined, nowMs: number): View {
  const rows = returns.slice(-8).reverse();
  return panel(
    {
      title: "Returns to the source",
      hint: `${count(figures?.updates.rolledBack ?? returns.length)} in all: where the source did better, it answers`,
    },
    rows.length === 0
      ? empty("Adaptation has never been worse")
      : html`<ul class="lines">${rows.map(({ atMs, domain, to }) => html`<li>${to === "source" ? badge("warn", "source answers") : badge("good", "adapted again")} <span>kind ${domain}</span> <span class="quiet">${age(nowMs - atMs)} ago</span></li>`)}</ul>`,
  );
}

function snapshotsPanel({ name, snapshots }: ModelLearning, nowMs: number): View {
  return panel(
    { title: "Snapshots", hint: "What the model can go back to" },
    snapshots.length === 0
      ? empty("None yet")
      : html`<ul class="lines">${snapshots.slice(0, 8).map(({ seq, version, atMs }) => html`<li><b>${seq}</b> <span>${version === null ? "version not known" : `version ${count(version)}`}</span> <span class="quiet">${age(nowMs - atMs)} ago</span></li>`)}</ul>
          <p class="quiet">Go back with <code>driftmend snapshots restore ${name} SEQ</code></p>`,
  );
}

function updatesPanel({ name, updates }: ModelLearning): View {
  const right = (title: string) => ({ title, align: "right" as const });
  const columns = [
    { title: "When" },
    { title: "Outcome" },
    { title: "Guard" },
    right("KL, nats"),
    right("Rate"),
    { title: "Trace" },
  ];
  const rows = updates.slice(-updatesShown).reverse();
  return panel(
    { title: "Newest updates", hint: `${name}: the newest ${count(rows.length)}`, wide: true },
    rows.length === 0 ? empty("No update yet") : table("Newest updates", columns, rows.map(updateRow)),
  );
}

function updateRow({ atMs, kind, guard, kl, rate, traceId }: Update): View {
  return html`<tr key=${`${traceId}${atMs}`}>
    <td title=${day(atMs)}>${hour(atMs)}</td>
    <td>${kind === "applied" ? badge("good", "applied") : badge("warn", "refused")}</td>
    <td>${guard?.replaceAll("_", " ") ?? html`<span class="quiet">none</span>`}</td>
    <td class="right">${decimal(kl)}</td>
    <td class="right">${decimal(rate)}</td>
    <td><a href=${traceAddress(traceId)}><code>${traceId.slice(0, 8)}</code><span class="unseen"> trace</span></a></td>
  </tr>`;
}
