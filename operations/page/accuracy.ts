// What adaptation is worth: two accuracies, the gain between them, and the curve of the hour.
//
// Owns: how they are put side by side. Does not own: how accuracy comes to be known (operations/metrics/vitals.ts).

import { count, points, share } from "./figures.js";
import { deathsIn, type Mark, type SeriesPoint } from "./live.js";
import { empty, panel } from "./panel.js";
import { Plot } from "./plot.js";
import type { Scene } from "./scene.js";
import { h, html, type View } from "./view.js";

const sources = { feedback: "from late feedback", stream: "told by the stream's sender" } as const;

export function accuracyPanel({ live }: Scene): View {
  const accuracy = live.metrics?.vitals.accuracy;
  if (accuracy === undefined) return null;
  const hint = `Share of right answers, ${count(accuracy.labels)} labels ${sources[accuracy.by]}`;
  const title = "Accuracy with and without adaptation";
  if (accuracy.labels === 0)
    return panel(
      { title, wide: true },
      empty(
        "No label has come yet",
        html`Accuracy is known once somebody says what was right: <code>driftmend feedback MODEL ID LABEL</code>.`,
      ),
    );
  return panel(
    { title, hint, wide: true },
    html`<div class="versus">
      <div class="versus-figures">
        ${figure("With adaptation", accuracy.adapting, "line1")}
        ${figure("Without", accuracy.source, "line2")}
        ${gain(accuracy.adapting, accuracy.source)}
      </div>
      ${h(Plot, plotOf(live.series?.points ?? [], deathsIn(live.series)))}
    </div>`,
  );
}

function figure(label: string, value: number | null, colour: string): View {
  return html`<div class="figure"><span class="figure-label"><i class="swatch look-line" aria-hidden="true" style=${{ color: `var(--${colour})` }}></i>${label}</span><span class="figure-value">${share(value)}</span></div>`;
}

function gain(adapting: number | null, source: number | null): View {
  if (adapting === null || source === null)
    return html`<div class="figure"><span class="figure-label">Gain</span><span class="figure-value quiet">not known</span></div>`;
  const difference = adapting - source;
  const [tone, word] =
    difference > 0.001
      ? (["good", "adaptation helps"] as const)
      : difference < -0.001
        ? (["bad", "adaptation hurts"] as const)
        : (["quiet", "no difference"] as const);
  return html`<div class="figure"><span class="figure-label">Gain</span><span class="figure-value text-${tone}">${points(difference)}</span><span class="figure-note">${word}</span></div>`;
}

function plotOf(series: readonly SeriesPoint[], marks: readonly Mark[]) {
  return {
    label: "Accuracy over the last hour",
    atMs: series.map(({ atMs }) => atMs),
    curves: [
      {
        label: "without",
        colour: "line2" as const,
        look: "dashed" as const,
        values: series.map((point) => point.accuracySource),
      },
      { label: "with adaptation", colour: "line1" as const, values: series.map((point) => point.accuracyAdapting) },
    ],
    marks,
    format: (value: number | null) => share(value, 1),
    fromZero: false,
    height: 210,
  };
}
