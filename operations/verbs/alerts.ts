// `driftmend alerts`: what fires, and what a person does about it.
//
// Owns: how alerts are shown and ordered about. Does not own: the alerts (operations/alerts/), who carries an order out (actors/operations/alerter.ts).

import type { DriftmendClient } from "../../transport/client.js";
import {
  type AlertOrder,
  type AlertReceipt,
  encodeAlertOrder,
  parseAlertReceipt,
  silenceMs,
} from "../../transport/messages/alert-orders.js";
import { done, type Outcome } from "../cluster/outcome.js";
import { formatDuration } from "../duration.js";
import { renderAlerts, renderSinks } from "../terminal/alerts.js";
import type { Terminal } from "../terminal/terminal.js";
import { plural, printable, quantity } from "../text.js";
import { type ClusterOptions, withCluster } from "./cluster.js";
import { askPatiently, noReport } from "./reports.js";

export interface NoteOptions extends ClusterOptions {
  readonly note?: string;
}

export interface SilenceOptions extends NoteOptions {
  /** Milliseconds. */
  readonly for: number;
}

const orderMs = 10_000;
/** A test waits for as long as its slowest sink. */
const testMs = 30_000;
const noteMax = 1_024;
const wordMax = 256;

export async function listAlerts(options: ClusterOptions, terminal: Terminal): Promise<Outcome> {
  return withCluster(options, "telemetry", terminal, async (client) => {
    const asked = await askPatiently(client, "alerts", terminal);
    if (asked.kind === "unavailable") return noReport(asked, terminal);
    const { report } = asked;
    if (terminal.json) terminal.print(JSON.stringify(report));
    else terminal.print(renderAlerts(report, terminal.width, terminal.colours));
    return done;
  });
}

export async function acknowledgeAlert(
  fingerprint: string,
  options: NoteOptions,
  terminal: Terminal,
): Promise<Outcome> {
  const { note = "" } = options;
  const wrong = wrongWord("FINGERPRINT", fingerprint) ?? wrongNote(note);
  if (wrong !== undefined) return wrong;
  return order({ kind: "ack", fingerprint, note }, options, terminal, () => [
    `${printable(fingerprint)} is acknowledged: it is not told again, its end is`,
  ]);
}

export async function silenceAlerts(match: string, options: SilenceOptions, terminal: Terminal): Promise<Outcome> {
  const { note = "", for: forMs } = options;
  const wrong = wrongWord("MATCH", match) ?? wrongNote(note);
  if (wrong !== undefined) return wrong;
  if (forMs < silenceMs.min)
    return { kind: "usage", message: "--for: a silence lasts a second or longer", next: "give one like --for 1h" };
  return order({ kind: "silence", matches: match, forMs, note }, options, terminal, ({ firing, untilMs = 0 }) => [
    `${printable(match)} is silenced for ${formatDuration(forMs)}, until ${quantity("untilAtMs", untilMs)}; ${firesNow(firing)}`,
    `  sooner: ${terminal.self} alerts unsilence ${printable(match)}`,
  ]);
}

export async function unsilenceAlerts(match: string, options: ClusterOptions, terminal: Terminal): Promise<Outcome> {
  const wrong = wrongWord("MATCH", match);
  if (wrong !== undefined) return wrong;
  return order({ kind: "unsilence", matches: match }, options, terminal, ({ firing }) => [
    `${printable(match)} is silenced no more; ${firesNow(firing)}`,
  ]);
}

export async function testSinks(options: ClusterOptions, terminal: Terminal): Promise<Outcome> {
  return withCluster(options, "operator", terminal, async (client) => {
    const receipt = await give(client, { kind: "test" }, terminal);
    if ("kind" in receipt) return receipt;
    const { sinks = [] } = receipt;
    if (terminal.json) terminal.print(JSON.stringify(receipt));
    else if (sinks.length > 0) terminal.print(renderSinks(sinks, terminal.width, terminal.colours));
    if (sinks.length === 0)
      return {
        kind: "failed",
        message: "no sink is configured, so nobody is told of alerts",
        next: "write a section notify: into the operations file (docs/alerts.md)",
      };
    const failed = sinks.filter(({ ok }) => !ok);
    if (failed.length === 0) return done;
    const message = `not taken: ${failed.map(({ name, said }) => `${name} (${printable(said)})`).join(", ")}`;
    return { kind: "failed", message, next: "docs/alerts.md says how each sink is configured" };
  });
}

async function order(
  wanted: AlertOrder,
  options: ClusterOptions,
  terminal: Terminal,
  words: (receipt: AlertReceipt) => readonly string[],
): Promise<Outcome> {
  return withCluster(options, "operator", terminal, async (client) => {
    const receipt = await give(client, wanted, terminal);
    if ("kind" in receipt) return receipt;
    if (terminal.json) terminal.print(JSON.stringify(receipt));
    else for (const line of words(receipt)) terminal.print(`  ${line}`);
    return done;
  });
}

async function give(
  { bus, subjects }: DriftmendClient,
  wanted: AlertOrder,
  { self }: Terminal,
): Promise<AlertReceipt | Outcome> {
  const timeoutMs = wanted.kind === "test" ? testMs : orderMs;
  const outcome = await bus.request(subjects.alertOrders, encodeAlertOrder(wanted), { timeoutMs });
  if (outcome.kind !== "reply") return { kind: "failed", message: silence[outcome.kind], next: `${self} tree` };
  const parsed = parseAlertReceipt(outcome.data);
  const next = `${self} alerts ls`;
  if (parsed.kind === "refused")
    return { kind: "failed", message: `the receipt cannot be read: ${parsed.message}`, next };
  if (parsed.value.kind === "reply") return parsed.value.reply;
  const { code, message } = parsed.value.refusal;
  return { kind: "failed", message: `${code}: ${printable(message)}`, next };
}

const silence = {
  timeout: "the alerter did not answer in time; alerts ls shows whether the order was carried out",
  no_responders: "no node takes orders about alerts: it may be starting, or there is none with the role operations",
  closed: "the connection is closed",
  denied: "this user may not give orders",
} as const;

function firesNow(firing: number): string {
  return firing === 0
    ? "nothing of it fires now"
    : `${plural(firing, "alert")} of it ${firing === 1 ? "fires" : "fire"} now`;
}

function wrongWord(what: string, word: string): Outcome | undefined {
  if (word.length > 0 && word.length <= wordMax) return undefined;
  return { kind: "usage", message: `${what} has 1 to ${wordMax} characters`, next: "driftmend alerts ls shows them" };
}

function wrongNote(note: string): Outcome | undefined {
  if (note.length <= noteMax) return undefined;
  return { kind: "usage", message: `--note has at most ${noteMax} characters`, next: "say it shorter" };
}
