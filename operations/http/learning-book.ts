// What a model has learned lately, as a story: its commits, its updates, when the source model took over.
//
// Owns: the fold and its bounds. Does not own: where the records come from (cluster-sources.ts), snapshots (transport/log/snapshot.ts).
//
// B1. Commits are of the log; updates and returns are telemetry, which is best effort: one that nobody heard is not in here.
// B2. The newest `keptMax` of each are kept.

import type { Commit } from "../../transport/log/records.js";
import type { TelemetryEvent } from "../../transport/messages/events.js";
import type { ListedCommit, ListedReturn, ListedUpdate } from "./answer-shapes.js";

export const keptMax = 500;

interface ModelStory {
  readonly commits: ListedCommit[];
  readonly updates: ListedUpdate[];
  readonly returns: ListedReturn[];
}

/** The telemetry that belongs in here. */
export const learningEvents = ["update", "domain_to_source", "domain_adapted", "domain_ended"] as const;

export class LearningBook {
  readonly #stories = new Map<string, ModelStory>();

  constructor(models: readonly string[]) {
    for (const name of models) this.begin(name);
  }

  begin(model: string): void {
    this.#stories.set(model, { commits: [], updates: [], returns: [] });
  }

  end(model: string): void {
    this.#stories.delete(model);
  }

  get models(): readonly string[] {
    return [...this.#stories.keys()];
  }

  story(model: string): ModelStory {
    const story = this.#stories.get(model);
    if (story === undefined) throw new Error(`no story of ${model} is kept`);
    return story;
  }

  committed({ model, version, atMs, updateSeq }: Commit): void {
    const story = this.#stories.get(model);
    if (story !== undefined) keep(story.commits, { version, atMs, updateSeq });
  }

  heard({ kind, actor, atMs, items }: TelemetryEvent): void {
    if (kind === "update") {
      const story = this.#stories.get(actor.replace(/-updater$/, ""));
      if (story === undefined) return;
      for (const item of items) {
        const update = updateIn(item, atMs);
        if (update !== undefined) keep(story.updates, update);
      }
    }
    if (kind !== "domain_to_source" && kind !== "domain_adapted" && kind !== "domain_ended") return;
    for (const { about } of items)
      this.#turned(String(about), kind === "domain_to_source" ? "source" : "adapted", atMs);
  }

  /** Every node that follows the log tells of it: the first counts. */
  #turned(about: string, to: ListedReturn["to"], atMs: number): void {
    // One model's name may begin another's.
    const [model] = this.models.filter((name) => about.startsWith(`${name}-`)).sort((a, b) => b.length - a.length);
    if (model === undefined) return;
    const { returns } = this.story(model);
    const domain = about.slice(model.length + 1);
    const before = returns.findLast((each) => each.domain === domain)?.to ?? "adapted";
    if (before !== to) keep(returns, { atMs, domain, to });
  }
}

function updateIn(item: TelemetryEvent["items"][number], atMs: number): ListedUpdate | undefined {
  const { traceId, kind, guard, kl, learningRate } = item;
  if (kind !== "applied" && kind !== "refused") return undefined;
  return {
    atMs,
    traceId: typeof traceId === "string" ? traceId : "",
    kind,
    ...(typeof guard === "string" ? { guard } : {}),
    ...(typeof kl === "number" && Number.isFinite(kl) ? { kl } : {}),
    ...(typeof learningRate === "number" && Number.isFinite(learningRate) ? { rate: learningRate } : {}),
  };
}

function keep<T>(list: T[], one: T): void {
  list.push(one);
  if (list.length > keptMax) list.splice(0, list.length - keptMax);
}
