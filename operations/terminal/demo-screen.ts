// The demo's live screen, as a pure function of what is known at a moment.
//
// Owns: what a person sees while digits drift. Does not own: measuring (sim/), drawing in place (painter.ts).
//
// D1. Nothing is shown that was not measured: what has no value yet is a dash.
// D2. The adapting model and the same model left alone stand one above the other, on one scale.
import { formatDuration } from "../duration.js";
import { count, cut, padLeft, padRight, percent, plural, points, printable } from "../text.js";
import type { Colours } from "./colours.js";
import { sparkline } from "./sparkline.js";

/** Shares in 0..1, prequential; null until something was scored. */
export interface AccuracyState {
  readonly all: number | null;
  readonly last200: number | null;
  /** One value per closed window of the stream, oldest first: the curve. */
  readonly history: readonly number[];
}

export interface DemoState {
  readonly readyMs: number;
  readonly elapsedMs: number;
  readonly requestsPerSecond: number;
  readonly answered: number;
  readonly refused: Readonly<Record<string, number>>;
  /** Undefined when the demo goes on until Ctrl-C. */
  readonly limit:
    | { readonly kind: "requests"; readonly requests: number }
    | { readonly kind: "duration"; readonly ms: number }
    | undefined;
  readonly accuracy: { readonly adapting: AccuracyState; readonly source: AccuracyState };
  readonly drift: { readonly name: string; readonly severity: number };
  /** Mean of the newest answers, 0..1. */
  readonly confidence: number | null;
  readonly mode: "cold" | "ensemble";
  readonly modelVersion: number;
  readonly updates: {
    readonly applied: number;
    readonly refused: Readonly<Record<string, number>>;
  };
  readonly restarts: number;
  /** The newest thing worth a line: a crash, a restart, a rollback. */
  readonly event: string | undefined;
  readonly natsUrl: string;
  readonly contextFile: string;
  /** Commands to type in another terminal, with what each does. */
  readonly next: readonly { readonly command: string; readonly does: string }[];
}

const labelWidth = 12;

/** Lines joined by "\n", none wider than `width` (before colour), which is at least 40. */
export function renderDemo(state: DemoState, width: number, colours: Colours): string {
  const room = Math.max(width, 40);
  const lines = [
    headline(state, room, colours),
    "",
    ...accuracyLines(state, room, colours),
    "",
    ...stateLines(state, room, colours),
    "",
    field("NATS", state.natsUrl, room, colours),
    field("context", state.contextFile, room, colours),
    "",
    ...nextLines(state, room, colours),
    colours.quiet(`  Ctrl-C drains and stops`),
  ];
  return lines.join("\n");
}

/** The same in one plain line, for a log or a pipe. */
export function renderDemoLine(state: DemoState): string {
  const { adapting, source } = state.accuracy;
  return [
    padLeft(formatDuration(state.elapsedMs), 9),
    `${count(state.answered)} answered`,
    `${count(state.requestsPerSecond)}/s`,
    `accuracy ${percent(adapting.all)} (left alone ${percent(source.all)})`,
    `last 200 ${percent(adapting.last200)} (${percent(source.last200)})`,
    driftText(state),
    state.mode,
    `version ${count(state.modelVersion)}`,
    plural(state.restarts, "restart"),
  ].join("  ");
}

function headline(state: DemoState, width: number, colours: Colours): string {
  const left = "  driftmend demo";
  const right = `ready in ${count(state.readyMs)} ms · ${elapsed(state)}`;
  const space = " ".repeat(Math.max(2, width - left.length - right.length));
  return colours.title(left) + colours.quiet(cut(space + right, width - left.length));
}

function elapsed(state: DemoState): string {
  const passed = formatDuration(state.elapsedMs);
  if (state.limit === undefined) return passed;
  if (state.limit.kind === "duration") return `${passed} of ${formatDuration(state.limit.ms)}`;
  return `${passed} · ${count(state.answered)} of ${count(state.limit.requests)}`;
}

