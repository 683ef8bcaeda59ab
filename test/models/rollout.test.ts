// Who gets more looks and what they weigh: decisions by hand, chance given.
import test from "ava";
import {
  closedPlan,
  isFloored,
  type LookPlan,
  looksFor,
  mayLookAgain,
  plan,
  weigh,
} from "../../models/adaptation/rollout.js";
import type { DomainStanding } from "../../models/adaptation/standing.js";

const views = 4;
const high = 0.9;

/** Rows of the table: inputs of no known domain, home, and the first domain that has a normalisation of its own. */
const [nowhere, home, away] = [0, 1, 2];

/** One row of a plan of four rows. */
function planOf(standing: Partial<DomainStanding>, floor = true, row = away): LookPlan {
  const into = closedPlan(4, views);
  plan(
    into,
    row,
    { open: false, surveyed: false, best: [], scores: [0, 0, 0, 0, 0], floored: false, proven: true, ...standing },
    floor,
  );
  return into;
}

/** Gives these numbers in turn, and throws where more are asked for. */
function chances(...left: number[]): () => number {
  return () => {
    const next = left.shift();
    if (next === undefined) throw new Error("more chance was asked for than expected");
    return next;
  };
}

/** No source, no survey. */
const neither = () => chances(0.5, 0.5);
const all = [1, 2, 3, 4];

test("(L2) the gate is closed for a domain as dense as clean ones: one look, and the source beside it one time in eight", (t) => {
  t.deepEqual(looksFor(planOf({ open: false }), away, 0.1, high, true, neither()), { views: [], compared: false });
  t.deepEqual(looksFor(planOf({ open: false }), away, 0.1, high, true, chances(0.1249, 0)), {
    views: [],
    compared: true,
  });
  t.deepEqual(looksFor(planOf({ open: false }), away, 0.1, high, true, chances(1 / 8, 0)), {
    views: [],
    compared: false,
  });
});

test("(L2) a request dense enough of its own gets one look in an open domain, too", (t) => {
  const open = planOf({ open: true });
  t.deepEqual(looksFor(open, away, high, high, true, neither()), { views: [], compared: false });
  t.deepEqual(looksFor(open, away, high - 1e-6, high, true, neither()), { views: all, compared: false });
});

test("an input of no known domain gets one look, whatever stands in its row", (t) => {
  const known = planOf({ open: true, floored: true, proven: false }, true, nowhere);
  t.deepEqual(looksFor(known, nowhere, 0.1, high, true, chances(0, 0)), { views: [], compared: false });
});

test("open and not yet surveyed: every view looks", (t) => {
  t.deepEqual(looksFor(planOf({ open: true, best: [2] }), away, 0.5, high, true, neither()).views, all);
});

test("surveyed: the best two look, and once in ten all do", (t) => {
  const known = planOf({ open: true, surveyed: true, best: [3, 1] });
  t.deepEqual(looksFor(known, away, 0.5, high, true, chances(0.5, 0.1)).views, [3, 1]);
  t.deepEqual(looksFor(known, away, 0.5, high, true, chances(0.5, 0.0999)).views, all);
  const one = planOf({ open: true, surveyed: true, best: [4] });
  t.deepEqual(looksFor(one, away, 0.5, high, true, neither()).views, [4]);
});

test("a floored domain is answered by the source, and compared as often as others", (t) => {
  const known = planOf({ floored: true });
  t.true(isFloored(known, away));
  t.false(isFloored(known, away + 1));
  t.deepEqual(looksFor(known, away, 0.95, high, true, neither()), { views: [], compared: false });
  t.deepEqual(looksFor(known, away, 0.95, high, true, chances(0.1249, 0.5)), { views: [], compared: true });
  const unproven = planOf({ floored: true, proven: false });
  t.deepEqual(looksFor(unproven, away, 0.95, high, true, neither()), { views: [], compared: true });
});

test("no floor is laid at home or where no domain is known: the source answers there anyway", (t) => {
  for (const row of [nowhere, home]) t.false(isFloored(planOf({ floored: true }, true, row), row));
});

test("until the source has been compared often enough, every request of a domain is compared with it", (t) => {
  const always = () => chances(0.999, 0.999);
  const unproven = planOf({ proven: false });
  t.deepEqual(looksFor(unproven, away, 0.1, high, true, always()), { views: [], compared: true });
  t.deepEqual(looksFor(unproven, away, 0.95, high, true, always()), { views: [], compared: true }, "dense or not");
  t.false(isFloored(unproven, away), "compared is not answered");
  t.deepEqual(
    looksFor(planOf({}), away, 0.1, high, true, always()),
    { views: [], compared: false },
    "negative control",
  );
  t.deepEqual(
    looksFor(planOf({ proven: false, open: true }), away, 0.1, high, true, always()),
    { views: all, compared: true },
    "beside the views",
  );
});

test("at home and where no domain is known the source is never compared: the normalisation there is its own", (t) => {
  const asked = (row: number) =>
    [{}, { proven: false }, { floored: true }, { floored: true, proven: false, open: true }].map(
      (standing) => looksFor(planOf(standing, true, row), row, 0.1, high, true, chances(0, 0.5)).compared,
    );
  t.deepEqual(asked(nowhere), [false, false, false, false]);
  t.deepEqual(asked(home), [false, false, false, false]);
  t.deepEqual(asked(away), [true, true, true, true], "negative control: every other domain is");
  t.deepEqual(asked(away + 1), [true, true, true, true]);
});

