// Substrate: none. The renderers are pure; colours are off unless a test says so.
import test from "ava";
import fc from "fast-check";
import { coloursFor, plain } from "../../operations/terminal/colours.js";
import { type DemoState, renderDemo, renderDemoLine } from "../../operations/terminal/demo-screen.js";
import { type DemoReport, renderReport } from "../../operations/terminal/report.js";
import { sparkline } from "../../operations/terminal/sparkline.js";
import { renderTable } from "../../operations/terminal/table.js";
import { bytes, count, cut, percent, points, printable, typed, widthOf } from "../../operations/text.js";

const esc = "\u001b";

test("columns are aligned, numbers to the right, and no line ends in blanks", (t) => {
  const lines = renderTable(
    [{ title: "name" }, { title: "n", align: "right" }, { title: "note" }],
    [
      [{ text: "inference" }, { text: "7" }, { text: "" }],
      [{ text: "buffer" }, { text: "1,204" }, { text: "full" }],
    ],
    80,
  );
  t.deepEqual(lines, ["name           n  note", "inference      7", "buffer     1,204  full"]);
});

test("a table too wide for the terminal loses the end of its last column", (t) => {
  const lines = renderTable([{ title: "" }, { title: "" }], [[{ text: "updater" }, { text: "x".repeat(50) }]], 20);
  t.deepEqual(lines, [`updater  ${"x".repeat(10)}…`]);
});

test("colours do not move a column", (t) => {
  const red = coloursFor(true).bad;
  const bare = (text: string) => text.replaceAll(new RegExp(`${esc}\\[\\d+m`, "g"), "");
  const rows = [
    [{ text: "a", paint: red }, { text: "1" }],
    [{ text: "long name" }, { text: "2", paint: red }],
  ];
  const lines = renderTable([{ title: "" }, { title: "" }], rows, 80);
  t.true(lines.some((line) => line.includes(esc)));
  t.deepEqual(lines.map(bare), ["a          1", "long name  2"]);
});

test("a row with the wrong number of cells is a broken invariant", (t) => {
  t.throws(() => renderTable([{ title: "a" }], [[{ text: "1" }, { text: "2" }]], 80), {
    message: /2 cells in a table of 1/,
  });
});

test("colours vanish when they are switched off", (t) => {
  for (const paint of Object.values(plain)) t.is(paint("x"), "x");
});

test("a sparkline shows the newest values on a fixed scale", (t) => {
  t.is(sparkline([0, 0.5, 1], 10), "▁▅█");
  t.is(sparkline([0, 0, 1, 1], 2), "██");
  t.is(sparkline([-3, Number.NaN, 7], 10), "▁ █");
  t.is(sparkline([], 10), "");
  t.is(sparkline([1], 0), "");
});

test("what was not measured is a dash and never a zero", (t) => {
  t.deepEqual([percent(null), percent(0), percent(0.8754), points(null)], ["–", "0.0 %", "87.5 %", "–"]);
});

test("differences carry their sign", (t) => {
  t.deepEqual([0.265, -0.031, 0, -0.0001].map(points), ["+26.5", "-3.1", "+0.0", "+0.0"]);
});

test("sizes and counts are readable", (t) => {
  t.deepEqual([0, 1023, 1536, 5 * 1024 ** 3].map(bytes), ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]);
  t.is(count(12_840), "12,840");
});

test("a label from outside cannot move the cursor, forge a line or turn the text around", (t) => {
  t.is(printable(`7${esc}[2J\r\nok\u202Eevil\u0007`), "7�[2J��ok�evil�");
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => !/[\p{Cc}\u2028\u2029]/u.test(printable(text))));
});

test("a path that a shell would take apart is shown in quotes, any other as it is", (t) => {
  t.deepEqual(["out", "./a-b/ü_1.2", "my model", "it's", "", "$HOME"].map(typed), [
    "out",
    "./a-b/ü_1.2",
    "'my model'",
    "'it'\\''s'",
    "''",
    "'$HOME'",
  ]);
});

test("a cut text fits", (t) => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.nat(40), (text, width) => widthOf(cut(text, width)) <= width),
  );
  t.is(cut("inference", 6), "infer…");
});

