// Starts a supervision tree and is the door to it.
//
// Owns: the live tree of one node: refs by path, looks inside, faults, the end.
// Does not own: the spec (node.ts), restarts (supervisor.ts), processes (process-root.ts).

import type { Clock, Random } from "../../models/clock.js";
import type { ChaosReceipt } from "../../transport/messages/chaos-orders.js";
import type { Summary } from "../actor/behaviour.js";
import type { DeadLetter, DeadLetterListener } from "../actor/dead-letters.js";
import { type Spot, startKernel } from "../actor/kernel.js";
import { type Ref, type Refs, UnknownActorError } from "../actor/ref.js";
import { within } from "../deadline.js";
import type { ChaosMode, SupervisionEvent, SupervisionFact } from "../events.js";
import { asError, describeExit, type ExitReason } from "../exit-reason.js";
import { type ChaosTarget, injectFault } from "../faults/chaos.js";
import { Listeners } from "../listeners.js";
import type { Logger } from "../logger.js";
import { type ActorPath, childPath, TOP_PATH } from "../path.js";
import { Cell } from "./cell.js";
import { type ChildSpec, checkSpec, isSupervisor, type SupervisorSpec } from "./child-spec.js";
import { type CleanupHook, cleanupMaxMs, type DeathListener, type EndedIncarnation } from "./cleanup.js";
import { EscalationError } from "./escalation.js";
import { historyOf, type SpentBudgets } from "./restart-intensity.js";
import type { ExitListener, TreeEnv } from "./supervised.js";
import { type AddOutcome, Supervisor } from "./supervisor.js";
import type { TreeNode } from "./tree.js";

export interface TreeDeps {
  readonly node: string;
  /** Of the node. */
  readonly incarnation: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  onEvent(event: SupervisionEvent): void;
  /** Confirms that an ended incarnation left nothing behind; awaited, bounded, before the next one. */
  readonly confirmCleanup?: CleanupHook;
  /** What the node's last incarnation handed on when it gave up. */
  readonly spent?: SpentBudgets;
  readonly cleanupMs?: number;
}

export interface ActorTree extends Refs {
  /** The path is below the top supervisor: "inference", "learning/updater". The message type is the caller's claim. */
  ref<M>(path: string): Ref<M>;
  /** The top supervisor stands for the node. */
  tree(): TreeNode;
  /** What the running incarnation says of itself; undefined when none runs or its behaviour has no summary. */
  summary(path: string): Summary | undefined;
  /** Injects one fault and resolves when the actor works again. Rejects with ChaosRefusedError when it does not run. `halted` ends a fault that lasts. */
  kill(path: string, mode: ChaosMode, forMs?: number, halted?: AbortSignal): Promise<ChaosReceipt>;
  /** Every ended incarnation of `path`; the returned function ends the watch. */
  watch(path: string, listener: DeathListener): () => void;
  onDeadLetter(listener: DeadLetterListener): () => void;
  /** What to hand on to the node's next incarnation. */
  spent(): SpentBudgets;
  /**
   * Adds a child to the top supervisor, in front of the child of the id `before`, and waits until it is up. It is up and kept, or nothing of it
   * is left (supervisor.ts S6).
   */
  startChild(spec: ChildSpec | SupervisorSpec, before?: string): Promise<AddOutcome>;
  /** Stops a child of the top supervisor in order and forgets it: its path is unknown then. False when there is none of that id. */
  stopChild(id: string): Promise<boolean>;
  /** Starts a contained child of the top supervisor that was left down. False when there is none such. */
  reviveChild(id: string): boolean;
  /** In reverse order, with deadlines, then by force. What is still queued becomes dead letters. */
  stop(): Promise<void>;
  /** The top supervisor gave up: the node has to exit. Never settles otherwise. */
  readonly failed: Promise<EscalationError>;
}

