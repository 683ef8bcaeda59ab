// What an actor is: the surface every behaviour in actors/ is written against.
//
// Owns: the interfaces of a behaviour, its life and its turn.
// Does not own: scheduling and transactions (cell.ts), restarts (supervisor.ts).
//
// B1. A behaviour handles one turn at a time; the next begins after the last one committed or was discarded.
// B2. A turn is a transaction. What was sent and deferred in it leaves when the handler has returned and the incarnation
//     still lives; otherwise all of it is discarded and the messages are delivered again to the next incarnation.
// B3. State belongs to one incarnation and dies with it. Nothing else may hold on to it.
// B4. `stop` of an ended incarnation has run, or run out of `shutdownMs`, before the next incarnation's `init` (law 6).

import type { Clock, Random } from "../../models/clock.js";
import type { ExitReason } from "../exit-reason.js";
import type { Logger } from "../logger.js";
import type { ActorPath } from "../path.js";
import type { Ref } from "./ref.js";

export interface Life<M> {
  readonly self: Ref<M>;
  readonly path: ActorPath;
  /** Counts this actor's incarnations from 1. */
  readonly incarnation: number;
  /** Aborted when the incarnation ends, however it ends. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /**
   * Crashes this incarnation from outside a turn, e.g. because its worker thread died. Messages in flight count a crash
   * (one of them may be what killed the worker). Does nothing once the incarnation has ended.
   */
  fail(error: Error): void;
}

export interface Turn<M> extends Life<M> {
  /** Puts a message in the outbox. It leaves when the turn commits; if it is then refused it becomes a dead letter. */
  send<N>(to: Ref<N>, message: N): void;
  /**
   * Runs when the turn commits, before the outbox leaves: e.g. settles a reply, which is on its way then before anybody whom this turn tells
   * begins. Throwing here crashes the incarnation.
   */
  onCommit(effect: () => void): void;
  /** Runs behind the commit, when what it published has been written: what nobody waits for, e.g. meters. Throwing is as in `onCommit`. */
  afterwards(effect: () => void): void;
  /** Ends this incarnation normally when the turn commits. */
  exit(): void;
}

/** A look inside, JSON-able. */
export type SummaryValue = string | number | boolean | null | readonly SummaryValue[] | Summary;
export interface Summary {
  readonly [name: string]: SummaryValue;
}

interface Lifecycle<M, S> {
  /** Throwing is a crash; it is tried again after a backoff. */
  init(life: Life<M>): S | Promise<S>;
  /** Releases resources. Runs for every ended incarnation that finished init, also a killed one; bounded by `shutdownMs`. */
  stop?(state: S, reason: ExitReason): void | Promise<void>;
  summary?(state: S): Summary;
}

export interface Behaviour<M, S> extends Lifecycle<M, S> {
  /** A handler that needs no waiting should return nothing: a promise costs a trip through the event loop. */
  receive(state: S, message: M, turn: Turn<M>): void | Promise<void>;
}

/**
 * Natural batching: takes what is queued, at most `batchMax`, in one turn. After a crash the batch is delivered again
 * one message at a time, so that the one message at fault is found.
 */
export interface BatchBehaviour<M, S> extends Lifecycle<M, S> {
  receiveBatch(state: S, messages: readonly M[], turn: Turn<M>): void | Promise<void>;
  readonly batchMax: number;
}
