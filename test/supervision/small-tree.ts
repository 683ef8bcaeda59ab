// Trees of a few actors whose events a test can wait for. No sleeps: a test awaits the event it is about.

import { seededRandom } from "../../models/clock.js";
import type { Behaviour } from "../../supervision/actor/behaviour.js";
import { systemClock } from "../../supervision/clock.js";
import type { SupervisionEvent } from "../../supervision/events.js";
import { silentLogger } from "../../supervision/logger.js";
import type { ChildSpec, SupervisorSpec } from "../../supervision/tree/child-spec.js";
import { type ActorTree, startTree, type TreeDeps } from "../../supervision/tree/system.js";

/** Enough restarts that no test meets the bound by accident. */
export const generous = { restarts: 100_000, withinMs: 1_000 } as const;

export class EventLog {
  readonly all: SupervisionEvent[] = [];
  readonly #waiting = new Set<(event: SupervisionEvent) => void>();

  add(event: SupervisionEvent): void {
    this.all.push(event);
    for (const look of [...this.#waiting]) look(event);
  }

  /** The first event, past or to come, that `matches`. */
  until(matches: (event: SupervisionEvent) => boolean): Promise<SupervisionEvent> {
    const past = this.all.find(matches);
    if (past !== undefined) return Promise.resolve(past);
    return new Promise((resolve) => {
      const look = (event: SupervisionEvent) => {
        if (!matches(event)) return;
        this.#waiting.delete(look);
        resolve(event);
      };
      this.#waiting.add(look);
    });
  }

  started(path: string, incarnation: number): Promise<SupervisionEvent> {
    return this.until((event) => event.kind === "started" && event.path === path && event.incarnation === incarnation);
  }

  /** "started a 1", in the order they happened. */
  lines(...kinds: readonly SupervisionEvent["kind"][]): string[] {
    return this.all
      .filter(({ kind }) => kinds.includes(kind))
      .map(({ kind, path, incarnation }) => `${kind} ${path} ${incarnation}`);
  }
}

export interface SmallTree {
  readonly tree: ActorTree;
  readonly events: EventLog;
}

/** One supervisor over `children`; what is not given is one_for_one with more restarts than a test makes. */
export async function smallTree(
  children: SupervisorSpec["children"],
  options: Partial<SupervisorSpec> & { readonly deps?: Partial<TreeDeps> } = {},
): Promise<SmallTree> {
  const events = new EventLog();
  const { deps, ...spec } = options;
  const tree = await startTree(
    { id: "top", strategy: "one_for_one", intensity: generous, ...spec, children },
    { ...depsWith(events), ...deps },
  );
  return { tree, events };
}

export function depsWith(events: EventLog): TreeDeps {
  return {
    node: "node-a",
    incarnation: 1,
    clock: systemClock,
    random: seededRandom(1),
    log: silentLogger,
    onEvent: (event) => events.add(event),
  };
}

/** A permanent actor that does nothing but what is given. */
export function actor<M>(
  id: string,
  behaviour: Partial<Behaviour<M, unknown>> = {},
  spec: Partial<ChildSpec<M, unknown>> = {},
): ChildSpec<M, unknown> {
  return {
    id,
    restart: "permanent",
    behaviour: () => ({ init: () => undefined, receive: () => undefined, ...behaviour }),
    ...spec,
  };
}

/** A promise and the way to settle it. */
export function deferred<T = void>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
