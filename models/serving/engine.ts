// The engine: one model's serving graph in a worker thread, so that computing never blocks the thread that talks to NATS. Runs of one row that prove
// to be shorter than the way to that thread and back are computed beside it (near-runs.ts).
//
// Owns: the thread, the requests in flight, the shapes of what goes in and comes out.
// Does not own: the session (models/serving/onnx-session.ts, inside the thread), batching, which parameters are current, which runs are short.
//
// E1. Every `run` settles: with its result, or with an EngineError when its input, the run or the thread failed.
// E2. Runs are answered in the order they were asked.
// E3. Parameters are immutable: the same object means the same numbers, and is sent to the thread once.
// E4. A thread that owes an answer for too long is given up as dead, and left behind (thread-silence.ts).
// E5. A run here begins while nothing is in flight, and has the bits that the thread would give. E1 to E3 hold for it too.
import { Worker } from "node:worker_threads";
import { type AdaptableGraph, type Embedded, graphOf, type Parameters, parameterSizes } from "../adaptation/pass.js";
import type { Clock } from "../clock.js";
import { type Model, sizeOf } from "../manifest.js";
import { ended, exitOf } from "../threads/thread-end.js";
import { Silence, type ThreadBounds, unhurried } from "../threads/thread-silence.js";
import type { ExecutionProvider, RunsOn } from "./execution-provider.js";
import type { LookSetup } from "./looking.js";
import { lookSetup } from "./looking.js";
import { NearRuns } from "./near-runs.js";

export interface Engine {
  /**
   * input [rows, ...shape]; its buffer is handed over and must not be used again. One in memory that threads share is read where it is, and
   * must not change until the run has ended. `seeds` [rows] choose the looks (request-chance.ts).
   * Rejects with EngineError: `input` (the caller's fault), `run` (the graph's), `died`, `closed`.
   */
  run(input: Float32Array, rows: number, parameters: Parameters, seeds: Uint32Array): Promise<Embedded>;
  /** Runs in flight reject with `closed` at once; resolves when the thread has ended, which is after the runs it was given, or was found hung. Does not resolve `died`. */
  close(): Promise<void>;
  /** Where it computes, from when it is ready. */
  readonly runsOn: RunsOn;
  /** Resolves when the thread ended without being told to. */
  readonly died: Promise<Error>;
}

