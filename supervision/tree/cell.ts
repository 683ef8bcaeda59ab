// An actor behind its stable ref: one mailbox, one incarnation after another.
//
// Owns: the mailbox, the current incarnation and its orderly or forced end.
// Does not own: when to start again (supervisor.ts), turns (turn-loop.ts).
//
//   new -> starting -> running -> ending -> waiting -> starting ...
//              |                    ^          |
//              +--------------------+          +-> stopped (retired)
//
// C1. An incarnation ends once, whatever happens to it at the same time. From that tick on what it still does is void and
//     its messages in flight are back in the queue (or dead letters, when they are to blame).
// C2. Then `stop` and the cleanup hook run, bounded; only then is the exit reported (law 6). After `stop` nothing that the incarnation
//     tells anybody is taken any more (fence.ts).
// C3. The mailbox outlives incarnations. It refuses only when it is full, or the actor is retired.

import { failAsk } from "../actor/ask.js";
import type { Life, Summary } from "../actor/behaviour.js";
import { Fence } from "../actor/fence.js";
import { type Impairment, impair } from "../actor/impairment.js";
import { Incarnation, type Initialised } from "../actor/incarnation.js";
import type { Spot } from "../actor/kernel.js";
import { type Delivery, Mailbox } from "../actor/mailbox.js";
import type { Ref, TellOutcome } from "../actor/ref.js";
import { TurnLoop } from "../actor/turn-loop.js";
import type { RefusedSend } from "../actor/turn-scope.js";
import { Cancellation } from "../cancellation.js";
import { within } from "../deadline.js";
import type { DeadLetterReason } from "../events.js";
import { asError, type CrashPhase, describeExit, type ExitReason } from "../exit-reason.js";
import type { ChaosTarget } from "../faults/chaos.js";
import type { ActorPath } from "../path.js";
import { type ChildSpec, childDefaults } from "./child-spec.js";
import type { RestartType } from "./strategies.js";
import type { ExitListener, Supervised, TreeEnv } from "./supervised.js";
import type { TreeNode } from "./tree.js";

type CellState =
  | { readonly kind: "new" | "waiting" | "stopped" | "ending" }
  | { readonly kind: "starting"; readonly incarnation: Incarnation }
  | {
      readonly kind: "running";
      readonly incarnation: Incarnation;
      readonly initialised: Initialised;
      readonly loop: TurnLoop;
      readonly sinceMs: number;
    };

export class Cell implements Supervised, ChaosTarget {
  readonly path: ActorPath;
  readonly ref: Ref<unknown>;
  readonly #mailbox: Mailbox;
  readonly #spec: ChildSpec;
  readonly #env: TreeEnv;
  readonly #onExit: ExitListener;
  readonly #shutdownMs: number;
  #state: CellState = { kind: "new" };
  /** Incarnations at this path of a child that was taken out: counted on, never anew (law 5). */
  readonly #before: number;
  #generation: number;
  #lastExit: ExitReason | undefined;
  /** Whether the supervisor hears of the end: not when it asked for it. */
  #reportsExit = true;
  #started: Promise<boolean> = Promise.resolve(false);
  #ended: Promise<void> = Promise.resolve();

