// The models of one node, as they are now: the one list that its door, its beat, its observer and its page look at.
//
// Owns: which models the node has, whose door is shut, and what a request for one that is not there is told. Does not own: how one comes and
// goes (roster.ts), what its actors are given (model-wiring.ts).
//
// L1. A model is on the roll before its first actor starts and until its last one has ended: whoever looks a request up finds its desk.

import type { Model } from "../models/manifest.js";
import type { Refusal } from "../transport/messages/wire.js";

/** What of a model's wiring is needed here. */
interface Wired {
  readonly name: string;
  readonly model: Model;
}

/** What a door needs of the list: looked up at each request. */
export type Doors<S> = Pick<ReadonlyMap<string, S>, "get" | "keys" | "values">;

const retryMs = 250;

export class ModelRoll<W extends Wired> {
  readonly #wired = new Map<string, W>();
  /** Why a model that the cluster has takes no requests here. */
  readonly #shut = new Map<string, string>();
  readonly #leaving = new Set<string>();

  get all(): readonly W[] {
    return [...this.#wired.values()];
  }

  get models(): readonly Model[] {
    return this.all.map(({ model }) => model);
  }

  get names(): readonly string[] {
    return [...this.#wired.keys()];
  }

  enter(wiring: W): void {
    this.#wired.set(wiring.name, wiring);
  }

  /** Its requests are told to try again, with the reason. */
  shut(name: string, why: string): void {
    this.#shut.set(name, why);
  }

  /** No reason any more: a model that is on the roll is served, any other is unknown. */
  open(name: string): void {
    this.#shut.delete(name);
  }

  /** What a request for a model without a door is told. */
  absence(name: string): Pick<Refusal, "code" | "message" | "retryAfterMs"> {
    const why = this.#shut.get(name);
    if (why !== undefined) return { code: "not_ready", message: why, retryAfterMs: retryMs };
    const served = this.names.filter((each) => !this.#shut.has(each) && !this.#leaving.has(each));
    return { code: "unknown_model", message: `no model "${name}" is served here; there is: ${served.join(", ")}` };
  }

  /** From now on it is unknown, though its actors still answer what is open. */
  dismiss(name: string): void {
    this.#leaving.add(name);
  }

  /** Its actors have ended. */
  forget(name: string): void {
    this.#leaving.delete(name);
    this.#shut.delete(name);
    this.#wired.delete(name);
  }

  doors<S>(servedOf: (wiring: W) => S): Doors<S> {
    const known = new WeakMap<W, S>();
    const open = (): W[] => this.all.filter(({ name }) => this.#isOpen(name));
    const servedBy = (wiring: W): S => {
      const served = known.get(wiring) ?? servedOf(wiring);
      known.set(wiring, served);
      return served;
    };
    return {
      get: (name) => {
        const wiring = this.#wired.get(name);
        return wiring === undefined || !this.#isOpen(name) ? undefined : servedBy(wiring);
      },
      keys: () => new Map(open().map((wiring) => [wiring.name, wiring])).keys(),
      values: () => new Map(open().map((wiring) => [wiring.name, servedBy(wiring)])).values(),
    };
  }

  #isOpen(name: string): boolean {
    return !this.#shut.has(name) && !this.#leaving.has(name);
  }
}
