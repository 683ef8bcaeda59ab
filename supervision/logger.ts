// Structured log lines, on stderr unless told otherwise: the only importer of pino.
//
// Owns: the shape of a line and its destination. Does not own: what is worth saying.
//
// stdout belongs to the verbs' documents. Writing is synchronous: an asynchronous destination loses the last lines of a
// process that exits at once, and those are the ones that matter.

import { destination, type Logger as PinoLogger, pino } from "pino";

export type LogLevel = "debug" | "info" | "warn" | "error" | "fatal" | "silent";

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

/** `output` is a file descriptor; stderr when left out. */
export function openLogger(level: LogLevel, fields: LogFields = {}, output = 2): Logger {
  const options = {
    level,
    base: { ...fields },
    serializers: { error: pino.stdSerializers.err },
    formatters: { level: (label: string) => ({ level: label }) },
    timestamp: pino.stdTimeFunctions.isoTime,
  };
  return wrap(pino(options, destination({ dest: output, sync: true })));
}

/** For trees whose log nobody reads: pure simulations and tests. */
export const silentLogger: Logger = openLogger("silent");

function wrap(lines: PinoLogger): Logger {
  return {
    debug: line(lines, "debug"),
    info: line(lines, "info"),
    warn: line(lines, "warn"),
    error: line(lines, "error"),
    fatal: line(lines, "fatal"),
    child: (fields) => wrap(lines.child({ ...fields })),
  };
}

function line(lines: PinoLogger, level: Exclude<LogLevel, "silent">): LogLine {
  return (message, fields = {}) => lines[level](fields, message);
}