test("home is looked at through views like every other domain", (t) => {
  const open = planOf({ open: true }, true, home);
  t.deepEqual(looksFor(open, home, 0.5, high, true, neither()), { views: all, compared: false });
});

test("with the floor switched off there is no source and nothing is floored, however little it has been compared", (t) => {
  const known = planOf({ floored: true, open: true, proven: false }, false);
  t.false(isFloored(known, away));
  t.deepEqual(looksFor(known, away, 0.5, high, false, chances(0, 0.5)), { views: all, compared: false });
});

test("as much chance is drawn for one look as for many: what a request gets does not depend on its domain's state", (t) => {
  const drawn = (known: LookPlan, row: number, density: number, floor: boolean): number => {
    let count = 0;
    looksFor(known, row, density, high, floor, () => {
      count += 1;
      return 0.5;
    });
    return count;
  };
  const plans = [
    planOf({}),
    planOf({ open: true }),
    planOf({ open: true, surveyed: true, best: [1] }),
    planOf({ floored: true }),
    planOf({ proven: false }),
  ];
  for (const known of plans)
    for (const row of [nowhere, home, away])
      for (const density of [0.1, 0.95]) for (const floor of [true, false]) t.is(drawn(known, row, density, floor), 2);
});

test("a row that may not look again gets no look whatever chance says, and one that may gets some by some chance", (t) => {
  const flags = [false, true] as const;
  let never = 0;
  for (const open of flags)
    for (const surveyed of flags)
      for (const floored of flags)
        for (const proven of flags)
          for (const floor of flags)
            for (const row of [nowhere, home, away])
              for (const density of [high - 0.1, high, high + 0.1, Number.NaN]) {
                const known = planOf({ open, surveyed, best: [2], floored, proven }, floor, row);
                const by = (source: number, survey: number) => {
                  const looks = looksFor(known, row, density, high, floor, chances(source, survey));
                  return looks.compared || looks.views.length > 0;
                };
                const byChance = [by(0, 0), by(0, 0.9), by(0.9, 0), by(0.9, 0.9)];
                t.is(mayLookAgain(known, row, density, high, floor), byChance.includes(true));
                if (!byChance.includes(true)) never += 1;
              }
  t.true(never > 0);
});

test("a domain written anew keeps nothing of what stood there", (t) => {
  const known = planOf({ open: true, surveyed: true, best: [3, 1], floored: true, proven: false });
  const anew = { open: true, surveyed: true, best: [2], scores: [0, 0, 0, 0, 0], floored: false, proven: true };
  plan(known, away, anew, true);
  t.false(isFloored(known, away));
  t.deepEqual(looksFor(known, away, 0.5, high, true, neither()), { views: [2], compared: false });
});

/** Plain .80; view 1 leads by .03, view 2 by .01, view 3 is hardly seen, view 4 leads by .06. */
const scored = planOf({ open: true, scores: [0.8, 0.83, 0.81, Number.NaN, 0.86] });
const rounded = (weights: readonly number[]): number[] => weights.map((weight) => Number(weight.toFixed(6)));

test("one look alone has the whole weight", (t) => {
  t.deepEqual(weigh(scored, away, [{ kind: 0, density: 0.5 }]), [1]);
});

test("weights are exp((k + 2 lead) / 0.015), in shares: by hand", (t) => {
  // Plain k = 0.7; view 1 at 0.71 with lead 0.03: 0.07 / 0.015 = 4.6667 ahead. View 4 at 0.702 with lead 0.06: 0.122 / 0.015 = 8.1333 ahead.
  const [one, four] = [Math.exp(0.07 / 0.015), Math.exp(0.122 / 0.015)];
  const sum = 1 + one + four;
  const found = weigh(scored, away, [
    { kind: 0, density: 0.7 },
    { kind: 1, density: 0.71 },
    { kind: 4, density: 0.702 },
  ]);
  for (const [i, expected] of [1 / sum, one / sum, four / sum].entries())
    t.true(Math.abs((found[i] ?? 0) - expected) < 1e-4, `${found} instead of ${expected}`);
  t.true(Math.abs(found.reduce((total, weight) => total + weight, 0) - 1) < 1e-12);
});

test("a view votes only with a known lead above .02, and only where this input lies denser in it", (t) => {
  const found = weigh(scored, away, [
    { kind: 0, density: 0.7 },
    { kind: 1, density: 0.7 },
    { kind: 2, density: 0.99 },
    { kind: 3, density: 0.99 },
    { kind: 4, density: 0.69 },
  ]);
  t.deepEqual(found, [1, 0, 0, 0, 0], "equally dense, no lead, unknown, less dense");
});

test("where the plain look's own score is unknown, no view votes", (t) => {
  const unknown = planOf({ scores: [Number.NaN, 0.9, 0.9, 0.9, 0.9] });
  t.deepEqual(
    weigh(unknown, away, [
      { kind: 0, density: 0.1 },
      { kind: 1, density: 0.9 },
    ]),
    [1, 0],
  );
});

test("(L1) weights follow the looks, whatever their order, and the densest does not overflow", (t) => {
  const seen = [
    { kind: 4, density: 0.75 },
    { kind: 0, density: 0.7 },
    { kind: 1, density: 0.72 },
  ];
  const one = weigh(scored, away, seen);
  const other = weigh(scored, away, seen.toReversed());
  t.deepEqual(rounded(other.toReversed()), rounded(one));
  const far = weigh(scored, away, [
    { kind: 0, density: -1 },
    { kind: 1, density: 30 },
  ]);
  t.deepEqual(far, [0, 1]);
});
