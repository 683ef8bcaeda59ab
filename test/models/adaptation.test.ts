// Adaptation: the fold over answered rows, and what serving is given of it.
import test from "ava";
import {
  type Adaptation,
  type AdaptationRow,
  AdaptedView,
  adaptationArrays,
  emptyAdaptation,
  foldRow,
  sourceAdapted,
  sourceParameters,
  tableRows,
  tallyOf,
} from "../../models/adaptation/adaptation.js";
import { domainsMax, normalisation, sourceNormalisation } from "../../models/adaptation/domains.js";
import { adaptationRow } from "../../models/adaptation/logged-rows.js";
import { isFloored, looksFor } from "../../models/adaptation/rollout.js";
import { kindsOf } from "../../models/adaptation/standing.js";
import { type Random, seededRandom } from "../../models/clock.js";
import type { Subject } from "../../models/manifest.js";
import { checksum, foldExperience, sourcePolicy } from "../../models/policy/policy.js";
import type { View } from "../../models/views.js";
import { answersOf, besideSource, channels, classes, smallSubject } from "./small-world.js";

const view = (name: string): View => ({ name, matrix: [1, 0, 0, 1], centred: true, inverted: false });
const views = [view("one"), view("two")];
const { source, beside, count } = kindsOf(views.length);

function withViews(stages: Partial<Subject["manifest"]["learning"]["stages"]> = {}): Subject {
  const { calibration, manifest } = smallSubject();
  const learning = { ...manifest.learning, stages: { ...manifest.learning.stages, ...stages } };
  return { calibration, manifest: { ...manifest, views, learning } };
}

const subject = withViews();

/** The first layer's means and root mean squares of home are (0.5, 0.5, 0.667, 0.667); others are `away` from there. */
function momentsAt(away: number, rest = 1): Float32Array {
  const roots = [0.667 + away, 0.667 + away];
  return Float32Array.of(0.5 + away, 0.5 + away, rest, rest, ...roots.map((root) => root * root), 2 * rest, 2 * rest);
}

function answerFor(label: number): Float32Array {
  return Float32Array.from({ length: classes }, (_, c) => (c === label ? 0.8 : 0.1));
}

const rowAt = (away: number, part: Partial<AdaptationRow> = {}): AdaptationRow => ({
  bySource: false,
  moments: momentsAt(away),
  slot: 0,
  density: 0.9,
  looks: [],
  ...part,
});

/** Any row: of some domain, some with looks of every kind. */
function anyRow(random: Random): AdaptationRow {
  const label = Math.floor(classes * random());
  const seen = Array.from({ length: count }, (_, kind) => ({
    kind,
    density: random(),
    answer: answerFor((label + kind) % classes),
  }));
  return rowAt(Math.floor(24 * random()) + 0.05 * random(), {
    slot: label,
    density: random(),
    looks: random() < 0.5 ? seen : [],
  });
}

test("(A1) the same rows in the same order give the same bits", (t) => {
  const run = () => {
    const random = seededRandom(41);
    const adaptation = emptyAdaptation(subject);
    const folded = Array.from({ length: 600 }, () => foldRow(adaptation, subject, anyRow(random)));
    return { adaptation, folded };
  };
  const [one, two] = [run(), run()];
  t.deepEqual(adaptationArrays(two.adaptation), adaptationArrays(one.adaptation));
  t.deepEqual(two.folded, one.folded);
  const tally = tallyOf(one.adaptation);
  t.is(tally.domains, domainsMax);
  t.true(tally.begun > tally.domains && tally.dropped > 0 && tally.switched > 100, JSON.stringify(tally));
});

test("a row says which domain it went to and whether it began it", (t) => {
  const adaptation = emptyAdaptation(subject);
  t.deepEqual(foldRow(adaptation, subject, rowAt(0)), { domain: 0, begun: false, ended: undefined, floor: undefined });
  t.deepEqual(foldRow(adaptation, subject, rowAt(3)), { domain: 1, begun: true, ended: undefined, floor: undefined });
  t.deepEqual(foldRow(adaptation, subject, rowAt(3.1)), {
    domain: 1,
    begun: false,
    ended: undefined,
    floor: undefined,
  });
});

test("a row says when its domain returns to the source, and when it comes back", (t) => {
  const adaptation = emptyAdaptation(subject);
  const floors: (string | undefined)[] = [];
  const fold = (ofSource: number, adapted: number, label: number) => {
    const looks = [
      { kind: source, density: ofSource, answer: answerFor(label) },
      { kind: beside, density: adapted, answer: answerFor(label) },
    ];
    floors.push(foldRow(adaptation, subject, rowAt(3, { looks }))?.floor);
  };
  for (let i = 0; i < 20; i++) fold(0.9, 0.7, i % classes);
  t.is(floors.indexOf("source"), 7, "the eighth look");
  for (let i = 0; i < 200; i++) fold(0.7, 0.9, i % classes);
  t.deepEqual(
    floors.filter((floor) => floor !== undefined),
    ["source", "adapted"],
  );
  t.deepEqual([tallyOf(adaptation).toSource, tallyOf(adaptation).fromSource, tallyOf(adaptation).floored], [1, 1, 0]);
});