const state: DemoState = {
  readyMs: 1_840,
  elapsedMs: 42_000,
  requestsPerSecond: 412,
  answered: 12_840,
  refused: { overloaded: 3 },
  limit: undefined,
  accuracy: {
    adapting: { all: 0.901, last200: 0.875, history: [0.9, 0.85, 0.92] },
    source: { all: 0.702, last200: 0.61, history: [0.9, 0.5, 0.6] },
  },
  drift: { name: "Gaussian noise", severity: 3 },
  confidence: 0.83,
  mode: "ensemble",
  modelVersion: 214,
  updates: { applied: 214, refused: { "kl-limit": 9, anchors: 3 } },
  restarts: 2,
  event: "learning: killed by chaos, back after 310 ms",
  natsUrl: "nats://127.0.0.1:40213",
  contextFile: "/home/someone/project/.driftmend/context.json",
  next: [
    { command: "npx driftmend tree", does: "who runs, since which generation" },
    { command: "npx driftmend chaos kill learning", does: "kill a whole process and watch it mend" },
  ],
};

test("the demo shows both models, the gain between them, the drift, the versions and what to type next", (t) => {
  const screen = renderDemo(state, 80, plain);
  for (const shown of [
    "ready in 1,840 ms",
    /adapting +87\.5 % +90\.1 %/,
    /left alone +61\.0 % +70\.2 %/,
    /gain +\+26\.5 +\+19\.9/,
    "Gaussian noise, severity 3",
    "412 requests/s, 12,840 answered, 3 refused (overloaded 3)",
    "version 214, ensemble, confidence 0.83",
    "214 applied, 12 refused (kl-limit 9, anchors 3)",
    /restarts +2/,
    "nats://127.0.0.1:40213",
    "/.driftmend/context.json",
    "npx driftmend chaos kill learning",
    "Ctrl-C drains",
  ])
    t.regex(screen, typeof shown === "string" ? new RegExp(shown.replaceAll(/[.()/]/g, "\\$&")) : shown);
});

test("before anything was scored the demo shows dashes", (t) => {
  const nothing = { all: null, last200: null, history: [] };
  const screen = renderDemo(
    { ...state, accuracy: { adapting: nothing, source: nothing }, confidence: null, mode: "cold" },
    80,
    plain,
  );
  t.regex(screen, /adapting +– +–/);
  t.regex(screen, /gain +– +–/);
  t.regex(screen, /cold \(one voice/);
  t.regex(screen, /confidence –/);
});

test("no line of the screen is wider than the terminal", (t) => {
  for (const width of [40, 60, 80, 132, 250])
    for (const line of renderDemo(state, width, plain).split("\n")) t.true(widthOf(line) <= width, `${width}: ${line}`);
});

test("without a terminal the same fits one line", (t) => {
  const line = renderDemoLine(state);
  t.false(line.includes("\n"));
  t.regex(line, /12,840 answered.*accuracy 90\.1 % \(left alone 70\.2 %\)/);
});

const report: DemoReport = {
  requests: 2_000,
  answered: 1_998,
  refused: { overloaded: 2 },
  seconds: 21.4,
  accuracy: { adapting: 0.81, source: 0.566 },
  accuracyByDrift: [
    { drift: "rotate", severity: 3, n: 300, adapting: 0.9, source: 0.64 },
    { drift: "stripe", severity: 4, n: 300, adapting: 0.41, source: 0.43 },
  ],
  mode: { cold: 100, ensemble: 1_898 },
  updates: { enqueued: 700, applied: 690, refused: { "kl-limit": 10 }, rolledBack: 0 },
  modelVersion: 690,
  latencyMs: { p50: 3.21, p95: 12, p99: 31 },
  log: { experiences: 1_998, updates: 700, bytes: 3_400_000 },
  restarts: 0,
  replay: { updates: 12, equal: true, checksum: "ab".repeat(32) },
  seed: 7,
};

test("the report sets the adapting model beside the source, drift by drift and over all, losses included", (t) => {
  const lines = renderReport(report, 80, plain).split("\n");
  t.is(lines[0], "  2,000 requests in 21.4 s, seed 7");
  t.true(lines.some((line) => /rotate +3 +300 +90\.0 % +64\.0 % +\+26\.0$/.test(line)));
  t.true(lines.some((line) => /stripe +4 +300 +41\.0 % +43\.0 % +-2\.0$/.test(line)));
  t.true(lines.some((line) => /all +1,998 +81\.0 % +56\.6 % +\+24\.4$/.test(line)));
  t.true(lines.every((line) => widthOf(line) <= 80));
});

test("a report of a run in which nothing was scored has dashes", (t) => {
  const empty = { ...report, answered: 0, accuracy: { adapting: null, source: null }, accuracyByDrift: [] };
  t.regex(renderReport(empty, 80, plain), /all +0 +– +– +–/);
});
