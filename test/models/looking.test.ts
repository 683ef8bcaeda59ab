// Looking: the shipped digits model in process, with plans that are written here and chances found for them.
import test, { type ExecutionContext } from "ava";
import {
  AdaptedView,
  emptyAdaptation,
  foldRow,
  sourceParameters,
  tableRows,
} from "../../models/adaptation/adaptation.js";
import { type Embedded, graphOf, type Parameters, type Run } from "../../models/adaptation/pass.js";
import { closedPlan, type LookPlan, plan, weigh } from "../../models/adaptation/rollout.js";
import { type DomainStanding, kindsOf, plain } from "../../models/adaptation/standing.js";
import { seededRandom } from "../../models/clock.js";
import { loadModel } from "../../models/manifest.js";
import { argmax, softmax } from "../../models/numbers/softmax.js";
import { requestChance } from "../../models/request-chance.js";
import { look, lookSetup, oneLook } from "../../models/serving/looking.js";
import { openAdaptableSession, openSession } from "../../models/serving/onnx-session.js";
import { applyView } from "../../models/views.js";
import { drift } from "../../sim/drift.js";
import { chosen, digitsFolder, firstDigits } from "./digits-model.js";

const model = await loadModel(digitsFolder);
const { calibration, manifest } = model;
const { classes, width } = calibration;
const setup = lookSetup(model);
const views = manifest.views.length;
const { source, beside } = kindsOf(views);
const session = await openAdaptableSession(model.modelBytes, graphOf(model));
const size = 784;
const rows = 12;
const { input, labels } = await firstDigits(rows);
test.after.always(() => session.close());
const picture = (of: Float32Array, row: number): Float32Array => of.slice(row * size, (row + 1) * size);

const everyRow = [...Array(rows).keys()];
const random = seededRandom(2);
/** The same digits, turned by about 45 degrees. */
const turned = chosen(everyRow, (row) => drift("rotate", 3, picture(input, row), random));
/** As many rows as get all their looks within the budget of a batch. */
const few = 6;
const fewTurned = turned.slice(0, few * size);

/** Seeds of which the source is asked as said, and a survey is never drawn. */
function seedsWith(asked: boolean, count: number): Uint32Array {
  const found: number[] = [];
  for (let seed = 1; found.length < count; seed++) {
    const chance = requestChance(seed, "looks");
    const [ofSource, ofSurvey] = [chance(), chance()];
    if (ofSource < 1 / 8 === asked && ofSurvey >= 0.1) found.push(seed);
  }
  return Uint32Array.from(found);
}

const quiet = seedsWith(false, rows);
const open: DomainStanding = {
  open: true,
  surveyed: false,
  best: [],
  scores: [0.7, ...Array<number>(views).fill(0.8)],
  floored: false,
  proven: true,
};

/** Rows of the table: inputs of no known domain, home, and the first domain that has a normalisation of its own. */
const [nowhere, home, away] = [0, 1, 2];

/** Every input falls into this row, for a domain's signature is near to all, or none is. */
function allIn(row: number, standing: Partial<DomainStanding>, floor = true): Parameters {
  const parameters = sourceParameters(model);
  const known: LookPlan = closedPlan(tableRows, views);
  plan(known, row, { ...open, ...standing }, floor);
  const limits = parameters.limits.map((limit, domain) => (domain + 1 === row ? 1e9 : limit));
  return { ...parameters, limits, plan: known };
}

const allAway = (standing: Partial<DomainStanding>, floor = true): Parameters => allIn(away, standing, floor);

const part = (column: Float32Array, row: number, of = rows): number[] => {
  const length = column.length / of;
  return [...column.subarray(row * length, (row + 1) * length)];
};

function looksOf({ looks }: Embedded, row: number) {
  return [...looks.rows.keys()]
    .filter((i) => looks.rows[i] === row)
    .map((i) => ({
      kind: looks.kinds[i] ?? -1,
      density: looks.densities[i] ?? Number.NaN,
      weight: looks.weights[i] ?? Number.NaN,
      answer: part(looks.answers, i, looks.rows.length),
    }));
}

const near = (a: readonly number[], b: readonly number[], within = 1e-4): boolean =>
  a.length === b.length &&
  a.every((value, i) => Math.abs(value - (b[i] ?? Number.NaN)) <= within * Math.max(1, Math.abs(value)));