test("serving compares every request of a domain until twenty-four were compared, then one in eight", (t) => {
  const adaptation = emptyAdaptation(subject);
  const serving = new AdaptedView(subject, adaptation);
  const looks = [
    { kind: source, density: 0.7, answer: answerFor(0) },
    { kind: beside, density: 0.9, answer: answerFor(0) },
  ];
  const asked = (chance: number) => looksFor(serving.adapted.plan, 2, 0.9, 0.5, true, () => chance).compared;
  for (let i = 0; i < 24; i++) {
    foldRow(adaptation, subject, rowAt(3, { looks }));
    serving.moved(1);
    t.is(asked(0.99), i < 23, `${i + 1} looks`);
  }
  t.deepEqual([asked(0.1249), asked(1 / 8)], [true, false]);
});

test("clean inputs nearly all of one label, hundreds of them, leave home's normalisation the source's, to the bit", (t) => {
  const fold = (away: number) => {
    const adaptation = emptyAdaptation(subject);
    const serving = new AdaptedView(subject, adaptation);
    const random = seededRandom(17);
    const went = new Set<number | undefined>();
    for (let i = 0; i < 600; i++) {
      // What the deeper layers say of the one label is far from what they say of all.
      const moments = momentsAt(away + 0.1 * random(), 3 + random());
      const folded = foldRow(adaptation, subject, rowAt(away, { moments, slot: i % 50 === 0 ? 1 : 0 }));
      went.add(folded?.domain);
      if (folded !== undefined) serving.folded(folded);
    }
    return { adaptation, table: serving.adapted.table, went: [...went] };
  };
  const clean = fold(0);
  t.deepEqual(clean.went, [0]);
  t.is(clean.adaptation.domains.rows[0], 600);
  t.deepEqual(
    normalisation(clean.adaptation.domains, subject.calibration, 0),
    sourceNormalisation(subject.calibration),
  );
  t.deepEqual(clean.table, sourceAdapted(subject).table, "and so serves it");
  const drifted = fold(3);
  t.deepEqual(drifted.went, [1]);
  t.notDeepEqual(
    normalisation(drifted.adaptation.domains, subject.calibration, 1),
    sourceNormalisation(subject.calibration),
    "negative control: the same rows in another domain move its normalisation",
  );
  t.notDeepEqual(drifted.table, sourceAdapted(subject).table);
});

test("a domain that begins in another's place knows nothing of its looks", (t) => {
  const adaptation = emptyAdaptation(subject);
  const looks = Array.from({ length: count }, (_, kind) => ({ kind, density: 0.2, answer: answerFor(0) }));
  for (let domain = 1; domain < domainsMax; domain++)
    for (let i = 0; i < 10; i++) foldRow(adaptation, subject, rowAt(2 * domain, { looks, density: 0.1 }));
  t.is(adaptation.standing.looks[count + 1], 10);
  t.deepEqual(foldRow(adaptation, subject, rowAt(-20)), { domain: 1, begun: true, ended: 1, floor: undefined });
  t.deepEqual([...adaptation.standing.looks.subarray(count, 2 * count)], Array(count).fill(0));
  t.true((adaptation.standing.running[1] ?? 0) > 0.9);
  t.true((adaptation.standing.running[2] ?? 1) < 0.7);
});

test("a row with a value that is not finite is left out whole: it would stay in every mean", (t) => {
  const adaptation = emptyAdaptation(subject);
  for (let i = 0; i < 5; i++) foldRow(adaptation, subject, anyRow(seededRandom(i)));
  const before = structuredClone(adaptation);
  const look = { kind: 1, density: 0.5, answer: answerFor(1) };
  const moments = momentsAt(3);
  moments[channels - 1] = Number.NaN;
  const bad: readonly AdaptationRow[] = [
    rowAt(3, { moments }),
    rowAt(3, { moments: momentsAt(Number.POSITIVE_INFINITY) }),
    rowAt(3, { density: Number.NaN }),
    rowAt(3, { density: Number.NEGATIVE_INFINITY }),
    rowAt(3, { looks: [look, { ...look, density: Number.NaN }] }),
    rowAt(3, { looks: [look, { ...look, answer: Float32Array.of(0.5, Number.NaN, 0.5) }] }),
  ];
  for (const row of bad) t.is(foldRow(adaptation, subject, row), undefined);
  t.deepEqual(adaptation, before);
  t.not(foldRow(adaptation, subject, rowAt(3, { looks: [look] })), undefined);
});

