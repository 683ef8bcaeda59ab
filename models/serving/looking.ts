// Looking: one micro-batch through the model, and once more where one look is not enough.
//
// Owns: the passes of a micro-batch and what is kept of them. Does not own: who gets more looks and what they weigh (rollout.ts), what is
// remembered of them (standing.ts), threads (engine.ts).
//
// O1. A row that got one look has exactly the graph's logits: nothing is added where nothing was asked.
// O2. A micro-batch gets so many looks at most: requests that queue are answered before one is looked at twice (law 7).
// O3. In a floored domain the first pass is the source's, and answers. The plain look follows where both are to be compared or views look too,
//     and is then what the log holds of the row; of all others it holds nothing that a domain's layers could learn from (`bySource`).
import { sourceParameters } from "../adaptation/adaptation.js";
import type { AdaptableSession, Embedded, Parameters, Run } from "../adaptation/pass.js";
import { isFloored, type LookPlan, looksFor, mayLookAgain, weigh } from "../adaptation/rollout.js";
import { kindsOf, plain } from "../adaptation/standing.js";
import type { Subject } from "../manifest.js";
import { argmax, at, headLogits, softmax } from "../numbers/softmax.js";
import { requestChance } from "../request-chance.js";
import { applyView, type PictureShape, type View } from "../views.js";

/** What of a model looking needs. */
export interface LookSetup extends PictureShape {
  readonly views: readonly View[];
  /** Density from which a request needs no second look. */
  readonly high: number;
  /** Whether the source model is asked now and then. */
  readonly floor: boolean;
  readonly source: Parameters;
}

export function lookSetup(model: Subject): LookSetup {
  const { input, views, learning } = model.manifest;
  return {
    shape: input.shape,
    range: input.range,
    views,
    high: model.calibration.density.high,
    floor: learning.stages.floor,
    source: sourceParameters(model),
  };
}

/** Looks through views that one micro-batch gets at most: a batch as large as batches get costs three times its plain look. */
const looksMax = 128;
/** Rows of one pass at most: views of a whole batch need not be in memory at once. */
const passRows = 64;
/** Bytes of all views that one micro-batch gets at most, and of one pass where it has several rows: of a large input there are few looks, or none. */
const looksBytesMax = 64 * 1024 * 1024;
const passBytesMax = 16 * 1024 * 1024;

/** Values that are kept from one pass to the next at most: 1 MiB. */
const spareMax = 256 * 1024;

interface Look {
  readonly row: number;
  readonly kind: number;
}

/** Memory for the pictures of a pass, used again: taken by whoever looks, so that looks which run at the same time share none. */
class Spare {
  #values: Float32Array | undefined;

  take(length: number): Float32Array {
    const values = this.#values;
    this.#values = undefined;
    return values !== undefined && values.length >= length ? values : new Float32Array(length);
  }

  give(values: Float32Array): void {
    if (values.length <= spareMax) this.#values = values;
  }
}

const spare = new Spare();

/** One look that was taken. */
interface Taken extends Look {
  readonly density: number;
  readonly logits: Float32Array;
  readonly embedding: Float32Array;
  readonly moments: Float32Array;
}

/** input [rows, ...shape] is only read. `seeds` [rows] as in request-chance.ts. */
export async function look(
  session: AdaptableSession,
  setup: LookSetup,
  input: Float32Array,
  rows: number,
  parameters: Parameters,
  seeds: Uint32Array,
): Promise<Embedded> {
  const run = await session.run(input, rows, withSourceWhereFloored(parameters, setup));
  const { adapted, sources } = wantedOf(run, setup, parameters.plan, seeds, budgetOf(input, rows));
  const taken = [
    ...(await passes(session, setup, input, rows, adapted, parameters)),
    ...(await passes(session, setup, input, rows, sources, setup.source)),
  ];
  if (taken.length === 0 && !run.domains.some((domain) => isFloored(parameters.plan, domain))) return oneLook(run);
  return joined(run, taken, parameters, setup);
}

/** Made once for each: a session knows its parameters by the object. */
const firstParameters = new WeakMap<Parameters, Parameters>();

/** The parameters of the first pass: every floored domain has the source's row of the table. */
function withSourceWhereFloored(parameters: Parameters, { source }: LookSetup): Parameters {
  const { plan, table } = parameters;
  if (!plan.flags.some((_, row) => isFloored(plan, row))) return parameters;
  const known = firstParameters.get(parameters);
  if (known !== undefined) return known;
  const width = table.length / plan.flags.length;
  const first = table.slice();
  for (let row = 0; row < plan.flags.length; row++) {
    const start = row * width;
    if (isFloored(plan, row)) first.set(source.table.subarray(start, start + width), start);
  }
  const made = { ...parameters, table: first };
  firstParameters.set(parameters, made);
  return made;
}

