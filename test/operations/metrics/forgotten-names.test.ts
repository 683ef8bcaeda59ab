// What is kept by name over the life of an observer stays bounded: models come and go, their names differ.

import test from "ava";
import { baselineDefaults } from "../../../operations/health/baseline.js";
import { Baselines, baselinesMax } from "../../../operations/health/conditions.js";
import type { Looked } from "../../../operations/metrics/looked.js";
import { QueueRoll } from "../../../operations/metrics/queue-figures.js";
import { Lives } from "../../../operations/metrics/window.js";
import { subjectsOf } from "../../../transport/subjects.js";
import { rulesIn } from "../health/figures.js";

const nothingOpen = { waiting: 0, oldestAtMs: null };

function lookAt(models: Readonly<Record<string, number>>): Looked {
  return {
    v: 1,
    streams: [],
    models: Object.entries(models).map(([name, lastSeq]) => ({
      ...{ name, stream: `updates-${name}`, lastSeq, committedSeq: 0, version: 0, applied: 0, refused: {} },
      oldestAtMs: null,
    })),
    leases: { held: 0, oldestAgeMs: null },
    deadLetters: { stream: "dlq", open: 0, oldestAtMs: null },
  };
}

test("the trend of a removed model's queue is forgotten with the model, and not while nobody can look", (t) => {
  const roll = new QueueRoll(subjectsOf("c"));
  let second = 0;
  const trendOf = (looked: Looked | undefined) => {
    second += 1;
    const cleanups = nothingOpen as Parameters<QueueRoll["figures"]>[0]["cleanups"];
    const found = { lives: new Lives(60_000), pools: [], looked, cleanups, models: [], heardSinceMs: 0 };
    return roll.figures(found, second * 1_000).find(({ where }) => where === "updates-a")?.trend;
  };
  for (let n = 0; n < 30; n += 1) trendOf(lookAt({ a: 10 * n }));
  t.is(trendOf(lookAt({ a: 300 })), "increasing");
  trendOf(undefined);
  t.is(trendOf(lookAt({ a: 320 })), "increasing", "a look that failed took nothing away");
  trendOf(lookAt({}));
  t.is(trendOf(lookAt({ a: 340 })), "stable", "a model of that name that is added again begins anew");
});

test("baselines are kept for as many things as there can be, those that nobody asks about any more go first", (t) => {
  const [rule] = rulesIn(
    ["checks:", "  - name: mine", "    severity: warning", "    when: node.loop_delay > 2x baseline", ""].join("\n"),
  ).filter(({ name }) => name === "mine");
  if (rule === undefined) return t.fail("the rule was not taken");
  const { afterMs } = baselineDefaults;
  const baselines = new Baselines();
  const see = (about: string): void => {
    for (const atMs of [0, afterMs / 2, afterMs]) baselines.take(rule, about, 7, atMs);
  };
  see("asked-about");
  see("gone");
  for (let n = 0; n < baselinesMax; n += 1) {
    see(`other-${n}`);
    baselines.take(rule, "asked-about", null, afterMs);
  }
  const kept = Object.keys(baselines.frozen());
  t.is(kept.length, baselinesMax);
  t.true(kept.some((key) => key.includes(":asked-about:")));
  t.false(kept.some((key) => key.includes(":gone:")));
});
