// Whatever messages wait in, as figures: requests, responses, updates, confirmations of cleanups, dead letters.
//
// Owns: what waiting means for each. Does not own: the look at streams (queue-looks.ts), the slots (work-figures.ts).
//
// A request waits in its node for a slot; the response of a request that a slot has taken waits until it leaves. Both travel over core NATS,
// which keeps nothing, so their nodes are asked and not the broker.

import type { Subjects } from "../../transport/subjects.js";
import type { CleanupFigures } from "./cleanup-tally.js";
import type { PoolFigures, QueueFigures } from "./cluster-metrics.js";
import type { Looked } from "./looked.js";
import { SlopeTrend } from "./trend.js";
import type { Lives } from "./window.js";

interface Found {
  readonly lives: Lives;
  readonly pools: readonly PoolFigures[];
  readonly looked: Looked | undefined;
  readonly cleanups: CleanupFigures;
  readonly models: readonly string[];
  readonly heardSinceMs: number;
}

export class QueueRoll {
  readonly #subjects: Subjects;
  readonly #trends = new Map<string, SlopeTrend>();

  constructor(subjects: Subjects) {
    this.#subjects = subjects;
  }

  figures(found: Found, nowMs: number): QueueFigures[] {
    const { looked, cleanups, pools, models, lives, heardSinceMs } = found;
    const infer = pools.find(({ name }) => name === "infer");
    const waiting = infer?.queueDepth ?? 0;
    const open = models.reduce((total, model) => total + lives.gauge(`open_${model}`, heardSinceMs), 0);
    const [only = ""] = models;
    const asked = models.length === 1 ? this.#subjects.infer(only) : this.#subjects.all.infer;
    const oldest = lives
      .current()
      .filter(({ heardAtMs }) => heardAtMs > heardSinceMs)
      .map(({ values }) => values.oldest_open_ms ?? 0);
    const age = (atMs: number | null | undefined): number | null => (atMs == null ? null : Math.max(0, nowMs - atMs));
    const leaving = Math.max(0, Math.round(open) - waiting);
    const queues = [
      this.#queue("request", asked, waiting, waiting > 0 ? Math.max(0, ...oldest) : null, nowMs),
      this.#queue("response", inboxes, leaving, leaving > 0 ? Math.max(0, ...oldest) : null, nowMs),
      ...(looked?.models ?? []).map(({ stream, lastSeq, committedSeq, oldestAtMs }) =>
        this.#queue("update", stream, Math.max(0, lastSeq - committedSeq), age(oldestAtMs), nowMs),
      ),
      this.#queue(
        "cleanup-confirmation",
        this.#subjects.cleanupStream,
        cleanups.waiting,
        age(cleanups.oldestAtMs),
        nowMs,
      ),
      this.#queue(
        "dead-letters",
        this.#subjects.deadLetterStream,
        looked?.deadLetters.open ?? 0,
        age(looked?.deadLetters.oldestAtMs),
        nowMs,
      ),
    ];
    // Without a look nobody knows which models there are.
    if (looked !== undefined) this.#keepOnly(queues);
    return queues;
  }

  /** The trend of a model that is gone would be kept for ever. */
  #keepOnly(queues: readonly QueueFigures[]): void {
    const here = new Set(queues.map(({ name, where }) => keyOf(name, where)));
    for (const key of this.#trends.keys()) if (!here.has(key)) this.#trends.delete(key);
  }

  #queue(name: string, where: string, depth: number, oldestAgeMs: number | null, nowMs: number): QueueFigures {
    const key = keyOf(name, where);
    const trend = this.#trends.get(key) ?? new SlopeTrend();
    this.#trends.set(key, trend);
    return { name, where, depth, oldestAgeMs: depth === 0 ? null : oldestAgeMs, trend: trend.add(nowMs, depth) };
  }
}

const inboxes = "reply inboxes";

function keyOf(name: string, where: string): string {
  return `${name} ${where}`;
}
