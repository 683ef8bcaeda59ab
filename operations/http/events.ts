// Live events for readers that stay: server-sent events, each reader bounded.
//
// Owns: who listens, the newest event of each kind, heartbeats, when a reader is dropped. Does not own: the connection (server.ts), what
// there is to tell (actors/operations/web.ts).
//
// E1. A new reader gets the newest event of each kind at once, so that a page that comes back after an outage is whole again.
// E2. Nobody is waited for. A reader that leaves more than `behindMaxBytes` unread is dropped and may come back: every event is a whole
//     state, so nothing is lost by it.
// E3. At most `readersMax` at once; one more is refused by name.

import type { Clock } from "../../models/clock.js";

const liveKinds = ["metrics", "health", "alerts", "series", "tree"] as const;
export type LiveKind = (typeof liveKinds)[number];

/** One reader's connection. */
export interface Sink {
  write(text: string): void;
  /** What was written and is not sent yet. */
  readonly waitingBytes: number;
  /** Ends it, whatever is waiting. */
  cut(): void;
}

export interface EventLimits {
  readonly readersMax: number;
  readonly behindMaxBytes: number;
  readonly heartbeatMs: number;
}

const eventLimits: EventLimits = { readersMax: 32, behindMaxBytes: 1024 * 1024, heartbeatMs: 3_000 };

/** How soon a browser comes back; the same in every answer. */
const comeBackMs = 1_000;

export class LiveEvents {
  readonly #sinks = new Set<Sink>();
  readonly #newest = new Map<LiveKind, string>();
  readonly #limits: EventLimits;
  readonly #clock: Clock;
  #stopBeat: (() => void) | undefined;
  #dropped = 0;
  #saidAtMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(clock: Clock, limits: EventLimits = eventLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  get readers(): number {
    return this.#sinks.size;
  }

  /** Of readers that were too slow. */
  get dropped(): number {
    return this.#dropped;
  }

  get isFull(): boolean {
    return this.#closed || this.#sinks.size >= this.#limits.readersMax;
  }

  /** Takes a reader in; the returned function lets it go. */
  admit(sink: Sink): () => void {
    if (this.isFull) throw new Error("a reader was admitted although there are too many");
    this.#sinks.add(sink);
    sink.write(`retry: ${comeBackMs}\n\n${[...this.#newest.values()].join("")}`);
    this.#beatLater();
    return () => this.#leave(sink);
  }

  publish(kind: LiveKind, state: unknown): void {
    this.#saidAtMs = this.#clock.monotonicMs();
    const frame = `event: ${kind}\ndata: ${JSON.stringify(state)}\n\n`;
    this.#newest.set(kind, frame);
    this.#write(frame);
  }

  close(): void {
    this.#closed = true;
    for (const sink of [...this.#sinks]) {
      this.#leave(sink);
      sink.cut();
    }
  }

  #write(text: string): void {
    for (const sink of [...this.#sinks]) {
      if (sink.waitingBytes > this.#limits.behindMaxBytes) {
        this.#dropped += 1;
        this.#leave(sink);
        sink.cut();
      } else sink.write(text);
    }
  }

  #leave(sink: Sink): void {
    this.#sinks.delete(sink);
    if (this.#sinks.size > 0) return;
    this.#stopBeat?.();
    this.#stopBeat = undefined;
  }

  /** A comment into a silence: what stands between would end a silent connection, and a reader that is gone is found by it. */
  #beatLater(): void {
    this.#stopBeat ??= this.#clock.after(this.#limits.heartbeatMs, () => {
      this.#stopBeat = undefined;
      const silentMs = this.#clock.monotonicMs() - this.#saidAtMs;
      if (silentMs >= this.#limits.heartbeatMs) this.#write(": still here\n\n");
      if (this.#sinks.size > 0) this.#beatLater();
    });
  }
}