/** Resolves when every child is ready; rejects with an EscalationError when the top supervisor gave up before. */
export async function startTree(spec: SupervisorSpec, deps: TreeDeps): Promise<ActorTree> {
  checkSpec(spec);
  const tree = new LiveTree(spec, deps);
  await tree.start();
  return tree;
}

/** How long a hang or a slowness lasts when nobody says. */
export const hangForMs = 1_000;

class LiveTree implements ActorTree {
  readonly failed: Promise<EscalationError>;
  readonly #node: { readonly name: string; readonly incarnation: number };
  readonly #kernel: Spot;
  readonly #top: Supervisor;
  readonly #env: TreeEnv;
  readonly #cells = new Map<string, Cell>();
  readonly #targets = new Map<string, ChaosTarget>();
  readonly #supervisors = new Map<string, Supervisor>();
  /** The last incarnation of what was taken out, by its path. */
  readonly #former = new Map<string, number>();
  readonly #events: Listeners<SupervisionEvent>;
  readonly #deaths: Listeners<EndedIncarnation>;
  readonly #deadLetters: Listeners<DeadLetter>;
  #startFailure: EscalationError | undefined;

  constructor(spec: SupervisorSpec, deps: TreeDeps) {
    this.#kernel = startKernel(deps.clock);
    this.#node = { name: deps.node, incarnation: deps.incarnation };
    const broken = (error: Error) => deps.log.error("a listener threw", { error });
    this.#events = new Listeners(broken);
    this.#deaths = new Listeners(broken);
    this.#deadLetters = new Listeners(broken);
    this.#events.add((event) => deps.onEvent(event));
    this.#env = {
      clock: deps.clock,
      random: deps.random,
      log: deps.log,
      refs: this,
      historyAt: (path) => historyOf(deps.spent?.[path] ?? [], deps.clock.monotonicMs()),
      incarnationsAt: (path) => this.#former.get(path) ?? 0,
      emit: emitter(deps, this.#events),
      deadLetter: (letter, incarnation) => this.#bury({ ...letter, atMs: deps.clock.nowMs() }, incarnation),
      died: (ended) => this.#deaths.tell(ended),
      forget: (path) => this.#forget(path),
      confirmCleanup: cleanupConfirmer(deps),
    };
    let giveUp: (error: EscalationError) => void = () => undefined;
    this.failed = new Promise((resolve) => {
      giveUp = resolve;
    });
    this.#top = this.#supervisor(spec, TOP_PATH, (reason) => {
      this.#close();
      this.#startFailure = escalationOf(reason, spec);
      giveUp(this.#startFailure);
    });
  }

  async start(): Promise<void> {
    const isUp = await this.#top.start(this.#kernel);
    if (!isUp) throw this.#startFailure ?? new Error("the tree was stopped while it started");
  }

  ref<M>(path: string): Ref<M> {
    return this.#cell(path).ref;
  }

  tree(): TreeNode {
    return { ...this.#top.node(), name: this.#node.name, kind: "node", generation: this.#node.incarnation };
  }

  summary(path: string): Summary | undefined {
    return this.#cell(path).summary();
  }

  async kill(path: string, mode: ChaosMode, forMs = hangForMs, halted?: AbortSignal): Promise<ChaosReceipt> {
    const target = this.#targets.get(path);
    if (target === undefined) throw new UnknownActorError(path, this.#targets.keys());
    const { clock, emit } = this.#env;
    const leaseMs = mode === "hang" || mode === "slow" ? forMs : 0;
    const listen = (listener: (event: SupervisionEvent) => void) => this.#events.add(listener);
    return injectFault(target, mode, leaseMs, { clock, emit, listen, halted });
  }

  watch(path: string, listener: DeathListener): () => void {
    const watched = this.#cell(path).path;
    return this.#deaths.add((ended) => {
      if (ended.path === watched) listener(ended);
    });
  }

  onDeadLetter(listener: DeadLetterListener): () => void {
    return this.#deadLetters.add(listener);
  }

  spent(): SpentBudgets {
    const ages = [...this.#supervisors.values()].flatMap(({ spent }) => Object.entries(spent));
    return Object.fromEntries(ages.filter(([, spent]) => spent.length > 0));
  }

  startChild(spec: ChildSpec | SupervisorSpec, before?: string): Promise<AddOutcome> {
    return this.#top.add(spec, before);
  }

  stopChild(id: string): Promise<boolean> {
    return this.#top.remove(id);
  }

  reviveChild(id: string): boolean {
    return this.#top.revive(id);
  }

  async stop(): Promise<void> {
    await this.#top.stop("orderly");
    this.#close();
  }

  /** Nothing runs any more: what is still queued becomes dead letters. */
  #close(): void {
    this.#top.retire();
    this.#kernel.stop();
  }

  #supervisor(spec: SupervisorSpec, path: ActorPath, onExit: ExitListener): Supervisor {
    const supervisor = new Supervisor(spec, path, this.#env, onExit, (child, onChildExit) => {
      const below = childPath(path, child.id);
      return isSupervisor(child)
        ? this.#supervisor(child, below, onChildExit)
        : this.#actor(new Cell(child, below, this.#env, onChildExit));
    });
    this.#targets.set(path, supervisor);
    this.#supervisors.set(path, supervisor);
    return supervisor;
  }

  #actor(cell: Cell): Cell {
    this.#cells.set(cell.path, cell);
    this.#targets.set(cell.path, cell);
    return cell;
  }

  #forget(path: ActorPath): void {
    const isGone = (each: string): boolean => each === path || each.startsWith(`${path}/`);
    for (const known of [this.#cells, this.#supervisors])
      for (const [each, { generation }] of known) if (isGone(each)) this.#former.set(each, generation);
    for (const known of [this.#cells, this.#targets, this.#supervisors])
      for (const each of known.keys()) if (isGone(each)) known.delete(each);
  }

  #cell(path: string): Cell {
    const cell = this.#cells.get(path);
    if (cell === undefined) throw new UnknownActorError(path, this.#cells.keys());
    return cell;
  }

  #bury(letter: DeadLetter, incarnation: number): void {
    const { to, reason, cause, deliveries } = letter;
    this.#env.emit(to, incarnation, { kind: "dead_letter", reason, cause, deliveries });
    this.#deadLetters.tell(letter);
  }
}

function emitter({ node, incarnation: nodeIncarnation, clock }: TreeDeps, events: Listeners<SupervisionEvent>) {
  return (path: ActorPath, incarnation: number, fact: SupervisionFact) =>
    events.tell({ node, nodeIncarnation, path, incarnation, atMs: clock.nowMs(), ...fact });
}

/** Without a hook there are no leases to clean, and nothing to wait for. */
function cleanupConfirmer({
  confirmCleanup,
  clock,
  log,
  cleanupMs = cleanupMaxMs,
}: TreeDeps): TreeEnv["confirmCleanup"] {
  return async (ended) => {
    if (confirmCleanup === undefined) return { isConfirmed: true, leasesCleaned: 0 };
    try {
      const cleanup = await within(clock, cleanupMs, confirmCleanup(ended));
      if (cleanup.kind === "done") return { isConfirmed: true, ...cleanup.value };
      log.warn("cleanup was not confirmed in time; going on without it", { actor: ended.path, cleanupMs });
    } catch (thrown) {
      log.warn("cleanup failed; going on without it", { actor: ended.path, error: asError(thrown) });
    }
    return { isConfirmed: false, leasesCleaned: 0 };
  };
}

/** The top supervisor ends by itself only when it gave up, or was killed as a whole. */
function escalationOf(reason: ExitReason, spec: SupervisorSpec): EscalationError {
  if (reason.kind === "crash" && reason.error instanceof EscalationError) return reason.error;
  return new EscalationError(TOP_PATH, describeExit(reason), spec.intensity);
}