/** Kind and weight of each look. */
const voices = (own: readonly { readonly kind: number; readonly weight: number }[]): number[][] =>
  own.map(({ kind, weight }) => [kind, weight]);
const kindsIn = (own: readonly { readonly kind: number }[]): number[] => own.map(({ kind }) => kind);
const sourceWith = (weight: number): number[][] => [source, beside].map((kind) => [kind, kind === source ? weight : 0]);
const isView = (kind: number): boolean => kind > plain && kind < source;

/** A turned picture alone, as one kind of look sees it. */
function alone(row: number, kind: number, parameters: Parameters): Promise<Run> {
  const shown = picture(turned, row);
  const view = manifest.views[kind - 1];
  if (view !== undefined) applyView(view, picture(turned, row), setup, shown);
  return session.run(shown, 1, kind === source ? setup.source : parameters);
}

/** Checks that a row's answer is its looks' by their weights, and its embedding that of the heaviest; which one that is. */
async function heaviestOf(t: ExecutionContext, found: Embedded, row: number, parameters: Parameters): Promise<number> {
  const own = looksOf(found, row);
  const mean = Array.from({ length: classes }, (_, c) =>
    own.reduce((sum, { weight, answer }) => sum + weight * (answer[c] ?? 0), 0),
  );
  t.true(near([...softmax(Float32Array.from(part(found.logits, row, found.rows)))], mean), `${row}`);
  const { kind } = own[argmax(Float64Array.from(own, ({ weight }) => weight))] ?? { kind: Number.NaN };
  t.true(near(part(found.embeddings, row, found.rows), [...(await alone(row, kind, parameters)).embeddings], 1e-3));
  return kind;
}

test.serial("(O1) where nobody is worth a second look, the result is the graph's, bit for bit", async (t) => {
  const parameters = sourceParameters(model);
  const found = await look(session, setup, turned, rows, parameters, quiet);
  const run = await session.run(turned, rows, parameters);
  t.deepEqual(found, oneLook(run));
  t.deepEqual(found.plain, run.logits);
  t.is(found.looks.rows.length, 0);
  const closed = await look(session, setup, turned, rows, allAway({ open: false }), quiet);
  t.deepEqual(closed, oneLook({ ...run, domains: new Uint8Array(rows).fill(away) }));
});

test.serial("(O1) beside rows looked at more often, a row with one look keeps the graph's very logits", async (t) => {
  const mixed = chosen(everyRow, (row) => picture(row % 2 === 0 ? input : turned, row));
  const parameters = allAway({});
  const run = await session.run(mixed, rows, parameters);
  const found = await look(session, setup, mixed, rows, parameters, quiet);
  const single = [...run.density.keys()].filter((row) => (run.density[row] ?? 0) >= setup.high);
  t.true(single.length > 0 && single.length < rows, `${single}`);
  for (const row of single) {
    t.deepEqual(part(found.logits, row), part(run.logits, row));
    t.deepEqual(part(found.embeddings, row), part(run.embeddings, row));
    t.deepEqual(looksOf(found, row), []);
  }
  t.deepEqual(found.moments, run.moments, "moments and densities are those of the plain look, of every row");
  t.deepEqual(found.density, run.density);
  t.deepEqual(found.plain, run.logits);
});

test.serial("an open domain is looked at through every view, and each look is the graph's of that view", async (t) => {
  const parameters = allAway({});
  const found = await look(session, setup, fewTurned, few, parameters, quiet);
  let looked = 0;
  for (let row = 0; row < few; row++) {
    const own = looksOf(found, row);
    if ((found.density[row] ?? 0) >= setup.high) {
      t.is(own.length, 0);
      continue;
    }
    looked += 1;
    t.deepEqual(kindsIn(own), [...Array(views + 1).keys()], "the plain one, then the views");
    for (const { kind, density, answer } of [own[0], own[2], own[16]].flatMap((each) => each ?? [])) {
      const run = await alone(row, kind, parameters);
      t.true(Math.abs(density - (run.density[0] ?? 0)) < 1e-4);
      t.true(near(answer, [...softmax(run.logits)]));
    }
  }
  t.true(looked >= 4, `${looked} of ${few}`);
});

