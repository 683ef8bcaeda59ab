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
// S5. A contained child (child-spec.ts) spends a budget of its own; when that is spent it is left down, and its siblings go on.
// S6. A child that is added while it runs is up and kept, or it failed and is gone without a trace; one that is taken out is stopped, cleaned
//     up, and forgotten. Until then its id is taken. Only one_for_one takes such children: elsewhere the order of siblings means something.

import type { Spot } from "../actor/kernel.js";
import type { Mailbox } from "../actor/mailbox.js";
import { Cancellation } from "../cancellation.js";
import { describeExit, type ExitReason } from "../exit-reason.js";
import type { ChaosTarget } from "../faults/chaos.js";
import type { ActorPath } from "../path.js";
import { type Backoff, type BackoffSettings, backoffDefaults, nextBackoff } from "./backoff.js";
import { type ChildSpec, type Contained, checkChild, type SupervisorSpec } from "./child-spec.js";
import { EscalationError } from "./escalation.js";
import { agesOf, type RestartHistory, recordRestart, restartsLeft, type SpentBudgets } from "./restart-intensity.js";
import { planRestart } from "./strategies.js";
import type { ExitListener, Supervised, TreeEnv } from "./supervised.js";
import type { TreeNode } from "./tree.js";

type SupervisorState =
  | { readonly kind: "new" | "ending" | "waiting" | "stopped" }
  | { readonly kind: "starting" | "running"; readonly spot: Spot; readonly sinceMs: number };

/** Charges are in the order of their start. */
interface Repair {
  /** Stopped first; not for a first start. */
  readonly stop: readonly Charge[] | undefined;
  hasStopped: boolean;
  /** Then what is down of this is started. */
  readonly start: readonly Charge[];
  readonly cancellation: Cancellation;
}

/** One child and what its supervisor remembers of it. */
interface Charge {
  readonly child: Supervised;
  readonly isContained: Contained;
  failures: number;
  /** Of its own budget. */
  restarts: RestartHistory;
  place: Place;
}

type Place =
  | { readonly kind: "kept" }
  /** It ended and stays down until the supervisor itself is restarted, or somebody wants it back. */
  | { readonly kind: "left" }
  /** Its first start, after it was added; `ended` when it came up and ended before that was noticed, or never came up. */
  | { readonly kind: "joining"; ended?: { readonly reason: ExitReason; readonly ranMs: number } }
  | { readonly kind: "leaving"; readonly gone: Promise<void> };

export type BuildChild = (spec: ChildSpec | SupervisorSpec, onExit: ExitListener) => Supervised;

export type AddOutcome =
  | { readonly kind: "started" }
  /** It could not start, or was taken out before it had: nothing is left of it. */
  | { readonly kind: "failed"; readonly cause: string }
  | { readonly kind: "refused"; readonly why: "exists" | "not_running" };

/** A child's own budget among those of supervisors: no path ends so. */
function ownBudgetOf(path: ActorPath): ActorPath {
  return `${path}~` as ActorPath;
}

export class Supervisor implements Supervised, ChaosTarget {
  readonly path: ActorPath;
  readonly restart = "permanent";
  readonly #spec: SupervisorSpec;
  readonly #env: TreeEnv;
  readonly #backoff: BackoffSettings;
  readonly #onExit: ExitListener;
  readonly #build: BuildChild;
  #charges: readonly Charge[];
  #state: SupervisorState = { kind: "new" };
  /** Incarnations at this path of a child that was taken out: counted on, never anew (law 5). */
  readonly #before: number;
  #generation: number;
  #restarts: RestartHistory;
  #repairs: Repair[] = [];
  #lastExit: ExitReason | undefined;
  #reportsExit = true;
  #settleStart: (isUp: boolean) => void = () => undefined;
  #started: Promise<boolean> = Promise.resolve(false);
  #ended: Promise<void> = Promise.resolve();

