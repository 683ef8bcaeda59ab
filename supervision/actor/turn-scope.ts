// The transaction of one turn.
//
// Owns: the outbox and the effects of one turn until it commits or is void.
// Does not own: when that is (cell.ts).
//
// T1. Nothing leaves before `commit`; after `discard` nothing ever leaves.
// T2. Effects come before the outbox, and what is for afterwards behind both, in a microtask of its own: the connection writes in the one that
//     the first publication asks for, and whoever was told begins in the one behind it.
// T3. Using a committed turn again is a bug of the behaviour (work it did not wait for) and throws. Using a discarded one
//     is what an ended incarnation does while it runs out, and is ignored (law 5).

import type { Clock, Random } from "../../models/clock.js";
import type { Logger } from "../logger.js";
import type { ActorPath } from "../path.js";
import type { Life, Turn } from "./behaviour.js";
import type { Ref, TellOutcome } from "./ref.js";

export interface RefusedSend {
  readonly to: ActorPath;
  readonly message: unknown;
  readonly outcome: Exclude<TellOutcome, "ok">;
}

interface Sending {
  readonly to: ActorPath;
  readonly message: unknown;
  readonly tell: () => TellOutcome;
}

export class TurnScope<M> implements Turn<M> {
  readonly #life: Life<M>;
  #phase: "open" | "committed" | "void" = "open";
  #outbox: Sending[] | undefined;
  #effects: (() => void)[] | undefined;
  #afterwards: (() => void)[] | undefined;
  #exits = false;

  constructor(life: Life<M>) {
    this.#life = life;
  }

  get self(): Ref<M> {
    return this.#life.self;
  }
  get path(): ActorPath {
    return this.#life.path;
  }
  get incarnation(): number {
    return this.#life.incarnation;
  }
  get signal(): AbortSignal {
    return this.#life.signal;
  }
  get clock(): Clock {
    return this.#life.clock;
  }
  get random(): Random {
    return this.#life.random;
  }
  get log(): Logger {
    return this.#life.log;
  }

  fail(error: Error): void {
    this.#life.fail(error);
  }

  send<N>(to: Ref<N>, message: N): void {
    if (!this.#isOpen("send")) return;
    this.#outbox ??= [];
    this.#outbox.push({ to: to.path, message, tell: () => to.tell(message) });
  }

  onCommit(effect: () => void): void {
    if (!this.#isOpen("onCommit")) return;
    this.#effects ??= [];
    this.#effects.push(effect);
  }

  afterwards(effect: () => void): void {
    if (!this.#isOpen("afterwards")) return;
    this.#afterwards ??= [];
    this.#afterwards.push(effect);
  }

  exit(): void {
    if (this.#isOpen("exit")) this.#exits = true;
  }

  /** Whether the behaviour asked to end with this turn. */
  get exits(): boolean {
    return this.#exits;
  }

  /** Runs every effect, also when one throws, and sends the outbox; then throws the first error. */
  commit(refused: (send: RefusedSend) => void): void {
    this.#phase = "committed";
    try {
      if (this.#effects !== undefined) runAll(this.#effects);
    } finally {
      if (this.#outbox !== undefined) flush(this.#outbox, refused);
    }
  }

  /** What is to run behind the commit, every part of it also when one throws; undefined when there is nothing. Then throws the first error. */
  get rest(): (() => void) | undefined {
    const effects = this.#afterwards;
    return effects && (() => runAll(effects));
  }

  discard(): void {
    this.#phase = "void";
    this.#outbox = undefined;
    this.#effects = undefined;
    this.#afterwards = undefined;
  }

  #isOpen(use: string): boolean {
    if (this.#phase === "committed") {
      throw new Error(`${use} after the turn of "${this.path}" committed: the handler did not wait for its own work`);
    }
    return this.#phase === "open";
  }
}

function flush(outbox: readonly Sending[], refused: (send: RefusedSend) => void): void {
  for (const { to, message, tell } of outbox) {
    const outcome = tell();
    if (outcome !== "ok") refused({ to, message, outcome });
  }
}

function runAll(effects: readonly (() => void)[]): void {
  const errors: unknown[] = [];
  for (const effect of effects) {
    try {
      effect();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}
