// Shadow answers: what the source model says of a few requests that the adapted one has answered, so that late labels can tell which did better.
//
// Owns: which requests are chosen, what the source said of the newest of them. Does not own: the run (inference.ts), the labels (feedback.ts).
//
// W1. Chosen by the request's id alone: the same ones on every node and at every try.
// W2. Nobody waits for a shadow: it is run while no request is queued, and dropped otherwise (inference.ts F5).
// W3. Where the row was normalised as the source normalises, the source's embedding is the one at hand, and its head is all that is left to
//     ask: then nothing is run. Clean traffic is nearly all that.

import type { Embedded } from "../../models/adaptation/pass.js";
import { isNormalisedAsSource } from "../../models/adaptation/rollout.js";
import { seededRandom } from "../../models/clock.js";
import type { Subject } from "../../models/manifest.js";
import { argmax, at, headLogits } from "../../models/numbers/softmax.js";
import { requestSeed } from "../../models/request-chance.js";
import type { Origin, Telemetry } from "../../operations/metrics/telemetry.js";
import type { OpenRequest } from "./desk.js";

/** One request in so many. */
const oneIn = 16;
/** Apart from what else chance decides of a request (models/request-chance.ts). */
const salt = 0x5ad0;
/** Requests that wait for their shadow, and of one shadow run, at most. */
export const shadowMax = 8;
/** The newest are kept for their labels. */
const keptMax = 4_096;

/** One request that is chosen; answers are indexes of labels. */
export interface Shadow {
  readonly request: OpenRequest;
  /** Of the adapted model alone, before neighbours voted. */
  readonly adapted: number;
  /** The source's answer, where it is known without a run. */
  readonly source?: number;
}

/** What the source says of a row, up to rounding; undefined where only a run tells. */
export function sourceAnswerOf(
  embedded: Embedded,
  row: number,
  { calibration }: Pick<Subject, "calibration">,
): number | undefined {
  const isSources = isNormalisedAsSource(at(embedded.domains, row)) || at(embedded.bySource, row) === 1;
  if (!isSources || embedded.looks.rows.includes(row)) return undefined;
  const { head, width } = calibration;
  return argmax(headLogits(embedded.embeddings.subarray(row * width, (row + 1) * width), head, width));
}

export class Shadows {
  readonly #telemetry: Telemetry;
  /** The source's answers by request id, oldest first. */
  readonly #answers = new Map<string, number>();

  constructor(telemetry: Telemetry) {
    this.#telemetry = telemetry;
  }

  wants(id: string): boolean {
    return seededRandom(requestSeed(id) ^ salt)() * oneIn < 1;
  }

  /** [rows] what the source answered to each. */
  take(shadows: readonly Shadow[], sources: readonly number[], origin: Origin): void {
    for (const [row, { request }] of shadows.entries()) this.#answers.set(request.id, sources[row] ?? 0);
    for (const id of this.#answers.keys()) {
      if (this.#answers.size <= keptMax) break;
      this.#answers.delete(id);
    }
    this.#telemetry.event("shadow", origin, () =>
      shadows.map(({ request: { id, traceId }, adapted }, row) => ({ id, traceId, adapted, source: sources[row] })),
    );
  }

  /** Undefined for a request that had no shadow on this node. */
  sourceAnswer(id: string): number | undefined {
    return this.#answers.get(id);
  }
}