  constructor(spec: SupervisorSpec, path: ActorPath, env: TreeEnv, onExit: ExitListener, build: BuildChild) {
    this.path = path;
    this.#spec = spec;
    this.#env = env;
    this.#backoff = spec.backoff ?? backoffDefaults;
    this.#onExit = onExit;
    this.#restarts = env.historyAt(path);
    this.#before = env.incarnationsAt(path);
    this.#generation = this.#before;
    this.#build = build;
    this.#charges = spec.children.map((child) => this.#chargeOf(child, { kind: "kept" }));
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

  /** Ages of the restarts in its window, and in those of contained children. */
  get spent(): SpentBudgets {
    const [nowMs, { intensity }] = [this.#env.clock.monotonicMs(), this.#spec];
    const own = this.#charges.map(
      ({ child, restarts }) => [ownBudgetOf(child.path), agesOf(restarts, nowMs, intensity)] as const,
    );
    return Object.fromEntries([[this.path, agesOf(this.#restarts, nowMs, intensity)], ...own]);
  }

  /**
   * Adds a child and starts it, in the order of the others `before` the one of that id, last when there is none (S6). Throws when the spec is
   * wrong, or the strategy is not one_for_one.
   */
  async add(spec: ChildSpec | SupervisorSpec, before?: string): Promise<AddOutcome> {
    if (this.#spec.strategy !== "one_for_one")
      throw new Error(`supervisor "${this.path}" is ${this.#spec.strategy}: its children are given when it starts`);
    checkChild(spec);
    if (this.#state.kind !== "running") return { kind: "refused", why: "not_running" };
    if (this.#charges.some(({ child }) => child.id === spec.id)) return { kind: "refused", why: "exists" };
    const joining: Extract<Place, { kind: "joining" }> = { kind: "joining" };
    const charge = this.#chargeOf(spec, joining);
    const found = this.#charges.findIndex(({ child }) => child.id === before);
    const at = found < 0 ? this.#charges.length : found;
    this.#charges = [...this.#charges.slice(0, at), charge, ...this.#charges.slice(at)];
    const isUp = await charge.child.start(this.#state.spot);
    // Whoever takes it out meanwhile, or ends the supervisor, decides.
    if (isUp && charge.place === joining && this.isUp) {
      charge.place = { kind: "kept" };
      if (joining.ended !== undefined) this.#childExited(charge, joining.ended.reason, joining.ended.ranMs);
      return { kind: "started" };
    }
    const cause = joining.ended === undefined ? "it was stopped while it started" : describeExit(joining.ended.reason);
    await this.#takeOut(charge);
    return { kind: "failed", cause };
  }

  /** Stops a child in order and forgets it (S6). False when there is none of that id. */
  async remove(id: string): Promise<boolean> {
    const charge = this.#charges.find(({ child }) => child.id === id);
    if (charge === undefined) return false;
    await this.#takeOut(charge);
    return true;
  }

  /** Starts a child that was left down once more. False when there is none such. */
  revive(id: string): boolean {
    const charge = this.#charges.find(({ child }) => child.id === id);
    if (charge?.place.kind !== "left" || !("spot" in this.#state)) return false;
    charge.place = { kind: "kept" };
    this.#launch({ stop: undefined, start: [charge], hasStopped: true, cancellation: new Cancellation() }, 0);
    return true;
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
      restarts: Math.max(0, this.#generation - this.#before - 1),
      ...(this.#lastExit === undefined ? {} : { lastExit: describeExit(this.#lastExit) }),
      strategy,
      intensity: { ...intensity, left },
      children: this.#charges.map(({ child }) => child.node()),
    };
  }

  #begin(parent: Spot): Promise<boolean> {
    this.#generation += 1;
    this.#reportsExit = true;
    for (const charge of this.#charges) if (charge.place.kind === "left") charge.place = { kind: "kept" };
    const spot = parent.spawn(`${this.id}+${this.#generation}`, { turn: () => undefined, escaped: () => undefined });
    this.#state = { kind: "starting", spot, sinceMs: this.#env.clock.monotonicMs() };
    this.#started = new Promise((resolve) => {
      this.#settleStart = resolve;
    });
    this.#launch({ stop: undefined, start: this.#charges, hasStopped: true, cancellation: new Cancellation() }, 0);
    this.#spec.ahead?.begin();
    return this.#started;
  }

  #chargeOf(spec: ChildSpec | SupervisorSpec, place: Place): Charge {
    const child = this.#build(spec, (reason, ranMs) => this.#childExited(charge, reason, ranMs));
    const restarts = this.#env.historyAt(ownBudgetOf(child.path));
    const charge: Charge = { child, isContained: spec.contained ?? (() => false), failures: 0, restarts, place };
    return charge;
  }

  #childExited(charge: Charge, reason: ExitReason, ranMs: number): void {
    if (charge.place.kind === "joining") charge.place.ended = { reason, ranMs };
    if (!("spot" in this.#state) || charge.place.kind !== "kept") return;
    const { restart, path, generation } = charge.child;
    const index = this.#charges.indexOf(charge);
    const plan = planRestart(this.#spec.strategy, { index, restart, reason }, this.#charges.length);
    if (plan.kind === "leave") {
      this.#leave(charge);
      return;
    }
    const cause = describeExit(reason);
    if (!this.#mayRestart(charge, cause)) return;
    const backoff = this.#backoffFor(charge, reason, ranMs);
    charge.failures = backoff.failures;
    const { failures, delayMs: backoffMs } = backoff;
    this.#env.emit(path, generation, { kind: "restarting", failures, backoffMs, cause });
    this.#launch(this.#takeOver(this.#charges.slice(plan.range.from, plan.range.to + 1)), backoff.delayMs);
  }

  /** Counts a restart. False when it is one too many: then this supervisor, or a contained child alone, has given up (S5). */
  #mayRestart(charge: Charge, cause: string): boolean {
    const { intensity } = this.#spec;
    const isContained = charge.isContained();
    const before = isContained ? charge.restarts : this.#restarts;
    const { kind, history } = recordRestart(before, this.#env.clock.monotonicMs(), intensity);
    if (isContained) charge.restarts = history;
    else this.#restarts = history;
    if (kind === "allowed") return true;
    const { path, generation } = charge.child;
    if (!isContained) this.#giveUp(`"${path}" ended with ${cause}`);
    else {
      this.#leave(charge);
      this.#env.emit(path, generation, { kind: "left_down", cause, ...intensity });
    }
    return false;
  }

  /** A kill came from outside and says nothing of the child's health: it restarts at once. It counts for the intensity. */
  #backoffFor({ failures }: Charge, reason: ExitReason, ranMs: number): Backoff {
    if (reason.kind === "killed") return { failures, delayMs: 0 };
    return nextBackoff(failures, ranMs, this.#backoff, this.#env.random);
  }

  /** A repair of `charges` that also does what overlapping ones had still to do. */
  #takeOver(charges: readonly Charge[]): Repair {
    const [stop, start] = [new Set(charges), new Set(charges)];
    for (const other of this.#repairs.filter((repair) => repair.start.some((charge) => start.has(charge)))) {
      other.cancellation.cancel();
      if (other.stop !== undefined && !other.hasStopped) for (const charge of other.stop) stop.add(charge);
      for (const charge of other.start) start.add(charge);
    }
    this.#repairs = this.#repairs.filter(({ cancellation }) => !cancellation.isCancelled);
    const inOrder = (some: ReadonlySet<Charge>) => this.#charges.filter((charge) => some.has(charge));
    return { stop: inOrder(stop), start: inOrder(start), hasStopped: false, cancellation: new Cancellation() };
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
    for (const charge of repair.start) {
      if (cancellation.isCancelled || !("spot" in this.#state)) return;
      if (charge.place.kind === "kept" && !charge.child.isUp) await charge.child.start(this.#state.spot);
    }
    if (cancellation.isCancelled) return;
    this.#repairs = this.#repairs.filter((other) => other !== repair);
    if (this.#state.kind === "starting" && this.#repairs.length === 0) this.#becomeReady(this.#state);
  }

  /** A temporary child that is stopped with its siblings is not started with them. */
  async #stopForRepair(charges: readonly Charge[], cancellation: Cancellation): Promise<void> {
    for (const charge of [...charges].reverse()) {
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
    else for (const { child } of [...this.#charges].reverse()) await child.stop("orderly");
    await this.#spec.ahead?.end();
    spot.stop();
    this.#state = { kind: "waiting" };
    this.#env.emit(this.path, this.#generation, { kind: "stopped", reason });
    this.#settleStart(false);
    if (this.#reportsExit) this.#onExit(reason, ranMs);
  }

  #leave(charge: Charge): void {
    charge.place = { kind: "left" };
    charge.child.retire();
  }

  /** Once, however often it is wanted. A repair that comes upon it passes it by. */
  #takeOut(charge: Charge): Promise<void> {
    if (charge.place.kind === "leaving") return charge.place.gone;
    const gone = charge.child.stop("orderly").then(() => {
      charge.child.retire();
      this.#charges = this.#charges.filter((other) => other !== charge);
      this.#env.forget(charge.child.path);
    });
    charge.place = { kind: "leaving", gone };
    return gone;
  }
}
