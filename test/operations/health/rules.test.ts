// The grammar of the operations file: what is taken, and where and why the rest is refused.
import { readFile } from "node:fs/promises";
import test from "ava";
import fc from "fast-check";
import { z } from "zod";
import { builtInRules, builtInRulesText } from "../../../operations/health/default-rules.js";
import { parseCondition } from "../../../operations/health/expression.js";
import { measureNames } from "../../../operations/health/measures.js";
import { nearestName } from "../../../operations/health/nearest-name.js";
import { problemLine, readOperations } from "../../../operations/health/operations-file.js";
import type { Rule } from "../../../operations/health/rules.js";
import { rulesIn } from "./figures.js";

function linesOf(text: string): readonly string[] {
  const read = readOperations(text, z.strictObject({ slack: z.strictObject({ webhook: z.string() }).optional() }));
  return read.kind === "ok" ? [] : read.problems.map((problem) => problemLine("ops.yaml", problem));
}

function own(text: string): readonly Rule[] {
  return rulesIn(text).filter(({ name }) => name === "mine");
}

const entry = (...lines: readonly string[]) =>
  ["checks:", "  - name: mine", "    severity: warning", ...lines.map((line) => `    ${line}`), ""].join("\n");

test("a rule says measure, comparison, level with unit, and times (S1-37)", (t) => {
  const [rule] = own(
    entry(
      "when: node.loop_delay >= 1.5s and node.heartbeat_age < 3s",
      "for: 5m",
      "clear: < 800ms",
      "keep_firing_for: 30s",
      "alert: my_alert",
      'recommend: "{about} at {value}"',
      "about: [serving-1, serving-2]",
    ),
  );
  t.deepEqual(rule, {
    name: "mine",
    severity: "warning",
    condition: {
      lead: { measure: "node.loop_delay", operator: ">=", level: { kind: "number", value: 1_500 } },
      others: [{ measure: "node.heartbeat_age", operator: "<", level: { kind: "number", value: 3_000 } }],
    },
    when: "node.loop_delay >= 1.5s and node.heartbeat_age < 3s",
    forMs: 300_000,
    clear: { operator: "<", value: 800 },
    keepFiringMs: 30_000,
    minSamples: 1,
    alert: "my_alert",
    recommend: "{about} at {value}",
    about: ["serving-1", "serving-2"],
    baseline: { overMs: 3_600_000, afterMs: 600_000 },
  });
});

test("levels are written in the unit of their measure", (t) => {
  const level = (when: string) => {
    const parsed = parseCondition(when);
    return parsed.kind === "ok" ? parsed.value.lead.level : parsed.message;
  };
  t.deepEqual(level("pool.utilization > 95 %"), { kind: "number", value: 95 });
  t.deepEqual(level("pool.utilization>95"), { kind: "number", value: 95 });
  t.deepEqual(level("node.rss > 1.5GiB"), { kind: "number", value: 1.5 * 2 ** 30 });
  t.deepEqual(level("model.kl > 0.2 nats"), { kind: "number", value: 0.2 });
  t.deepEqual(level("model.kl > klAlert"), { kind: "kl_alert" });
  t.deepEqual(level("restarts.nodes > 5/m"), { kind: "number", value: 5 });
  t.deepEqual(level("accuracy.gain < -2 points"), { kind: "number", value: -2 });
  t.deepEqual(level("queue.trend == increasing"), { kind: "number", value: 1 });
  t.deepEqual(level("job.duration_p95 > 2.5x baseline"), { kind: "baseline", factor: 2.5 });
  t.is(level("node.rss > 5"), '"5" is no level here: write 512MiB or 2GiB');
  t.is(level("node.loop_delay > 5"), '"5" is no level here: write 200ms or 5s');
  t.is(level("queue.trend == up"), '"up" is no level here: write increasing, stable or decreasing');
  t.is(level("pool.queue_depth > klAlert"), "klAlert is a limit in nats: compare model.kl with it");
});

