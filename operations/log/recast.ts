// The answers of the log once more: what each request would have been answered under other settings.
//
// Owns: the comparison row by row, the counts. Does not own: the folds that the heads come from (what-if.ts), the vote (models/memory/vote.ts).
//
// C1. Embeddings stay as they were logged. Own logits are the logged ones while both folds serve the same head, else the embedding times
//     the head; neighbours carry the answers, confidences and priorities of the log.
// C2. Both sides are computed alike, so that they differ by the settings alone; how often the recorded side gives the logged answer is
//     reported, and says how near this comes to what the cluster did.
// C3. Bounded: `headsMax` versions and `pendingMax` answers are held; what falls out is counted.

import { type Anchor, nearestAnchors } from "../../models/adaptation/density.js";
import { type ExperienceBatch, type ExperienceRecord, rowsOf } from "../../models/experience.js";
import { gate, isCold } from "../../models/judging/gate.js";
import type { Model } from "../../models/manifest.js";
import { positionKey } from "../../models/memory/memory-contents.js";
import { memoryRows } from "../../models/memory/memory-rows.js";
import { MemoryStore } from "../../models/memory/memory-store.js";
import { RecentIds } from "../../models/memory/recent-ids.js";
import { castVotes, type Neighbour, neighboursOf, ownVerdict, type Verdict } from "../../models/memory/vote.js";
import { headLogits } from "../../models/numbers/softmax.js";

export interface Heads {
  readonly recorded: Float32Array;
  readonly instead: Float32Array;
}

export interface AnswerCounts {
  /** Answers computed under both settings. */
  readonly rows: number;
  /** Answered by a version that is not (or no longer) in the fold. */
  readonly notCompared: number;
  /** The recorded settings gave the logged answer again. */
  readonly reproduced: number;
  readonly changed: number;
  readonly gate: { readonly learnNow: number; readonly leftNow: number };
  readonly labelled: {
    readonly n: number;
    readonly recorded: number;
    readonly instead: number;
    readonly missed: number;
  };
}

type Counts = { -readonly [Key in keyof Omit<AnswerCounts, "gate" | "labelled">]: number } & {
  readonly gate: { learnNow: number; leftNow: number };
  readonly labelled: { n: number; recorded: number; instead: number; missed: number };
};

const headsMax = 4_096;
const pendingMax = 262_144;

interface Side {
  readonly model: Model;
  readonly memory: MemoryStore;
}

interface Answered {
  readonly verdict: Verdict;
  readonly learn: boolean;
}

export class Recast {
  readonly counts: Counts = {
    rows: 0,
    notCompared: 0,
    reproduced: 0,
    changed: 0,
    gate: { learnNow: 0, leftNow: 0 },
    labelled: { n: 0, recorded: 0, instead: 0, missed: 0 },
  };
  readonly #recorded: Side;
  readonly #instead: Side;
  readonly #heads = new Map<number, Heads>();
  /** By position key: both answers, until their label comes. */
  readonly #pending = new Map<number, { readonly recorded: number; readonly instead: number }>();
  readonly #recentIds = new RecentIds();
  #experiences = 0;

  constructor(recorded: Model, instead: Model) {
    const [own, other] = [recorded.manifest.learning, instead.manifest.learning];
    const isShared = own.capacity === other.capacity && own.rememberedPerRecord === other.rememberedPerRecord;
    this.#recorded = { model: recorded, memory: memoryOf(recorded) };
    this.#instead = { model: instead, memory: isShared ? this.#recorded.memory : memoryOf(instead) };
  }

