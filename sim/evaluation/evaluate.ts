// Prequential evaluation: every answer is scored before anything is learned from it, every method on the same requests.
//
// Owns: the order of runs (seed, stream, method), what is scored, what is said on the way. Does not own: methods (methods/), streams
// (streams.ts), figures (measures.ts), what is made of the results (report/).
//
// V1. Inside a batch the parameters are frozen, as in the cluster.
// V2. Equal options give equal measures: the clock gives `medianUs` and the progress, and nothing else.
// V3. An abort ends the run that is under way and leaves the results of those before it.
import type { Clock } from "../../models/clock.js";
import type { Model } from "../../models/manifest.js";
import {
  accuracyByDrift,
  type CurvePoint,
  type DriftAccuracy,
  type Marks,
  median,
  share,
  slidingAccuracy,
  type WorstWindow,
  worstWindow,
} from "./measures.js";
import type { Method, MethodKind } from "./methods/method.js";
import { source } from "./methods/source.js";
import { type EvaluationStream, type LabelledInput, type Stretch, stretchesOf } from "./streams.js";

export interface RunResult {
  readonly method: string;
  readonly stream: string;
  readonly seed: number;
  readonly requests: number;
  readonly accuracy: number;
  /** Over the source on the same requests. */
  readonly gain: number;
  /** Null when there are fewer requests than a window. */
  readonly worstWindow: WorstWindow | null;
  readonly byDrift: readonly DriftAccuracy[];
  /** Accuracy on clean inputs after the stream, learning stopped, and what of the source's is lost (negative: gained). Null without any. */
  readonly clean: { readonly accuracy: number; readonly forgotten: number } | null;
  readonly passesPerRequest: number;
  readonly curve: readonly CurvePoint[];
  /** Of one request, on this machine, informative: microseconds. */
  readonly medianUs: number;
}

export interface StreamResult {
  readonly stream: string;
  readonly seed: number;
  readonly requests: number;
  readonly stretches: readonly Stretch[];
}

export interface Progress {
  readonly method: string;
  readonly stream: string;
  readonly seed: number;
  /** Of this run. */
  readonly answered: number;
  readonly requests: number;
  /** Runs that ended, and all. */
  readonly done: number;
  readonly runs: number;
}

export interface EvaluationOptions {
  readonly model: Model;
  readonly methods: readonly MethodKind[];
  /** Made when their turn comes: a stream of thousands of pictures is large. */
  readonly streams: readonly (() => EvaluationStream)[];
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

export interface Evaluation {
  readonly results: readonly RunResult[];
  readonly streams: readonly StreamResult[];
  /** False after an abort. */
  readonly complete: boolean;
}

/** Inputs answered together once nothing is learned any more. */
const frozenBatch = 64;

export async function evaluateAll(options: EvaluationOptions): Promise<Evaluation> {
  const { methods, streams, signal, onProgress } = options;
  const results: RunResult[] = [];
  const seen: StreamResult[] = [];
  const runs = methods.length * streams.length;
  for (const make of streams) {
    if (signal.aborted) break;
    const stream = make();
    const { name, seed, requests } = stream;
    const say = (method: string) => (answered: number) =>
      onProgress?.({ method, stream: name, seed, answered, requests: requests.length, done: results.length, runs });
    const floor = await run(source, stream, options, say(source.name));
    if (floor === undefined) break;
    seen.push({ stream: name, seed, requests: requests.length, stretches: stretchesOf(requests) });
    for (const kind of methods) {
      const own = kind === source ? floor : await run(kind, stream, options, say(kind.name));
      if (own === undefined) break;
      results.push(resultOf(kind, stream, own, floor));
    }
  }
  return { results, streams: seen, complete: results.length === runs };
}

interface Run {
  readonly marks: Marks;
  readonly cleanMarks: Marks;
  readonly passesPerRequest: number;
  readonly medianUs: number;
}

/** Undefined when it was aborted. */
async function run(
  kind: MethodKind,
  stream: EvaluationStream,
  { model, clock, signal }: Pick<EvaluationOptions, "model" | "clock" | "signal">,
  onAnswered: (answered: number) => void,
): Promise<Run | undefined> {
  const method = await kind.open({ model, seed: stream.seed, clock });
  try {
    const timesUs: number[] = [];
    const answer = async (inputs: readonly Float32Array[]): Promise<readonly number[]> => {
      const startedAtMs = clock.monotonicMs();
      const answers = await method.answer(inputs);
      timesUs.push((1000 * (clock.monotonicMs() - startedAtMs)) / inputs.length);
      return answers;
    };
    const marks = await marked(stream.requests, kind.batch, answer, signal, onAnswered);
    if (marks === undefined) return undefined;
    const passesPerRequest = method.passes / stream.requests.length;
    const frozen = (inputs: readonly Float32Array[]) => method.answerFrozen(inputs);
    const cleanMarks = await marked(stream.clean, frozenBatch, frozen, signal, () => undefined);
    if (cleanMarks === undefined) return undefined;
    return { marks, cleanMarks, passesPerRequest, medianUs: median(timesUs) };
  } finally {
    await method.close();
  }
}

/** 1 for each right answer; undefined when aborted. */
async function marked(
  requests: readonly LabelledInput[],
  batch: number,
  answer: Method["answer"],
  signal: AbortSignal,
  onAnswered: (answered: number) => void,
): Promise<Marks | undefined> {
  const marks = new Uint8Array(requests.length);
  for (let from = 0; from < requests.length; from += batch) {
    // Synchronous arithmetic would leave no moment for a signal.
    await new Promise((resolve) => setImmediate(resolve));
    if (signal.aborted) return undefined;
    const own = requests.slice(from, from + batch);
    const answers = await answer(own.map(({ input }) => input));
    for (const [i, { label }] of own.entries()) marks[from + i] = answers[i] === label ? 1 : 0;
    onAnswered(from + own.length);
  }
  return marks;
}

function resultOf(kind: MethodKind, stream: EvaluationStream, own: Run, floor: Run): RunResult {
  const { name, seed, requests } = stream;
  const accuracy = share(own.marks);
  const clean = share(own.cleanMarks);
  const drifts = requests.map(({ drift }) => drift);
  return {
    method: kind.name,
    stream: name,
    seed,
    requests: requests.length,
    accuracy,
    gain: accuracy - share(floor.marks),
    worstWindow: worstWindow(own.marks, floor.marks),
    byDrift: accuracyByDrift(drifts, own.marks, floor.marks),
    clean: own.cleanMarks.length === 0 ? null : { accuracy: clean, forgotten: share(floor.cleanMarks) - clean },
    passesPerRequest: own.passesPerRequest,
    curve: slidingAccuracy(own.marks),
    medianUs: own.medianUs,
  };
}
