// What serving is given of an adaptation: only where a bit changed, and then every bit.
import test from "ava";
import {
  type Adaptation,
  type AdaptationRow,
  AdaptedView,
  emptyAdaptation,
  type Folded,
  foldRow,
} from "../../models/adaptation/adaptation.js";
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
  return { bySource: false, moments, slot: 0, density: 0.9, looks: [], ...part };
}

function fold(serving: AdaptedView, adaptation: Adaptation, row: AdaptationRow): Folded | undefined {
  const folded = foldRow(adaptation, subject, row);
  if (folded !== undefined) serving.folded(folded, row.looks.length > 0);
  return folded;
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
  return rowAt(away, { slot, bySource: random() < 0.1, density: random(), looks: random() < 0.5 ? looks : [] });
}

test("what serving is given follows from the adaptation, to the bit, however often it was asked for on the way", (t) => {
  for (const seed of [1, 2, 3]) {
    const random = seededRandom(seed);
    const adaptation = emptyAdaptation(subject);
    const serving = new AdaptedView(subject, adaptation);
    for (let i = 0; i < 400; i++) {
      fold(serving, adaptation, anyRow(random));
      if (random() < 0.3) t.deepEqual(serving.adapted, new AdaptedView(subject, adaptation).adapted);
    }
  }
});

test("rows at home that change no bit of it leave serving what it has; what it was given before never changes", (t) => {
  const adaptation = emptyAdaptation(subject);
  const serving = new AdaptedView(subject, adaptation);
  fold(serving, adaptation, rowAt(0));
  const first = serving.adapted;
  for (let i = 0; i < 20; i++) fold(serving, adaptation, rowAt(0, { density: 0.95 }));
  t.is(serving.adapted, first);
  const before = structuredClone(first);
  fold(serving, adaptation, rowAt(3));
  t.not(serving.adapted, first);
  t.deepEqual(first, before);
});

test("a domain that came home is served as if it had never begun (M5)", (t) => {
  const adaptation = emptyAdaptation(subject);
  const serving = new AdaptedView(subject, adaptation);
  const before = structuredClone(serving.adapted);
  let away = 0.25;
  t.like(fold(serving, adaptation, rowAt(away, { density: 0.2 })), { domain: 1, begun: true });
  t.notDeepEqual(serving.adapted, before);
  for (let rows = 1; rows < 50; rows++) {
    const near = 0.52 * away;
    const folded = fold(serving, adaptation, rowAt(near));
    if (folded?.ended !== undefined) break;
    away += Math.max(1 / (rows + 1), 0.02) * (near - away);
  }
  t.is(adaptation.domains.rows[1], 0, "it has ended");
  t.deepEqual(serving.adapted, before);
  t.deepEqual(new AdaptedView(subject, adaptation).adapted, before);
});
