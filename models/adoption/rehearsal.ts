// Rows answered one after the other, each before anything is learned from it; and the rehearsal that decides whether a
// model may follow its input at all.
//
// Owns: the order of answering and learning, the streams that are rehearsed. Does not own: the adaptation itself
// (models/adaptation/adaptation.ts), where rows come from.
//
// R1. The functions are those of serving: look, chooseSlot, foldRow.
// R2. What a rehearsal decides follows from the clean rows alone, and from no drift that is to come. The damages are crude on
//     purpose: they ask whether following any shift helps this model, and whether many requests of one label in a row, which
//     wrong slots turn into a shift of their own, throw it off. Clean rows alone do not tell: a spam filter that lost nothing
//     on them lost ten points on the mails of the next months.

import { AdaptedView, emptyAdaptation, foldRow, sourceParameters } from "../adaptation/adaptation.js";
import { chooseSlot } from "../adaptation/domains.js";
import { lookRows } from "../adaptation/logged-rows.js";
import type { AdaptableSession } from "../adaptation/pass.js";
import { shuffled, standardNormal } from "../chance.js";
import { type Random, seededRandom } from "../clock.js";
import type { Subject } from "../manifest.js";
import { argmax, at } from "../numbers/softmax.js";
import { requestChance } from "../request-chance.js";
import { look, lookSetup } from "../serving/looking.js";

/** The adapting model's answers, as class numbers. Each of `inputs` is one row, of the graph's shape. Deterministic for a seed. */
export async function* answersInOrder(
  session: AdaptableSession,
  subject: Subject,
  inputs: Iterable<Float32Array>,
  seed: number,
): AsyncGenerator<number> {
  const adaptation = emptyAdaptation(subject);
  const view = new AdaptedView(subject, adaptation);
  const setup = lookSetup(subject);
  let seen = seed;
  const { head } = subject.calibration;
  for (const input of inputs) {
    const { logits, plain, bySource, moments, density, looks } = await look(
      session,
      setup,
      input,
      1,
      { ...view.adapted, head },
      Uint32Array.of(++seen),
    );
    yield argmax(logits);
    const own = at(density, 0);
    const { slot } = chooseSlot(subject.calibration, { logits: plain, density: own }, requestChance(seen, "slot"));
    const folded = foldRow(adaptation, subject, {
      bySource: at(bySource, 0) === 1,
      moments,
      slot,
      density: own,
      looks: lookRows(looks, 0),
    });
    if (folded !== undefined) view.folded(folded);
  }
}

export interface Rehearsal {
  /** Of each stream. */
  readonly rows: number;
  /** Accuracy lost against the source where nothing drifts: that of the worst order of labels. */
  readonly lossOnClean: number;
  /** Accuracy gained over the source on damaged rows: the mean over damages and orders; negative when it is lost. */
  readonly gainUnderDamage: number;
}

/** Labelled rows, as they were before anything drifted. */
export interface CleanStock {
  readonly labels: Uint8Array;
  /** [rows, size] */
  readonly values: Float32Array;
}

/** Rows of each stream: fewer could not tell a point from nothing, more only cost time. */
const streamRows = 200;
const burst = 50;
/** Of the labels, the most frequent so many are rehearsed on their own. */
const loneLabels = 2;
/** In a stream of one label, every so many rows is another one. */
const strangerEvery = 20;
const rowsPerRun = 100;

type Damage = (input: Float32Array, random: Random, deviation: number) => Float32Array;

const untouched: Damage = (input) => input;
const damages: readonly Damage[] = [
  (input, random) => input.map((value) => (random() < 0.3 ? 0 : value)),
  (input) => input.map((value) => 0.6 * value),
  (input, random, deviation) => input.map((value) => value + 0.5 * deviation * standardNormal(random)),
];

/** What following the input costs where nothing drifts, and what it brings where something does. */
export async function rehearse(session: AdaptableSession, subject: Subject, stock: CleanStock): Promise<Rehearsal> {
  const orders = ordersOf(stock.labels, subject.calibration.classes);
  const deviation = deviationOf(stock.values);
  const gains = async (damage: Damage): Promise<readonly number[]> => {
    const found: number[] = [];
    for (const rows of orders) found.push(await gainOn(session, subject, stock, rows, damage, deviation));
    return found;
  };
  const clean = await gains(untouched);
  const damaged: number[] = [];
  for (const damage of damages) damaged.push(...(await gains(damage)));
  return {
    rows: orders[0]?.length ?? 0,
    lossOnClean: Math.max(0, ...clean.map((gain) => -gain)),
    gainUnderDamage: damaged.reduce((sum, gain) => sum + gain, 0) / damaged.length,
  };
}

/** Accuracy of the adapting model less that of the source, on one stream. */
async function gainOn(
  session: AdaptableSession,
  subject: Subject,
  { labels, values }: CleanStock,
  rows: readonly number[],
  damage: Damage,
  deviation: number,
): Promise<number> {
  const size = values.length / labels.length;
  const random = seededRandom(rows.length);
  const inputs = rows.map((row) => damage(values.slice(row * size, (row + 1) * size), random, deviation));
  const source = await sourceAnswers(session, subject, inputs);
  let gained = 0;
  let i = 0;
  for await (const adapting of answersInOrder(session, subject, inputs, rows.length)) {
    const label = labels[rows[i] ?? 0];
    gained += Number(adapting === label) - Number(source[i] === label);
    i += 1;
  }
  return gained / rows.length;
}

async function sourceAnswers(
  session: AdaptableSession,
  subject: Subject,
  inputs: readonly Float32Array[],
): Promise<readonly number[]> {
  const { classes } = subject.calibration;
  const parameters = sourceParameters(subject);
  const answers: number[] = [];
  for (let start = 0; start < inputs.length; start += rowsPerRun) {
    const run = inputs.slice(start, start + rowsPerRun);
    const size = run[0]?.length ?? 0;
    const joined = new Float32Array(run.length * size);
    run.forEach((input, row) => void joined.set(input, row * size));
    const { logits } = await session.run(joined, run.length, parameters);
    run.forEach((_, row) => void answers.push(argmax(logits.subarray(row * classes, (row + 1) * classes))));
  }
  return answers;
}

/** The same rows in mixed order and in bursts of one label, and streams that are nearly all of one label. */
function ordersOf(labels: Uint8Array, classes: number): readonly (readonly number[])[] {
  const rows = shuffled([...labels.keys()], seededRandom(classes));
  const mixed = rows.slice(0, streamRows);
  const members = Array.from({ length: classes }, (_, label) => rows.filter((row) => labels[row] === label));
  const lone = members.toSorted((a, b) => b.length - a.length).slice(0, loneLabels);
  return [mixed, inBursts(mixed, labels), ...lone.map((own) => nearlyAll(own, rows, labels))];
}

/** Up to fifty of one label, then of the next, round and round. */
function inBursts(rows: readonly number[], labels: Uint8Array): readonly number[] {
  const left = new Map<number, number[]>();
  for (const row of rows) left.set(labels[row] ?? 0, [...(left.get(labels[row] ?? 0) ?? []), row]);
  const order: number[] = [];
  while (order.length < rows.length) for (const members of left.values()) order.push(...members.splice(0, burst));
  return order;
}

function nearlyAll(own: readonly number[], rows: readonly number[], labels: Uint8Array): readonly number[] {
  const label = labels[own[0] ?? 0];
  const strangers = rows.filter((row) => labels[row] !== label);
  return own.slice(0, streamRows).map((row, i) => ((i + 1) % strangerEvery === 0 ? (strangers[i] ?? row) : row));
}

function deviationOf(values: Float32Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}