test.serial("the answer is the looks' by their weights, its embedding that of the heaviest look", async (t) => {
  const parameters = allAway({});
  const found = await look(session, setup, fewTurned, few, parameters, quiet);
  let others = 0;
  for (let row = 0; row < few; row++) {
    const own = looksOf(found, row);
    if (own.length === 0) continue;
    const weights = weigh(parameters.plan, away, own);
    t.deepEqual(voices(own), voices(own.map(({ kind }, i) => ({ kind, weight: Math.fround(weights[i] ?? 0) }))));
    if ((await heaviestOf(t, found, row, parameters)) !== plain) others += 1;
  }
  t.true(others > 0, "in some row a view weighs more than the plain look");
});

test.serial("where no view is known to be better, more looks change nothing in the answer", async (t) => {
  const unknown = allAway({ scores: Array<number>(views + 1).fill(Number.NaN) });
  const found = await look(session, setup, turned, rows, unknown, quiet);
  t.true(found.looks.rows.length > 0);
  t.deepEqual(found.logits, found.plain);
});

test.serial("a surveyed domain is looked at through its best two views", async (t) => {
  const surveyed = allAway({ surveyed: true, best: [5, 3] });
  const found = await look(session, setup, turned, rows, surveyed, quiet);
  const kinds = everyRow.map((row) => looksOf(found, row).map(({ kind }) => kind));
  t.true(kinds.some((own) => own.length > 0));
  for (const own of kinds) if (own.length > 0) t.deepEqual(own, [0, 5, 3]);
});

test.serial("a floored domain is answered by the source; the adapted look stays beside, without weight", async (t) => {
  const floored = allAway({ open: false, floored: true });
  // The adapted model is another one: what it says must not be what is answered.
  const table = floored.table.map((value) => 1.2 * value);
  const adapted = { ...floored, table, head: calibration.head.map((value) => -value) };
  const found = await look(session, setup, input, rows, adapted, quiet);
  const original = await openSession(model.sourceBytes);
  const expected = await original.run(input, rows);
  await original.close();
  const embeddings = (await session.run(input, rows, setup.source)).embeddings;
  for (let row = 0; row < rows; row++) {
    t.true(near(part(found.logits, row), part(expected, row)));
    t.is(argmax(Float32Array.from(part(found.logits, row))), labels[row] ?? -1);
    t.true(near(part(found.embeddings, row), part(embeddings, row), 1e-3));
    const own = looksOf(found, row);
    t.deepEqual(voices(own), sourceWith(1));
    t.true(near(own[1]?.answer ?? [], [...softmax(Float32Array.from(part(found.plain, row)))]));
  }
  t.true(part(found.plain, 0).some((logit, c) => Math.abs(logit - (part(found.logits, 0)[c] ?? 0)) > 1));
  const without = { ...adapted, plan: allAway({ open: false }).plan };
  const { logits } = await look(session, setup, input, rows, without, quiet);
  t.deepEqual(logits, found.plain, "negative control: not floored, the adapted model answers");
});

test.serial(
  "a source that is only asked beside is kept for the judgement and changes nothing in the answer",
  async (t) => {
    const expected = await session.run(turned, rows, setup.source);
    const unproven = allAway({ open: false, proven: false });
    for (const [parameters, seeds] of [
      [allAway({ open: false }), seedsWith(true, rows)],
      // Until it is proven which does better, it is asked beside every request, whatever chance says.
      [unproven, quiet],
    ] as const) {
      const found = await look(session, setup, turned, rows, parameters, seeds);
      t.deepEqual(found.logits, found.plain);
      for (const row of everyRow) {
        t.deepEqual(voices(looksOf(found, row)), sourceWith(0));
        t.true(near([looksOf(found, row)[0]?.density ?? Number.NaN], [expected.density[row] ?? Number.NaN]));
      }
    }
    const proven = await look(session, setup, turned, rows, allAway({ open: false }), quiet);
    t.is(proven.looks.rows.length, 0, "negative control: proven, and not drawn");
  },
);

