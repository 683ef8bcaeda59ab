// What live readers are told beyond the observer's word: alerts, the newest point of the series, the tree, as they change.
//
// Owns: when they are asked for, and what counts as a change. Does not own: the readers (events.ts).
//
// V1. Nothing is asked while nobody reads. One look runs at a time; a slow answer delays the next look, never piles up.

import type { LiveEvents, LiveKind } from "./events.js";
import type { Found, Sources } from "./sources.js";

export class LiveLooks {
  readonly #sources: Pick<Sources, "alerts" | "series" | "tree">;
  readonly #events: LiveEvents;
  readonly #last = new Map<LiveKind, string>();
  #isLooking = false;

  constructor(sources: Pick<Sources, "alerts" | "series" | "tree">, events: LiveEvents) {
    this.#sources = sources;
    this.#events = events;
  }

  async look(): Promise<void> {
    if (this.#isLooking || this.#events.readers === 0) return;
    this.#isLooking = true;
    try {
      const [alerts, series, tree] = await Promise.all([
        this.#sources.alerts(),
        this.#sources.series(),
        this.#sources.tree(),
      ]);
      // Its time is of the asking, which is no change.
      this.#tell("alerts", alerts, ({ atMs: _, ...rest }) => rest);
      this.#tell("series", series.kind === "found" ? newestPoint(series.value.points) : series);
      this.#tell("tree", tree);
    } finally {
      this.#isLooking = false;
    }
  }

  #tell<T>(kind: LiveKind, asked: Found<T>, essence: (state: T) => unknown = (state) => state): void {
    if (asked.kind !== "found") return;
    const said = JSON.stringify(essence(asked.value));
    if (this.#last.get(kind) === said) return;
    this.#last.set(kind, said);
    this.#events.publish(kind, asked.value);
  }
}

function newestPoint<T>(points: readonly T[]): Found<T> {
  const point = points.at(-1);
  return point === undefined ? { kind: "missing", message: "no point yet" } : { kind: "found", value: point };
}
