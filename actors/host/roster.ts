// The roster: brings a node's models in line with what the registry says, one step at a time for each of them.
//
// Owns: how far each model is on this node, the order of its coming and going, when a failed one is tried again. Does not own: which models
// there should be (transport/log/model-records.ts), who tells it of changes (registrar.ts), the list the others look at (model-roll.ts).
//
//   (absent) -> loading -> up -> ending -> (absent)
//                  |        |
//                  v        v
//               failed     down            both are tried again after a while, longer each time
//
// It is no actor: what it holds has to outlive the actor that feeds it.
//
// R1. One step at a time for a name, names beside each other: a slow or a broken model keeps no other from coming or going.
// R2. A model comes whole or not at all: bounds, bytes, streams, every part of the tree; a part that fails takes the others back.
// R3. A model goes in order: its door first, then what is open, then its actors, threads and leases, its folder last.
// R4. A model that a node was started with stays; a record of another one under its name is refused and told, once.
// R5. What fails here costs nobody else anything: its restarts are its own (node.ts), and the node goes on.

import type { Clock } from "../../models/clock.js";
import type { Model } from "../../models/manifest.js";
import type { Telemetry } from "../../operations/metrics/telemetry.js";
import type { Acquired } from "../../operations/registry/model-cache.js";
import type { Summary } from "../../supervision/actor/behaviour.js";
import { within } from "../../supervision/deadline.js";
import { asError } from "../../supervision/exit-reason.js";
import type { ChildSpec, SupervisorSpec } from "../../supervision/tree/child-spec.js";
import type { ActorTree } from "../../supervision/tree/system.js";
import type { Unavailable } from "../../transport/log/jetstream.js";
import { type AddedModel, modelBounds, type Standings } from "../../transport/log/model-records.js";
import type { ModelWiring } from "../wiring/model-wiring.js";
import type { NodeWiring } from "../wiring/wiring.js";

export interface GivenModel {
  readonly model: Model;
  /** Of its package (models/adoption/model-package.ts). */
  readonly sha256: string;
}

/** The tree, as far as models come and go in it. */
type Branches = Pick<ActorTree, "startChild" | "stopChild" | "reviveChild">;

export interface RosterDeps {
  readonly node: string;
  readonly incarnation: number;
  readonly given: readonly GivenModel[];
  readonly wiring: Pick<NodeWiring, "admit" | "roll">;
  /** What runs of a model on this node, as children of the top supervisor. */
  readonly partsOf: (wiring: ModelWiring) => readonly (ChildSpec | SupervisorSpec)[];
  readonly acquire: (added: AddedModel) => Promise<Acquired>;
  readonly drop: (added: AddedModel) => Promise<void>;
  readonly ensureStreams: (model: string) => Promise<{ readonly kind: "ready" } | Unavailable>;
  readonly telemetry: Pick<Telemetry, "event">;
  readonly clock: Clock;
  /** How long what is open may take to be answered when a model goes. */
  readonly doorMs: number;
  /** In front of which child of the tree models go. */
  readonly before: string;
}

export type ModelState = "loading" | "up" | "ending" | "failed" | "down";

interface Entry {
  readonly name: string;
  readonly sha256: string;
  /** Undefined for one that the node was started with. */
  readonly added: AddedModel | undefined;
  state: ModelState;
  cause: string;
  /** Times in a row that it failed. */
  failures: number;
  retryAtMs: number;
  sinceMs: number;
  /** Parts that were left down (supervisor.ts S5). */
  readonly down: Set<string>;
  /** People were told that it failed, and not yet that it works. */
  isTold: boolean;
}

/** Wait before a failed model is tried again: doubled each time, up to the second. */
const retry = { firstMs: 5_000, mostMs: 300_000 } as const;
/** Having run so long, what was down counts as well again. */
const wellAfterMs = 10_000;

export class Roster {
  readonly #deps: RosterDeps;
  readonly #entries = new Map<string, Entry>();
  /** `again`: something changed since the step under way began. */
  readonly #busy = new Map<string, { again: boolean }>();
  readonly #conflicts = new Map<string, string>();
  #wanted: ReadonlyMap<string, AddedModel> = new Map();
  #tree: Branches | undefined;

  constructor(deps: RosterDeps) {
    this.#deps = deps;
    for (const { model, sha256 } of deps.given) {
      const entry = this.#enter(model.manifest.name, sha256, undefined);
      entry.state = "up";
    }
  }