test.serial("at home and where no domain is known the source is never asked: it is what answers there", async (t) => {
  const standing = { floored: true, proven: false };
  const asked = seedsWith(true, few);
  const expected = await session.run(fewTurned, few, setup.source);
  for (const row of [nowhere, home]) {
    const found = await look(session, setup, fewTurned, few, allIn(row, { ...standing, open: false }), asked);
    t.deepEqual([...found.domains], Array(few).fill(row));
    t.is(found.looks.rows.length, 0);
    t.deepEqual(found.logits, expected.logits);
  }
  const opened = await look(session, setup, fewTurned, few, allIn(home, standing), asked);
  t.true(opened.looks.rows.length > 0, "home is looked at through views");
  t.false([...opened.looks.kinds].some((kind) => kind === source || kind === beside));
  const other = await look(session, setup, fewTurned, few, allIn(away, { ...standing, open: false }), asked);
  t.is([...other.looks.kinds].filter((kind) => kind === source).length, few, "negative control: elsewhere it is");
});

/** Floored and open, where the adapted model is another one than the source. */
function flooredAndOpen(standing: Partial<DomainStanding> = {}): Parameters {
  const both = allAway({ floored: true, ...standing });
  return { ...both, table: both.table.map((value) => 1.02 * value) };
}

test.serial("floored and open: the source's look takes the plain one's place, and views vote against it", async (t) => {
  const both = flooredAndOpen();
  const found = await look(session, setup, fewTurned, few, both, quiet);
  const heaviest: number[] = [];
  for (let row = 0; row < few; row++) {
    const own = looksOf(found, row);
    const ofViews = own.filter(({ kind }) => isView(kind));
    if (ofViews.length === 0) continue;
    t.deepEqual(kindsIn(own), [...Array(views + 3).keys()], "plain, views, the source, the plain one beside it");
    const [ofPlain, ofSource, ofBeside] = [own[plain], own[source], own[beside]];
    if (ofPlain === undefined || ofSource === undefined || ofBeside === undefined) return t.fail();
    t.deepEqual([ofPlain.weight, ofBeside.weight], [0, 0]);
    t.is(ofBeside.density, ofPlain.density, "the plain look is kept for the judgement");
    t.true(near([ofSource.density], [...(await alone(row, source, both)).density]));
    t.true(Math.abs(ofSource.density - ofPlain.density) > 1e-4, "which is not the source's");
    const weights = weigh(both.plan, away, [{ kind: plain, density: ofSource.density }, ...ofViews]);
    t.deepEqual(
      [ofSource, ...ofViews].map(({ weight }) => weight),
      weights.map(Math.fround),
    );
    for (const { weight, density } of ofViews) if (density <= ofSource.density) t.is(weight, 0);
    heaviest.push(await heaviestOf(t, found, row, both));
  }
  t.true(heaviest.length >= 4 && heaviest.some(isView), `${heaviest}`);
});

test.serial("floored and open: where no view leads, the source has all the weight and its very answer", async (t) => {
  const expected = await session.run(fewTurned, few, setup.source);
  for (const score of [0.7, Number.NaN]) {
    const alike = flooredAndOpen({ scores: Array<number>(views + 1).fill(score) });
    const found = await look(session, setup, fewTurned, few, alike, quiet);
    t.true([...found.looks.kinds].some(isView), "views look on, so that a better one is found");
    for (let row = 0; row < few; row++) {
      t.true(near(part(found.logits, row, few), part(expected.logits, row, few)));
      t.true(near(part(found.embeddings, row, few), part(expected.embeddings, row, few), 1e-3));
      t.deepEqual(
        voices(looksOf(found, row)).filter(([, weight]) => weight !== 0),
        [[source, 1]],
      );
    }
  }
});

test.serial("with the floor switched off the source is never asked", async (t) => {
  const off = { ...setup, floor: false };
  const parameters = allAway({ open: false, floored: true, proven: false }, false);
  const found = await look(session, off, turned, rows, parameters, seedsWith(true, rows));
  t.is(found.looks.rows.length, 0);
  t.deepEqual(found.logits, found.plain);
});

