// Keeps its children up, in order, until it may not any more.
//
// Owns: the repairs under way, the restart history, the decision to give up.
// Does not own: who restarts with whom (strategies.ts), how often (restart-intensity.ts), after how long (backoff.ts).
//
// A repair stops what must stop in reverse order, waits the backoff, then starts what is down in order, each ready before
// the next. The first start is a repair of all children. An exit during a repair replaces it by a wider one.
//
// S1. Two repairs under way never overlap: one that would overlap takes over the other's work and cancels it.
// S2. A cancelled repair does nothing more after the wait it is in.
// S3. A supervisor that gave up has stopped all children before its parent hears of it.
// S4. Its restart history outlives its own restart, and so does the count of a child's failures in a row: budgets add (restart-intensity.ts).

import { type Backoff, type BackoffSettings, backoffDefaults, nextBackoff } from "./backoff.js";
import { Cancellation } from "./cancellation.js";
import type { ChaosTarget } from "./chaos.js";
import type { SupervisorSpec } from "./child-spec.js";
import { EscalationError } from "./escalation.js";
import { describeExit, type ExitReason } from "./exit-reason.js";
import type { Spot } from "./kernel.js";
import type { Mailbox } from "./mailbox.js";
import type { ActorPath } from "./path.js";
import { agesOf, type RestartHistory, recordRestart, restartsLeft } from "./restart-intensity.js";
import { type ChildRange, overlaps, planRestart, union } from "./strategies.js";
import type { ExitListener, Supervised, TreeEnv } from "./supervised.js";
import type { TreeNode } from "./tree.js";

type SupervisorState =
  | { readonly kind: "new" | "ending" | "waiting" | "stopped" }
  | { readonly kind: "starting" | "running"; readonly spot: Spot; readonly sinceMs: number };

interface Repair {
  /** Stopped first; not for a first start. */
  readonly stop: ChildRange | undefined;
  hasStopped: boolean;
  /** Then what is down of this is started. */
  readonly start: ChildRange;
  readonly cancellation: Cancellation;
}

/** One child and what its supervisor remembers of it. */
interface Charge {
  readonly child: Supervised;
  failures: number;
  /** It ended and stays down until the supervisor itself is restarted. */
  isLeft: boolean;
}

export type BuildChildren = (onExitOf: (index: number) => ExitListener) => readonly Supervised[];

export class Supervisor implements Supervised, ChaosTarget {
  readonly path: ActorPath;
  readonly restart = "permanent";
  readonly #spec: SupervisorSpec;
  readonly #env: TreeEnv;
  readonly #backoff: BackoffSettings;
  readonly #onExit: ExitListener;
  readonly #charges: readonly Charge[];
  #state: SupervisorState = { kind: "new" };
  #generation = 0;
  #restarts: RestartHistory;
  #repairs: Repair[] = [];
  #lastExit: ExitReason | undefined;
  #reportsExit = true;
  #settleStart: (isUp: boolean) => void = () => undefined;
  #started: Promise<boolean> = Promise.resolve(false);
  #ended: Promise<void> = Promise.resolve();

  constructor(spec: SupervisorSpec, path: ActorPath, env: TreeEnv, onExit: ExitListener, build: BuildChildren) {
    this.path = path;
    this.#spec = spec;
    this.#env = env;
    this.#backoff = spec.backoff ?? backoffDefaults;
    this.#onExit = onExit;
    this.#restarts = env.historyAt(path);
    const children = build((index) => (reason, ranMs) => this.#childExited(index, reason, ranMs));
    this.#charges = children.map((child) => ({ child, failures: 0, isLeft: false }));
  }

  get id(): string {
    return this.#spec.id;
  }
  get generation(): number {
    return this.#generation;
  }
  get isUp(): boolean {
    return this.#state.kind === "running";
  }

  get mailboxes(): readonly Mailbox[] {
    return this.#charges.flatMap(({ child }) => child.mailboxes);
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
        return this.#begin(parent);
      default:
        return this.#state satisfies never;
    }
  }

