// Traces and log lines as people read them: aligned, cut to nobody's harm, and safe against text of strangers.

import test from "ava";
import { plain } from "../../../operations/terminal/colours.js";
import { logLineJson, renderLogLine } from "../../../operations/terminal/log-lines.js";
import { renderPhases, renderTrace, renderTraces } from "../../../operations/terminal/trace.js";
import { TraceBook } from "../../../operations/traces/trace-book.js";
import { phaseTables } from "../../../operations/traces/trace-tree.js";
import type { LogLine } from "../../../transport/messages/log-lines.js";
import { eventsTold, jobOf, spansTold } from "./traced-jobs.js";

test("a trace is a tree with durations, bars and where each span ran", async (t) => {
  const lines = renderTrace(
    await spansTold([jobOf({ parentSpanId: "00f067aa0ba902b7", sampled: true })]),
    120,
    plain,
  ).split("\n");
  t.regex(lines[0] ?? "", /^trace 4bf92f3577b34da6a3ce929d0e0e4736 {2}30 ms, 10 spans on 1 node/);
  t.regex(lines[1] ?? "", /^\* infer +30 ms +█+ +node-a\/desk#1 +id r1/);
  t.true(lines.some((line) => /├ infer\.model +10 ms/.test(line)));
  t.true(lines.some((line) => /├ infer\.queue \(model\) +8 ms/.test(line)));
  t.true(lines.some((line) => /└ infer\.reply/.test(line)));
  const bars = lines.flatMap((line) => [...line.matchAll(/█+/g)].map(({ index }) => index));
  t.deepEqual(
    bars,
    [...bars].sort((a, b) => a - b),
    "bars begin in the order of time",
  );
});

test("a failed span says so in words, not by colour alone", async (t) => {
  const text = renderTrace(await spansTold([jobOf({ timings: undefined, code: "deadline" })]), 120, plain);
  t.regex(text, /infer .*error.*code deadline/);
  t.regex(text, /infer\.queue.* error/);
});

test("text of strangers moves no cursor and forges no line", async (t) => {
  const spans = await spansTold([jobOf({ id: "evil\u001b[2J\nforged" })]);
  const text = renderTrace(spans, 120, plain);
  t.false(text.includes("\u001b"));
  t.false(text.split("\n").some((line) => line.startsWith("forged")));
});

test("lists of traces and the table of phases fit the terminal", async (t) => {
  const book = new TraceBook();
  for (const event of await eventsTold([jobOf(), jobOf({ id: "r2", code: "deadline" })])) book.take(event);
  const list = renderTraces(book.last(5), 120, plain);
  t.regex(list, /4bf92f3577b34da6a3ce929d0e0e4736 {2}infer .* error/);
  for (const table of phaseTables(book.jobs())) {
    const text = renderPhases(table, 80, plain);
    t.true(
      text
        .split("\n")
        .slice(1)
        .every((line) => line.length <= 90),
      text,
    );
    t.regex(text, /infer\.model +compute/);
  }
});

const line: LogLine = {
  ...{ atMs: Date.UTC(2026, 0, 2, 3, 4, 5, 6), level: "warn", message: "the memory could not be searched" },
  ...{ trace: "ab".repeat(16), span: null, node: "serving-1", actor: "digits/buffer", incarnation: 2 },
  ...{
    phase: "retrieve",
    component: "buffer",
    fields: { rows: 3, errorStack: "at\nplace", time: "not this", node: "nor this" },
  },
};

test("(S1-67) a log line is one line: time, level, node, message, actor, phase, fields, trace", (t) => {
  const text = renderLogLine({ ...line, dropped: 4 }, plain);
  t.regex(
    text,
    /^03:04:05\.006 {2}warn {3}serving-1 +the memory could not be searched {2}digits\/buffer#2 {2}phase retrieve {2}rows 3/,
  );
  t.regex(text, /trace abababab/);
  t.regex(text, /4 lines before it were not told/);
  t.false(text.includes("\n"));
});

test("(S1-65) as JSON it has the ten fields of a line on stderr, and no field takes the place of one of them", (t) => {
  const json = JSON.parse(logLineJson(line));
  t.like(json, { time: "2026-01-02T03:04:05.006Z", level: "warn", node: "serving-1", phase: "retrieve", rows: 3 });
  for (const field of [
    "time",
    "level",
    "message",
    "trace",
    "span",
    "node",
    "actor",
    "incarnation",
    "phase",
    "component",
  ])
    t.true(field in json, field);
});