const refusals: readonly (readonly [string, string, string])[] = [
  [
    "an unknown measure, with the nearest one",
    "when: pool.utilisation > 95",
    'ops.yaml:4:11: when: unknown measure "pool.utilisation"; did you mean pool.utilization?',
  ],
  [
    "a second comparison that is missing",
    'when: "update.rate == 0 and"',
    "ops.yaml:4:32: when: a comparison is missing here: write one like pool.utilization > 95",
  ],
  [
    "a second comparison that is wrong, at its own column",
    "when: update.rate == 0 and update.queu > 0",
    'ops.yaml:4:32: when: unknown measure "update.queu"; did you mean update.queue?',
  ],
  ["no operator", "when: update.rate is 0", 'ops.yaml:4:23: when: "is" is no operator: write one of != < <= == > >='],
  [
    "a level that cannot be reached",
    "when: pool.utilization > 950",
    "ops.yaml:4:11: when: pool.utilization lies between 0 and 100, so it never comes to 950",
  ],
  ["an empty condition", 'when: ""', "ops.yaml:4:11: when: too small: expected string to have >=1 characters"],
];
for (const [what, line, said] of refusals)
  test(`a bad expression is refused with line and column: ${what} (S1-37)`, (t) => {
    t.deepEqual(linesOf(entry(line)), [said]);
  });

test("every other mistake has its line and column, and one mistake does not hide the next (S1-37)", (t) => {
  const text = [
    "checks:",
    "  - name: one",
    "    severity: warnin",
    "    when: update.rate == 0",
    "  - name: two words",
    "    severity: info",
    "    when: pool.utilization > 95",
    "    for: 5x",
    "    keep_firing_for: 5 minutes",
    '    clear: "> 90"',
    "    min_samples: 3",
    "    alert: told",
    '    recommend: "{tow} and {to}"',
    "  - name: three",
    "    severity: warning",
    "    when: update.rate == 0",
    '    recommend: "use {to}"',
    "    alrt: x",
    "  - name: four",
    "    severity: warning",
    "    when: update.rate == 0",
    '    recommend: "use {to}"',
    "    baseline: {over: 1h}",
    "  - name: four",
    "    severity: warning",
    "    when: update.rate == 0",
    "notify:",
    "  slak: {}",
    "",
  ].join("\n");
  t.deepEqual(
    linesOf(text.replace(/notify[\s\S]*/, "")).map((line) => line.replace("ops.yaml:", "")),
    [
      "3:15: severity: has to be critical, warning or info",
      '5:11: name: use 1 to 32 letters, digits, "-" or "_"',
      '8:10: for: "5x" is not a duration: write a number and a unit, as in 90s, 2m or 8h',
      '9:22: keep_firing_for: "5 minutes" is not a duration: write a number and a unit, as in 90s, 2m or 8h',
      '10:13: clear: "> 90" looks the same way as the rule: after > write <',
      "11:18: min_samples: pool.utilization is read, not counted over samples: leave it out",
      "12:12: alert: an info check notifies nobody: leave it out, or make the rule a warning",
      "13:17: recommend: unknown placeholder {tow}; did you mean to?",
      '18:5: unknown field "alrt"; did you mean alert?',
      "22:21: recommend: {to} is a number of slots: it goes with a measure of a pool",
      "23:15: baseline: goes with a level like 2x baseline in when",
      '24:11: name: "four (warning)" is there already: one rule for each name and severity, so merge the two',
    ],
  );
  t.deepEqual(linesOf(text.slice(text.indexOf("notify"))), ['ops.yaml:2:3: unknown field "slak"; did you mean slack?']);
});

