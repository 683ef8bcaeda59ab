// `driftmend eval MODEL`: methods of adaptation compared on the same drifting streams.
//
// Owns: which streams, seeds and methods are taken, progress, where the report goes, the exit code. Does not own: the evaluation
// (evaluate.ts), the report's content (report/).
//
// V1. An interruption ends with 130, and what was measured until then is printed and written.
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pictureSize } from "../../models/digits/idx.js";
import { makeFolder } from "../../models/make-folder.js";
import { loadModel, type Model, sizeOf } from "../../models/manifest.js";
import { digitsFolder } from "../../operations/cluster/local-cluster.js";
import { done, type Outcome } from "../../operations/cluster/outcome.js";
import { entry } from "../../operations/cluster/up.js";
import { formatDuration } from "../../operations/duration.js";
import type { Terminal } from "../../operations/terminal/terminal.js";
import { loadDigitPool } from "../digits.js";
import { type Variant, variants } from "../stream.js";
import { evaluateAll, type Progress } from "./evaluate.js";
import type { MethodKind } from "./methods/method.js";
import { methods } from "./methods/registry.js";
import { source } from "./methods/source.js";
import { type EvaluationReport, reportOf } from "./report/document.js";
import { page } from "./report/page.js";
import { renderReport } from "./report/table.js";
import { digitStream, type EvaluationStream } from "./streams.js";
import { TimeLeft } from "./time-left.js";

export interface EvalOptions {
  readonly json?: boolean;
  /** All when left out. */
  readonly streams?: readonly Variant[];
  /** Names; all when left out. The source is always measured. */
  readonly methods?: readonly string[];
  readonly seeds?: number;
  readonly requests?: number;
  readonly microBatch: number;
  readonly quick?: boolean;
  /** Folder for report.json and report.html. */
  readonly report?: string;
}

interface Plan {
  readonly streams: readonly Variant[];
  readonly seeds: readonly number[];
  readonly requests: number;
  readonly kinds: readonly MethodKind[];
  /** Requests of one drift; the streams' own when left out. */
  readonly segment?: readonly [number, number];
}

const full = { seeds: 3, requests: 4500 } as const;
/** Short stretches, so that a quick look still sees most drifts. */
const quick = { seeds: 1, requests: 900, segment: [90, 150] } as const;
const progressEveryMs = 2_000;
const digitClasses = 10;

export async function runEvalVerb(
  folder: string | undefined,
  options: EvalOptions,
  terminal: Terminal,
): Promise<Outcome> {
  const model = await loadModel(folder ?? digitsFolder(entry));
  const unfit = misfit(model);
  if (unfit !== undefined) return unfit;
  if (options.report !== undefined) await makeFolder(options.report);
  const plan = planOf(options);
  const { seeds, requests, kinds, streams } = plan;
  const evaluation = await evaluateAll({
    model,
    methods: kinds,
    streams: await streamsOf(plan),
    clock: terminal.clock,
    signal: terminal.interrupted,
    onProgress: progressTo(terminal, kinds, streams.length * seeds.length, requests),
  });
  const { manifest } = model;
  const { microBatch } = options;
  const head = { model: manifest.name, sha256: manifest.files.model.sha256, requests, seeds, microBatch };
  const report = reportOf({ ...head, quick: options.quick === true }, kinds, evaluation);
  terminal.print(terminal.json ? JSON.stringify(report) : renderReport(report, terminal.width, terminal.colours));
  if (options.report !== undefined) await writeReport(options.report, report, terminal);
  return evaluation.complete ? done : { kind: "interrupted" };
}

/** The streams are digits: a model that takes something else has no use for them. */
export function misfit({ manifest }: Model): Outcome | undefined {
  if (sizeOf(manifest.input.shape) === pictureSize && manifest.labels.length === digitClasses) return undefined;
  const takes = `inputs [${manifest.input.shape.join(", ")}] and ${manifest.labels.length} labels`;
  return {
    kind: "failed",
    message: `${manifest.name} has ${takes}; the streams are digits of [1, 28, 28] with 10 labels`,
    next: "give a model of digits, or none for the one that is shipped",
  };
}

function planOf(options: EvalOptions): Plan {
  const base = options.quick === true ? quick : full;
  const wanted = options.methods;
  const kinds = methods(options.microBatch).filter(
    (kind) => wanted === undefined || kind === source || wanted.includes(kind.name),
  );
  return {
    streams: options.streams ?? variants,
    seeds: Array.from({ length: options.seeds ?? base.seeds }, (_, i) => i + 1),
    requests: options.requests ?? base.requests,
    kinds,
    ...("segment" in base ? { segment: base.segment } : {}),
  };
}

async function streamsOf({ streams, seeds, requests, segment }: Plan): Promise<(() => EvaluationStream)[]> {
  const pool = await loadDigitPool();
  return streams.flatMap((variant) =>
    seeds.map((seed) => () => digitStream(pool, { variant, seed, requests, ...(segment && { segment }) })),
  );
}

/** A line every two seconds on stderr. `streams`: how many streams, each with every seed. */
function progressTo(
  { clock, note, width }: Terminal,
  kinds: readonly MethodKind[],
  streams: number,
  requests: number,
): (progress: Progress) => void {
  const left = new TimeLeft();
  const open = new Map(kinds.map(({ name }) => [name, streams * requests]));
  let [seenAtMs, saidAtMs] = [clock.monotonicMs(), clock.monotonicMs()];
  let answeredBefore = 0;
  return (progress) => {
    const { method, stream, seed, answered, done: ended, runs } = progress;
    const nowMs = clock.monotonicMs();
    const fresh = answered - answeredBefore;
    // Before the first answers of a run a library started, or the method before it was asked clean inputs.
    if (answeredBefore > 0) left.took(method, fresh, nowMs - seenAtMs);
    open.set(method, Math.max(0, (open.get(method) ?? 0) - fresh));
    [seenAtMs, answeredBefore] = [nowMs, answered === requests ? 0 : answered];
    if (nowMs - saidAtMs < progressEveryMs) return;
    saidAtMs = nowMs;
    const leftMs = left.of(open);
    const until = leftMs === null ? "" : `, about ${formatDuration(leftMs)} left`;
    note(`${ended}/${runs} runs${until}   ${stream} seed ${seed}  ${method} ${answered}/${requests}`.slice(0, width));
  };
}

async function writeReport(folder: string, report: EvaluationReport, { note }: Terminal): Promise<void> {
  await writeFile(join(folder, "report.json"), `${JSON.stringify(report)}\n`);
  await writeFile(join(folder, "report.html"), page(report));
  note(`report: ${join(folder, "report.html")}`);
}
