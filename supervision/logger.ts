// Structured log lines, on stderr unless told otherwise: the only importer of pino.
//
// Owns: the shape of a line and its destination. Does not own: what is worth saying, who else hears of it (`tee`).
//
// L1. Every line has the same ten fields, null where one does not apply, whatever else it says: time, level, message, trace, span, node, actor,
//     incarnation, phase, component.
// L2. stdout belongs to the verbs' documents. Writing is synchronous: an asynchronous destination loses the last lines of a process that
//     exits at once, and those are the ones that matter.

import { destination, type Logger as PinoLogger, pino } from "pino";

export const logLevels = ["debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];
type SpokenLevel = Exclude<LogLevel, "silent">;

/** Whatever serialises to JSON; an Error belongs under the name "error". */
export interface LogFields {
  readonly [name: string]: unknown;
}

export type LogLine = (message: string, fields?: LogFields) => void;

export interface Logger {
  readonly debug: LogLine;
  readonly info: LogLine;
  readonly warn: LogLine;
  readonly error: LogLine;
  readonly fatal: LogLine;
  /** A logger whose every line also carries `fields`. */
  child(fields: LogFields): Logger;
}

/** Where lines go; the fields of a line are complete. */
export interface LineSink {
  /** Whether a line of this level is wanted: nothing is put together for one that is not. */
  wants(level: SpokenLevel): boolean;
  take(level: SpokenLevel, message: string, fields: LogFields): void;
}

/** The fields of L1 that a line does not always have, in the order in which they are written. */
const standing = { trace: null, span: null, node: null, actor: null, incarnation: null, phase: null, component: null };

/** `output` is a file descriptor; stderr when left out. */
export function openLogger(level: LogLevel, fields: LogFields = {}, output = 2): Logger {
  return loggerTo(stderrSink(level, output), fields);
}

/** For trees whose log nobody reads: pure simulations and tests. */
export const silentLogger: Logger = openLogger("silent");

export function loggerTo(sink: LineSink, fields: LogFields = {}): Logger {
  const own = { ...standing, ...fields };
  const line =
    (level: SpokenLevel): LogLine =>
    (message, more = {}) => {
      if (sink.wants(level)) sink.take(level, message, complete({ ...own, ...more }));
    };
  return {
    debug: line("debug"),
    info: line("info"),
    warn: line("warn"),
    error: line("error"),
    fatal: line("fatal"),
    child: (more) => loggerTo(sink, { ...own, ...more }),
  };
}

/** A logger whose lines go to `log` as before, and to `sink` with `fields`, which `log` has already. */
export function tee(log: Logger, sink: LineSink, fields: LogFields): Logger {
  return both(log, loggerTo(sink, fields));
}

function both(one: Logger, other: Logger): Logger {
  const line =
    (level: SpokenLevel): LogLine =>
    (message, fields) => {
      one[level](message, fields);
      other[level](message, fields);
    };
  return {
    debug: line("debug"),
    info: line("info"),
    warn: line("warn"),
    error: line("error"),
    fatal: line("fatal"),
    child: (fields) => both(one.child(fields), other.child(fields)),
  };
}

function complete(fields: LogFields): LogFields {
  if (typeof fields.actor !== "string" || fields.component !== null) return fields;
  return { ...fields, component: componentOf(fields.actor) };
}

/** The actor's own name, where nobody said otherwise: "digits/buffer" and "digits-updater" are buffer and updater. */
export function componentOf(actor: string): string {
  return actor.split(/[/-]/).at(-1) ?? "";
}

function stderrSink(level: LogLevel, output: number): LineSink {
  const options = {
    level,
    base: null,
    messageKey: "message",
    serializers: { error: pino.stdSerializers.err },
    formatters: { level: (label: string) => ({ level: label }) },
    timestamp: pino.stdTimeFunctions.isoTime,
  };
  const lines: PinoLogger = pino(options, destination({ dest: output, sync: true }));
  return {
    wants: (wanted) => lines.isLevelEnabled(wanted),
    take: (wanted, message, fields) => lines[wanted](fields, message),
  };
}
