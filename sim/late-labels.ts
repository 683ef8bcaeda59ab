// What late labels are worth: the same stream answered without them, with the memory's vote alone, with the head alone, and with both.
//
// Owns: the stream (three hard drifts that come round again between two clean stretches), when labels arrive, the scores.
// Does not own: what is measured: judgement, memory, fold and step are those of production, one request at a time.
//
// V1. Equal options give equal figures: nothing here reads a clock.
import { type Judgement, judge, tasksOf } from "../actors/judgement.js";
import type { EmbeddedBatch } from "../actors/messages.js";
import { type Random, seededRandom } from "../models/clock.js";
import type { Embedded } from "../models/engine.js";
import type { LateLabel } from "../models/experience.js";
import { isCold } from "../models/gate.js";
import type { Learner } from "../models/learner.js";
import type { Model } from "../models/manifest.js";
import { memoryRows } from "../models/memory-rows.js";
import { MemoryStore } from "../models/memory-store.js";
import { normalisation } from "../models/moments.js";
import { type AdaptableSession, openAdaptableSession } from "../models/onnx-session.js";
import { applyTask, foldExperience, type Policy, sourcePolicy } from "../models/policy.js";
import { type DigitPool, drawDigit } from "./digits.js";
import { type DriftName, drift, driftNames, type Severity } from "./drift.js";

/** Where labels go. */
export type Use = "none" | "memory" | "head" | "both";
export const uses: readonly Use[] = ["none", "memory", "head", "both"];

/** `geometry`: drifts that moments do not mend. `any`: of all ten. `clean`: no drift at all. */
export type Family = "geometry" | "any" | "clean";

export interface LateLabelOptions {
  readonly model: Model;
  readonly pool: DigitPool;
  readonly learner: Learner;
  readonly family: Family;
  readonly seed: number;
  readonly use: Use;
  /** Share of the requests whose label arrives. */
  readonly share: number;
  /** Requests of one drift, and of each clean stretch; 500 when left out. */
  readonly stretch?: number;
}

export interface LateLabelScore {
  readonly drifting: number;
  /** Clean stretches at the beginning and in the end. */
  readonly before: number;
  readonly after: number;
  readonly labels: number;
  readonly steps: number;
}

interface Sample {
  readonly picture: Float32Array;
  readonly label: number;
  readonly stretch: "before" | "drifting" | "after";
}

interface Run {
  readonly options: LateLabelOptions;
  readonly session: AdaptableSession;
  readonly policy: Policy;
  readonly memory: MemoryStore;
  readonly random: Random;
  seq: number;
  updateSeq: number;
}

const geometry: readonly DriftName[] = ["rotate", "translate", "scale", "shear", "inversion"];
const [hardDrifts, rounds, lateBy] = [3, 3, 100];

export async function measureLateLabels(options: LateLabelOptions): Promise<LateLabelScore> {
  const { model, use, share, seed } = options;
  const { manifest, calibration } = model;
  const { channels, width, classes } = calibration;
  const graph = { inputName: manifest.input.name, shape: manifest.input.shape, channels, width, classes };
  const session = await openAdaptableSession(model.modelBytes, graph);
  const memory = new MemoryStore({ width, capacity: manifest.learning.capacity });
  const random = seededRandom(seed + 0xada97);
  const run: Run = { options, session, policy: sourcePolicy(model), memory, random, seq: 0, updateSeq: 0 };
  const chance = seededRandom(seed + 0x1abe1);
  const due: {
    readonly atRequest: number;
    readonly label: Omit<LateLabel, "of"> & { readonly of: LateLabel["of"] };
  }[] = [];
  const right = { before: 0, drifting: 0, after: 0 };
  const all = { before: 0, drifting: 0, after: 0 };
  let labels = 0;
  let request = -1;
  for (const { picture, label, stretch } of samples(options)) {
    request += 1;
    for (let next = due[0]; next !== undefined && next.atRequest <= request; next = due[0]) {
      due.shift();
      labels += 1;
      takeLabel(run, next.label, use);
    }
    const { record } = await answer(run, picture, request);
    all[stretch] += 1;
    if (record.answers[0] === label) right[stretch] += 1;
    if (chance() < share) {
      const of = { seq: run.seq, index: 0 };
      const word = {
        kind: "label",
        model: manifest.name,
        node: "sim",
        atMs: request,
        id: `${request}`,
        label,
        of,
      } as const;
      due.push({ atRequest: request + lateBy, label: word });
    }
  }
  await session.close();
  return {
    drifting: right.drifting / Math.max(1, all.drifting),
    before: right.before / all.before,
    after: right.after / all.after,
    labels,
    steps: run.policy.counters.applied,
  };
}

