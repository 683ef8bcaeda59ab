// The models of a cluster on a terminal.
//
// Owns: the lines. Does not own: where they stand (operations/registry/model-looks.ts), what is done about it (verbs/models.ts).

import { bytes, printable, quantity } from "../text.js";
import type { Colours } from "./colours.js";
import { renderTable } from "./table.js";

interface NodeState {
  readonly node: string;
  readonly state: string;
  readonly cause?: string;
}

interface Listed {
  readonly name: string;
  readonly source: string;
  readonly sha256: string | null;
  readonly bytes: number | null;
  readonly nodes: readonly NodeState[];
}

const checksumShown = 12;

export function addedLines(
  report: {
    readonly model: string;
    readonly outcome: string;
    readonly sha256: string;
    readonly bytes: number;
    readonly tookMs: number;
    readonly nodes: readonly NodeState[];
  },
  colours: Colours,
): string {
  const { model, outcome, sha256, nodes, tookMs } = report;
  const up = nodes.filter(({ state }) => state === "up").length;
  const what = outcome === "added" ? "is served" : "was there already";
  const where =
    nodes.length === 0 ? "no node runs: it is served when one starts" : `up on ${up} of ${nodes.length} nodes`;
  return [
    `  ${colours.title(printable(model))}  ${what}: ${where}`,
    `  ${colours.quiet(`sha256 ${sha256.slice(0, checksumShown)}, ${bytes(report.bytes)}, ${tookMs} ms`)}`,
  ].join("\n");
}

export function removedLines(
  { model, log }: { readonly model: string; readonly log: string },
  colours: Colours,
): string {
  const kept = `its log is kept: the same model goes on with it; driftmend model rm ${printable(model)} --purge-log ends it`;
  return `  ${colours.title(printable(model))}  is served no more\n  ${colours.quiet(log === "kept" ? kept : "its log is gone")}`;
}

export function listLines(models: readonly Listed[], width: number, colours: Colours): string {
  const rows = models.map((each) => [
    { text: `  ${printable(each.name)}` },
    { text: each.source },
    { text: sha(each.sha256) },
    { text: each.bytes === null ? "–" : bytes(each.bytes) },
    stateOf(each, colours),
  ]);
  const titles = ["  model", "from", "sha256", "size", "nodes"].map((title) => ({ title }));
  return renderTable(titles, rows, width, colours.quiet).join("\n");
}

function stateOf({ source, nodes }: Listed, colours: Colours) {
  const here = nodes.filter(({ state }) => state !== "absent");
  const up = here.filter(({ state }) => state === "up").length;
  if (source === "removed" && here.length === 0) return { text: "its log is kept", paint: colours.quiet };
  const others = here.filter(({ state }) => state !== "up").map(({ node, state }) => `${node} ${state}`);
  const text = [`up on ${up} of ${nodes.length}`, ...others].join(", ");
  return up === nodes.length ? { text } : { text, paint: colours.warn };
}

export function showLines(
  report: {
    readonly model: string;
    readonly source: string;
    readonly sha256: string | null;
    readonly bytes: number | null;
    readonly addedAtMs: number | null;
    readonly files: readonly { readonly file: string; readonly bytes: number }[];
    readonly hasLog: boolean;
    readonly nodes: readonly NodeState[];
  },
  width: number,
  colours: Colours,
): string {
  const added = report.addedAtMs === null ? [] : [`added ${quantity("AtMs", report.addedAtMs)}`];
  const rows = report.nodes.map(({ node, state, cause }) => [
    { text: `  ${node}` },
    state === "up" ? { text: state, paint: colours.good } : { text: state, paint: colours.warn },
    { text: cause === undefined ? "" : printable(cause) },
  ]);
  const facts = [report.source, `sha256 ${sha(report.sha256)}`, report.hasLog ? "has a log" : "has no log", ...added];
  return [
    `  ${colours.title(printable(report.model))}  ${facts.join(", ")}`,
    ...report.files.map(({ file, bytes: size }) => colours.quiet(`  ${printable(file)}  ${bytes(size)}`)),
    ...renderTable([{ title: "  node" }, { title: "state" }, { title: "" }], rows, width, colours.quiet),
  ].join("\n");
}

function sha(sha256: string | null): string {
  return sha256 === null ? "–" : printable(sha256.slice(0, checksumShown));
}
