// The sight of a row: how it was looked at, for whoever asks why it was answered as it was, and for the counters.
//
// Owns: names for looks and domains. Does not own: the looks themselves (models/looking.ts), what is folded of them (models/adaptation.ts).

import type { Model } from "../models/manifest.js";
import type { Embedded } from "../models/pass.js";
import { argmax, at } from "../models/softmax.js";
import { kindsOf, plain } from "../models/standing.js";
import type { Counters } from "../operations/telemetry.js";
import type { Explanation } from "../transport/wire.js";

export type Look = Explanation["looks"][number];

export interface Sight {
  /** [classes] logits of the look at the request as it came. */
  readonly plain: Float32Array;
  /** [classes] the same of all looks together. */
  readonly logits: Float32Array;
  /** The domain whose normalisation answered; null: none that is known. */
  readonly domain: number | null;
  /** Empty where one look was enough. */
  readonly looks: readonly Look[];
  /** The class whose moments the row moves is the predicted one, and not one by chance. */
  readonly trusted: boolean;
}

/** `row` of the batch. */
export function sightOf(model: Model, embedded: Embedded, row: number, trusted: boolean): Sight {
  const { classes } = model.calibration;
  const table = at(embedded.domains, row);
  return {
    plain: embedded.plain.subarray(row * classes, (row + 1) * classes),
    logits: embedded.logits.subarray(row * classes, (row + 1) * classes),
    domain: table === 0 ? null : table - 1,
    looks: looksAt(model, embedded, row),
    trusted,
  };
}

/** Of the source's look and the one beside it only the first is told: the other is the plain one again. */
function looksAt({ manifest, calibration }: Model, { looks }: Embedded, row: number): readonly Look[] {
  const { classes } = calibration;
  const { source, beside } = kindsOf(manifest.views.length);
  const nameOf = (kind: number): string =>
    kind === plain ? "plain" : kind === source ? "source" : (manifest.views[kind - 1]?.name ?? `${kind}`);
  const own: Look[] = [];
  for (let i = looks.rows.indexOf(row); i >= 0 && looks.rows[i] === row; i++) {
    const kind = at(looks.kinds, i);
    if (kind === beside) continue;
    const answer = argmax(looks.answers.subarray(i * classes, (i + 1) * classes));
    own.push({
      view: nameOf(kind),
      density: at(looks.densities, i),
      label: manifest.labels[answer] ?? `${answer}`,
      weight: at(looks.weights, i),
    });
  }
  return own;
}

/** What adaptation did to the rows of one micro-batch. */
export function countSights(counters: Counters, model: string, sights: readonly Sight[]): void {
  for (const { looks, trusted } of sights) {
    counters.add(trusted ? "slots_trusted" : "slots_spread");
    const views = looks.filter(({ view }) => view !== "source").length;
    counters.add(views > 0 ? "requests_rolled_out" : "requests_gated");
    if (looks.length > 0) counters.add("looks", looks.length);
    if (looks.some(({ view, weight }) => view === "source" && weight > 0)) {
      counters.add("answers_by_source");
      counters.add(`answers_by_source_${model}`);
    }
  }
}