  /** Loads what the registry says now, before there is a tree: their actors are then in it from the start (law 1). */
  async begin(standings: Standings): Promise<void> {
    this.#want(standings);
    await Promise.all([...this.#wanted.keys()].map((name) => this.#settle(name)));
  }

  /** From now on models come and go while the tree runs. */
  attach(tree: Branches): void {
    this.#tree = tree;
    for (const name of this.#names()) void this.#settle(name);
  }

  follow(standings: Standings): void {
    this.#want(standings);
    if (this.#tree !== undefined) for (const name of this.#names()) void this.#settle(name);
  }

  /** Tries again what it is time for. */
  tick(): void {
    if (this.#tree === undefined) return;
    const nowMs = this.#deps.clock.monotonicMs();
    for (const entry of this.#entries.values()) {
      if (entry.state === "down" && nowMs >= entry.retryAtMs) this.#revive(entry, this.#tree);
      else if (entry.state === "up" && entry.isTold && nowMs - entry.sinceMs >= wellAfterMs) this.#tellWell(entry);
    }
    for (const name of this.#names()) void this.#settle(name);
  }

  has(model: string): boolean {
    return this.#entries.has(model);
  }

  /** A part of a model has spent its budget. */
  leftDown(part: string, cause: string): void {
    const entry = [...this.#entries.values()].find(({ name }) => part === name || part === writerOf(name));
    if (entry === undefined) return;
    // One that goes is told as gone, and its parts are stopped in any case.
    if (entry.state === "ending") return;
    entry.down.add(part);
    entry.cause = cause;
    // Its other parts are being started: whoever does that sees to it (R2).
    if (entry.state === "loading") return;
    if (part === entry.name) this.#deps.wiring.roll.shut(entry.name, downWords(entry.name, cause));
    this.#fail(entry, "down", cause);
  }

  summary(): Summary {
    return {
      modelsMax: modelBounds.modelsMax,
      models: [...this.#entries.values()].map(({ name, sha256, added, state, cause }) => ({
        ...{ name, sha256, state, source: added === undefined ? "given" : "added" },
        bytes: added?.bytes ?? null,
        cause: state === "failed" || state === "down" ? cause : null,
      })),
    };
  }

  #names(): ReadonlySet<string> {
    return new Set([...this.#entries.keys(), ...this.#wanted.keys()]);
  }

  #want(standings: Standings): void {
    const served = [...standings].flatMap(([name, standing]) =>
      standing.served === undefined ? [] : [[name, standing.served] as const],
    );
    this.#wanted = new Map(served);
  }

  #enter(name: string, sha256: string, added: AddedModel | undefined): Entry {
    const sinceMs = this.#deps.clock.monotonicMs();
    const told = { cause: "", failures: 0, retryAtMs: 0, isTold: false };
    const entry: Entry = { name, sha256, added, state: "loading", ...told, sinceMs, down: new Set() };
    this.#entries.set(name, entry);
    return entry;
  }

  /** Steps until there is nothing to do for a name (R1): what changes meanwhile is seen by the next look. */
  async #settle(name: string): Promise<void> {
    const underWay = this.#busy.get(name);
    if (underWay !== undefined) {
      underWay.again = true;
      return;
    }
    const mine = { again: true };
    this.#busy.set(name, mine);
    try {
      while (mine.again) {
        mine.again = false;
        if (await this.#step(name)) mine.again = true;
      }
    } finally {
      this.#busy.delete(name);
    }
  }

  async #step(name: string): Promise<boolean> {
    const [wanted, entry] = [this.#wanted.get(name), this.#entries.get(name)];
    if (entry !== undefined && entry.added === undefined) {
      this.#refuseOther(entry, wanted);
      return false;
    }
    if (entry?.added !== undefined && entry.sha256 !== wanted?.sha256) {
      await this.#drop(entry, entry.added);
      return true;
    }
    if (wanted === undefined) return false;
    const isDue = entry?.state === "failed" && this.#deps.clock.monotonicMs() >= entry.retryAtMs;
    if (entry !== undefined && !isDue) return false;
    await this.#take(entry ?? this.#enter(name, wanted.sha256, wanted), wanted);
    return true;
  }

  #refuseOther({ name, sha256 }: Entry, wanted: AddedModel | undefined): void {
    if (wanted === undefined || wanted.sha256 === sha256 || this.#conflicts.get(name) === wanted.sha256) return;
    this.#conflicts.set(name, wanted.sha256);
    this.#deps.telemetry.event(
      "model_failed",
      this.#origin,
      this.#items(name, {
        cause: `this node was started with another model of the name ${name}: that one is served`,
      }),
    );
  }

  async #take(entry: Entry, added: AddedModel): Promise<void> {
    const { clock, wiring } = this.#deps;
    const beganAtMs = clock.monotonicMs();
    entry.state = "loading";
    wiring.roll.shut(entry.name, `${entry.name} is being loaded on this node`);
    const failure = await this.#bringUp(entry, added).catch((thrown: unknown) => asError(thrown).message);
    if (failure !== undefined) {
      entry.down.clear();
      wiring.roll.forget(entry.name);
      wiring.roll.shut(entry.name, `${entry.name} cannot be loaded on this node: ${failure}`);
      this.#fail(entry, "failed", failure);
      return;
    }
    if (entry.down.has(entry.name)) wiring.roll.shut(entry.name, downWords(entry.name, entry.cause));
    else wiring.roll.open(entry.name);
    if (entry.down.size > 0) {
      this.#fail(entry, "down", entry.cause);
      return;
    }
    entry.state = "up";
    entry.sinceMs = clock.monotonicMs();
    entry.failures = 0;
    this.#tellWell(entry, entry.sinceMs - beganAtMs);
  }

