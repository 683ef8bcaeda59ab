// What must hold of the logs of a cluster on several hosts, after any faults.
//
// Owns: the choice. Does not own: the invariants (sim/soak/invariants.ts). Deaths and cleanups are a root's, and no root is above these nodes.

import type { Asked, Violation } from "../../sim/soak/evidence.js";
import {
  answersWithoutExperience,
  appliedOnce,
  chainIsTheFold,
  everythingCommitted,
  oneChain,
  parametersAgree,
  repeatedExperiences,
  tasksAgainstFlags,
  unanswered,
} from "../../sim/soak/invariants.js";
import type { Readings } from "../../sim/soak/readings.js";

export interface Verdict {
  readonly violations: readonly Violation[];
  readonly asked: number;
  readonly answered: number;
  readonly refusedByName: number;
  /** Requests with neither an answer nor a refusal. */
  readonly lost: number;
  /** Experiences that the fold learned from more than once. */
  readonly doubled: number;
  /** Records of a request that has one already: passed by in every fold. */
  readonly repeatedRecords: number;
  readonly experiences: number;
  readonly updates: number;
  readonly commits: number;
  readonly version: number;
  readonly replayEqual: boolean;
}

export function judge(asked: readonly Asked[], readings: Readings, others: readonly Violation[] = []): Verdict {
  const { rows, tasks, chain, folded, parameters } = readings;
  const requests = asked.filter(({ what }) => what === "request");
  const doubled = appliedOnce(tasks, folded).filter(({ name }) => name === "applied_twice");
  return {
    violations: [
      ...unanswered(asked),
      ...answersWithoutExperience(asked, rows),
      ...tasksAgainstFlags(rows, tasks),
      ...doubled,
      ...oneChain(chain),
      ...chainIsTheFold(chain, folded),
      ...everythingCommitted(tasks, chain),
      ...parametersAgree(parameters),
      ...others,
    ],
    asked: requests.length,
    answered: requests.filter(({ end }) => end.kind === "answered").length,
    refusedByName: requests.filter(({ end }) => end.kind === "refused").length,
    lost: unanswered(requests).length,
    doubled: doubled.length,
    repeatedRecords: repeatedExperiences(rows).length,
    experiences: rows.length,
    updates: tasks.length,
    commits: chain.length,
    version: parameters.live.version,
    replayEqual: parameters.replay.checksum === parameters.live.checksum,
  };
}
