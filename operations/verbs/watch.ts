// `driftmend watch`: telemetry and alerts as they happen.
import type { Bus } from "../../transport/bus/bus.js";
import { decodeMessage } from "../../transport/messages/codec.js";
import { parseAlert, parseEvent, parseMetrics } from "../../transport/messages/events.js";
import { parseLogLine } from "../../transport/messages/log-lines.js";
import type { Outcome } from "../cluster/outcome.js";
import type { Colours } from "../terminal/colours.js";
import { renderAlert, renderEvent, renderMetrics } from "../terminal/events.js";
import { renderLogLine } from "../terminal/log-lines.js";
import type { Terminal } from "../terminal/terminal.js";
import { cut, printable } from "../text.js";
import { type ClusterOptions, withCluster } from "./cluster.js";
import { DeniedError } from "./denial.js";

/** Goes on until Ctrl-C, or until the connection is lost for good. */
export async function watch(
  subject: string | undefined,
  options: ClusterOptions,
  terminal: Terminal,
): Promise<Outcome> {
  if (subject !== undefined && !isSubject(subject))
    return {
      kind: "usage",
      message: `SUBJECT: "${printable(subject)}" is not a NATS subject`,
      next: 'give one like "driftmend.telemetry.event.>"',
    };
  return withCluster(options, "telemetry", terminal, async ({ bus, subjects }) => {
    const watched = subject === undefined ? [subjects.all.telemetry, subjects.all.alert] : [subject];
    const ended = endOf(bus, terminal);
    for (const each of watched)
      bus.subscribe(each, {}, (message) => {
        const lines = terminal.json
          ? [jsonLine(message.subject, message.data)]
          : readableLines(message.subject, message.data, terminal.colours);
        for (const line of lines) terminal.print(line);
      });
    if (await bus.flush()) terminal.note(`watching ${watched.join(" and ")}; times are UTC; Ctrl-C ends`);
    return ended;
  });
}

/** Settles when there is nothing left to watch: not allowed, or disconnected for good. Ctrl-C ends every client verb (cluster.ts). */
function endOf(bus: Bus, terminal: Terminal): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    bus.onEvent((event) => {
      if (event.kind === "denied") reject(new DeniedError(event.subject));
      if (event.kind === "disconnected") terminal.note("disconnected; waiting for the broker to come back");
      if (event.kind === "reconnected")
        terminal.note(`back after ${Math.round(event.outageMs)} ms; what was said meanwhile is not repeated`);
      if (event.kind === "handler_failed") reject(event.error);
    });
    void bus.closed.then(() =>
      resolve({ kind: "failed", message: "the server closed the connection", next: "driftmend watch" }),
    );
  });
}

/** Tokens between dots, none of them empty, no blanks, ">" only at the end. */
function isSubject(text: string): boolean {
  return /^([^\s.>]+\.)*([^\s.>]+|>)$/.test(text);
}

function readableLines(subject: string, data: Uint8Array, colours: Colours): readonly string[] {
  const event = parseEvent(data);
  if (event.kind === "ok") return renderEvent(event.value, colours);
  const metrics = parseMetrics(data);
  if (metrics.kind === "ok") return [renderMetrics(metrics.value, colours)];
  const alert = parseAlert(data);
  if (alert.kind === "ok") return [renderAlert(alert.value, colours)];
  const line = parseLogLine(data);
  if (line.kind === "ok") return [renderLogLine(line.value, colours)];
  return [`${printable(subject)}  ${otherText(data)}`];
}

/** Something else that somebody published there: shown as it is. */
function otherText(data: Uint8Array): string {
  const decoded = decodeMessage(data);
  return decoded.kind === "message"
    ? printable(cut(JSON.stringify(decoded.fields), 400))
    : `${data.length} bytes that are not msgpack`;
}

function jsonLine(subject: string, data: Uint8Array): string {
  const decoded = decodeMessage(data);
  return JSON.stringify(decoded.kind === "message" ? { subject, ...decoded.fields } : { subject, bytes: data.length });
}