  async stop(how: "orderly" | "force"): Promise<void> {
    this.#reportsExit = false;
    this.#end({ kind: how === "orderly" ? "shutdown" : "killed" }, how);
    await this.#ended;
  }

  /** Ends all of it at once, from outside; its parent restarts it. False when it is not up. */
  interrupt(reason: ExitReason): boolean {
    return this.#end(reason, "force");
  }

  /** A supervisor takes no turns, so there is nothing to hang or slow. */
  impair(): undefined {
    return undefined;
  }

  /** Ages of the restarts in its window. */
  get spent(): readonly number[] {
    return agesOf(this.#restarts, this.#env.clock.monotonicMs(), this.#spec.intensity);
  }

  retire(): void {
    for (const { child } of this.#charges) child.retire();
    this.#state = { kind: "stopped" };
  }

  node(): TreeNode {
    const { strategy, intensity } = this.#spec;
    const left = restartsLeft(this.#restarts, this.#env.clock.monotonicMs(), intensity);
    return {
      name: this.id,
      kind: "supervisor",
      generation: this.#generation,
      state: this.#state.kind,
      restarts: Math.max(0, this.#generation - 1),
      ...(this.#lastExit === undefined ? {} : { lastExit: describeExit(this.#lastExit) }),
      strategy,
      intensity: { ...intensity, left },
      children: this.#charges.map(({ child }) => child.node()),
    };
  }

  #begin(parent: Spot): Promise<boolean> {
    this.#generation += 1;
    this.#reportsExit = true;
    for (const charge of this.#charges) charge.isLeft = false;
    const spot = parent.spawn(`${this.id}+${this.#generation}`, { turn: () => undefined, escaped: () => undefined });
    this.#state = { kind: "starting", spot, sinceMs: this.#env.clock.monotonicMs() };
    this.#started = new Promise((resolve) => {
      this.#settleStart = resolve;
    });
    this.#launch({ stop: undefined, start: this.#all(), hasStopped: true, cancellation: new Cancellation() }, 0);
    return this.#started;
  }

  #childExited(index: number, reason: ExitReason, ranMs: number): void {
    if (!("spot" in this.#state)) return;
    const charge = this.#chargeAt(index);
    const { restart, path, generation } = charge.child;
    const plan = planRestart(this.#spec.strategy, { index, restart, reason }, this.#charges.length);
    if (plan.kind === "leave") {
      this.#leave(charge);
      return;
    }
    const nowMs = this.#env.clock.monotonicMs();
    const verdict = recordRestart(this.#restarts, nowMs, this.#spec.intensity);
    this.#restarts = verdict.history;
    if (verdict.kind === "exceeded") {
      this.#giveUp(`"${path}" ended with ${describeExit(reason)}`);
      return;
    }
    const backoff = this.#backoffFor(charge, reason, ranMs);
    charge.failures = backoff.failures;
    const cause = describeExit(reason);
    const { failures, delayMs: backoffMs } = backoff;
    this.#env.emit(path, generation, { kind: "restarting", failures, backoffMs, cause });
    this.#launch(this.#takeOver(plan.range), backoff.delayMs);
  }

  /** A kill came from outside and says nothing of the child's health: it restarts at once. It counts for the intensity. */
  #backoffFor({ failures }: Charge, reason: ExitReason, ranMs: number): Backoff {
    if (reason.kind === "killed") return { failures, delayMs: 0 };
    return nextBackoff(failures, ranMs, this.#backoff, this.#env.random);
  }

  /** A repair of `range` that also does what overlapping ones had still to do. */
  #takeOver(range: ChildRange): Repair {
    let [stop, start] = [range, range];
    for (const other of this.#repairs.filter((repair) => overlaps(repair.start, range))) {
      other.cancellation.cancel();
      if (other.stop !== undefined && !other.hasStopped) stop = union(stop, other.stop);
      start = union(start, other.start);
    }
    this.#repairs = this.#repairs.filter(({ cancellation }) => !cancellation.isCancelled);
    return { stop, start, hasStopped: false, cancellation: new Cancellation() };
  }

  #launch(repair: Repair, delayMs: number): void {
    this.#repairs.push(repair);
    this.#repair(repair, delayMs).catch((error: unknown) =>
      this.#giveUp(`its own repair failed: ${error instanceof Error ? error.message : String(error)}`),
    );
  }

  async #repair(repair: Repair, delayMs: number): Promise<void> {
    const { cancellation } = repair;
    if (repair.stop !== undefined) await this.#stopForRepair(repair.stop, cancellation);
    repair.hasStopped = true;
    if (delayMs > 0 && !cancellation.isCancelled) await this.#env.clock.delay(delayMs, cancellation.signal);
    for (let index = repair.start.from; index <= repair.start.to; index += 1) {
      if (cancellation.isCancelled || !("spot" in this.#state)) return;
      const { child, isLeft } = this.#chargeAt(index);
      if (!isLeft && !child.isUp) await child.start(this.#state.spot);
    }
    if (cancellation.isCancelled) return;
    this.#repairs = this.#repairs.filter((other) => other !== repair);
    if (this.#state.kind === "starting" && this.#repairs.length === 0) this.#becomeReady(this.#state);
  }

  /** A temporary child that is stopped with its siblings is not started with them. */
  async #stopForRepair(range: ChildRange, cancellation: Cancellation): Promise<void> {
    for (const charge of this.#reversed(range)) {
      if (cancellation.isCancelled) return;
      const wasUp = charge.child.isUp;
      await charge.child.stop("orderly");
      if (wasUp && charge.child.restart === "temporary") this.#leave(charge);
    }
  }

  #becomeReady(state: Extract<SupervisorState, { spot: Spot }>): void {
    const nowMs = this.#env.clock.monotonicMs();
    this.#state = { kind: "running", spot: state.spot, sinceMs: nowMs };
    this.#env.emit(this.path, this.#generation, { kind: "started", initMs: nowMs - state.sinceMs });
    this.#settleStart(true);
  }

  #giveUp(cause: string): void {
    const { intensity } = this.#spec;
    if (!("spot" in this.#state)) return;
    this.#env.emit(this.path, this.#generation, { kind: "escalated", cause, ...intensity });
    const error = new EscalationError(this.path, cause, intensity);
    this.#end({ kind: "crash", phase: "outside", error }, "orderly");
  }

  #end(reason: ExitReason, how: "orderly" | "force"): boolean {
    if (!("spot" in this.#state)) return false;
    const { spot, sinceMs, kind } = this.#state;
    const ranMs = kind === "running" ? this.#env.clock.monotonicMs() - sinceMs : 0;
    this.#state = { kind: "ending" };
    this.#lastExit = reason;
    for (const repair of this.#repairs) repair.cancellation.cancel();
    this.#repairs = [];
    this.#ended = this.#finish(spot, reason, how, ranMs);
    return true;
  }

  async #finish(spot: Spot, reason: ExitReason, how: "orderly" | "force", ranMs: number): Promise<void> {
    if (how === "force") await Promise.all(this.#charges.map(({ child }) => child.stop("force")));
    else for (const { child } of this.#reversed(this.#all())) await child.stop("orderly");
    spot.stop();
    this.#state = { kind: "waiting" };
    this.#env.emit(this.path, this.#generation, { kind: "stopped", reason });
    this.#settleStart(false);
    if (this.#reportsExit) this.#onExit(reason, ranMs);
  }

  #leave(charge: Charge): void {
    charge.isLeft = true;
    charge.child.retire();
  }

  #all(): ChildRange {
    return { from: 0, to: this.#charges.length - 1 };
  }

  #reversed({ from, to }: ChildRange): readonly Charge[] {
    return this.#charges.slice(from, to + 1).reverse();
  }

  #chargeAt(index: number): Charge {
    const charge = this.#charges[index];
    if (charge === undefined) throw new Error(`supervisor "${this.path}" has no child ${index}`);
    return charge;
  }
}
