// Looking: who gets how many looks, and what becomes of them.
import test from "ava";
import { AdaptedView, emptyAdaptation, foldRow, sourceParameters } from "../../models/adaptation/adaptation.js";
import { weigh } from "../../models/adaptation/rollout.js";
import { plain } from "../../models/adaptation/standing.js";
import { seededRandom } from "../../models/clock.js";
import { argmax, softmax } from "../../models/numbers/softmax.js";
import { look, oneLook } from "../../models/serving/looking.js";
import { drift } from "../../sim/drift.js";
import { chosen, firstDigits } from "./digits-model.js";

import {
  allAway,
  alone,
  away,
  calibration,
  classes,
  everyRow,
  few,
  fewTurned,
  heaviestOf,
  input,
  kindsIn,
  looksOf,
  model,
  near,
  part,
  picture,
  quiet,
  rows,
  seedsWith,
  session,
  setup,
  size,
  turned,
  views,
  voices,
  width,
} from "./looked-digits.js";

test.after.always(() => session.close());

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
    const folded = foldRow(adaptation, model, { bySource: false, moments: found.moments, slot, density, looks });
    if (folded !== undefined) serving.folded(folded);
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
