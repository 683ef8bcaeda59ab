// driftmend's own stages, made of the functions that the cluster runs, in the order in which it folds.
//
//   parameters   cold: the source's; then the moments' scale and shift and the head that is served     (actors/inference.ts, buffer.ts)
//   judgement    vote, gate, reward, slot: one record of a micro-batch                                 (actors/judgement.ts)
//   record       folded into moments and replay                                                        (models/policy.ts, foldExperience)
//   tasks        one guarded step for each row below the gate, in row order                            (models/policy.ts, applyTask)
//
// Owns: this order, with the next micro-batch after the last step. Does not own: any of the four. A cluster answers while it learns, so a step may
// reach a request of it a few micro-batches later than here.

import type { OpenRequest } from "../../../actors/desk.js";
import { judge, tasksOf } from "../../../actors/judgement.js";
import { ClassShifts } from "../../../models/class-shifts.js";
import { seededRandom } from "../../../models/clock.js";
import type { ExperienceBatch } from "../../../models/experience.js";
import { type Learner, openLearner } from "../../../models/learner.js";
import type { Model } from "../../../models/manifest.js";
import { type Memory, startMemory } from "../../../models/memory.js";
import { memoryRows } from "../../../models/memory-rows.js";
import { normalisation } from "../../../models/moments.js";
import { applyTask, foldExperience, type Policy, sourcePolicy } from "../../../models/policy.js";
import type { LearningSettings } from "../../../models/settings.js";
import type { Method, MethodKind, World } from "./method.js";
import { ServingGraph, sourceParameters } from "./serving-graph.js";

const author = { node: "evaluation", nodeIncarnation: 1 };
const slotSalt = 0xada97;
/** Between two micro-batches, for the recency of votes: the evaluation's own time, so that no clock decides an answer. */
const stepMs = 5;

/** The model with these stages on and all others off. `batch`: requests answered with the same parameters. */
export function stages(name: string, about: string, on: LearningSettings["stages"], batch: number): MethodKind {
  return {
    name,
    about,
    own: true,
    batch,
    async open(world) {
      const { manifest } = world.model;
      const learning = { ...manifest.learning, stages: on };
      return Stages.open({ ...world, model: { ...world.model, manifest: { ...manifest, learning } } });
    },
  };
}

class Stages implements Method {
  readonly #model: Model;
  readonly #graph: ServingGraph;
  readonly #learner: Learner;
  /** Undefined where unverified neighbours have no voice: without labels nobody could tell. */
  readonly #memory: Memory | undefined;
  readonly #policy: Policy;
  readonly #shifts: ClassShifts;
  readonly #random: () => number;
  readonly #prefix: string;
  #updateSeq = 0;

  private constructor({ model, seed }: World, graph: ServingGraph, learner: Learner, memory: Memory | undefined) {
    this.#model = model;
    this.#graph = graph;
    this.#learner = learner;
    this.#memory = memory;
    this.#policy = sourcePolicy(model);
    this.#shifts = new ClassShifts(model.calibration, this.#policy.moments.perClass);
    this.#random = seededRandom(seed + slotSalt);
    this.#prefix = `evaluation-${seed}`;
  }

  static async open(world: World): Promise<Stages> {
    const { manifest } = world.model;
    const { strategy, capacity } = manifest.learning;
    const memory =
      strategy === "ensemble"
        ? undefined
        : await startMemory({ width: manifest.embeddingWidth, capacity }, world.clock);
    return new Stages(world, await ServingGraph.open(world.model), await openLearner(), memory);
  }

  get passes(): number {
    return this.#graph.passes;
  }

  async answer(inputs: readonly Float32Array[]): Promise<readonly number[]> {
    const { coldStart } = this.#model.manifest.learning;
    const coldLeft = Math.max(0, coldStart - this.#policy.experiences);
    const records: ExperienceBatch[] = [];
    for (const [rows, cold] of [[inputs.slice(0, coldLeft), true] as const, [inputs.slice(coldLeft), false] as const])
      if (rows.length > 0) records.push(await this.#judged(rows, cold));
    for (const record of records) await this.#learn(record);
    return records.flatMap(({ answers }) => [...answers]);
  }

  async answerFrozen(inputs: readonly Float32Array[]): Promise<readonly number[]> {
    const cold = this.#policy.experiences < this.#model.manifest.learning.coldStart;
    return [...(await this.#judged(inputs, cold)).answers];
  }

  async close(): Promise<void> {
    this.#learner.close();
    await this.#memory?.close();
    await this.#graph.close();
  }

  async #judged(inputs: readonly Float32Array[], cold: boolean): Promise<ExperienceBatch> {
    const { version, experienceSeq } = this.#policy;
    const { learning } = this.#model.manifest;
    const embedded = await this.#graph.run(inputs, cold ? sourceParameters(this.#model) : this.#parameters());
    const neighbours = cold
      ? undefined
      : await this.#memory?.search(embedded.embeddings, inputs.length, learning.neighbours);
    const atMs = experienceSeq * stepMs;
    const requests = inputs.map((input, row) => this.#request(input, row, atMs));
    const batch = { batchId: `${experienceSeq}`, requests, cold, version: cold ? 0 : version, atMs, embedded };
    const message = { kind: "judge", batch, neighbours, past: [] } as const;
    const judgement = judge(this.#model, message, { ...author, nowMs: atMs }, this.#random);
    if (judgement === undefined) throw new Error("a micro-batch without rows");
    return judgement.record;
  }

  #parameters() {
    const { moments, served } = this.#policy;
    const { calibration, manifest } = this.#model;
    if (!manifest.learning.stages.moments) return { ...sourceParameters(this.#model), head: served };
    return { ...normalisation(moments, calibration, this.#shifts), head: served };
  }

  async #learn(record: ExperienceBatch): Promise<void> {
    const seq = this.#policy.experienceSeq + 1;
    foldExperience(this.#policy, seq, record, this.#model);
    for (const slot of record.slots) this.#shifts.moved(slot);
    this.#memory?.add(memoryRows(seq, record, this.#model.manifest.learning));
    for (const task of tasksOf(record, seq)) {
      this.#updateSeq += 1;
      await applyTask(this.#policy, this.#updateSeq, task, this.#learner, this.#model);
    }
  }

  #request(input: Float32Array, row: number, atMs: number): OpenRequest {
    const id = `${this.#prefix}-${this.#policy.experiences}-${row}`;
    const traceId = this.#policy.experiences.toString(16).padStart(32, "0");
    return {
      key: row,
      id,
      traceId,
      input,
      explain: false,
      isRetry: false,
      acceptedAtMs: atMs,
      deadlineAtMs: Number.POSITIVE_INFINITY,
    };
  }
}