export class EngineError extends Error {
  override readonly name = "EngineError";
  constructor(
    readonly code: "input" | "run" | "start" | "died" | "closed",
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What the thread is started with (engine-worker.ts). */
export interface EngineSetup {
  readonly model: Uint8Array;
  readonly graph: AdaptableGraph;
  readonly looking: LookSetup;
  readonly provider: ExecutionProvider;
}

/** To the thread. */
export type EngineRequest =
  | {
      readonly kind: "run";
      readonly input: Float32Array;
      readonly rows: number;
      readonly seeds: Uint32Array;
      /** null: those of the run before. */
      readonly parameters: Parameters | null;
    }
  | { readonly kind: "close" };

/** From the thread: once ready, then one reply for each run, in order. */
export type EngineReply =
  | { readonly kind: "ready"; readonly runsOn: RunsOn }
  /** `ranMs`: of the run alone, all its passes. */
  | { readonly kind: "embedded"; readonly embedded: Embedded; readonly ranMs: number }
  | { readonly kind: "failed"; readonly message: string };

interface Waiting {
  readonly rows: number;
  resolve(embedded: Embedded): void;
  reject(error: EngineError): void;
}

/**
 * Starts the thread, opens the session, on the CPU where `provider` is not available, and runs it once at its source parameters. Rejects with EngineError `start`.
 */
export async function startEngine(
  model: Model,
  clock: Clock,
  bounds: ThreadBounds = unhurried(),
  provider: ExecutionProvider = "cpu",
): Promise<Engine> {
  const { manifest } = model;
  const setup: EngineSetup = {
    // A copy, so that the model's bytes stay usable here; structured cloning of a Buffer would send its whole pool.
    model: Uint8Array.from(model.modelBytes),
    graph: graphOf(model),
    looking: lookSetup(model),
    provider,
  };
  const worker = new Worker(new URL("./engine-worker.js", import.meta.url), { workerData: setup });
  const near = new NearRuns({ ...setup, model: model.modelBytes }, clock);
  const engine = new ThreadEngine(worker, setup, clock, bounds, near);
  try {
    await engine.ready;
  } catch (error) {
    await engine.close();
    throw new EngineError("start", `${manifest.name} cannot be served: ${messageOf(error)}`, { cause: error });
  }
  return engine;
}

class ThreadEngine implements Engine {
  readonly died: Promise<Error>;
  readonly ready: Promise<void>;
  readonly #waiting: Waiting[] = [];
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  readonly #clock: Clock;
  readonly #setup: EngineSetup;
  readonly #bounds: ThreadBounds;
  readonly #silence: Silence;
  readonly #cancelStart: () => void;
  readonly #near: NearRuns;
  /** The run that is computed here. */
  #flyingHere: { readonly over: Promise<void>; readonly reject: (error: EngineError) => void } | undefined;
  #runsOn: RunsOn = { provider: "cpu" };
  #isHung = false;
  #ended: EngineError | null = null;
  #sent: Parameters | null = null;

  constructor(worker: Worker, setup: EngineSetup, clock: Clock, bounds: ThreadBounds, near: NearRuns) {
    this.#worker = worker;
    this.#near = near;
    this.#exited = exitOf(worker);
    this.#clock = clock;
    this.#setup = setup;
    this.#bounds = bounds;
    let resolveDied: (error: Error) => void = unheard;
    this.died = new Promise((resolve) => {
      resolveDied = resolve;
    });
    let giveUp: () => void = () => undefined;
    const hung = (): void => {
      this.#isHung = true;
      giveUp();
    };
    this.#silence = new Silence(clock, bounds.answerMs, hung);
    this.#cancelStart = clock.after(bounds.startMs, hung);
    this.ready = new Promise((resolve, reject) => {
      const die = (problem: string, cause?: unknown) => {
        if (this.#ended !== null) return;
        const error = new EngineError("died", `the engine thread ${problem}`, { cause });
        this.#end(error);
        reject(error);
        resolveDied(error);
      };
      giveUp = () => die("says nothing and counts as hung");
      worker.on("message", (reply: EngineReply) => {
        if (reply.kind === "ready") {
          this.#cancelStart();
          this.#runsOn = reply.runsOn;
          resolve();
          return;
        }
        this.#silence.heard(this.#waiting.length > 1);
        this.#settle(reply);
      });
      worker.on("error", (error) => die(`failed: ${messageOf(error)}`, error));
      worker.on("messageerror", (error) => die("lost a message", error));
      worker.on("exit", (code) => die(`exited with code ${code}`));
    });
  }

  get runsOn(): RunsOn {
    return this.#runsOn;
  }

  run(input: Float32Array, rows: number, parameters: Parameters, seeds: Uint32Array): Promise<Embedded> {
    if (this.#ended !== null) return Promise.reject(this.#ended);
    const problem = problemOf(this.#setup.graph, input, rows, parameters);
    if (problem !== null) return Promise.reject(new EngineError("input", problem));
    return this.#runHere(input, rows, parameters, seeds) ?? this.#runThere(input, rows, parameters, seeds);
  }

  /** Undefined where the run belongs into the thread. */
  #runHere(
    input: Float32Array,
    rows: number,
    parameters: Parameters,
    seeds: Uint32Array,
  ): Promise<Embedded> | undefined {
    // Another provider than the CPU gives other bits.
    if (this.#runsOn.provider !== "cpu" || this.#flyingHere !== undefined || this.#waiting.length > 0) return undefined;
    const looked = this.#near.run(input, rows, parameters, seeds);
    if (looked === undefined) return undefined;
    return new Promise((resolve, reject) => {
      const landed = (settle: () => void): void => {
        this.#flyingHere = undefined;
        settle();
      };
      const over = looked.then(
        (embedded) => landed(() => resolve(embedded)),
        (error: unknown) => landed(() => reject(new EngineError("run", messageOf(error)))),
      );
      this.#flyingHere = { over, reject };
    });
  }

  #runThere(input: Float32Array, rows: number, parameters: Parameters, seeds: Uint32Array): Promise<Embedded> {
    const changed = parameters !== this.#sent;
    this.#sent = parameters;
    const isShared = input.buffer instanceof SharedArrayBuffer;
    const owned = isShared ? input : ownBuffer(input);
    const request: EngineRequest = { kind: "run", input: owned, rows, seeds, parameters: changed ? parameters : null };
    const answered = new Promise<Embedded>((resolve, reject) => {
      this.#waiting.push({ rows, resolve, reject });
      this.#silence.asked();
      this.#worker.postMessage(request, owned.buffer instanceof ArrayBuffer ? [owned.buffer] : []);
    });
    // E2: the run that is computed here was asked before.
    if (this.#flyingHere === undefined) return answered;
    return Promise.all([answered, this.#flyingHere.over]).then(([embedded]) => embedded);
  }

  async close(): Promise<void> {
    if (this.#ended === null) this.#end(new EngineError("closed", "the engine was closed"));
    this.#worker.postMessage({ kind: "close" } satisfies EngineRequest);
    await this.#near.close();
    if (this.#isHung) return this.#bounds.stuck.leave(this.#worker, this.#exited);
    await ended(this.#worker, this.#exited, this.#clock, this.#bounds.endMs);
  }

  #settle(reply: Exclude<EngineReply, { kind: "ready" }>): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) return;
    if (reply.kind === "embedded") {
      waiting.resolve(reply.embedded);
      this.#near.ranThere(waiting.rows, reply.ranMs);
    } else waiting.reject(new EngineError("run", reply.message));
  }

  #end(error: EngineError): void {
    this.#ended = error;
    this.#silence.end();
    this.#cancelStart();
    this.#flyingHere?.reject(error);
    for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
  }
}

function problemOf(graph: AdaptableGraph, input: Float32Array, rows: number, parameters: Parameters): string | null {
  if (!Number.isInteger(rows) || rows < 1) return `${rows} rows`;
  if (input.length !== rows * sizeOf(graph.shape)) return `${input.length} input values for ${rows} rows`;
  const sizes = parameterSizes(graph);
  for (const name of ["signatures", "limits", "table", "head"] as const) {
    if (parameters[name].length !== sizes[name])
      return `${name} has ${parameters[name].length} values, not ${sizes[name]}`;
  }
  return null;
}

/** The values in a buffer of their own, which can be transferred. */
function ownBuffer(values: Float32Array): Float32Array<ArrayBuffer> {
  const { buffer } = values;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === values.byteLength) return new Float32Array(buffer);
  return Float32Array.from(values);
}

function unheard(error: Error): void {
  throw error;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
