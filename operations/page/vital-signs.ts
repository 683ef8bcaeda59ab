// The five vital signs, each with its figure of now and the shape of its hour.
//
// Owns: names, units and which value is worth a second look. Does not own: which value is bad (operations/health/ says that).

import { count, decimal, share } from "./figures.js";
import type { SeriesPoint } from "./live.js";
import type { ColourName } from "./palette.js";
import { badge, type Tone } from "./panel.js";
import type { Scene } from "./scene.js";
import { spark } from "./spark.js";
import { html, type View } from "./view.js";

interface Sign {
  readonly title: string;
  /** Name in the metrics, as the requirement and Prometheus have it. */
  readonly name: string;
  readonly value: number | null;
  readonly format: (value: number | null) => string;
  readonly unit: string;
  readonly history: readonly (number | null)[];
  readonly colour: ColourName;
  /** Checks that are about it. */
  readonly checks: RegExp;
}

export function vitalSigns(scene: Scene): View {
  const { metrics, series } = scene.live;
  if (metrics === null) return null;
  const { vitals } = metrics;
  const history = (of: (point: SeriesPoint) => number | null) => (series?.points ?? []).map(of);
  const signs: readonly Sign[] = [
    {
      title: "Update rate",
      name: "update_rate",
      value: vitals.updateRate,
      format: decimal,
      unit: "per minute",
      history: history((point) => point.updateRate),
      colour: "line1",
      checks: /update_rate/,
    },
    {
      title: "Search failures",
      name: "knn_failure_rate",
      value: vitals.knnFailureRate,
      format: (value) => share(value, 2),
      unit: "of neighbour searches",
      history: history((point) => point.knnFailureRate),
      colour: "line5",
      checks: /knn/,
    },
    {
      title: "Mean KL divergence",
      name: "mean_kl_divergence",
      value: vitals.meanKlDivergence,
      format: decimal,
      unit: "nats from the source",
      history: history((point) => point.meanKlDivergence),
      colour: "line4",
      checks: /kl/,
    },
    {
      title: "Queue size",
      name: "queue_size",
      value: vitals.queueSize,
      format: count,
      unit: "updates waiting",
      history: history((point) => point.queueSize),
      colour: "line3",
      checks: /queue/,
    },
    {
      title: "Accuracy",
      name: "accuracy",
      value: vitals.accuracy.adapting,
      format: (value) => share(value),
      unit: "of labelled answers",
      history: history((point) => point.accuracyAdapting),
      colour: "line1",
      checks: /source|accuracy/,
    },
  ];
  return html`<section aria-label="Vital signs"><h2 class="row-title">Vital signs</h2><div class="signs">${signs.map((sign) => card(sign, scene))}</div></section>`;
}

function card(sign: Sign, { live }: Scene): View {
  const failing = live.health?.checks.find(({ name, status }) => status !== "pass" && sign.checks.test(name));
  const tone: Tone = failing === undefined ? "quiet" : failing.status === "fail" ? "bad" : "warn";
  const known = sign.history.filter((value) => value !== null);
  const range =
    known.length < 2
      ? "no history yet"
      : `${sign.format(Math.min(...known))} to ${sign.format(Math.max(...known))} in ${minutesOf(live.series?.points ?? [])}`;
  return html`<article class="sign tone-${tone}" aria-label=${sign.title} data-sign=${sign.name}>
    <h3>${sign.title}</h3>
    <p class="sign-value">${sign.value === null ? html`<span class="quiet">not known</span>` : sign.format(sign.value)}</p>
    <p class="sign-unit">${failing === undefined ? sign.unit : badge(tone, failing.name.replaceAll("_", " "))}</p>
    ${spark({ values: sign.history, colour: failing === undefined ? sign.colour : tone === "bad" ? "bad" : "warn" })}
    <p class="sign-range">${range}</p>
  </article>`;
}

function minutesOf(history: readonly SeriesPoint[]): string {
  const minutes = Math.round(((history.at(-1)?.atMs ?? 0) - (history[0]?.atMs ?? 0)) / 60_000);
  return minutes < 1 ? "the last minute" : `${minutes} min`;
}
