// Telemetry: what a node tells the world about itself, as events and counters on subjects.
//
// Owns: the shape of an event, the counters of this process, where its instruments are, the rule that telemetry never delays or fails the work it speaks of.
// Does not own: subjects and bytes (transport/), who listens.
//
// T1. Telemetry is best effort: an event that cannot be sent is counted as dropped, and nobody waits.
// T2. The items of an event are built only when the connection is up.
// T3. What every micro-batch tells waits some milliseconds for company (transport/bus/bus.ts B4).

import type { Clock } from "../../models/clock.js";
import type { Bus } from "../../transport/bus/bus.js";
import { type EventItem, encodeEvent, type TelemetryEvent } from "../../transport/messages/events.js";
import type { Subjects } from "../../transport/subjects.js";
import { Instruments } from "./instruments.js";

/** The part of the system that speaks. */
export interface Origin {
  readonly actor: string;
  readonly incarnation: number;
}

/** Counters of one process: they only grow, and die with it. Beside them its gauges, which say what is so now. */
export class Counters {
  /** Cells, so that counting writes to what is there: a request is counted a dozen times. */
  readonly #cells = new Map<string, { value: number }>();

  add(name: string, by = 1): void {
    this.#cell(name).value += by;
  }

  /** Of a gauge. */
  set(name: string, value: number): void {
    this.#cell(name).value = value;
  }

  get(name: string): number {
    return this.#cells.get(name)?.value ?? 0;
  }

  all(): Readonly<Record<string, number>> {
    const values: Record<string, number> = {};
    for (const [name, { value }] of this.#cells) values[name] = value;
    return values;
  }

  #cell(name: string): { value: number } {
    const known = this.#cells.get(name);
    if (known !== undefined) return known;
    const made = { value: 0 };
    this.#cells.set(name, made);
    return made;
  }
}

/** Kinds that every micro-batch tells: some milliseconds late and together they cost the node and the broker half. */
const ofBatches: ReadonlySet<string> = new Set(["vote", "shadow", "spans"]);

export class Telemetry {
  readonly counters: Counters;
  readonly instruments: Instruments;
  readonly #bus: Bus;
  readonly #subjects: Subjects;
  readonly #node: string;
  readonly #clock: Clock;

  constructor(
    bus: Bus,
    subjects: Subjects,
    node: string,
    counters: Counters,
    clock: Clock,
    instruments: Instruments = new Instruments(),
  ) {
    this.#bus = bus;
    this.#subjects = subjects;
    this.#node = node;
    this.counters = counters;
    this.instruments = instruments;
    this.#clock = clock;
  }

  /** One message for all items of one kind that came about together: a micro-batch is one event with a row per request. */
  event(kind: string, origin: Origin, items: () => readonly EventItem[]): void {
    if (!this.#bus.connected) {
      this.counters.add("telemetry_dropped");
      return;
    }
    const event: TelemetryEvent = {
      kind,
      node: this.#node,
      actor: origin.actor,
      incarnation: origin.incarnation,
      atMs: this.#clock.nowMs(),
      items: items(),
    };
    const sent = this.#bus.publish(this.#subjects.event(kind), encodeEvent(event), { unhurried: ofBatches.has(kind) });
    if (!sent) this.counters.add("telemetry_dropped");
  }
}
