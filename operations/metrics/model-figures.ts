// The models: what the log says of their learning, what the serving nodes say of their memory and answers.
//
// Owns: which of a node's names make which figure. Does not own: the names (catalogue.ts), the looks at the log (queue-looks.ts).

import type { ModelFigures } from "./cluster-metrics.js";
import { distributionOf } from "./distribution.js";
import type { Looked } from "./looked.js";
import type { Lives } from "./window.js";

/** What of a manifest is needed here. */
export interface ObservedModel {
  readonly name: string;
  /** Requests that the source model answers alone. */
  readonly coldStart: number;
  readonly capacity: number;
}

export function modelFigures(
  { name, coldStart, capacity }: ObservedModel,
  lives: Lives,
  learned: Looked["models"][number] | undefined,
  sinceMs: number,
): ModelFigures {
  const highest = (figure: string): number => Math.round(Math.max(0, lives.highest(`${figure}_${name}`) ?? 0));
  const experiences = highest("experiences");
  const confidence = lives.sketch(`confidence_${name}`, sinceMs);
  const answers = lives.grown(`answers_${name}`, sinceMs);
  return {
    name,
    mode: experiences < coldStart ? "cold" : "ensemble",
    version: Math.max(highest("model_version"), learned?.version ?? 0),
    experiences,
    remembered: highest("remembered"),
    capacity: highest("capacity") || capacity,
    confidence: confidence.count === 0 ? null : confidence.sum / confidence.count,
    gateRate: answers > 0 ? Math.min(1, lives.grown(`gate_learn_${name}`, sinceMs) / answers) : null,
    updates: {
      enqueued: learned?.lastSeq ?? 0,
      applied: learned?.applied ?? 0,
      refused: { ...learned?.refused },
      rolledBack: highest("rolled_back"),
    },
    kl: distributionOf(lives.sketch(`kl_nats_${name}`, sinceMs)),
    answersBySource: lives.total(`answers_by_source_${name}`),
    domains: highest("domains"),
  };
}
