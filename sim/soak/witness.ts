// The witness of a soak: hears what processes and actors say of deaths and repairs while it goes on.
//
// Owns: the record of process events, actors' events and the outages in which it could not hear.
// Does not own: the judgement (repair-invariants.ts).
//
// W1. Process events come from the root in this process and are complete. What comes over NATS is not (evidence.ts E1).

import type { Clock } from "../../models/clock.js";
import { describeProcessExit, type ProcessEvent } from "../../supervision/process/process-spec.js";
import type { Bus } from "../../transport/bus/bus.js";
import { parseEvent, type TelemetryEvent } from "../../transport/messages/events.js";
import { identify, type ProcessIdentity } from "../../transport/process-identity.js";
import type { Subjects } from "../../transport/subjects.js";
import type { ActorEvent, Death, Outage } from "./evidence.js";

const actorKinds = ["started", "crashed", "stopped", "cleanup_confirmed"] as const;

export class Witness {
  readonly events: ProcessEvent[] = [];
  readonly outages: Outage[] = [];
  readonly actorEvents: ActorEvent[] = [];
  readonly processes: ProcessIdentity[] = [];
  readonly #clock: Clock;
  readonly #listeners = new Set<(event: ProcessEvent) => void>();
  readonly #identifying: Promise<void>[] = [];
  #lostAtMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Given to whoever starts the cluster. */
  readonly see = (event: ProcessEvent): void => {
    this.events.push(event);
    if (event.kind === "spawned" || event.kind === "spare_warm") this.remember(event.pid);
    for (const listener of this.#listeners) listener(event);
  };

  /** A process that must be gone at the end. */
  remember(pid: number): void {
    this.#identifying.push(
      identify(pid).then((found) => {
        const known = this.processes.some(({ pid: other, started }) => other === pid && started === found?.started);
        if (found !== undefined && !known) this.processes.push(found);
      }),
    );
  }

  async identified(): Promise<readonly ProcessIdentity[]> {
    await Promise.all(this.#identifying);
    return this.processes;
  }

  listen(listener: (event: ProcessEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The process that runs as `node` now; undefined while there is none. */
  running(node: string): { readonly pid: number; readonly incarnation: number } | undefined {
    const last = this.events.findLast(({ id, kind }) => id === node && (kind === "started" || kind === "crashed"));
    return last?.kind === "started" ? { pid: last.pid, incarnation: last.generation } : undefined;
  }

  /** Resolves when it hears. */
  async attend(bus: Bus, subjects: Subjects): Promise<void> {
    for (const kind of actorKinds)
      bus.subscribe(subjects.event(kind), {}, ({ data }) => {
        const parsed = parseEvent(data);
        if (parsed.kind === "ok") this.#acted(kind, parsed.value);
      });
    bus.onEvent(({ kind }) => {
      if (kind === "disconnected") this.#lostAtMs ??= this.#clock.nowMs();
      if (kind === "reconnected") this.#back();
    });
    await bus.flush();
  }

  /** Ends that nobody planned, each with the start of the next incarnation. */
  deaths(): Death[] {
    return this.events.flatMap((event) => {
      if (event.kind !== "crashed") return [];
      const next = (kind: ProcessEvent["kind"]): number | undefined =>
        this.events.find(
          ({ id, generation, kind: k }) => id === event.id && generation > event.generation && k === kind,
        )?.atMs;
      return [
        {
          node: event.id,
          incarnation: event.generation,
          cause: describeProcessExit(event.exit),
          diedAtMs: event.atMs,
          nextAtMs: next("spawned"),
          readyAtMs: next("started"),
        },
      ];
    });
  }

  #back(): void {
    if (this.#lostAtMs === undefined) return;
    this.outages.push({ fromMs: this.#lostAtMs, toMs: this.#clock.nowMs() });
    this.#lostAtMs = undefined;
  }

  #acted(kind: ActorEvent["kind"], { node, actor, incarnation, atMs, items }: TelemetryEvent): void {
    const nodeIncarnation = Number(items[0]?.nodeIncarnation ?? 0);
    this.actorEvents.push({ node, nodeIncarnation, path: actor, incarnation, kind, atMs });
  }
}
