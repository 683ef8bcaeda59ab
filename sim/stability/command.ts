// What to type to run the same again: the flags of a run, spelled out.
//
// Owns: the spelling. Does not own: the grammar (cli.ts).

import type { StabilityOptions } from "./options.js";

export function commandOf(options: StabilityOptions): string {
  const { duration, requests, enableChaosTesting, workerCrashProbability, rate, seed } = options;
  const { sampleEvery, grace, serving, model } = options;
  const words = [
    "driftmend stability",
    ...(duration === undefined ? [] : [`--duration ${spelled(duration)}`]),
    ...(requests === undefined ? [] : [`--requests ${requests}`]),
    ...(enableChaosTesting === true ? ["--enable-chaos-testing"] : []),
    ...(workerCrashProbability === undefined ? [] : [`--worker-crash-probability ${workerCrashProbability}`]),
    ...[`--rate ${rate}`, `--seed ${seed}`, `--sample-every ${spelled(sampleEvery)}`],
    ...(grace === undefined ? [] : [`--grace ${spelled(grace)}`]),
    ...(serving === 1 ? [] : [`--serving ${serving}`]),
    ...(model === undefined ? [] : [`--model ${quoted(model)}`]),
  ];
  return words.join(" ");
}

const units = [
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
] as const;

/** In the largest unit that needs no fraction. */
function spelled(ms: number): string {
  const found = units.find(([, unitMs]) => ms % unitMs === 0);
  return found === undefined ? `${ms}ms` : `${ms / found[1]}${found[0]}`;
}

function quoted(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