function budgetOf(input: Float32Array, rows: number): number {
  return Math.min(looksMax, Math.floor((looksBytesMax * rows) / input.byteLength));
}

/** Looks beside the first pass; those of a row side by side, the rows in their order. */
interface Wanted {
  /** Of the adapted model: views of a row whole or not at all, and the plain look where the first was the source's. */
  readonly adapted: readonly Look[];
  /** Of the source, where the first was the adapted model's. */
  readonly sources: readonly Look[];
}

function wantedOf(run: Run, setup: LookSetup, plan: LookPlan, seeds: Uint32Array, budget: number): Wanted {
  const adapted: Look[] = [];
  const sources: Look[] = [];
  const { source: ofSource } = kindsOf(setup.views.length);
  const { high, floor } = setup;
  let viewsSoFar = 0;
  for (let row = 0; row < run.rows; row++) {
    const [domain, density] = [at(run.domains, row), at(run.density, row)];
    if (!mayLookAgain(plan, domain, density, high, floor)) continue;
    const wanted = looksFor(plan, domain, density, high, floor, requestChance(at(seeds, row), "looks"));
    const views = viewsSoFar + wanted.views.length <= budget ? wanted.views : [];
    viewsSoFar += views.length;
    if (!isFloored(plan, domain) && wanted.compared) sources.push({ row, kind: ofSource });
    if (isFloored(plan, domain) && (wanted.compared || views.length > 0)) adapted.push({ row, kind: plain });
    for (const kind of views) adapted.push({ row, kind });
  }
  return { adapted, sources };
}

export function oneLook(run: Run): Embedded {
  const none = { rows: new Uint16Array(), kinds: new Uint8Array(), weights: new Float32Array() };
  const looks = { ...none, densities: new Float32Array(), answers: new Float32Array() };
  return { ...run, plain: run.logits, bySource: new Uint8Array(run.rows), looks };
}

async function passes(
  session: AdaptableSession,
  setup: LookSetup,
  input: Float32Array,
  rows: number,
  looks: readonly Look[],
  parameters: Parameters,
): Promise<Taken[]> {
  const size = input.length / rows;
  const atOnce = Math.max(1, Math.min(passRows, Math.floor(passBytesMax / (size * Float32Array.BYTES_PER_ELEMENT))));
  const taken: Taken[] = [];
  for (let start = 0; start < looks.length; start += atOnce) {
    const now = looks.slice(start, start + atOnce);
    const memory = spare.take(now.length * size);
    const pictures = memory.subarray(0, now.length * size);
    for (const [i, { row, kind }] of now.entries()) {
      const picture = input.subarray(row * size, (row + 1) * size);
      const out = pictures.subarray(i * size, (i + 1) * size);
      const view = setup.views[kind - 1];
      if (view === undefined) out.set(picture);
      else applyView(view, picture, setup, out);
    }
    const run = await session.run(pictures, now.length, parameters);
    spare.give(memory);
    for (const [i, { row, kind }] of now.entries()) taken.push({ row, kind, ...rowOf(run, i) });
  }
  return taken;
}

function rowOf(run: Run, row: number): Omit<Taken, keyof Look> {
  return {
    density: at(run.density, row),
    logits: part(run.logits, row, run.rows),
    embedding: part(run.embeddings, row, run.rows),
    moments: part(run.moments, row, run.rows),
  };
}

/** A look that is remembered, and what it counted in its row's answer. */
type Kept = Taken & { readonly weight: number };

