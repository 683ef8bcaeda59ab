// Log lines: the ten fields on stderr, and the same line as telemetry, bounded and never in a circle.

import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { linesIn } from "../../../operations/traces/lines-of-trace.js";
import { LogForwarder } from "../../../operations/traces/log-forwarder.js";
import { type Logger, loggerTo, openLogger, tee } from "../../../supervision/logger.js";
import { VirtualClock } from "../../../supervision/virtual-clock.js";
import { encodeLogLine, type LogLine, parseLogLine } from "../../../transport/messages/log-lines.js";
import { RecordingBus, subjects } from "../../actors/small-node.js";

const ten = ["time", "level", "message", "trace", "span", "node", "actor", "incarnation", "phase", "component"];

/** What a logger writes to its file, parsed line by line. */
function written(write: (log: Logger) => void): Record<string, unknown>[] {
  const folder = mkdtempSync(join(tmpdir(), "driftmend-log-"));
  const output = openSync(join(folder, "log"), "a");
  write(openLogger("debug", { node: "serving-1", nodeIncarnation: 2 }, output));
  closeSync(output);
  const lines = readFileSync(join(folder, "log"), "utf8").trimEnd().split("\n");
  rmSync(folder, { recursive: true });
  return lines.map((line) => JSON.parse(line));
}

test("(S1-65) every line is JSON with the ten fields, null where one does not apply", (t) => {
  const lines = written((log) => {
    log.warn("plain");
    log.error("with an error", { error: new Error("broken"), "odd field": [1, { a: 2 }] });
    log.child({ actor: "digits/buffer", incarnation: 3 }).info("of an actor", { phase: "retrieve", trace: "ab" });
    log.fatal('a "quoted"\nline break', {});
    log.debug("%s %d is not a format", { time: "not this" });
  });
  t.is(lines.length, 5);
  for (const line of lines) for (const field of ten) t.true(field in line, `${line.message} has ${field}`);
  t.like(lines[0], { level: "warn", node: "serving-1", nodeIncarnation: 2, trace: null, actor: null, component: null });
  t.like(lines[1], { error: { message: "broken" } });
  t.like(lines[2], { actor: "digits/buffer", incarnation: 3, phase: "retrieve", trace: "ab", component: "buffer" });
  t.true(lines.every(({ time }) => typeof time === "string"));
});

function scene(given: { readonly burst?: number; readonly ratePerSecond?: number } = {}) {
  const [bus, clock] = [new RecordingBus(), new VirtualClock(5_000)];
  const dropped: number[] = [];
  const subject = subjects.logLine("serving-1");
  const onDropped = (lines: number): void => void dropped.push(lines);
  const forwarder = new LogForwarder({ bus, clock, subject, onDropped, ...given });
  const told = (): LogLine[] =>
    bus.published.flatMap(({ data, subject: on }) => {
      const parsed = parseLogLine(data);
      return parsed.kind === "ok" && on === subject ? [parsed.value] : [];
    });
  return { bus, clock, dropped, forwarder, told, log: loggerTo(forwarder, { node: "serving-1" }) };
}

test("(S1-67) a line is told with the ten fields and whatever else it says as plain values", (t) => {
  const { log, told } = scene();
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  log.child({ actor: "small/voter", incarnation: 4 }).warn("look", {
    ...{ trace: "a".repeat(32), phase: "vote", n: 7, list: [1, 2], gone: undefined, circle },
    error: new TypeError("no"),
  });
  const [line] = told();
  t.like(line, {
    ...{ atMs: 5_000, level: "warn", message: "look", trace: "a".repeat(32), span: null, node: "serving-1" },
    ...{ actor: "small/voter", incarnation: 4, phase: "vote", component: "voter" },
  });
  t.like(line?.fields, { n: 7, list: "[1,2]", error: "TypeError: no" });
  t.regex(String(line?.fields.circle), /cannot be written/);
});

test("lines below the level are not told, and not even put together", (t) => {
  const { log, told } = scene();
  log.debug("too quiet", {
    get field(): string {
      throw new Error("nobody should look");
    },
  });
  t.deepEqual(told(), []);
});

test("a flood is cut at the burst and thinned to the rate; the next line says how many were not told", async (t) => {
  const { log, told, dropped, clock } = scene({ burst: 5, ratePerSecond: 2 });
  for (let n = 0; n < 100; n += 1) log.warn(`line ${n}`);
  t.is(told().length, 5);
  t.is(dropped.length, 95);
  await clock.advance(500);
  log.warn("after");
  t.like(told().at(-1), { message: "after", dropped: 95 });
  await clock.advance(500);
  log.warn("later");
  t.is(told().at(-1)?.dropped, undefined);
});

test("without a connection a line is dropped and counted, and nobody waits", (t) => {
  const { bus, log, told, dropped } = scene();
  bus.connected = false;
  log.warn("unheard");
  bus.connected = true;
  log.warn("heard");
  t.deepEqual(
    told().map(({ message, dropped: before }) => ({ message, before })),
    [{ message: "heard", before: 1 }],
  );
  t.is(dropped.length, 1);
});

test("a line about the telling of a line is not told: no circle", (t) => {
  const { bus, forwarder, told } = scene();
  const log = loggerTo(forwarder);
  const publish = bus.publish.bind(bus);
  bus.publish = (subject, data) => {
    log.error("publishing");
    return publish(subject, data);
  };
  log.warn("one");
  log.warn("two");
  t.deepEqual(
    told().map(({ message }) => message),
    ["one", "two"],
  );
});

test("a line of a node goes to its own log and to telemetry, with what its children add", (t) => {
  const { forwarder, told } = scene();
  const [line] = written((log) => {
    tee(log, forwarder, { node: "serving-1" }).child({ actor: "small/buffer", incarnation: 1 }).warn("both");
  });
  t.like(line, { message: "both", actor: "small/buffer", node: "serving-1" });
  t.like(told()[0], { message: "both", actor: "small/buffer", node: "serving-1", component: "buffer" });
});

test("long text is cut, so that a line stays a line", (t) => {
  const { log, told, bus } = scene();
  log.warn("x".repeat(100_000), {
    long: "y".repeat(100_000),
    ...Object.fromEntries([...Array(500).keys()].map((n) => [`f${n}`, n])),
  });
  t.true((bus.published[0]?.data.byteLength ?? 0) < 16_384);
  t.is(told().length, 1);
});

const line: LogLine = {
  ...{ atMs: 1, level: "warn", message: "m", trace: "ab".repeat(16), span: null, node: "n1", actor: null },
  ...{ incarnation: null, phase: null, component: null, fields: {} },
};

test("(S1-67) lines are chosen by trace, node and least level", (t) => {
  const bytes = encodeLogLine(line);
  t.is(linesIn(bytes, {}).length, 1);
  t.is(linesIn(bytes, { trace: "abab", node: "n1", level: "info" }).length, 1);
  t.is(linesIn(bytes, { trace: "cd" }).length, 0);
  t.is(linesIn(bytes, { node: "n2" }).length, 0);
  t.is(linesIn(bytes, { level: "error" }).length, 0);
  t.is(linesIn(new Uint8Array([1, 2, 3]), { trace: "ab" }).length, 0, "rubbish is no line");
});
