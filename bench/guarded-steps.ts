// How many steps of the head a second, with each backend that works here, against plain loops over typed arrays.
//
// Measures: the gradient alone, and the whole guarded step around it (two logs of probabilities, clip, Adam, restore, KL, 500 anchors,
// average). Every backend gets the same states: each starts at the source head and goes its own way.
import type { Calibration } from "../models/calibration.js";
import type { Clock } from "../models/clock.js";
import { guardedStep, type HeadState, type StepLearner, sourceHeadState } from "../models/learning/guarded-step.js";
import { headLogProbabilities } from "../models/learning/guardrails.js";
import { type HeadBatch, plainHeadGradient } from "../models/learning/head-gradient.js";
import { LearnerError, openLearner } from "../models/learning/learner.js";
import type { Material } from "../models/learning/replay.js";
import { backends } from "../models/learning/tensorflow.js";
import type { LearningSettings } from "../models/settings.js";
import { type Contender, interleave, timedOf } from "./interleave.js";
import { ratiosOf, type Spread, spreadOf } from "./statistics.js";

export interface StepRate {
  readonly backend: string;
  readonly what: "gradient" | "guarded step";
  /** Per second. */
  readonly rate: Spread;
  /** Its rate / the rate of plain loops, round by round. */
  readonly ratio: Spread;
}

const floor = "plain loops";
/** About how many there are in a second; only sets how often each is repeated. */
const guessPerSecond = 1000;
const learningRate = 1e-3;

interface Backend {
  readonly name: string;
  readonly learner: StepLearner;
}

export async function measureSteps(
  calibration: Calibration,
  settings: LearningSettings,
  rounds: number,
  roundMs: number,
  clock: Clock,
): Promise<StepRate[]> {
  const found = await availableBackends();
  const material = materialOf(calibration, settings.stepBatch);
  const count = Math.ceil((guessPerSecond * roundMs) / 1000);
  const contenders = found.flatMap((backend) => [
    gradients(backend, calibration, settings, material, count),
    steps(backend, calibration, settings, material, count),
  ]);
  const timed = await interleave(contenders, rounds, clock);
  return found.flatMap(({ name }) =>
    (["gradient", "guarded step"] as const).map((what) => {
      const us = timedOf(timed, `${name}: ${what}`);
      const plainUs = timedOf(timed, `${floor}: ${what}`);
      return { backend: name, what, rate: spreadOf(us.map((each) => 1e6 / each)), ratio: ratiosOf(plainUs, us) };
    }),
  );
}

/** Plain loops first, then each backend of TensorFlow.js that starts. */
async function availableBackends(): Promise<readonly Backend[]> {
  const plain: StepLearner = { headGradient: async (head, batch) => plainHeadGradient(head, batch) };
  const found: Backend[] = [{ name: floor, learner: plain }];
  for (const backend of backends) {
    try {
      found.push({ name: `TensorFlow.js, ${backend}`, learner: await openLearner(backend) });
    } catch (error) {
      // Not installed here, or not able to start: what is left out is seen in the table.
      if (!(error instanceof LearnerError)) throw error;
    }
  }
  return found;
}

/** The first anchors of each class, with their labels as votes. */
function materialOf({ anchorEmbeddings, anchorLabels, anchorCount, width }: Calibration, rows: number): Material {
  const embeddings = new Float32Array(rows * width);
  const votes = new Uint16Array(rows);
  for (let row = 0; row < rows; row += 1) {
    const anchor = Math.floor((row * anchorCount) / rows);
    embeddings.set(anchorEmbeddings.subarray(anchor * width, (anchor + 1) * width), row * width);
    votes[row] = anchorLabels[anchor] ?? 0;
  }
  return { rows, embeddings, votes };
}

function gradients(
  { name, learner }: Backend,
  { head, width, classes }: Calibration,
  { klWeight }: LearningSettings,
  material: Material,
  count: number,
): Contender {
  const baseLog = Float32Array.from(headLogProbabilities(material.embeddings, head, width));
  const batch: HeadBatch = { ...material, width, classes, baseLog, klWeight };
  return {
    name: `${name}: gradient`,
    count,
    work: async (times) => {
      for (let done = 0; done < times; done += 1) await learner.headGradient(head, batch);
    },
  };
}

function steps(
  { name, learner }: Backend,
  calibration: Calibration,
  settings: LearningSettings,
  material: Material,
  count: number,
): Contender {
  let state: HeadState = sourceHeadState(calibration);
  return {
    name: `${name}: guarded step`,
    count,
    work: async (times) => {
      for (let done = 0; done < times; done += 1) {
        const proposal = await guardedStep(state, material, learningRate, learner, calibration, settings);
        if (proposal.kind === "accepted") state = proposal.next;
      }
    },
  };
}