test("what YAML itself refuses has its place too, and a bare > is explained", (t) => {
  t.deepEqual(linesOf("checks:\n  - name: [\n"), [
    "ops.yaml:3:1: Flow sequence in block collection must be sufficiently indented and end with a ]",
  ]);
  t.deepEqual(linesOf(entry("when: update.rate == 0", "clear: > 90")), [
    'ops.yaml:5:14: a value that begins with > needs quotes, as in "> 90"',
  ]);
  t.deepEqual(linesOf("checks: []\nchecks: []\n"), ["ops.yaml:2:1: Map keys must be unique"]);
  t.regex(linesOf("x".repeat(300_000))[0] ?? "", /^ops.yaml:1:1: 300000 characters are too many: 262144 at most$/);
});

test("a few lines of aliases that would mean gigabytes are refused", (t) => {
  const layers = Array.from({ length: 20 }, (_, index) =>
    index === 0
      ? "a0: &a0 [x, x, x, x, x, x, x, x, x, x]"
      : `a${index}: &a${index} [${Array(10)
          .fill(`*a${index - 1}`)
          .join(", ")}]`,
  );
  t.regex(linesOf(layers.join("\n"))[0] ?? "", /alias/i);
});

test("a name of the file takes the place of the built-in rules of that name; the others hold on; off takes one away", (t) => {
  const before = builtInRules().length;
  const named = (name: string) => builtInRules().filter((rule) => rule.name === name).length;
  const rules = rulesIn(
    "checks:\n  - {name: memory, off: true}\n  - {name: pool_capacity, severity: critical, when: pool.utilization > 99}\n",
  );
  t.is(rules.length, before - named("memory") - named("pool_capacity") + 1);
  t.is(rules.find(({ name }) => name === "pool_capacity")?.when, "pool.utilization > 99");
  t.deepEqual(rulesIn(""), builtInRules());
});

test("the built-in rules can be copied into a file, and mean the same there", (t) => {
  const indented = builtInRulesText.split("\n").map((line) => `  ${line}`);
  t.deepEqual(rulesIn(["checks:", ...indented].join("\n")), builtInRules());
});

test("every built-in check and every measure is explained in docs/health.md", async (t) => {
  const document = await readFile("docs/health.md", "utf8");
  const missing = [
    ...new Set(builtInRules().map(({ name }) => `### ${name}`)),
    ...measureNames.map((name) => `\`${name}\``),
  ];
  t.deepEqual(
    missing.filter((each) => !document.includes(each)),
    [],
  );
  for (const { when } of builtInRules()) t.true(document.includes(`\`${when}\``), when);
});

test("every rule that fires over a level has a time, hysteresis or a least number of samples (I-25)", (t) => {
  const bare = builtInRules().filter(
    ({ forMs, clear, keepFiringMs, minSamples }) =>
      forMs === 0 && clear === undefined && keepFiringMs === 0 && minSamples < 2,
  );
  t.deepEqual(
    bare.map(({ name }) => name),
    [],
  );
});

test("the nearest name is the one with a letter swapped, lost or added, and a far one is none", (t) => {
  t.is(nearestName("queue.dpeth", measureNames), "queue.depth");
  t.is(nearestName("nod.rss", measureNames), "node.rss");
  t.is(nearestName("temperature", measureNames), undefined);
});

test("no text whatever brings the reader down", (t) => {
  const piece = fc.constantFrom(
    "checks:",
    "\n",
    "  - ",
    "name: a",
    "when: ",
    "pool.utilization",
    " > ",
    "95",
    '"',
    "'",
    "and",
    "{",
    "}",
    "[",
    "&a",
    "*a",
    "x baseline",
    "|",
    "?",
    "\t",
    "!!js",
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(piece).map((pieces) => pieces.join("")),
      ),
      (text) => {
        const read = readOperations(text, z.unknown());
        return (
          read.kind === "ok" ||
          (read.problems.length > 0 && read.problems.every(({ line, column }) => line >= 1 && column >= 1))
        );
      },
    ),
    { numRuns: 500 },
  );
  t.pass();
});