test("with moments switched off rows still find their domains and looks are still judged, but nothing is normalised anew", (t) => {
  const still = withViews({ moments: false });
  const adaptation = emptyAdaptation(still);
  const looks = [{ kind: 1, density: 0.7, answer: answerFor(1) }];
  for (let i = 0; i < 30; i++) foldRow(adaptation, still, rowAt(3, { looks, slot: i % classes }));
  t.is(adaptation.domains.rows[1], 30);
  t.is(adaptation.standing.looks[count + 1], 30);
  t.deepEqual(normalisation(adaptation.domains, still.calibration, 1), sourceNormalisation(still.calibration));
});

test("a cold row finds or begins its domain, and moves nothing else: the source's layers are no ground to normalise by", (t) => {
  const adaptation = emptyAdaptation(subject);
  const looks = [{ kind: 1, density: 0.7, answer: answerFor(1) }];
  t.deepEqual(foldRow(adaptation, subject, rowAt(3, { bySource: true, density: 0.1, looks })), {
    domain: 1,
    begun: true,
    ended: undefined,
    floor: undefined,
  });
  for (let i = 0; i < 30; i++)
    foldRow(adaptation, subject, rowAt(3, { bySource: true, density: 0.1, slot: i % classes, looks }));
  t.is(adaptation.domains.rows[1], 31);
  t.deepEqual(adaptation.standing, emptyAdaptation(subject).standing);
  t.deepEqual(normalisation(adaptation.domains, subject.calibration, 1), sourceNormalisation(subject.calibration));
  // The first warm row is the domain's first.
  foldRow(adaptation, subject, rowAt(3, { slot: 1 }));
  t.is(adaptation.domains.pooledRows[1], 1);
});

/** Every array of it, wherever it stands. */
function leavesOf(of: object): ArrayBufferView[] {
  return Object.values(of).flatMap((value) =>
    ArrayBuffer.isView(value) ? [value] : typeof value === "object" && value !== null ? leavesOf(value) : [],
  );
}

test("the arrays are all of its state: a change of any of them changes the policy's checksum", (t) => {
  const policy = sourcePolicy(subject);
  const leaves = leavesOf(policy.adaptation);
  t.deepEqual(new Set(Object.values(adaptationArrays(policy.adaptation))), new Set(leaves));
  const untouched = checksum(policy);
  const seen = new Set([untouched]);
  for (const leaf of leaves) {
    const bytes = new Uint8Array(leaf.buffer, leaf.byteOffset, leaf.byteLength);
    for (const place of [0, bytes.length - 1]) {
      bytes[place] = (bytes[place] ?? 0) ^ 1;
      seen.add(checksum(policy));
      bytes[place] = (bytes[place] ?? 0) ^ 1;
    }
  }
  t.is(seen.size, 1 + 2 * leaves.length);
  t.is(checksum(policy), untouched);
});

test("the policy's fold of a record is this fold of its rows, looks and all", (t) => {
  const plainSubject = smallSubject();
  const record = besideSource(answersOf(plainSubject, [0, 1, 2, 1, 0, 2, 2, 1], seededRandom(3)));
  const policy = sourcePolicy(plainSubject);
  foldExperience(policy, 1, record, plainSubject);
  const own = emptyAdaptation(plainSubject);
  for (const index of record.ids.keys()) foldRow(own, plainSubject, adaptationRow(record, index));
  t.deepEqual(policy.adaptation, own);
  t.deepEqual(
    adaptationRow(record, 3).looks.map(({ kind, answer }) => [kind, [...answer]]),
    [
      [1, [1, 0, 0]],
      [2, [1, 0, 0]],
    ],
  );
});

test("at the source every row of the table is the source's, no domain is near, and nobody gets a second look", (t) => {
  const { signatures, limits, table, plan } = sourceAdapted(subject);
  const { scale, shift } = sourceNormalisation(subject.calibration);
  t.is(table.length, tableRows * 2 * channels);
  for (let row = 0; row < tableRows; row++)
    t.deepEqual([...table.subarray(row * 2 * channels, (row + 1) * 2 * channels)], [...scale, ...shift]);
  t.true(signatures.every((value) => value === 0) && limits.every((limit) => limit < -1e20));
  for (let row = 0; row < tableRows; row++) {
    t.false(isFloored(plan, row));
    t.deepEqual(
      looksFor(plan, row, 0, 1, true, () => 0.5),
      { views: [], compared: false },
    );
  }
  t.is(sourceParameters(subject).head, subject.calibration.head);
});

