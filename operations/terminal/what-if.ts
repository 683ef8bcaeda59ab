// Two folds of one log beside each other, for people.
import type { FoldFigures, WhatIf } from "../log/what-if.js";
import { count, percent, plural, points, printable } from "../text.js";
import type { Colours } from "./colours.js";
import { renderTable } from "./table.js";

type Row = readonly [string, string, string];

export function renderWhatIf(result: WhatIf, width: number, colours: Colours): string {
  const { answers } = result;
  const began = result.from === 0 ? "from the source" : `from the snapshot behind update ${result.from}`;
  const right = (title: string) => ({ title, align: "right" as const });
  const rows: Row[] = [
    ...result.changes.map(
      ({ key, recorded, instead }): Row => [key, printable(`${recorded}`), printable(`${instead}`)],
    ),
    ...foldRows(result.recorded, result.instead),
    ...labelRows(result),
  ];
  return [
    `  ${colours.title(printable(result.model))}  ${plural(result.updates, "update")} and ${plural(answers.rows, "answer")} folded twice, ${began}`,
    "",
    ...renderTable(
      [{ title: "  " }, right("recorded"), right("what if")],
      rows.map(([name, recorded, instead]) => [{ text: `  ${name}` }, { text: recorded }, { text: instead }]),
      width,
      colours.quiet,
    ),
    "",
    `  answers that change  ${count(answers.changed)} of ${count(answers.rows)}${share(answers.changed, answers.rows)}`,
    `  gate                 ${count(answers.gate.learnNow)} more would be learned from, ${count(answers.gate.leftNow)} no longer`,
    `  heads apart          ${result.headDistance.toPrecision(3)}`,
    `  recomputed as logged ${count(answers.reproduced)} of ${count(answers.rows)} under the recorded settings`,
    ...(answers.notCompared === 0
      ? []
      : [`  not compared         ${count(answers.notCompared)}: their version is not in the fold`]),
    "",
    ...result.recomputed.map((line) => colours.quiet(`  recomputed: ${line}`)),
    ...result.keptAsRecorded.map((line) => colours.quiet(`  as recorded: ${line}`)),
  ].join("\n");
}

function foldRows(recorded: FoldFigures, instead: FoldFigures): Row[] {
  const row = (name: string, of: (figures: FoldFigures) => string): Row => [name, of(recorded), of(instead)];
  const guards = [...new Set([...Object.keys(recorded.refused), ...Object.keys(instead.refused)])].sort();
  return [
    row("steps applied", ({ applied }) => count(applied)),
    ...guards.map((guard) => row(`refused: ${guard}`, ({ refused }) => count(refused[guard] ?? 0))),
    row("gradients clipped", ({ clipped }) => count(clipped)),
    row("KL to the source, mean", ({ kl }) => (kl === null ? "–" : kl.mean.toFixed(4))),
    row("KL to the source, highest", ({ kl }) => (kl === null ? "–" : kl.max.toFixed(4))),
    row("head from the source", ({ distanceToSource }) => distanceToSource.toPrecision(3)),
  ];
}

function labelRows({ answers }: WhatIf): Row[] {
  const { n, recorded, instead } = answers.labelled;
  if (n === 0) return [["accuracy", "no labels", "no labels"]];
  const told = `${percent(instead / n)} (${points((instead - recorded) / n)})`;
  return [[`accuracy on ${plural(n, "label")}`, percent(recorded / n), told]];
}

function share(part: number, all: number): string {
  return all === 0 ? "" : ` (${percent(part / all)})`;
}
