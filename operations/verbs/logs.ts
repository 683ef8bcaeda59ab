// `driftmend logs`: what the nodes logged, from all of them in the order of time; with a trace also its events and spans.
//
// Owns: what is read and in which order it is printed. Does not own: what a line is (operations/traces/lines-of-trace.ts).
import type { DriftmendClient } from "../../transport/client.js";
import type { LineLevel, LogLine } from "../../transport/messages/log-lines.js";
import { isToken, NameError } from "../../transport/subjects.js";
import { done, type Outcome } from "../cluster/outcome.js";
import { logLineJson, renderLogLine } from "../terminal/log-lines.js";
import type { Terminal } from "../terminal/terminal.js";
import { linesIn, type Wanted } from "../traces/lines-of-trace.js";
import { readPast } from "../traces/past-telemetry.js";
import { type ClusterOptions, withCluster } from "./cluster.js";
import { noPast } from "./past.js";

export interface LogsOptions extends ClusterOptions {
  readonly trace?: string;
  readonly node?: string;
  readonly level?: LineLevel;
  readonly follow?: boolean;
}

export async function logs(options: LogsOptions, terminal: Terminal): Promise<Outcome> {
  const { trace, node } = options;
  if (trace !== undefined && !/^[0-9a-f]{4,32}$/.test(trace))
    return { kind: "usage", message: "--trace is 4 to 32 hex digits", next: "driftmend trace --last 20 lists traces" };
  if (node !== undefined && !isToken(node)) {
    const { message } = new NameError("--node", node);
    return { kind: "usage", message, next: "driftmend tree names the nodes" };
  }
  return withCluster(options, "operator", terminal, (client) => printLines(client, options, terminal));
}

async function printLines(client: DriftmendClient, options: LogsOptions, terminal: Terminal): Promise<Outcome> {
  const { bus, subjects } = client;
  const { all } = subjects;
  const subject =
    options.trace !== undefined
      ? all.telemetry
      : options.node === undefined
        ? all.logLines
        : subjects.logLine(options.node);
  const reading = { subject, signal: terminal.interrupted };
  const past = await readPast(bus, terminal.clock, subjects, reading);
  if (past.kind === "unavailable") return noPast(past.why);
  const wanted: Wanted = options;
  const lines: LogLine[] = [];
  let lastSeq = 0;
  for await (const { bytes, seq } of past.messages) {
    lines.push(...linesIn(bytes, wanted));
    lastSeq = seq;
  }
  const print = (line: LogLine): void =>
    terminal.print(terminal.json ? logLineJson(line) : renderLogLine(line, terminal.colours));
  for (const line of lines.sort((a, b) => a.atMs - b.atMs)) print(line);
  if (options.follow !== true) return lines.length === 0 ? noLines(options, terminal) : done;
  const later = await readPast(bus, terminal.clock, subjects, { ...reading, follow: true, fromSeq: lastSeq + 1 });
  if (later.kind === "unavailable") return noPast(later.why);
  terminal.note("following; times are UTC; Ctrl-C ends");
  for await (const { bytes } of later.messages) for (const line of linesIn(bytes, wanted)) print(line);
  return { kind: "failed", message: "the connection ended", next: "driftmend logs --follow" };
}

/** Of a trace that was asked for nothing is a failure; a quiet cluster is none. */
function noLines({ trace }: LogsOptions, terminal: Terminal): Outcome {
  if (trace !== undefined)
    return {
      kind: "failed",
      message: `nothing is known of trace ${trace} any more, or yet`,
      next: "driftmend trace --last 20 lists what is known",
    };
  terminal.note("no log lines: nodes write when something is wrong; driftmend watch shows events");
  return done;
}
