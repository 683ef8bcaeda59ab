// Looking where the source does better, or is asked whether it does.
import test from "ava";
import type { AdaptableSession, Parameters } from "../../models/adaptation/pass.js";
import { weigh } from "../../models/adaptation/rollout.js";
import { type DomainStanding, plain } from "../../models/adaptation/standing.js";
import { argmax, softmax } from "../../models/numbers/softmax.js";
import { look } from "../../models/serving/looking.js";
import { openSession } from "../../models/serving/onnx-session.js";

import {
  allAway,
  allIn,
  alone,
  away,
  beside,
  calibration,
  everyRow,
  few,
  fewTurned,
  heaviestOf,
  home,
  input,
  isView,
  kindsIn,
  labels,
  looksOf,
  model,
  near,
  nowhere,
  part,
  quiet,
  rows,
  seedsWith,
  session,
  setup,
  source,
  sourceWith,
  turned,
  views,
  voices,
} from "./looked-digits.js";

test.after.always(() => session.close());

/** Floored, where the adapted model is another one: what it says must not be what is answered. */
function flooredApart(): Parameters {
  const floored = allAway({ open: false, floored: true });
  return { ...floored, table: floored.table.map((v) => 1.2 * v), head: calibration.head.map((v) => -v) };
}

test.serial(
  "a floored domain is answered by the source in one pass, of which nothing but the answer is kept",
  async (t) => {
    const adapted = flooredApart();
    let passes = 0;
    const counting: AdaptableSession = {
      ...session,
      run: (...asked) => {
        passes += 1;
        return session.run(...asked);
      },
    };
    const found = await look(counting, setup, input, rows, adapted, quiet);
    t.is(passes, 1);
    const expected = await session.run(input, rows, setup.source);
    t.deepEqual(found.embeddings, expected.embeddings);
    t.true(near([...found.logits], [...expected.logits]));
    for (const row of everyRow) t.is(argmax(Float32Array.from(part(found.logits, row))), labels[row] ?? -1);
    t.deepEqual(found.plain, found.logits);
    t.deepEqual([...found.bySource], Array(rows).fill(1));
    t.is(found.looks.rows.length, 0);
    const control = await look(session, setup, input, rows, { ...adapted, plan: allAway({ open: false }).plan }, quiet);
    t.false(
      near([...control.logits], [...expected.logits], 1),
      "negative control: not floored, the adapted model answers",
    );
    t.deepEqual([...control.bySource], Array(rows).fill(0));
  },
);

test.serial(
  "compared, a floored domain is still answered by the source; the adapted look stays beside, without weight",
  async (t) => {
    const adapted = flooredApart();
    const found = await look(session, setup, input, rows, adapted, seedsWith(true, rows));
    const original = await openSession(model.sourceBytes);
    const expected = await original.run(input, rows);
    await original.close();
    const { embeddings } = await session.run(input, rows, setup.source);
    for (let row = 0; row < rows; row++) {
      t.true(near(part(found.logits, row), part(expected, row)));
      t.is(argmax(Float32Array.from(part(found.logits, row))), labels[row] ?? -1);
      t.true(near(part(found.embeddings, row), part(embeddings, row), 1e-3));
      const own = looksOf(found, row);
      t.deepEqual(voices(own), sourceWith(1));
      t.true(near(own[1]?.answer ?? [], [...softmax(Float32Array.from(part(found.plain, row)))]));
    }
    t.true(part(found.plain, 0).some((logit, c) => Math.abs(logit - (part(found.logits, 0)[c] ?? 0)) > 1));
    t.deepEqual([...found.bySource], Array(rows).fill(0));
    const plainly = await session.run(input, rows, adapted);
    t.deepEqual(
      [found.plain, found.moments, found.density],
      [plainly.logits, plainly.moments, plainly.density],
      "what the log holds is the plain look's",
    );
  },
);

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