function folding(rows: readonly AdaptationRow[]): { adaptation: Adaptation; view: AdaptedView } {
  const adaptation = emptyAdaptation(subject);
  const serving = new AdaptedView(subject, adaptation);
  for (const row of rows) {
    const folded = foldRow(adaptation, subject, row);
    if (folded !== undefined) serving.folded(folded);
  }
  return { adaptation, view: serving };
}

const anyRows = (total: number, seed: number): AdaptationRow[] => {
  const random = seededRandom(seed);
  return Array.from({ length: total }, () => anyRow(random));
};

test("a view that was kept up to date gives what one made anew gives, domain after domain", (t) => {
  const adaptation = emptyAdaptation(subject);
  const serving = new AdaptedView(subject, adaptation);
  for (const row of anyRows(120, 7)) {
    const folded = foldRow(adaptation, subject, row);
    if (folded !== undefined) serving.folded(folded);
    t.deepEqual(serving.adapted, new AdaptedView(subject, adaptation).adapted);
  }
});

test("a domain has its signature, half its square and its normalisation; where none is, none is near", (t) => {
  const { adaptation, view: serving } = folding(Array.from({ length: 20 }, (_, i) => rowAt(3, { slot: i % classes })));
  const { signatures, limits, table } = serving.adapted;
  const { size } = subject.calibration.signature;
  let square = 0;
  for (let s = 0; s < size; s++) {
    const value = adaptation.domains.signatures[size + s] ?? Number.NaN;
    t.is(signatures[s * domainsMax + 1], value);
    t.is(signatures[s * domainsMax], 0, "home");
    square += value * value;
  }
  t.true(Math.abs((limits[1] ?? 0) + square / 2) < 1e-4);
  t.is(Math.abs(limits[0] ?? 1), 0);
  t.true((limits[2] ?? 0) < -1e20);
  const { scale, shift } = normalisation(adaptation.domains, subject.calibration, 1);
  t.deepEqual([...table.subarray(2 * 2 * channels, 3 * 2 * channels)], [...scale, ...shift]);
  const known = sourceAdapted(subject).table;
  t.deepEqual(
    table.subarray(0, 2 * 2 * channels),
    known.subarray(0, 2 * 2 * channels),
    "home and nowhere: the source's",
  );
  t.notDeepEqual(table, known);
});

test("(A2) what was given never changes: the next one is another object, and without a move it is the same", (t) => {
  const { adaptation, view: serving } = folding(anyRows(40, 9));
  const given = serving.adapted;
  t.is(serving.adapted, given);
  const copy = structuredClone(given);
  for (const row of anyRows(60, 10)) {
    const folded = foldRow(adaptation, subject, row);
    if (folded !== undefined) serving.folded(folded);
    t.not(serving.adapted, given);
  }
  t.deepEqual(given, copy);
  t.notDeepEqual(serving.adapted, copy);
});

test("only domains that moved are computed anew", (t) => {
  const { adaptation, view: serving } = folding(anyRows(80, 11));
  const before = serving.adapted;
  const row = (of: Float32Array, domain: number) => [
    ...of.subarray((domain + 1) * 2 * channels, (domain + 2) * 2 * channels),
  ];
  // What nobody was told of stays unseen: domain 2 is not looked at because domain 1 moved.
  for (const domain of [1, 2])
    adaptation.domains.pooledShifts.fill(5, domain * 2 * channels, (domain + 1) * 2 * channels);
  serving.moved(1);
  const after = serving.adapted;
  t.notDeepEqual(row(after.table, 1), row(before.table, 1));
  for (let domain = 2; domain < domainsMax; domain++) t.deepEqual(row(after.table, domain), row(before.table, domain));
  serving.moved(2);
  t.notDeepEqual(row(serving.adapted.table, 2), row(before.table, 2));
});

test("a stage that is switched off is not served: views never look, the floor never answers, normalisation stays", (t) => {
  const off = withViews({ moments: false, views: false, floor: false });
  const looks = Array.from({ length: count }, (_, kind) => ({
    kind,
    density: kind === source ? 0.9 : 0.1,
    answer: answerFor(0),
  }));
  const adaptations = [subject, off].map((each) => {
    const adaptation = emptyAdaptation(each);
    for (let i = 0; i < 30; i++) foldRow(adaptation, each, rowAt(3, { looks, density: 0.1 }));
    return new AdaptedView(each, adaptation).adapted;
  });
  const [on, still] = adaptations;
  if (on === undefined || still === undefined) return t.fail();
  const never = () => 0.99;
  t.deepEqual(looksFor(on.plan, 2, 0.1, 1, true, never), { views: [1, 2], compared: false });
  t.deepEqual(looksFor(still.plan, 2, 0.1, 1, true, never), { views: [], compared: false });
  t.deepEqual(still.table, sourceAdapted(off).table);
});
