// The sight of a row: how it was looked at, for whoever asks why it was answered as it was, and for the counters.
//
// Owns: names for looks and domains. Does not own: the looks themselves (models/serving/looking.ts), what is folded of them (models/adaptation/adaptation.ts).

import type { Embedded } from "../../models/adaptation/pass.js";
import { kindsOf, plain } from "../../models/adaptation/standing.js";
import type { Model } from "../../models/manifest.js";
import { argmaxAt, at } from "../../models/numbers/softmax.js";
import type { Counters } from "../../operations/metrics/telemetry.js";
import type { Explanation } from "../../transport/messages/wire.js";

export type Look = Explanation["looks"][number];

export interface Sight {
  /** The domain whose normalisation answered; null: none that is known. */
  readonly domain: number | null;
  /** The class whose moments the row moves: the predicted one, one by chance, or none. */
  readonly slot: "trusted" | "spread" | "none";
  /** How many looks are told of it: 0 where one was enough. */
  readonly looks: number;
  /** One of them was not the source's. */
  readonly rolledOut: boolean;
  /** The source's look has a voice in the answer. */
  readonly bySource: boolean;
}

/** `row` of the batch. */
export function sightOf({ manifest }: Model, embedded: Embedded, row: number, trusted: boolean): Sight {
  const table = at(embedded.domains, row);
  const domain = table === 0 ? null : table - 1;
  const { rows, kinds, weights } = embedded.looks;
  const first = rows.length === 0 ? -1 : rows.indexOf(row);
  const alone = at(embedded.bySource, row) === 1;
  const slot = alone ? "none" : trusted ? "trusted" : "spread";
  const seen: Sight = { domain, slot, looks: 0, rolledOut: false, bySource: alone };
  if (first < 0) return seen;
  const { source, beside } = kindsOf(manifest.views.length);
  let [looks, rolledOut, bySource] = [0, false, false];
  for (let i = first; rows[i] === row; i++) {
    const kind = at(kinds, i);
    if (kind === beside) continue;
    looks += 1;
    if (kind !== source) rolledOut = true;
    else if (at(weights, i) > 0) bySource = true;
  }
  return { ...seen, looks, rolledOut, bySource };
}

/** Every look at a row, by name, none where one was enough. Of the source's and the one beside it only the first is told: the other is the plain one again. */
export function looksAt({ manifest, calibration }: Model, embedded: Embedded, row: number): readonly Look[] {
  const { looks, plain: logits, density } = embedded;
  const { classes } = calibration;
  const { source, beside } = kindsOf(manifest.views.length);
  const nameOf = (kind: number): string =>
    kind === plain ? "plain" : kind === source ? "source" : (manifest.views[kind - 1]?.name ?? `${kind}`);
  const labelOf = (answer: number): string => manifest.labels[answer] ?? `${answer}`;
  if (at(embedded.bySource, row) === 1) {
    const label = labelOf(argmaxAt(logits, row * classes, classes));
    return [{ view: nameOf(source), density: at(density, row), label, weight: 1 }];
  }
  const own: Look[] = [];
  for (let i = looks.rows.indexOf(row); i >= 0 && looks.rows[i] === row; i++) {
    const kind = at(looks.kinds, i);
    if (kind === beside) continue;
    own.push({
      view: nameOf(kind),
      density: at(looks.densities, i),
      label: labelOf(argmaxAt(looks.answers, i * classes, classes)),
      weight: at(looks.weights, i),
    });
  }
  return own;
}

/** What adaptation did to the rows of one micro-batch. */
export function countSights(counters: Counters, model: string, sights: readonly Sight[]): void {
  const seen = { trusted: 0, spread: 0, none: 0, rolledOut: 0, looks: 0, bySource: 0 };
  for (const { looks, slot, rolledOut, bySource } of sights) {
    seen[slot] += 1;
    if (rolledOut) seen.rolledOut += 1;
    seen.looks += looks;
    if (bySource) seen.bySource += 1;
  }
  const count = (name: string, by: number): void => {
    if (by > 0) counters.add(name, by);
  };
  count("slots_trusted", seen.trusted);
  count("slots_spread", seen.spread);
  count("requests_rolled_out", seen.rolledOut);
  count("requests_gated", sights.length - seen.rolledOut);
  count("looks", seen.looks);
  count("answers_by_source", seen.bySource);
  count(`answers_by_source_${model}`, seen.bySource);
}
