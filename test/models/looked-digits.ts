// The shipped digits model in process, with plans that are written by hand and chances found for them.
//
// Owns: these parameters, and reading what was looked at. Does not own: what is held against it (looking.test.ts, floored-looks.test.ts).
import type { ExecutionContext } from "ava";
import { sourceParameters, tableRows } from "../../models/adaptation/adaptation.js";
import { type Embedded, graphOf, type Parameters, type Run } from "../../models/adaptation/pass.js";
import { closedPlan, type LookPlan, plan } from "../../models/adaptation/rollout.js";
import { type DomainStanding, kindsOf, plain } from "../../models/adaptation/standing.js";
import { seededRandom } from "../../models/clock.js";
import { loadModel } from "../../models/manifest.js";
import { argmax, softmax } from "../../models/numbers/softmax.js";
import { requestChance } from "../../models/request-chance.js";
import { lookSetup } from "../../models/serving/looking.js";
import { openAdaptableSession } from "../../models/serving/onnx-session.js";
import { applyView } from "../../models/views.js";
import { drift } from "../../sim/drift.js";
import { chosen, digitsFolder, firstDigits } from "./digits-model.js";

export const model = await loadModel(digitsFolder);
export const { calibration, manifest } = model;
export const { classes, width } = calibration;
export const setup = lookSetup(model);
export const views = manifest.views.length;
export const { source, beside } = kindsOf(views);
export const session = await openAdaptableSession(model.modelBytes, graphOf(model));
export const size = 784;
export const rows = 12;
export const { input, labels } = await firstDigits(rows);
export const picture = (of: Float32Array, row: number): Float32Array => of.slice(row * size, (row + 1) * size);

export const everyRow = [...Array(rows).keys()];
export const random = seededRandom(2);
/** The same digits, turned by about 45 degrees. */
export const turned = chosen(everyRow, (row) => drift("rotate", 3, picture(input, row), random));
/** As many rows as get all their looks within the budget of a batch. */
export const few = 6;
export const fewTurned = turned.slice(0, few * size);

/** Seeds of which the source is asked as said, and a survey is never drawn. */
export function seedsWith(asked: boolean, count: number): Uint32Array {
  const found: number[] = [];
  for (let seed = 1; found.length < count; seed++) {
    const chance = requestChance(seed, "looks");
    const [ofSource, ofSurvey] = [chance(), chance()];
    if (ofSource < 1 / 8 === asked && ofSurvey >= 0.1) found.push(seed);
  }
  return Uint32Array.from(found);
}

export const quiet = seedsWith(false, rows);
export const open: DomainStanding = {
  open: true,
  surveyed: false,
  best: [],
  scores: [0.7, ...Array<number>(views).fill(0.8)],
  floored: false,
  proven: true,
};

/** Rows of the table: inputs of no known domain, home, and the first domain that has a normalisation of its own. */
export const [nowhere, home, away] = [0, 1, 2];

/** Every input falls into this row, for a domain's signature is near to all, or none is. */
export function allIn(row: number, standing: Partial<DomainStanding>, floor = true): Parameters {
  const parameters = sourceParameters(model);
  const known: LookPlan = closedPlan(tableRows, views);
  plan(known, row, { ...open, ...standing }, floor);
  const limits = parameters.limits.map((limit, domain) => (domain + 1 === row ? 1e9 : limit));
  return { ...parameters, limits, plan: known };
}

export const allAway = (standing: Partial<DomainStanding>, floor = true): Parameters => allIn(away, standing, floor);

export const part = (column: Float32Array, row: number, of = rows): number[] => {
  const length = column.length / of;
  return [...column.subarray(row * length, (row + 1) * length)];
};

export function looksOf({ looks }: Embedded, row: number) {
  return [...looks.rows.keys()]
    .filter((i) => looks.rows[i] === row)
    .map((i) => ({
      kind: looks.kinds[i] ?? -1,
      density: looks.densities[i] ?? Number.NaN,
      weight: looks.weights[i] ?? Number.NaN,
      answer: part(looks.answers, i, looks.rows.length),
    }));
}

export const near = (a: readonly number[], b: readonly number[], within = 1e-4): boolean =>
  a.length === b.length &&
  a.every((value, i) => Math.abs(value - (b[i] ?? Number.NaN)) <= within * Math.max(1, Math.abs(value)));

/** Kind and weight of each look. */
export const voices = (own: readonly { readonly kind: number; readonly weight: number }[]): number[][] =>
  own.map(({ kind, weight }) => [kind, weight]);
export const kindsIn = (own: readonly { readonly kind: number }[]): number[] => own.map(({ kind }) => kind);
export const sourceWith = (weight: number): number[][] =>
  [source, beside].map((kind) => [kind, kind === source ? weight : 0]);
export const isView = (kind: number): boolean => kind > plain && kind < source;

/** A turned picture alone, as one kind of look sees it. */
export function alone(row: number, kind: number, parameters: Parameters): Promise<Run> {
  const shown = picture(turned, row);
  const view = manifest.views[kind - 1];
  if (view !== undefined) applyView(view, picture(turned, row), setup, shown);
  return session.run(shown, 1, kind === source ? setup.source : parameters);
}

/** Checks that a row's answer is its looks' by their weights, and its embedding that of the heaviest; which one that is. */
export async function heaviestOf(
  t: ExecutionContext,
  found: Embedded,
  row: number,
  parameters: Parameters,
): Promise<number> {
  const own = looksOf(found, row);
  const mean = Array.from({ length: classes }, (_, c) =>
    own.reduce((sum, { weight, answer }) => sum + weight * (answer[c] ?? 0), 0),
  );
  t.true(near([...softmax(Float32Array.from(part(found.logits, row, found.rows)))], mean), `${row}`);
  const { kind } = own[argmax(Float64Array.from(own, ({ weight }) => weight))] ?? { kind: Number.NaN };
  t.true(near(part(found.embeddings, row, found.rows), [...(await alone(row, kind, parameters)).embeddings], 1e-3));
  return kind;
}
