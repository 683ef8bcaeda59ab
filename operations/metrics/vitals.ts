// The vital signs: how fast the cluster learns, how far it went from the source model, how often it is right.
//
// Owns: their windows. Does not own: the counters and looks they come from (window.ts, looked.ts).
//
// V1. Updates are counted in the committed chain: what no commit covers was not applied, and a crash neither loses nor doubles one.
// V2. Accuracy needs labels: it is taken over the last minute, or over as much more as it needs to be carried by a hundred of them.

import type { TelemetryEvent } from "../../transport/messages/events.js";
import type { Vitals } from "./cluster-metrics.js";
import type { Lives } from "./window.js";

const minuteMs = 60_000;

/** How much a sum grew over the last minute, from looks at it. */
export class MinuteRate {
  #looks: { readonly atMs: number; readonly sum: number }[] = [];

  /** Per minute. A sum that fell, because the log was begun anew or an earlier state restored, begins anew; so does a clock set back. */
  add(atMs: number, sum: number): number {
    const newest = this.#looks.at(-1);
    if (newest !== undefined && (sum < newest.sum || atMs < newest.atMs)) this.#looks = [];
    this.#looks.push({ atMs, sum });
    const first = this.#looks.findIndex((look) => look.atMs > atMs - minuteMs);
    if (first > 1) this.#looks.splice(0, first - 1);
    const [before, next] = this.#looks;
    if (before === undefined || next === undefined) return 0;
    const fromMs = atMs - minuteMs;
    if (before.atMs >= fromMs) return sum - before.sum;
    const share = Math.min(1, (fromMs - before.atMs) / (next.atMs - before.atMs));
    return sum - (before.sum + (next.sum - before.sum) * share);
  }
}

interface Labelled {
  readonly atMs: number;
  readonly labels: number;
  readonly adapting: number;
  /** Null: not known. */
  readonly source: number | null;
}

const labelsWanted = 100;
const labelsKeptMs = 600_000;

/** Labelled answers, as increments in time. */
class LabelHistory {
  #history: Labelled[] = [];

  /** What a clock that was set back leaves in the future is forgotten: it would count as of this minute until the clock is there again. */
  add(increment: Labelled): void {
    const newest = this.#history.at(-1);
    if (newest !== undefined && increment.atMs < newest.atMs)
      this.#history = this.#history.filter(({ atMs }) => atMs <= increment.atMs);
    if (increment.labels > 0) this.#history.push(increment);
    const first = this.#history.findIndex(({ atMs }) => atMs > increment.atMs - labelsKeptMs);
    if (first > 0) this.#history.splice(0, first);
  }

  at(nowMs: number): Omit<Vitals["accuracy"], "by"> {
    const sums = { labels: 0, adapting: 0, source: 0, withSource: 0 };
    for (const each of this.#history.toReversed()) {
      if (each.atMs <= nowMs - labelsKeptMs) break;
      if (each.atMs <= nowMs - minuteMs && sums.labels >= labelsWanted) break;
      sums.labels += each.labels;
      sums.adapting += each.adapting;
      if (each.source === null) continue;
      sums.source += each.source;
      sums.withSource += each.labels;
    }
    const share = (right: number, of: number): number | null => (of === 0 ? null : Math.min(1, right / of));
    return {
      adapting: share(sums.adapting, sums.labels),
      source: share(sums.source, sums.withSource),
      labels: sums.labels,
    };
  }
}

/** Both sources of labels; a stream that is scored is preferred while there is one, because it knows the source model's answers too. */
export class AccuracyWatch {
  readonly #stream = new LabelHistory();
  readonly #feedback = new LabelHistory();
  #scored = new Map<string, { readonly labels: number; readonly adapting: number; readonly source: number }>();
  #fed: { readonly labels: number; readonly right: number } | undefined;

  /** `scored`: cumulative counts of one sender; a sender that begins anew counts from zero. */
  score(event: TelemetryEvent, atMs: number): void {
    for (const item of event.items) {
      const [labels, adapting, source] = [Number(item.labels), Number(item.adapting), Number(item.source)];
      if (![labels, adapting, source].every((count) => Number.isSafeInteger(count) && count >= 0)) continue;
      const sender = `${event.node}/${event.actor}`;
      const known = this.#scored.get(sender);
      const before = known === undefined || labels < known.labels ? { labels: 0, adapting: 0, source: 0 } : known;
      this.#scored.delete(sender);
      this.#scored.set(sender, { labels, adapting, source });
      const [oldest] = this.#scored.keys();
      if (this.#scored.size > sendersMax && oldest !== undefined) this.#scored.delete(oldest);
      this.#stream.add({
        atMs,
        labels: labels - before.labels,
        adapting: Math.max(0, adapting - before.adapting),
        source: Math.max(0, source - before.source),
      });
    }
  }

  /** Totals of late feedback. */
  feed(lives: Lives, atMs: number): void {
    const now = { labels: lives.total("feedback_labels"), right: lives.total("feedback_right") };
    const before = this.#fed ?? now;
    this.#fed = now;
    const labels = Math.max(0, now.labels - before.labels);
    this.#feedback.add({ atMs, labels, adapting: Math.max(0, now.right - before.right), source: null });
  }

  at(nowMs: number): Vitals["accuracy"] {
    const streamed = this.#stream.at(nowMs);
    return streamed.labels > 0 ? { ...streamed, by: "stream" } : { ...this.#feedback.at(nowMs), by: "feedback" };
  }
}

/** Runs that are scored at once, at most. */
const sendersMax = 16;

/** The mean KL of whoever takes the steps: the gauge of a writer that lost its lease stands still, and is nobody's any more. */
export class KlWatch {
  #steps = new Map<string, number>();
  #mean: number | null = null;

  look(lives: Lives): number | null {
    const steps = new Map<string, number>();
    for (const { node, incarnation, run, values } of lives.current()) {
      const { mean_kl_divergence: mean, kl_nats_count: taken = values.updates_applied ?? 0 } = values;
      if (mean === undefined) continue;
      const name = `${node}@${run}#${incarnation}`;
      steps.set(name, taken);
      if (this.#steps.get(name) !== taken) this.#mean = mean;
    }
    this.#steps = steps;
    return this.#mean;
  }
}