  /** From now on answers of this version are compared with these heads. */
  serve(version: number, heads: Heads): void {
    this.#heads.set(version, heads);
    for (const oldest of this.#heads.keys()) {
      if (this.#heads.size <= headsMax) break;
      this.#heads.delete(oldest);
    }
  }

  /** Records in the order of the log; those at or before `from` only fill the memory. */
  take(seq: number, record: ExperienceRecord, from: number): void {
    if (record.kind === "answers") this.#takeAnswers(seq, record, seq > from);
    else {
      for (const memory of new Set([this.#recorded.memory, this.#instead.memory])) {
        if (record.kind === "label") memory.label(record.of, record.label);
        else memory.judge(record.of, record.reward);
      }
      if (record.kind === "label" && seq > from) this.#score(positionKey(record.of), record.label);
    }
  }

  #takeAnswers(seq: number, batch: ExperienceBatch, isCompared: boolean): void {
    const repeats = new Set<number>();
    for (const [index, id] of batch.ids.entries()) if (!this.#recentIds.take(id)) repeats.add(index);
    if (isCompared) for (let row = 0; row < rowsOf(batch); row++) if (!repeats.has(row)) this.#compare(seq, batch, row);
    this.#experiences += rowsOf(batch) - repeats.size;
    for (const { model, memory } of this.#recorded.memory === this.#instead.memory
      ? [this.#recorded]
      : [this.#recorded, this.#instead]) {
      memory.add(memoryRows(seq, batch, model.manifest.learning, (index) => repeats.has(index)));
      while (memory.advance(64));
    }
  }

  #compare(seq: number, batch: ExperienceBatch, row: number): void {
    const wasCold = batch.cold[row] === 1;
    const heads = this.#heads.get(batch.version);
    if (heads === undefined) {
      this.counts.notCompared += 1;
      return;
    }
    const { coldStart } = this.#instead.model.manifest.learning;
    const sameStart = coldStart === this.#recorded.model.manifest.learning.coldStart;
    const isNowCold = sameStart ? wasCold : isCold(this.#experiences, { coldStart });
    const { classes, head } = this.#instead.model.calibration;
    const [embedding, logged] = [part(batch, batch.embeddings, row), part(batch, batch.logits, row)];
    const sameHead = wasCold === isNowCold && (wasCold || equal(heads.recorded, heads.instead));
    const own = sameHead
      ? logged
      : Float32Array.from(headLogits(embedding, isNowCold ? head : heads.instead, embedding.length));
    if (own.length !== classes) throw new Error(`experience ${seq} has ${own.length} logits, the model ${classes}`);
    const recorded = answer(this.#recorded, embedding, logged, wasCold, batch.atMs);
    const instead = answer(this.#instead, embedding, own, isNowCold, batch.atMs);
    this.#count(batch.answers[row] ?? 0, recorded, instead);
    const answers = { recorded: recorded.verdict.answer, instead: instead.verdict.answer };
    this.#pending.set(positionKey({ seq, index: row }), answers);
    for (const oldest of this.#pending.keys()) {
      if (this.#pending.size <= pendingMax) break;
      this.#pending.delete(oldest);
    }
  }

  #count(logged: number, recorded: Answered, instead: Answered): void {
    const { counts } = this;
    counts.rows += 1;
    if (recorded.verdict.answer === logged) counts.reproduced += 1;
    if (recorded.verdict.answer !== instead.verdict.answer) counts.changed += 1;
    if (instead.learn && !recorded.learn) counts.gate.learnNow += 1;
    if (recorded.learn && !instead.learn) counts.gate.leftNow += 1;
  }

  #score(key: number, label: number): void {
    const { labelled } = this.counts;
    const answers = this.#pending.get(key);
    if (answers === undefined) {
      labelled.missed += 1;
      return;
    }
    this.#pending.delete(key);
    labelled.n += 1;
    if (answers.recorded === label) labelled.recorded += 1;
    if (answers.instead === label) labelled.instead += 1;
  }
}

function memoryOf({ manifest }: Model): MemoryStore {
  return new MemoryStore({ width: manifest.embeddingWidth, capacity: manifest.learning.capacity });
}

function answer(
  { model, memory }: Side,
  embedding: Float32Array,
  logits: Float32Array,
  cold: boolean,
  nowMs: number,
): Answered {
  const { learning } = model.manifest;
  const anchors = (): readonly Anchor[] => nearestAnchors(embedding, model.calibration);
  const verdict = cold
    ? ownVerdict(logits)
    : castVotes({ logits, neighbours: nearby(memory, embedding, learning), anchors, nowMs }, learning);
  return { verdict, learn: gate(verdict.confidence, cold, learning) === "learn" };
}

function nearby(
  memory: MemoryStore,
  embedding: Float32Array,
  { neighbours, labelled }: Model["manifest"]["learning"],
): readonly Neighbour[] {
  if (neighbours + labelled.neighbours === 0) return [];
  return neighboursOf(memory.search(embedding, 1, neighbours, labelled.neighbours), 0);
}

function part(batch: ExperienceBatch, column: Float32Array, row: number): Float32Array {
  const length = column.length / rowsOf(batch);
  return column.subarray(row * length, (row + 1) * length);
}

function equal(one: Float32Array, other: Float32Array): boolean {
  return one === other || one.every((value, i) => value === other[i]);
}
