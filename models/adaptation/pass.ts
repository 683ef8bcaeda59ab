// One pass of the serving graph: what goes in, what comes out, how large each is.
//
// Owns: these shapes. Does not own: the session that runs it (onnx-session.ts), how many passes a request gets (looking.ts), threads (engine.ts).

import type { LooksSeen } from "../experience.js";
import type { Subject } from "../manifest.js";
import { domainsMax } from "./domains.js";
import type { LookPlan } from "./rollout.js";

export interface Parameters {
  /** [S, domains] the signature that each known domain has (models/adaptation/domains.ts). */
  readonly signatures: Float32Array;
  /** [domains] -|signature|^2 / 2; where no domain is, a number that no signature reaches. */
  readonly limits: Float32Array;
  /** [domains + 1, 2C] scale, then shift, of every normalised channel: for inputs of no known domain, then for each domain. */
  readonly table: Float32Array;
  /** Who gets more than one look. */
  readonly plan: LookPlan;
  /** [width * classes + classes]: W row-major [width, classes], then b. */
  readonly head: Float32Array;
}

/** One pass of the serving graph. */
export interface Run {
  readonly rows: number;
  /** [n, classes] */
  readonly logits: Float32Array;
  /** [n, width] */
  readonly embeddings: Float32Array;
  /** [n, 2C] first moments, then second, before normalisation. */
  readonly moments: Float32Array;
  /** [n] mean cosine to the 5 nearest anchors. */
  readonly density: Float32Array;
  /** [n] rows of the table that normalised each: 0 = no known domain. */
  readonly domains: Uint8Array;
}

/** A micro-batch and all that was looked at for it. `logits` and `embeddings` are those of the answer; the rest belongs to the plain look. */
export interface Embedded extends Run {
  /** [n, classes] logits of the plain look. */
  readonly plain: Float32Array;
  /** [n] 1 = the source alone looked at it, for its domain is floored: the plain look is the source's too. */
  readonly bySource: Uint8Array;
  /** What was seen of rows that got more than one look, and [m] what each look counted in its row's answer. */
  readonly looks: LooksSeen & { readonly weights: Float32Array };
}

/** What the serving graph takes and gives. */
export interface AdaptableGraph {
  /** Without batch. */
  readonly shape: readonly number[];
  readonly inputName: string;
  readonly signatureSize: number;
  readonly domains: number;
  readonly channels: number;
  readonly width: number;
  readonly classes: number;
}

/** The graph's session, in whatever thread. */
export interface AdaptableSession {
  /** input [rows, ...shape]; the input is only read. */
  run(input: Float32Array, rows: number, parameters: Omit<Parameters, "plan">): Promise<Run>;
  /** One run on zeros. */
  warmUp(): Promise<void>;
  close(): Promise<void>;
}

/** Values of each of the graph's parameters. */
export function parameterSizes({ signatureSize, domains, channels, width, classes }: AdaptableGraph) {
  return {
    signatures: signatureSize * domains,
    limits: domains,
    table: (domains + 1) * 2 * channels,
    head: (width + 1) * classes,
  };
}

export function graphOf({ manifest, calibration }: Subject): AdaptableGraph {
  return {
    inputName: manifest.input.name,
    shape: manifest.input.shape,
    signatureSize: calibration.signature.size,
    domains: domainsMax,
    channels: calibration.channels,
    width: calibration.width,
    classes: calibration.classes,
  };
}