  constructor(spec: ChildSpec, path: ActorPath, env: TreeEnv, onExit: ExitListener) {
    this.path = path;
    this.#spec = spec;
    this.#env = env;
    this.#before = env.incarnationsAt(path);
    this.#generation = this.#before;
    this.#onExit = onExit;
    this.#shutdownMs = spec.shutdownMs ?? childDefaults.shutdownMs;
    this.#mailbox = new Mailbox(spec.mailboxMax ?? childDefaults.mailboxMax);
    this.ref = { path, tell: (message) => this.#tell(message) };
  }

  get id(): string {
    return this.#spec.id;
  }
  get restart(): RestartType {
    return this.#spec.restart;
  }
  get generation(): number {
    return this.#generation;
  }
  get isUp(): boolean {
    return this.#state.kind === "running";
  }

  get mailboxes(): readonly Mailbox[] {
    return [this.#mailbox];
  }

  start(parent: Spot): Promise<boolean> {
    switch (this.#state.kind) {
      case "running":
        return Promise.resolve(true);
      case "starting":
        return this.#started;
      case "ending":
        return this.#ended.then(() => (this.#reportsExit ? false : this.start(parent)));
      case "new":
      case "waiting":
      case "stopped":
        this.#started = this.#begin(parent);
        return this.#started;
      default:
        return this.#state satisfies never;
    }
  }

  async stop(how: "orderly" | "force"): Promise<void> {
    this.#reportsExit = false;
    const state = this.#state;
    if (state.kind === "starting" || state.kind === "running") {
      if (how === "orderly" && state.kind === "running") {
        await within(this.#env.clock, this.#shutdownMs, state.loop.dismiss());
      }
      this.#end(state.incarnation, { kind: how === "orderly" ? "shutdown" : "killed" }, false);
    }
    await this.#ended;
  }

  /** Ends the incarnation at once, from outside; no message is to blame. False when there is none. */
  interrupt(reason: ExitReason): boolean {
    const state = this.#state;
    if (state.kind !== "starting" && state.kind !== "running") return false;
    this.#end(state.incarnation, reason, false);
    return true;
  }

  /** Hangs or slows the running incarnation for `forMs`. Undefined when none runs. */
  impair(mode: "hang" | "slow", forMs: number): Impairment | undefined {
    if (this.#state.kind !== "running") return undefined;
    const { incarnation, loop } = this.#state;
    const impairment = impair(mode, forMs, this.#env.clock, incarnation.life.signal);
    loop.impair(impairment);
    void impairment.over.then(() => loop.recover(impairment));
    return impairment;
  }

  retire(): void {
    if (this.#state.kind === "stopped") return;
    this.#state = { kind: "stopped" };
    for (const delivery of this.#mailbox.drain()) this.#bury(delivery, "dead", "its actor ended for good");
    this.#env.emit(this.path, this.#generation, { kind: "retired" });
  }

  summary(): Summary | undefined {
    if (this.#state.kind !== "running") return undefined;
    const { behaviour, state } = this.#state.initialised;
    return behaviour.summary?.(state);
  }

  node(): TreeNode {
    return {
      name: this.id,
      kind: "actor",
      generation: this.#generation,
      state: this.#state.kind,
      restarts: Math.max(0, this.#generation - this.#before - 1),
      ...(this.#lastExit === undefined ? {} : { lastExit: describeExit(this.#lastExit) }),
      mailbox: { depth: this.#mailbox.queued + this.#mailbox.inFlight, capacity: this.#mailbox.capacity },
      children: [],
    };
  }

  #tell(message: unknown): TellOutcome {
    if (this.#state.kind === "stopped") {
      this.#mailbox.refuse();
      return "dead";
    }
    if (!this.#mailbox.offer(message)) return "full";
    if (this.#state.kind === "running") this.#state.loop.wake();
    return "ok";
  }

  async #begin(parent: Spot): Promise<boolean> {
    this.#generation += 1;
    this.#reportsExit = true;
    const beganAtMs = this.#env.clock.monotonicMs();
    const incarnation = this.#incarnate(parent);
    this.#state = { kind: "starting", incarnation };
    try {
      const initialised = await incarnation.initialise((fence) =>
        this.#spec.behaviour(fence.aroundAll(this.#env.refs)),
      );
      if (initialised === undefined || !this.#isCurrent(incarnation)) return false;
      this.#run(incarnation, initialised, beganAtMs);
      return true;
    } catch (thrown) {
      this.#crash(incarnation, "init", asError(thrown));
      await this.#ended;
      return false;
    }
  }

  #incarnate(parent: Spot): Incarnation {
    const cancellation = new Cancellation();
    const fence = new Fence();
    const incarnation: Incarnation = new Incarnation(
      this.#life(fence, cancellation, (error) => this.#crash(incarnation, "outside", error)),
      cancellation,
      fence,
      parent.spawn(`${this.id}+${this.#generation}`, {
        turn: () => (this.#state.kind === "running" ? this.#state.loop.turn() : undefined),
        hasCompany: () => this.#mailbox.queued > 1,
        escaped: (error) => this.#crash(incarnation, "outside", asError(error)),
      }),
    );
    return incarnation;
  }

  #life(fence: Fence, cancellation: Cancellation, fail: (error: Error) => void): Life<unknown> {
    const { clock, random, log } = this.#env;
    const incarnation = this.#generation;
    return {
      self: fence.around(this.ref),
      path: this.path,
      incarnation,
      get signal() {
        return cancellation.signal;
      },
      clock,
      random,
      log: log.child({ actor: this.path, incarnation }),
      fail,
    };
  }

  #run(incarnation: Incarnation, initialised: Initialised, beganAtMs: number): void {
    const { clock } = this.#env;
    const loop = new TurnLoop(incarnation.life, incarnation.spot, initialised, {
      mailbox: this.#mailbox,
      clock,
      turnMaxMs: this.#spec.turnMaxMs,
      end: (reason, blamesFlight) => this.#end(incarnation, reason, blamesFlight),
      refused: (send) => this.#returnToSender(send),
    });
    const sinceMs = clock.monotonicMs();
    this.#state = { kind: "running", incarnation, initialised, loop, sinceMs };
    this.#env.emit(this.path, this.#generation, { kind: "started", initMs: sinceMs - beganAtMs });
    if (this.#mailbox.queued > 0) loop.wake();
  }

  #isCurrent(incarnation: Incarnation): boolean {
    return "incarnation" in this.#state && this.#state.incarnation === incarnation;
  }

  #crash(incarnation: Incarnation, phase: CrashPhase, error: Error): void {
    this.#end(incarnation, { kind: "crash", phase, error }, true);
  }

  #end(incarnation: Incarnation, reason: ExitReason, blamesFlight: boolean): void {
    if (!this.#isCurrent(incarnation)) return;
    const ranMs = this.#state.kind === "running" ? this.#env.clock.monotonicMs() - this.#state.sinceMs : 0;
    if (this.#state.kind === "running") this.#state.loop.end();
    this.#state = { kind: "ending" };
    this.#lastExit = reason;
    const poisoned = this.#mailbox.giveBack(blamesFlight ? (delivery) => this.#isPoison(delivery, reason) : undefined);
    for (const delivery of poisoned) this.#bury(delivery, "crashed", describeExit(reason));
    const isCrash = reason.kind === "crash" || reason.kind === "hang";
    this.#env.emit(
      this.path,
      this.#generation,
      isCrash ? { kind: "crashed", reason, cause: describeExit(reason) } : { kind: "stopped", reason },
    );
    this.#ended = this.#finish(incarnation, reason, ranMs);
    incarnation.void();
  }

  async #finish(incarnation: Incarnation, reason: ExitReason, ranMs: number): Promise<void> {
    const isReleased = await this.#release(incarnation, reason);
    incarnation.fence.close();
    const ended = { path: this.path, incarnation: incarnation.life.incarnation, reason };
    const cleanup = await this.#env.confirmCleanup(ended);
    this.#env.emit(this.path, ended.incarnation, {
      kind: "cleanup_confirmed",
      by: isReleased && cleanup.isConfirmed ? "behaviour" : "supervisor",
      leasesCleaned: cleanup.leasesCleaned,
    });
    this.#state = { kind: "waiting" };
    this.#env.died(ended);
    if (this.#reportsExit) this.#onExit(reason, ranMs);
  }

  /** False when `stop` threw or took longer than it may. */
  async #release(incarnation: Incarnation, reason: ExitReason): Promise<boolean> {
    const { log } = incarnation.life;
    try {
      const released = await within(this.#env.clock, this.#shutdownMs, incarnation.release(reason));
      if (released.kind === "late")
        log.warn("stop takes too long; going on without it", { shutdownMs: this.#shutdownMs });
      return released.kind === "done";
    } catch (thrown) {
      log.warn("stop threw", { error: asError(thrown) });
      return false;
    }
  }

  #isPoison(delivery: Delivery, reason: ExitReason): boolean {
    const error = reason.kind === "crash" ? reason.error : new Error(describeExit(reason));
    const wasAsk = failAsk(delivery.message, { kind: "crashed", error });
    return wasAsk || delivery.crashes >= (this.#spec.maxDeliver ?? childDefaults.maxDeliver);
  }

  #bury({ message, crashes }: Delivery, reason: DeadLetterReason, cause: string): void {
    failAsk(message, { kind: "dead" });
    this.#env.deadLetter({ to: this.path, message, reason, cause, deliveries: crashes }, this.#generation);
  }

  #returnToSender({ to, message, outcome }: RefusedSend): void {
    const cause = outcome === "full" ? "the mailbox was full" : "its actor ended for good";
    failAsk(message, { kind: outcome });
    this.#env.deadLetter({ to, message, reason: outcome, cause, deliveries: 0 }, this.#generation);
  }
}
