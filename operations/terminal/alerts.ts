// Alerts for people: what fires first, then what is over, then what is silenced.
import type { SinkReceipt } from "../../transport/messages/alert-orders.js";
import type { AlertList, ListedAlert } from "../alerts/alert-list.js";
import { formatDuration } from "../duration.js";
import { count, printable } from "../text.js";
import type { Colours } from "./colours.js";
import { renderTable } from "./table.js";

export function renderAlerts({ alerts, silences, atMs }: AlertList, width: number, colours: Colours): string {
  const firing = alerts.filter(({ state }) => state === "firing");
  const over = alerts.filter(({ state }) => state === "resolved");
  const lines = firing.length === 0 ? [colours.good("  nothing fires")] : renderFiring(firing, atMs, width, colours);
  if (over.length > 0) lines.push("", ...renderOver(over, atMs, width, colours));
  if (silences.length > 0) lines.push("", ...renderSilences({ alerts, silences, atMs, v: 1 }, width, colours));
  return lines.join("\n");
}

export function renderSinks(sinks: readonly SinkReceipt[], width: number, colours: Colours): string {
  const rows = sinks.map(({ target, ok, said, tookMs }) => [
    { text: `  ${printable(target)}` },
    { text: ok ? "took it" : "did not", paint: ok ? colours.good : colours.bad },
    { text: formatDuration(tookMs) },
    { text: printable(said) },
  ]);
  return renderTable(titled("  sink", "test", "after", "said"), rows, width, colours.quiet).join("\n");
}

function renderFiring(firing: readonly ListedAlert[], atMs: number, width: number, colours: Colours): string[] {
  const rows = firing.map((alert) => [
    { text: `  ${alert.severity}`, paint: paintOf(alert, colours) },
    { text: printable(alert.fingerprint) },
    { text: formatDuration(Math.max(0, atMs - alert.sinceMs)) },
    { text: count(alert.count) },
    { text: knownBy(alert, atMs), paint: colours.quiet },
    { text: printable(alert.message) },
  ]);
  const table = renderTable(
    titled("  severity", "fingerprint", "for", "heard", "", "what"),
    rows,
    width,
    colours.quiet,
  );
  const advice = new Map(firing.map(({ name, advice: text }) => [name, text]));
  const todo = [...advice].filter(([, text]) => text !== "").map(([name, text]) => `  ${name}: ${printable(text)}`);
  return todo.length === 0 ? table : [...table, "", ...todo];
}

function renderOver(over: readonly ListedAlert[], atMs: number, width: number, colours: Colours): string[] {
  const rows = over.map(({ fingerprint, sinceMs, resolvedAtMs, message }) => {
    const endMs = resolvedAtMs ?? sinceMs;
    return [
      { text: "  over", paint: colours.good },
      { text: printable(fingerprint) },
      { text: `${formatDuration(Math.max(0, atMs - endMs))} ago` },
      { text: `after ${formatDuration(Math.max(0, endMs - sinceMs))}` },
      { text: printable(message), paint: colours.quiet },
    ];
  });
  return renderTable(titled("", "", "", "", ""), rows, width);
}

function renderSilences({ silences, atMs }: AlertList, width: number, colours: Colours): string[] {
  const rows = silences.map(({ matches, untilMs, by, note }) => [
    { text: "  silenced", paint: colours.warn },
    { text: printable(matches) },
    { text: `for ${formatDuration(Math.max(0, untilMs - atMs))} more` },
    { text: `by ${printable(by)}` },
    { text: printable(note), paint: colours.quiet },
  ]);
  return renderTable(titled("", "", "", "", ""), rows, width);
}

function titled(...titles: readonly string[]) {
  return titles.map((title) => ({ title }));
}

function paintOf({ severity }: ListedAlert, colours: Colours): (text: string) => string {
  return { critical: colours.bad, warning: colours.warn, info: colours.accent }[severity];
}

function knownBy({ acknowledged, silencedUntilMs }: ListedAlert, atMs: number): string {
  if (silencedUntilMs !== null && silencedUntilMs > atMs) return "silenced";
  if (acknowledged === null) return "";
  return `ack by ${printable(acknowledged.by)}`;
}
