// Every alert is explained: in a line with the message, and at length in docs/alerts.md.

import { readFile } from "node:fs/promises";
import test from "ava";
import { guidedAlerts, guideOf } from "../../../operations/alerts/alert-guide.js";
import { checkAlerts, eventRules, inhibitions } from "../../../operations/alerts/alert-rules.js";

const names = [...new Set([...eventRules.map(({ name }) => name), ...checkAlerts])].sort();

test("every alert has a line of advice, and no advice is about an alert that is none", (t) => {
  t.deepEqual([...guidedAlerts].sort(), names);
  for (const name of names) t.true((guideOf(name)?.advice ?? "").length > 0, name);
  for (const { cause, explains } of inhibitions)
    for (const name of [cause, ...explains]) t.true(names.includes(name), name);
});

test("docs/alerts.md explains every alert by name: what it means, why, what to do, when it is over", async (t) => {
  const text = await readFile("docs/alerts.md", "utf8");
  const sections = new Map(
    text
      .split("\n### `")
      .slice(1)
      .map((section) => [section.split("`")[0], section]),
  );
  t.deepEqual([...sections.keys()].sort(), names);
  for (const [name, section] of sections)
    for (const part of ["- Why: ", "- What to do: ", "- Over: "]) t.true(section.includes(part), `${name}: ${part}`);
});