function accuracyLines(state: DemoState, width: number, colours: Colours): string[] {
  const { adapting, source } = state.accuracy;
  const curve = Math.max(0, Math.min(40, width - 38));
  const row = (label: string, last200: string, all: string) =>
    `  ${padRight(label, labelWidth)}${padLeft(last200, 9)}${padLeft(all, 10)}   `;
  const gain = (of: "all" | "last200") => {
    const [mine, theirs] = [adapting[of], source[of]];
    return mine === null || theirs === null ? null : mine - theirs;
  };
  return [
    colours.quiet(row("accuracy", "last 200", "all").trimEnd()),
    colours.good(
      row("adapting", percent(adapting.last200), percent(adapting.all)) + sparkline(adapting.history, curve),
    ),
    row("left alone", percent(source.last200), percent(source.all)) + colours.quiet(sparkline(source.history, curve)),
    paintGain(gain("last200"), colours)(row("gain", points(gain("last200")), points(gain("all"))).trimEnd()),
  ];
}

function paintGain(gain: number | null, colours: Colours): (text: string) => string {
  if (gain === null) return colours.quiet;
  return gain < 0 ? colours.warn : colours.accent;
}

function stateLines(state: DemoState, width: number, colours: Colours): string[] {
  const { applied, refused } = state.updates;
  const confidence = state.confidence === null ? "–" : state.confidence.toFixed(2);
  const lines = [
    field("drift", driftText(state), width, colours),
    field(
      "stream",
      `${count(state.requestsPerSecond)} requests/s, ${count(state.answered)} answered, ${tally(state.refused, "refused")}`,
      width,
      colours,
    ),
    field(
      "model",
      `version ${count(state.modelVersion)}, ${modeText(state.mode)}, confidence ${confidence}`,
      width,
      colours,
    ),
    field("updates", `${count(applied)} applied, ${tally(refused, "refused")}`, width, colours),
    field("restarts", count(state.restarts), width, colours),
  ];
  if (state.event === undefined) return lines;
  return [
    ...lines,
    `  ${padRight("", labelWidth)}${colours.warn(cut(printable(state.event), width - 2 - labelWidth))}`,
  ];
}

function driftText(state: DemoState): string {
  const { name, severity } = state.drift;
  return severity > 0 ? `${printable(name)}, severity ${severity}` : printable(name);
}

function modeText(mode: DemoState["mode"]): string {
  return mode === "cold" ? "cold (one voice, nothing learned yet)" : "ensemble";
}

/** "12 refused (klLimit 9, anchors 3)". */
export function tally(counts: Readonly<Record<string, number>>, word: string): string {
  const entries = Object.entries(counts).filter(([, n]) => n > 0);
  const total = entries.reduce((sum, [, n]) => sum + n, 0);
  if (total === 0) return `0 ${word}`;
  const parts = entries.sort(([, a], [, b]) => b - a).map(([name, n]) => `${printable(name)} ${count(n)}`);
  return `${count(total)} ${word} (${parts.join(", ")})`;
}

function field(label: string, value: string, width: number, colours: Colours): string {
  return `  ${colours.quiet(padRight(label, labelWidth))}${cut(value, width - 2 - labelWidth)}`;
}

function nextLines(state: DemoState, width: number, colours: Colours): string[] {
  if (state.next.length === 0) return [];
  const longest = state.next.reduce((widest, { command }) => Math.max(widest, command.length), 0);
  const lines = state.next.map(({ command, does }) => {
    const room = width - 4 - longest - 2;
    const tail =
      room >= 8 && does !== "" ? `${" ".repeat(longest - command.length + 2)}${colours.quiet(cut(does, room))}` : "";
    return `    ${colours.accent(cut(command, width - 4))}${tail}`;
  });
  return [colours.quiet("  In another terminal"), ...lines, ""];
}
