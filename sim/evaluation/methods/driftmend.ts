// driftmend's own stages, made of the functions that the cluster runs, in the order in which it folds.
//
//   parameters   cold: the source's; then what the adaptation gives and the head that is served        (actors/serving/inference.ts, buffer.ts)
//   looks        one pass, and more where the plan asks for them                                       (models/serving/looking.ts)
//   judgement    vote, gate, reward, slot: one record of a micro-batch                                 (actors/serving/judgement.ts)
//   record       folded into adaptation and replay                                                     (models/policy/policy.ts, foldExperience)
//   tasks        one guarded step for each row below the gate, in row order                            (models/policy/policy.ts, applyTask)
//
// Chance, of looks and slots, follows from the ids of the requests, and so do a cluster's answers to requests of the same ids.
//
// Owns: this order, with the next micro-batch after the last step. Does not own: any of the four. A cluster answers while it learns, so a step may
// reach a request of it a few micro-batches later than here.

import type { OpenRequest } from "../../../actors/serving/desk.js";
import { judge, tasksOf } from "../../../actors/serving/judgement.js";
import { AdaptedView, sourceParameters } from "../../../models/adaptation/adaptation.js";
import type { Parameters } from "../../../models/adaptation/pass.js";
import type { ExperienceBatch, LateLabel, Position } from "../../../models/experience.js";
import { type Learner, openLearner } from "../../../models/learning/learner.js";
import type { Model } from "../../../models/manifest.js";
import { type Memory, startMemory } from "../../../models/memory/memory.js";
import { memoryRows } from "../../../models/memory/memory-rows.js";
import { applyTask, foldExperience, type Policy, sourcePolicy } from "../../../models/policy/policy.js";
import { requestSeed } from "../../../models/request-chance.js";
import type { LearningSettings } from "../../../models/settings.js";
import { newTimings } from "../../../operations/timings/batch-timings.js";
import type { Method, MethodKind, World } from "./method.js";
import { ServingGraph } from "./serving-graph.js";

const author = { node: "evaluation", nodeIncarnation: 1 };
/** Between two micro-batches, for the recency of votes: the evaluation's own time, so that no clock decides an answer. */
const stepMs = 5;

/** The id of request `n`, from 0, of a stream of this seed. */
export function requestId(seed: number, n: number): string {
  return `evaluation-${seed}-${n}`;
}

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

/** What a late label may tell. */
export interface LabelUse {
  /** It votes, through the memory. */
  readonly votes: boolean;
  /** It is material for the head. */
  readonly teaches: boolean;
}

export class Stages implements Method {
  readonly #model: Model;
  readonly #graph: ServingGraph;
  readonly #learner: Learner;
  /** Undefined where unverified neighbours have no voice: without labels nobody could tell. */
  readonly #memory: Memory | undefined;
  readonly #policy: Policy;
  readonly #view: AdaptedView;
  readonly #source: Parameters;
  readonly #seed: number;
  /** Requests answered so far. */
  #answered = 0;
  #updateSeq = 0;

  private constructor({ model, seed }: World, graph: ServingGraph, learner: Learner, memory: Memory | undefined) {
    this.#model = model;
    this.#graph = graph;
    this.#learner = learner;
    this.#memory = memory;
    this.#policy = sourcePolicy(model);
    this.#source = sourceParameters(model);
    this.#view = new AdaptedView(model, this.#policy.adaptation);
    this.#seed = seed;
  }

  /** `labelled`: true labels will come. */
  static async open(world: World, labelled = false): Promise<Stages> {
    const { manifest } = world.model;
    const { strategy, capacity } = manifest.learning;
    const memory =
      strategy === "ensemble" && !labelled
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
      if (rows.length > 0) {
        records.push(await this.#judged(rows, cold));
        this.#answered += rows.length;
      }
    for (const record of records) await this.#learn(record);
    return records.flatMap(({ answers }) => [...answers]);
  }

  /** Under the ids that the next requests of the stream would have. */
  async answerFrozen(inputs: readonly Float32Array[]): Promise<readonly number[]> {
    const cold = this.#policy.experiences < this.#model.manifest.learning.coldStart;
    return [...(await this.#judged(inputs, cold)).answers];
  }

  /** Where the log holds the record that was answered last. */
  get lastSeq(): number {
    return this.#policy.experienceSeq;
  }

  /** Steps that the guards let pass. */
  get steps(): number {
    return this.#policy.counters.applied;
  }

  /** A true label for an earlier request. */
  label(id: string, of: Position, label: number, { votes, teaches }: LabelUse): void {
    if (votes) this.#memory?.label(of, label);
    if (!teaches) return;
    const seq = this.#policy.experienceSeq + 1;
    const { name } = this.#model.manifest;
    const record: LateLabel = { kind: "label", model: name, node: author.node, atMs: seq * stepMs, id, label, of };
    foldExperience(this.#policy, seq, record, this.#model);
  }

  async close(): Promise<void> {
    this.#learner.close();
    await this.#memory?.close();
    await this.#graph.close();
  }

  async #judged(inputs: readonly Float32Array[], cold: boolean): Promise<ExperienceBatch> {
    const { version, experienceSeq, served } = this.#policy;
    const { learning } = this.#model.manifest;
    const atMs = experienceSeq * stepMs;
    const requests = inputs.map((input, row) => this.#request(input, row, atMs));
    const seeds = Uint32Array.from(requests, ({ id }) => requestSeed(id));
    const parameters = cold ? this.#source : { ...this.#view.adapted, head: served };
    const embedded = await this.#graph.look(inputs, parameters, seeds);
    const neighbours = cold
      ? undefined
      : await this.#memory?.search(
          embedded.embeddings,
          inputs.length,
          learning.neighbours,
          learning.labelled.neighbours,
        );
    const timings = newTimings({ rows: inputs.length, cold, version });
    const batch = { batchId: `${experienceSeq}`, requests, cold, version: cold ? 0 : version, atMs, embedded, timings };
    const message = { kind: "judge", batch, neighbours, past: [] } as const;
    const judgement = judge(this.#model, message, { ...author, nowMs: atMs });
    if (judgement === undefined) throw new Error("a micro-batch without rows");
    return judgement.record;
  }

  async #learn(record: ExperienceBatch): Promise<void> {
    const seq = this.#policy.experienceSeq + 1;
    const { domains } = this.#policy.adaptation;
    const placed = domains.counts[0] ?? 0;
    foldExperience(this.#policy, seq, record, this.#model);
    domains.lastUsed.forEach((at, domain) => void (at > placed && this.#view.moved(domain)));
    this.#memory?.add(memoryRows(seq, record, this.#model.manifest.learning));
    for (const task of tasksOf(record, seq)) {
      this.#updateSeq += 1;
      await applyTask(this.#policy, this.#updateSeq, task, this.#learner, this.#model);
    }
  }

  #request(input: Float32Array, row: number, atMs: number): OpenRequest {
    const n = this.#answered + row;
    return {
      key: row,
      id: requestId(this.#seed, n),
      traceId: n.toString(16).padStart(32, "0"),
      input,
      explain: false,
      isRetry: false,
      receivedAtMs: atMs,
      acceptedAtMs: atMs,
      deadlineAtMs: Number.POSITIVE_INFINITY,
      caller: undefined,
      timings: undefined,
    };
  }
}
