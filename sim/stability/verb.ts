// `driftmend stability`: hours under load and kills, and then the assertions.
//
// Owns: which cluster, what is said on the way, the files of the report, the exit code. Does not own: the run (run.ts), the judgement
// (assertions.ts), how the report reads (report/).
//
// V1. Samples are written as they are taken: a run that is cut off leaves what it saw until then.
// V2. An interruption ends with 130, and the report says what could be judged. A failed assertion of a full run ends with 1 and is named.

import { closeSync, openSync, writeSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { availableParallelism, cpus, totalmem } from "node:os";
import { join } from "node:path";
import { guarded } from "../../models/learning/guard-limits.js";
import { makeFolder } from "../../models/make-folder.js";
import { loadModel } from "../../models/manifest.js";
import { digitsFolder, type LocalCluster, refuseSecond } from "../../operations/cluster/local-cluster.js";
import { done, type Outcome } from "../../operations/cluster/outcome.js";
import type { UpOptions } from "../../operations/cluster/run-options.js";
import { cutShort, entry, startFrom } from "../../operations/cluster/up.js";
import { formatDuration } from "../../operations/duration.js";
import type { Terminal } from "../../operations/terminal/terminal.js";
import { count, percent } from "../../operations/text.js";
import { insistence } from "../demo.js";
import { loadDigitPool } from "../digits.js";
import { misfit } from "../evaluation/verb.js";
import { withOwnLog } from "../own-log.js";
import { driftingStream } from "../stream.js";
import { defaultCrashProbability } from "../worker-chaos.js";
import { type Assertion, assertionsOn, limits } from "./assertions.js";
import { lookerAt } from "./cluster-look.js";
import { commandOf } from "./command.js";
import type { Facts } from "./facts.js";
import { historyOf } from "./history.js";
import { misuse, type StabilityOptions } from "./options.js";
import { reportOf, type StabilityReport, seriesOf } from "./report/document.js";
import { page } from "./report/page.js";
import { renderReport } from "./report/text.js";
import { atMostMs, type Progress, runStability, type TakenSample } from "./run.js";

/** Kills end so long before the run does: a crash must be repaired by then. */
const graceMs = limits.repairMs;
const graceShareMax = 1 / 4;
/** Small enough that it is truncated within minutes: a log that is never truncated proves nothing. */
const logMaxBytes = 128 * 1024 * 1024;
const progressLines = 400;
const progressEvery = { leastMs: 2_000, mostMs: 60_000 } as const;

export async function runStabilityVerb(options: StabilityOptions, terminal: Terminal): Promise<Outcome> {
  const wrong = misuse(options);
  if (wrong !== undefined) return wrong;
  const folder = options.model ?? digitsFolder(entry);
  const model = guarded(await loadModel(folder), {}, false);
  const unfit = misfit(model);
  if (unfit !== undefined) return unfit;
  await refuseSecond(options.store);
  const id = idOf(terminal.clock.nowMs(), options.seed);
  const place = options.report ?? join(options.store, "stability", id);
  await makeFolder(place);
  return withOwnLog(options, "stability-log", async (aside) => {
    if (!terminal.json) terminal.note("starting nats-server, serving, learning and operations nodes ...");
    const cluster = await startFrom(upOptions(options), terminal, aside);
    const insisted = insistence(terminal);
    try {
      const running = runOn(options, terminal, cluster, { id, place, folder, model });
      const outcome = await Promise.race([running, insisted, gaveUp(cluster)]);
      const ending = await cluster.stop(terminal.insisted);
      return ending === "forced" ? cutShort : outcome;
    } finally {
      await cluster.stop(terminal.insisted);
    }
  });
}

function upOptions({ serving, model, store, natsServer, searchPath, json }: StabilityOptions): UpOptions {
  return {
    ...{ serving, store, searchPath, cluster: "driftmend", logMax: logMaxBytes },
    ...(json === undefined ? {} : { json }),
    ...(model === undefined ? {} : { model: [model] }),
    ...(natsServer === undefined ? {} : { natsServer }),
  };
}

async function gaveUp({ failed }: LocalCluster): Promise<Outcome> {
  const { message } = await failed;
  return { kind: "failed", message: `the cluster gave up: ${message}`, next: "driftmend doctor looks at this machine" };
}

interface Place {
  readonly id: string;
  readonly place: string;
  readonly folder: string;
  readonly model: Awaited<ReturnType<typeof loadModel>>;
}

async function runOn(
  options: StabilityOptions,
  terminal: Terminal,
  { context }: LocalCluster,
  { id, place, folder, model }: Place,
): Promise<Outcome> {
  const { clock, interrupted } = terminal;
  const { seed, rate, sampleEvery } = options;
  if (!terminal.json && context.httpUrl !== "") terminal.note(`page ${context.httpUrl}`);
  const ends = { requests: options.requests ?? null, durationMs: options.duration ?? null };
  const probability = options.workerCrashProbability ?? defaultCrashProbability;
  const grace = options.grace ?? Math.min(graceMs, graceShareMax * atMostMs({ ...ends, rate }));
  const samples = openLines(place, "samples.jsonl");
  const history = openLines(place, "history.jsonl");
  try {
    const facts = await runStability(
      {
        ...{ ...ends, seed, rate, sampleEveryMs: sampleEvery, graceMs: grace, model, folder, run: id },
        crashProbability: options.enableChaosTesting === true ? probability : null,
      },
      {
        ...{ context, clock, signal: interrupted, look: lookerAt(context) },
        samples: driftingStream({ pool: await loadDigitPool(), seed, variant: "iid" }),
        onSample: (sample) => {
          samples.write(lineOf(sample));
          history.write(historyOf(sample));
        },
        onProgress: progressTo(terminal),
      },
    );
    return await judge(facts, { id, place, command: commandOf(options) }, terminal);
  } finally {
    samples.close();
    history.close();
  }
}

async function judge(
  facts: Facts,
  { id, place, command }: { readonly id: string; readonly place: string; readonly command: string },
  terminal: Terminal,
): Promise<Outcome> {
  const head = { id, command, machine: machine() };
  const assertions = assertionsOn(facts);
  const report = reportOf(head, facts, assertions);
  const series = seriesOf(head, facts);
  await writeFile(join(place, "series.json"), `${JSON.stringify(series)}\n`);
  await writeFile(join(place, "report.html"), page(report, series));
  await writeFile(join(place, "report.json"), `${JSON.stringify(report, undefined, 2)}\n`);
  terminal.print(terminal.json ? JSON.stringify(report) : renderReport(report, terminal.colours));
  terminal.note(`report: ${join(place, "report.html")}`);
  return outcomeOf(report, assertions, place);
}

export function outcomeOf({ interrupted }: StabilityReport, assertions: readonly Assertion[], place: string): Outcome {
  if (interrupted) return { kind: "interrupted" };
  const failed = assertions.filter(({ passed }) => passed === false);
  if (failed.length === 0) return done;
  const words = failed.map(({ name, measured, allowed }) => `${name}: ${measured}; allowed: ${allowed}`);
  return { kind: "failed", message: words.join("\n  "), next: `look at ${join(place, "report.html")}` };
}

function lineOf({ step, point, metrics }: TakenSample) {
  const { atMs, elapsedMs, requestsPerSecond, p50Ms, p99Ms } = point;
  return { v: 1, step, atMs, elapsedMs, load: { requestsPerSecond, p50Ms, p99Ms }, metrics };
}

function openLines(place: string, name: string) {
  const file = openSync(join(place, name), "w");
  return {
    write: (line: object) => void writeSync(file, `${JSON.stringify(line)}\n`),
    close: () => closeSync(file),
  };
}

function machine() {
  const { node } = process.versions;
  return {
    ...{ cpus: availableParallelism(), cpuModel: cpus()[0]?.model.trim() ?? "unknown" },
    ...{ memoryBytes: totalmem(), node },
  };
}

/** Sorts by time, and is a name for a folder. */
function idOf(nowMs: number, seed: number): string {
  const digits = new Date(nowMs).toISOString().replace(/\D/g, "").slice(0, 14);
  return `${digits.slice(0, 8)}-${digits.slice(8)}-seed${seed}`;
}

/** A line on stderr now and then: seldom in a long run, so that its log can be read. */
function progressTo({ note, width, json }: Terminal): (progress: Progress) => void {
  let saidAtMs = Number.NEGATIVE_INFINITY;
  let saidPhase: Progress["phase"] | undefined;
  return (progress) => {
    const { elapsedMs, plannedMs, phase } = progress;
    const everyMs = Math.min(progressEvery.mostMs, Math.max(progressEvery.leastMs, plannedMs / progressLines));
    if (json || (phase === saidPhase && elapsedMs - saidAtMs < everyMs)) return;
    [saidAtMs, saidPhase] = [elapsedMs, phase];
    note(progressLine(progress).slice(0, width));
  };
}

export function progressLine({
  phase,
  elapsedMs,
  progress,
  plannedMs,
  sent,
  kills,
  inTime,
  accuracy,
  newest,
}: Progress): string {
  if (phase === "checking")
    return `load over after ${formatDuration(elapsedMs)}: folding the log again and checking ...`;
  const left = Math.max(0, plannedMs - Math.max(elapsedMs, progress * plannedMs));
  const parts = [
    `${percent(progress)}, ${formatDuration(left)} left`,
    `${count(sent)} sent, ${percent(inTime)} in time`,
    `${count(kills)} crashes`,
    newest === undefined
      ? "no figures yet"
      : `${count(newest.updateRate)} updates/min, queue ${count(newest.queueSize)}`,
    accuracy === null ? "" : `accuracy ${percent(accuracy.adapting)} (source ${percent(accuracy.source)})`,
  ];
  return parts.filter((part) => part !== "").join("   ");
}
