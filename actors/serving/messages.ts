// What the actors of a serving node say to each other, in the order a request meets them:
//
//   intake -> inference -> buffer -> voter -> (log, reply) -> relay
//                ^           |         |
//                +-----------+<--------+   parameters; what was appended
//
// Owns: the messages. A message that carries requests is the only holder of them: whoever takes it, answers for them.

import type { Adapted } from "../../models/adaptation/adaptation.js";
import type { Embedded } from "../../models/adaptation/pass.js";
import type { Position, UpdateTask } from "../../models/experience.js";
import type { Neighbours } from "../../models/memory/memory.js";
import type { FoundItem } from "../../models/memory/memory-contents.js";
import type { LoggedExperience } from "../../operations/log/log-fold.js";
import type { BatchTimings } from "../../operations/timings/batch-timings.js";
import type { ReplyTo } from "../../supervision/actor/ask.js";
import type { OpenRequest } from "./desk.js";

/** The head that a committed version serves: [width * classes + classes]. */
export interface ServedHead {
  readonly version: number;
  readonly head: Float32Array;
}

/** What the memory of this node implies for the next run of the model. */
export interface Remembered {
  /** Answered requests in the log, up to coldStart and beyond. */
  readonly experiences: number;
  readonly adapted: Adapted;
}

export type InferenceMessage =
  | { readonly kind: "request"; readonly request: OpenRequest }
  /** `arrived`: requests that inference passed on and that have reached their end. */
  | ({ readonly kind: "remembered"; readonly arrived: number } & Remembered)
  | { readonly kind: "committed"; readonly served: ServedHead };

/** One micro-batch that went through the model. `batchId` stays the same however often the batch is redelivered. */
export interface EmbeddedBatch {
  readonly batchId: string;
  readonly requests: readonly OpenRequest[];
  readonly cold: boolean;
  readonly version: number;
  /** When the model ran, epoch milliseconds. Judging is a function of the batch: judged again after a crash, it gives what was logged. */
  readonly atMs: number;
  readonly embedded: Embedded;
  readonly timings: BatchTimings;
}

export type BufferMessage =
  | { readonly kind: "recall"; readonly batch: EmbeddedBatch }
  | { readonly kind: "record"; readonly from: "log"; readonly logged: LoggedExperience }
  /** `arrived`: requests of the batch that this record ends, those answered from the log included. */
  | { readonly kind: "record"; readonly from: "voter"; readonly logged: LoggedExperience; readonly arrived: number }
  /** A batch that left no record: all of it was answered from the log, or refused. */
  | { readonly kind: "passed"; readonly arrived: number }
  | { readonly kind: "locate"; readonly id: string; readonly reply: ReplyTo<Located | undefined> }
  | { readonly kind: "look_up"; readonly id: string; readonly reply: ReplyTo<LookedUp | undefined> }
  | { readonly kind: "introduce"; readonly reply: ReplyTo<Remembered> };

/** The answer an earlier delivery of the same request got: it is given again, not made anew. */
export interface PastAnswer {
  readonly at: Position;
  readonly answer: number;
  readonly confidence: number;
  readonly cold: boolean;
  readonly version: number;
  readonly traceId: string;
}

/** Where the log holds a request, and what it was answered. */
export interface Located {
  readonly at: Position;
  readonly answer: number;
}

/** What a node knows of an answered request; `kept` undefined when it is no longer in the memory. */
export interface LookedUp extends Located {
  readonly kept: FoundItem | undefined;
}

export interface VoterMessage {
  readonly kind: "judge";
  readonly batch: EmbeddedBatch;
  readonly neighbours: Neighbours | undefined;
  /** [rows]; defined where the log already holds an answer to this request. */
  readonly past: readonly (PastAnswer | undefined)[];
}

export interface RelayMessage {
  readonly kind: "tasks";
  readonly tasks: readonly UpdateTask[];
}