/** Puts every row's looks together: what is answered, with which embedding, and what is to be remembered of each look. */
function joined(run: Run, taken: readonly Taken[], { plan }: Parameters, setup: LookSetup): Embedded {
  const into = writable(run);
  const kinds = kindsOf(setup.views.length);
  const answering = sourcesOf(run, plan, setup);
  const ofRows = byRow(taken);
  const kept: Kept[] = [];
  for (let row = 0; row < run.rows; row++) {
    const own = ofRows.get(row) ?? [];
    const bySource = answering.get(row);
    if (bySource === undefined && own.length === 0) continue;
    const first: Taken = { row, kind: plain, ...rowOf(run, row) };
    const before = bySource === undefined ? first : own.find(({ kind }) => kind === plain);
    const source = bySource ?? own.find(({ kind }) => kind === kinds.source);
    const views = own.filter(({ kind }) => kind !== plain && kind !== kinds.source);
    const candidates = [bySource === undefined ? first : { ...bySource, kind: plain }, ...views];
    const weights = weigh(plan, at(run.domains, row), candidates);
    const best = candidates[argmax(Float64Array.from(weights))] ?? first;
    write(into.embeddings, row, run.rows, best.embedding);
    write(into.logits, row, run.rows, mixed(candidates, weights));
    if (bySource !== undefined) writePlain(into, row, before ?? bySource);
    if (before === undefined) {
      into.bySource[row] = 1;
      continue;
    }
    const [ofBase = 0, ...ofViews] = weights;
    const [ofPlain, ofSource] = bySource === undefined ? [ofBase, 0] : [0, ofBase];
    if (views.length > 0) kept.push({ ...before, weight: ofPlain });
    views.forEach((one, i) => void kept.push({ ...one, weight: ofViews[i] ?? 0 }));
    if (source === undefined) continue;
    kept.push({ ...source, weight: ofSource }, { ...before, kind: kinds.beside, weight: 0 });
  }
  return { ...into, looks: columnsOf(kept) };
}

/** The first pass's columns, to be written over where a row is looked at again. */
function writable(run: Run): Omit<Embedded, "looks"> {
  const { logits, embeddings, moments, density } = run;
  return {
    ...run,
    logits: logits.slice(),
    embeddings: embeddings.slice(),
    plain: logits.slice(),
    moments: moments.slice(),
    density: density.slice(),
    bySource: new Uint8Array(run.rows),
  };
}

/** The source's looks of the first pass: those in floored domains. They went through the adapted head, which is not the source's. */
function sourcesOf(run: Run, plan: LookPlan, { source, views }: LookSetup): ReadonlyMap<number, Taken> {
  const { source: kind } = kindsOf(views.length);
  const width = run.embeddings.length / run.rows;
  const looks = new Map<number, Taken>();
  for (let row = 0; row < run.rows; row++) {
    if (!isFloored(plan, at(run.domains, row))) continue;
    const seen = rowOf(run, row);
    const logits = Float32Array.from(headLogits(seen.embedding, source.head, width));
    looks.set(row, { ...seen, row, kind, logits });
  }
  return looks;
}

function byRow(taken: readonly Taken[]): ReadonlyMap<number, readonly Taken[]> {
  const ofRows = new Map<number, Taken[]>();
  for (const one of taken) {
    const own = ofRows.get(one.row);
    if (own === undefined) ofRows.set(one.row, [one]);
    else own.push(one);
  }
  return ofRows;
}

/** What the log holds of the row, beside its answer, is this look's. */
function writePlain(into: Omit<Embedded, "looks">, row: number, look: Taken): void {
  write(into.plain, row, into.rows, look.logits);
  write(into.moments, row, into.rows, look.moments);
  into.density[row] = look.density;
}

/** Logarithms of the weighted mean answer: as logits they are that answer. One voice alone keeps its logits (O1). */
function mixed(looks: readonly Taken[], weights: readonly number[]): Float32Array {
  const alone = weights.indexOf(1);
  const only = looks[alone];
  if (only !== undefined) return only.logits;
  const sums = new Float64Array(looks[0]?.logits.length ?? 0);
  for (const [i, one] of looks.entries()) {
    const weight = weights[i] ?? 0;
    if (weight === 0) continue;
    const answer = softmax(one.logits);
    for (let c = 0; c < sums.length; c++) sums[c] = at(sums, c) + weight * at(answer, c);
  }
  return Float32Array.from(sums, (share) => Math.log(Math.max(share, Number.MIN_VALUE)));
}

function columnsOf(kept: readonly (Taken & { readonly weight: number })[]): Embedded["looks"] {
  const classes = kept[0]?.logits.length ?? 0;
  const answers = new Float32Array(kept.length * classes);
  kept.forEach((one, i) => void answers.set(softmax(one.logits), i * classes));
  return {
    rows: Uint16Array.from(kept, ({ row }) => row),
    kinds: Uint8Array.from(kept, ({ kind }) => kind),
    densities: Float32Array.from(kept, ({ density }) => density),
    answers,
    weights: Float32Array.from(kept, ({ weight }) => weight),
  };
}

function part(column: Float32Array, row: number, rows: number): Float32Array {
  const width = column.length / rows;
  return column.subarray(row * width, (row + 1) * width);
}

function write(column: Float32Array, row: number, rows: number, values: Float32Array): void {
  column.set(values, (row * column.length) / rows);
}