test.serial("the same seeds give the same looks, and a row gets the same ones beside any others", async (t) => {
  const parameters = allAway({});
  const seeds = Uint32Array.from({ length: few }, (_, row) => 1_000 + 7 * row);
  const found = await look(session, setup, fewTurned, few, parameters, seeds);
  t.deepEqual(await look(session, setup, fewTurned, few, parameters, seeds), found);
  const order = [3, 0, 5];
  const other = chosen(order, (row) => picture(turned, row));
  const otherSeeds = Uint32Array.from(order, (row) => seeds[row] ?? 0);
  const again = await look(session, setup, other, order.length, parameters, otherSeeds);
  for (const [place, row] of order.entries()) {
    const [one, two] = [looksOf(found, row), looksOf(again, place)];
    const figures = (own: typeof one) => own.flatMap(({ weight, density }) => [weight, density]);
    t.deepEqual(kindsIn(two), kindsIn(one));
    t.true(near(figures(two), figures(one), 1e-3));
    t.true(near(part(again.logits, place, order.length), part(found.logits, row, few), 1e-3));
  }
  const different = await look(session, setup, fewTurned, few, parameters, seedsWith(true, few));
  t.notDeepEqual(different.looks.kinds, found.looks.kinds, "other seeds, other looks");
});

test.serial("looks that run at the same time give what each gives alone: they share no memory", async (t) => {
  const lookAt = (pictures: Float32Array) => look(session, setup, pictures, 3, allAway({}), quiet.slice(0, 3));
  const given = [fewTurned.slice(0, 3 * size), fewTurned.slice(3 * size)] as const;
  const alone = [await lookAt(given[0]), await lookAt(given[1])];
  t.deepEqual(await Promise.all(given.map(lookAt)), alone);
});

test.serial("(O2) a batch has a budget: rows get all their looks or one, the first of them first", async (t) => {
  const many = 40;
  const crowd = chosen([...Array(many).keys()], (row) => picture(turned, row % rows));
  const parameters = allAway({});
  const found = await look(session, setup, crowd, many, parameters, seedsWith(false, many));
  const counts = Array.from({ length: many }, (_, row) => looksOf(found, row).length);
  const wanting = counts.flatMap((_, row) => ((found.density[row] ?? 1) < setup.high ? [row] : []));
  t.true(wanting.length * views > 128, `${wanting.length}`);
  const served = Math.floor(128 / views);
  for (const [place, row] of wanting.entries()) {
    t.is(counts[row], place < served ? views + 1 : 0, `row ${row}`);
    if (place >= served) t.deepEqual(part(found.logits, row, many), part(found.plain, row, many));
  }
});

test.serial("what was looked at, folded and served opens the domain, and finds the views that undo it", async (t) => {
  const adaptation = emptyAdaptation(model);
  const serving = new AdaptedView(model, adaptation);
  const { input: many, labels: truths } = await firstDigits(300);
  const chance = seededRandom(8);
  let [plainly, answered, late] = [0, 0, 0];
  for (const [i, truth] of truths.entries()) {
    const shown = drift("rotate", 3, picture(many, i), chance);
    const parameters = { ...serving.adapted, head: calibration.head };
    const found = await look(session, setup, shown, 1, parameters, Uint32Array.of(i));
    const looks = looksOf(found, 0).map((one) => ({ ...one, answer: Float32Array.from(one.answer) }));
    const slot = argmax(found.plain);
    const density = found.density[0] ?? Number.NaN;
    const folded = foldRow(adaptation, model, { cold: false, moments: found.moments, slot, density, looks });
    if (folded !== undefined) serving.moved(folded.domain);
    if (i < 150) continue;
    late += 1;
    if (argmax(found.plain) === truth) plainly += 1;
    if (argmax(found.logits) === truth) answered += 1;
  }
  t.log(`of ${late}: ${plainly} by the plain look, ${answered} by all looks`);
  t.true(answered >= plainly + 0.05 * late, `${answered} of ${late}, ${plainly} by the plain look`);
});

test.serial("embeddings and logits have the shape of the batch, however many looks there were", async (t) => {
  const found = await look(session, setup, turned, rows, allAway({}), quiet);
  t.is(found.logits.length, rows * classes);
  t.is(found.embeddings.length, rows * width);
  t.is(found.looks.answers.length, found.looks.rows.length * classes);
  t.deepEqual(found.looks.rows, found.looks.rows.toSorted(), "in the order of their rows");
  for (const i of found.looks.rows.keys()) {
    const sum = part(found.looks.answers, i, found.looks.rows.length).reduce((total, share) => total + share, 0);
    t.true(Math.abs(sum - 1) < 1e-5);
  }
});