function* samples({ pool, seed, family, stretch: requestsOfOne = 500 }: LateLabelOptions): Generator<Sample> {
  const order = seededRandom(seed);
  const digits = seededRandom(seed + 0x5eed);
  const random = seededRandom(seed + 0xd41f7);
  const clean = (stretch: Sample["stretch"]) => ({ ...drawDigit(pool, digits), stretch });
  const names = [...(family === "geometry" ? geometry : driftNames)];
  const chosen = Array.from({ length: hardDrifts }, (): readonly [DriftName, Severity] => {
    const [name = "rotate"] = names.splice(Math.floor(order() * names.length), 1);
    return [name, order() < 0.5 ? 4 : 5];
  });
  for (let i = 0; i < requestsOfOne; i++) yield clean("before");
  for (let round = 0; round < rounds; round++)
    for (const [name, severity] of chosen)
      for (let i = 0; i < requestsOfOne; i++) {
        const { picture, label } = drawDigit(pool, digits);
        const seen = family === "clean" ? picture : drift(name, severity, picture, random);
        yield { picture: seen, label, stretch: "drifting" };
      }
  for (let i = 0; i < requestsOfOne; i++) yield clean("after");
}

/** One request through the model, the memory, the vote, the log's fold, and the step if one is due. */
async function answer(run: Run, picture: Float32Array, request: number): Promise<Judgement> {
  const { options, session, policy, memory } = run;
  const { model, learner } = options;
  const { learning } = model.manifest;
  const cold = isCold(policy.experiences, learning);
  const parameters = {
    ...normalisation(policy.moments, model.calibration),
    head: cold ? model.calibration.head : policy.served,
  };
  const embedded = await session.run(picture.slice(), 1, parameters);
  const neighbours = cold
    ? undefined
    : memory.search(embedded.embeddings, 1, learning.neighbours, learning.labelled.neighbours);
  const batch = batchOf(embedded, request, cold, policy.version);
  const author = { node: "sim", nodeIncarnation: 1, nowMs: request };
  const judgement = judge(model, { kind: "judge", batch, neighbours, past: [undefined] }, author, run.random);
  if (judgement === undefined) throw new Error(`request ${request} was answered before`);
  const { record } = judgement;
  run.seq += 1;
  foldExperience(policy, run.seq, record, model);
  memory.add(memoryRows(run.seq, record, learning));
  while (memory.advance(64));
  for (const task of tasksOf(record, run.seq)) {
    run.updateSeq += 1;
    await applyTask(policy, run.updateSeq, task, learner, model);
  }
  return judgement;
}

function batchOf(embedded: Embedded, request: number, cold: boolean, version: number): EmbeddedBatch {
  const id = `${request}`;
  const open = { id, traceId: "", input: new Float32Array(0), explain: false, isRetry: false };
  const times = { acceptedAtMs: 0, deadlineAtMs: 0 };
  return { batchId: id, requests: [{ key: request, ...open, ...times }], cold, version, atMs: request, embedded };
}

function takeLabel(run: Run, label: LateLabel, use: Use): void {
  if (use === "memory" || use === "both") run.memory.label(label.of, label.label);
  if (use !== "head" && use !== "both") return;
  run.seq += 1;
  foldExperience(run.policy, run.seq, label, run.options.model);
}
