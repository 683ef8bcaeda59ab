// What serving is given of an adaptation: only where a bit changed, and then every bit.
import test from "ava";
import { type AdaptationRow, AdaptedView, emptyAdaptation, foldRow } from "../../models/adaptation/adaptation.js";
import { kindsOf } from "../../models/adaptation/standing.js";
import { type Random, seededRandom } from "../../models/clock.js";
import type { Subject } from "../../models/manifest.js";
import type { View } from "../../models/views.js";
import { classes, smallSubject } from "./small-world.js";

const view = (name: string): View => ({ name, matrix: [1, 0, 0, 1], centred: true, inverted: false });
const views = [view("one"), view("two")];
const { count } = kindsOf(views.length);
const small = smallSubject();
const subject: Subject = { calibration: small.calibration, manifest: { ...small.manifest, views } };

/** The first layer's means and root mean squares of home are (0.5, 0.5, 0.667, 0.667); others are `away` from there. */
function rowAt(away: number, part: Partial<AdaptationRow> = {}): AdaptationRow {
  const root = 0.667 + away;
  const moments = Float32Array.of(0.5 + away, 0.5 + away, 1, 1, root * root, root * root, 2, 2);
  return { cold: false, moments, slot: 0, density: 0.9, looks: [], ...part };
}

/** Of home, or of one of two other domains; every other one with looks of every kind. */
function anyRow(random: Random): AdaptationRow {
  const answer = (): Float32Array => {
    const shares = Float32Array.from({ length: classes }, () => random());
    const sum = shares.reduce((all, share) => all + share, 0);
    return shares.map((share) => share / sum);
  };
  const looks = Array.from({ length: count }, (_, kind) => ({ kind, density: random(), answer: answer() }));
  const away = [0, 0, 3, 6][Math.floor(4 * random())] ?? 0;
  const slot = Math.floor(classes * random());
  return rowAt(away, { slot, cold: random() < 0.1, density: random(), looks: random() < 0.5 ? looks : [] });
}

test("what serving is given follows from the adaptation, to the bit, however often it was asked for on the way", (t) => {
  for (const seed of [1, 2, 3]) {
    const random = seededRandom(seed);
    const adaptation = emptyAdaptation(subject);
    const serving = new AdaptedView(subject, adaptation);
    for (let i = 0; i < 400; i++) {
      const row = anyRow(random);
      const folded = foldRow(adaptation, subject, row);
      if (folded !== undefined) serving.moved(folded.domain, folded.begun || row.looks.length > 0);
      if (random() < 0.3) t.deepEqual(serving.adapted, new AdaptedView(subject, adaptation).adapted);
    }
  }
});

test("rows at home that change no bit of it leave serving what it has; what it was given before never changes", (t) => {
  const adaptation = emptyAdaptation(subject);
  const serving = new AdaptedView(subject, adaptation);
  const fold = (row: AdaptationRow): void => {
    const folded = foldRow(adaptation, subject, row);
    if (folded !== undefined) serving.moved(folded.domain, folded.begun || row.looks.length > 0);
  };
  fold(rowAt(0));
  const first = serving.adapted;
  for (let i = 0; i < 20; i++) fold(rowAt(0, { density: 0.95 }));
  t.is(serving.adapted, first);
  const before = structuredClone(first);
  fold(rowAt(3));
  t.not(serving.adapted, first);
  t.deepEqual(first, before);
});
