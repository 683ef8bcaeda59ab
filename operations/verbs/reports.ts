// Reports of the operations nodes, as verbs ask for them.
//
// Owns: the patience with a node that has just started, what is said when nobody knows. Does not own: the question (ask-report.ts).

import type { DriftmendClient } from "../../transport/client.js";
import type { ReportName } from "../../transport/subjects.js";
import { type AskedReport, askReport, type Report } from "../ask-report.js";
import type { Outcome } from "../cluster/outcome.js";
import type { Terminal } from "../terminal/terminal.js";
import { printable } from "../text.js";

/** A node that has just started has figures within two seconds. */
const earlyTries = 12;
const earlyPauseMs = 250;

/** Waits for a node that has none yet. */
export async function askPatiently<Name extends ReportName>(
  client: DriftmendClient,
  what: Name,
  terminal: Terminal,
): Promise<AskedReport<Report<Name>>> {
  for (let tries = 1; ; tries += 1) {
    const asked = await askReport(client, what);
    const passes = asked.kind === "unavailable" && (asked.why === "early" || asked.why === "none");
    if (!passes || tries === earlyTries || terminal.interrupted.aborted) return asked;
    await terminal.clock.delay(earlyPauseMs, terminal.interrupted);
  }
}

export function noReport(
  { message }: Extract<AskedReport<never>, { kind: "unavailable" }>,
  { self }: Terminal,
): Outcome {
  const next = `${self} tree shows what runs; a node with --role operations answers`;
  return { kind: "failed", message: printable(message), next };
}
