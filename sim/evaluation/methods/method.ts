// What a method of adaptation is to the evaluation: it is given inputs, answers them, and learns from them if it can.
//
// Owns: the interface. Does not own: which methods there are (registry.ts), how they are scored (evaluate.ts).
//
// D1. A method answers a batch before it learns from it. What it needs of the batch to answer at all (the statistics of 64 inputs, the
//     neighbours within a window) it may use: that is the method, and no label is in it.
// D2. A method that needs many inputs at once has a `batch` above 1: it is given so many together and answers them together, which is late
//     for all but the last. Its figures say nothing of that wait.
// D3. Equal world, equal inputs, equal answers: chance comes from the seed.
import type { Clock } from "../../../models/clock.js";
import type { Model } from "../../../models/manifest.js";

export interface Method {
  /** Classes, in the order of the inputs. Learns afterwards. */
  answer(inputs: readonly Float32Array[]): Promise<readonly number[]>;
  /** The same with everything that was learned, and learns nothing. */
  answerFrozen(inputs: readonly Float32Array[]): Promise<readonly number[]>;
  /** Inputs that went through the network so far, forwards; the way back of a gradient counts as one more. */
  readonly passes: number;
  close(): Promise<void>;
}

/** What a method may see. */
export interface World {
  readonly model: Model;
  readonly seed: number;
  /** For threads' deadlines; no answer depends on it. */
  readonly clock: Clock;
}

export interface MethodKind {
  /** As it is typed and printed. */
  readonly name: string;
  /** One line for people, with its source. */
  readonly about: string;
  /** One of driftmend's stages, not something it is compared with. */
  readonly own: boolean;
  /** Inputs given at once. */
  readonly batch: number;
  open(world: World): Promise<Method>;
}