  /** Undefined once it is up (R2). */
  async #bringUp(entry: Entry, added: AddedModel): Promise<string | undefined> {
    const { acquire, ensureStreams, wiring } = this.#deps;
    const bound = this.#boundBroken(entry, added);
    if (bound !== undefined) return bound;
    const acquired = await acquire(added);
    if (acquired.kind === "failed") return acquired.cause;
    const streams = await ensureStreams(entry.name);
    if (streams.kind === "unavailable")
      return streams.why === "full"
        ? "JetStream has no room for its streams"
        : `its streams cannot be made: ${streams.why}`;
    const wired = wiring.admit(acquired.model);
    return this.#tree === undefined ? undefined : this.#startParts(this.#tree, wired);
  }

  #boundBroken(entry: Entry, { bytes }: AddedModel): string | undefined {
    const { modelsMax, nodeMaxBytes } = modelBounds;
    const others = [...this.#entries.values()].filter((other) => other !== entry && other.state !== "failed");
    if (others.length >= modelsMax) return `modelsMax: a node serves ${modelsMax} models at most`;
    const total = others.reduce((sum, { added }) => sum + (added?.bytes ?? 0), bytes);
    if (total <= nodeMaxBytes) return undefined;
    return `nodeMaxBytes: the added models of a node have ${nodeMaxBytes} bytes at most, these would have ${total}`;
  }

  async #startParts(tree: Branches, wired: ModelWiring): Promise<string | undefined> {
    const started: string[] = [];
    for (const part of this.#deps.partsOf(wired)) {
      const outcome = await tree.startChild(part, this.#deps.before);
      if (outcome.kind === "started") {
        started.push(part.id);
        continue;
      }
      for (const id of started.reverse()) await tree.stopChild(id);
      return outcome.kind === "failed" ? outcome.cause : taken(part.id, outcome.why);
    }
    return undefined;
  }

  async #drop(entry: Entry, added: AddedModel): Promise<void> {
    const { wiring, drop, clock, doorMs } = this.#deps;
    const wired = wiring.roll.all.find(({ name }) => name === entry.name);
    entry.state = "ending";
    wiring.roll.dismiss(entry.name);
    wiring.roll.open(entry.name);
    if (wired !== undefined) {
      await within(clock, doorMs, wired.desk.drained());
      wired.desk.refuseAll("not_ready", `${entry.name} is served no more`);
      for (const { id } of [...this.#deps.partsOf(wired)].reverse()) await this.#tree?.stopChild(id);
    }
    wiring.roll.forget(entry.name);
    this.#entries.delete(entry.name);
    // A folder that cannot be removed is litter, and costs the node nothing but room (R5).
    const litter = await drop(added).then(
      () => undefined,
      (thrown: unknown) => asError(thrown).message,
    );
    const facts = litter === undefined ? {} : { cause: `its folder is left behind: ${litter}` };
    this.#deps.telemetry.event("model_unloaded", this.#origin, this.#items(entry.name, facts));
  }

  #revive(entry: Entry, tree: Branches): void {
    for (const part of entry.down) tree.reviveChild(part);
    entry.down.clear();
    entry.state = "up";
    entry.sinceMs = this.#deps.clock.monotonicMs();
    this.#deps.wiring.roll.open(entry.name);
  }

  #fail(entry: Entry, state: "failed" | "down", cause: string): void {
    entry.state = state;
    entry.cause = cause;
    entry.failures += 1;
    entry.retryAtMs =
      this.#deps.clock.monotonicMs() + Math.min(retry.mostMs, retry.firstMs * 2 ** (entry.failures - 1));
    entry.isTold = true;
    this.#deps.telemetry.event("model_failed", this.#origin, this.#items(entry.name, { cause }));
  }

  #tellWell(entry: Entry, tookMs?: number): void {
    entry.isTold = false;
    entry.failures = 0;
    this.#deps.telemetry.event(
      "model_loaded",
      this.#origin,
      this.#items(entry.name, { sha256: entry.sha256, ...(tookMs === undefined ? {} : { tookMs }) }),
    );
  }

  get #origin(): { readonly actor: string; readonly incarnation: number } {
    return { actor: "registrar", incarnation: this.#deps.incarnation };
  }

  #items(model: string, facts: Readonly<Record<string, string | number>> = {}) {
    return () => [{ about: `${this.#deps.node}/${model}`, model, ...facts }];
  }
}

/** The id of the part that writes a model's parameters. */
export function writerOf(model: string): string {
  return `${model}-updater`;
}

function downWords(model: string, cause: string): string {
  return `${model} is down on this node: ${cause}`;
}

function taken(id: string, why: "exists" | "not_running"): string {
  return why === "exists" ? `"${id}" is the name of a part of the node already` : "the node is ending";
}
