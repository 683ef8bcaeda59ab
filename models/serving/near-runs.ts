// Runs of one row that are computed in the thread that talks to NATS, by a session of its own beside that of the engine's thread.
//
// Owns: that session, when it is opened, what speaks against a run here. Does not own: how short is short enough (short-runs.ts), the engine's
// thread and the order of answers (engine.ts).
//
// N1. The same graph, options, looks and parameters: the same bits as from the thread.
// N2. Nothing is opened before a window of runs in the thread was short: never at the start, and not for a model that has none to answer.
//     Opening computes once, in proportion to the weights: so only graphs up to `weightsMaxBytes` are. It is tried once.
// N3. Only what cannot hang is run here: a graph in a straight line (straight-line.ts). One with loops stays where a hung run is found.

import type { AdaptableGraph, AdaptableSession, Embedded, Parameters } from "../adaptation/pass.js";
import type { Clock } from "../clock.js";
import { ComputeTime } from "./compute-time.js";
import { type LookSetup, look } from "./looking.js";
import { ShortRuns } from "./short-runs.js";
import { isStraightLine } from "./straight-line.js";

/** The digits' 0.4 MB open in 5 ms of this thread and stay in 1.3 MB. */
const weightsMaxBytes = 1024 * 1024;

export interface NearSetup {
  readonly model: Uint8Array;
  readonly graph: AdaptableGraph;
  readonly looking: LookSetup;
}

export type OpenNear = (setup: NearSetup) => Promise<AdaptableSession>;

export class NearRuns {
  readonly #setup: NearSetup;
  readonly #clock: Clock;
  readonly #open: OpenNear;
  readonly #short = new ShortRuns();
  readonly #time: ComputeTime;
  #session: AdaptableSession | undefined;
  #isTried = false;
  #isClosed = false;
  /** Settles without an error, however the last run ends. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    setup: NearSetup,
    clock: Clock,
    open: OpenNear = openHere,
    time: ComputeTime = new ComputeTime(() => clock.monotonicMs()),
  ) {
    this.#setup = setup;
    this.#clock = clock;
    this.#open = open;
    this.#time = time;
  }

  /** The engine's thread needed `ranMs` for a run of `rows`. */
  ranThere(rows: number, ranMs: number): void {
    if (rows !== 1) return;
    this.#short.ranThere(ranMs);
    if (!this.#isTried && this.#short.mayRunHere(this.#clock.monotonicMs())) this.#openOnce();
  }

  /** Undefined where the run belongs into the thread. One at a time: the caller sees to it. The input is only read. */
  run(input: Float32Array, rows: number, parameters: Parameters, seeds: Uint32Array): Promise<Embedded> | undefined {
    const session = this.#session;
    if (session === undefined || rows !== 1 || input.buffer instanceof SharedArrayBuffer) return undefined;
    if (!this.#short.mayRunHere(this.#clock.monotonicMs())) return undefined;
    const end = this.#time.begin();
    const looked = look(session, this.#setup.looking, input, rows, parameters, seeds).finally(() =>
      this.#short.ranHere(end(), this.#clock.monotonicMs()),
    );
    this.#last = looked.catch(() => undefined);
    return looked;
  }

  /** Resolves when the session is gone, which is after the run under way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#last;
    await this.#letGo();
  }

  #openOnce(): void {
    this.#isTried = true;
    const { model } = this.#setup;
    if (model.byteLength > weightsMaxBytes || !isStraightLine(model)) return;
    this.#open(this.#setup).then(
      (session) => {
        this.#session = session;
        if (this.#isClosed) void this.#letGo();
      },
      // The thread serves it all the same, as it did until now.
      () => undefined,
    );
  }

  async #letGo(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.close();
  }
}

/** Loads ONNX Runtime into this thread only when it is needed here. */
async function openHere({ model, graph }: NearSetup): Promise<AdaptableSession> {
  const { openAdaptableSession } = await import("./onnx-session.js");
  const session = await openAdaptableSession(model, graph);
  await session.warmUp();
  return session;
}
