// The first view: is it well, does adaptation help, what is served, where does the time go.
//
// Owns: what stands on it, and in which order. Does not own: its panels.

import type { ModelFigures } from "../metrics/cluster-metrics.js";
import { accuracyPanel } from "./accuracy.js";
import { count, decimal, share } from "./figures.js";
import { healthPanel } from "./health-panel.js";
import { memoryPanel, nodesPanel } from "./node-panels.js";
import { badge, bar, facts, loading, panel } from "./panel.js";
import type { Scene } from "./scene.js";
import { html, type View } from "./view.js";
import { vitalSigns } from "./vital-signs.js";
import { jobsPanel, poolsPanel, trafficPanels } from "./work-panels.js";

export function overview(scene: Scene): View {
  const { metrics } = scene.live;
  if (metrics === null) return loading("The cluster");
  // The shorter column has room for one more.
  const isCalm = scene.live.health?.checks.every(({ status }) => status === "pass") === true;
  const pools = poolsPanel(scene);
  return html`<div class="stack">
    ${vitalSigns(scene)}
    ${accuracyPanel(scene)}
    <div class="two"><div class="stack packed">${healthPanel(scene)}${isCalm ? pools : null}</div><div class="stack packed">${metrics.models.map(modelPanel)}${isCalm ? null : pools}</div></div>
    <div class="two">${trafficPanels(scene)}</div>
    ${jobsPanel(scene)}
    ${nodesPanel(scene)}
    ${memoryPanel(scene)}
  </div>`;
}

const modes = {
  cold: badge("warn", "cold"),
  ensemble: badge("good", "ensemble"),
} as const;
const modeWords = {
  cold: "too few experiences for a vote: the model answers alone",
  ensemble: "the model votes with its memory",
} as const;

const notYet = html`<span class="quiet">not known yet</span>`;

function modelPanel(model: ModelFigures): View {
  const refused = Object.values(model.updates.refused).reduce((sum, each) => sum + each, 0);
  return panel(
    {
      title: model.name,
      hint: "Served model",
      aside: html`<span class="version">version <b>${count(model.version)}</b></span>`,
    },
    facts([
      ["Mode", html`${modes[model.mode]} <span class="quiet">${modeWords[model.mode]}</span>`],
      [
        "Confidence",
        model.confidence === null
          ? notYet
          : html`${share(model.confidence)} <span class="quiet">mean; ${share(model.gateRate)} of answers ask for an update</span>`,
      ],
      [
        "Memory",
        bar(
          model.capacity === 0 ? 0 : model.remembered / model.capacity,
          `${count(model.remembered)} of ${count(model.capacity)}`,
        ),
      ],
      [
        "Updates",
        html`${count(model.updates.applied)} applied, <span class=${refused > 0 ? "text-warn" : ""}>${count(refused)} refused</span>, ${count(model.updates.rolledBack)} returned to the source`,
      ],
      [
        "KL per step",
        model.kl.p50 === null
          ? notYet
          : html`${decimal(model.kl.p50)} <span class="quiet">p50;</span> ${decimal(model.kl.max)} <span class="quiet">max, nats</span>`,
      ],
      [
        "Kinds of input",
        html`${count(model.domains)} <span class="quiet">known; the source answered ${count(model.answersBySource)} times</span>`,
      ],
    ]),
  );
}
