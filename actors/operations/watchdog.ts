// The watchdog: notices who has gone silent, and sweeps what the dead left behind.
//
// Owns: a failure detector for every node that is heard, the sweep of a dead incarnation's leases and its confirmation, the end of leases
// that nobody renews, the death of nodes that nobody else watches, the looks at the tensor leases of its host.
// Does not own: restarts (supervision/), what to tell people (alerter.ts), the streams and leases (watchdog-wiring.ts).
//
// W1. Each death of a node incarnation is swept once and confirmed once, also when there was nothing to sweep. One that was not confirmed
//     when this incarnation began is found on the cleanup stream.
// W2. A node is silent when its detector's phi reaches `suspectPhi`; it is reported once, and once more when it is heard again.
// W3. What is dead stays dead: a late heartbeat of a dead incarnation brings it back to nobody's list. The exception is a node that was
//     declared dead for its silence and is heard again: it says so once. Its writes are fenced by the chain.
// W4. Silence counts only while the watchdog itself could hear.
// W5. `watchdog_cleanups` counts the items of its `cleanup` events, `leases_reclaimed` the leases in them.
// W6. Tensor leases are looked at whether or not the broker can be reached. A dead owner that left something is one cleanup, and so is an owner
//     whose leases expired; what a look finds is counted once.

import { meterTensorLeases, type TensorLook } from "../../operations/cluster/tensor-lease-watch.js";
import type { Telemetry } from "../../operations/metrics/telemetry.js";
import type { Behaviour, Life, Summary, Turn } from "../../supervision/actor/behaviour.js";
import { tellLater } from "../../supervision/actor/tell-later.js";
import { asError } from "../../supervision/exit-reason.js";
import type { AccrualDetector } from "../../supervision/process/accrual-detector.js";
import type { Cleaner, NodeLife } from "../../transport/messages/events.js";
import { tellWhenRoom } from "../tell-firmly.js";

export interface Heartbeat extends NodeLife {
  /** Somebody watches this process and restarts it, so its death is that one's to tell. */
  readonly rooted: boolean;
}

/** A lease that was taken back although nobody had said that its owner died. */
export interface ReclaimedLease extends NodeLife {
  readonly key: string;
  readonly why: "former_run" | "stale";
  readonly unchangedMs: number;
}

export type WatchdogMessage =
  | ({ readonly kind: "heartbeat" } & Heartbeat)
  /** `by`: who said so. */
  | ({ readonly kind: "died"; readonly by: Cleaner } & NodeLife)
  | ({ readonly kind: "left" } & Omit<NodeLife, "run">)
  | ({ readonly kind: "cleaned"; readonly leases: number; readonly first: boolean } & NodeLife)
  | { readonly kind: "reclaimed"; readonly leases: readonly ReclaimedLease[] }
  | ({ readonly kind: "undeclared" } & NodeLife)
  | { readonly kind: "tensors"; readonly look: TensorLook }
  | { readonly kind: "look" };

export interface WatchdogDeps {
  readonly suspectPhi: number;
  /** A node that nobody restarts is dead after so long a silence. */
  readonly declareAfterMs: number;
  readonly lookEveryMs: number;
  readonly detector: () => Pick<AccrualDetector, "heard" | "excuse" | "suspicion" | "silenceMs">;
  /** Whether heartbeats can arrive now. */
  readonly hears: () => boolean;
  /** Heartbeats, leave-takings and unconfirmed deaths, until the signal; false from `tell` means: once more, later. */
  readonly listen: (tell: (message: WatchdogMessage) => boolean, signal: AbortSignal) => Promise<void>;
  /** Puts the death of a node that nobody else watches on the cleanup stream; false when that cannot be done now. */
  readonly declare: (life: NodeLife, cause: string) => Promise<boolean>;
  /** Deletes the leases of that incarnation; resolves to how many there were. */
  readonly sweep: (life: NodeLife, signal: AbortSignal) => Promise<number>;
  /** Resolves to false when somebody else's confirmation is the one that is stored. */
  readonly confirm: (life: NodeLife, leases: number) => Promise<boolean>;
  /** One look at all leases: takes back what is stale. */
  readonly reclaim: (isKnownRun: (run: string) => boolean) => Promise<readonly ReclaimedLease[]>;
  /** One look at the tensor leases of this host, which sweeps what the dead left; nobody looks when left out. */
  readonly tensors?: { readonly look: () => Promise<TensorLook> };
  readonly telemetry: Telemetry;
}

type Detector = ReturnType<WatchdogDeps["detector"]>;

interface Seen {
  readonly node: string;
  readonly run: string;
  readonly rooted: boolean;
  readonly detector: Detector;
  incarnation: number;
  atMs: number;
  silent: boolean;
  /** Once per incarnation. */
  declared: boolean;
}

/** The highest incarnation of a node in a run that is known to be over. */
interface Gone {
  readonly incarnation: number;
  readonly how: "died" | "declared" | "returned";
  /** Its sweep was begun. */
  readonly isSwept: boolean;
}

interface State {
  readonly nodes: Map<string, Seen>;
  readonly gone: Map<string, Gone>;
  lookedAtMs: number;
  reclaiming: boolean;
  lookingAtTensors: boolean;
  cleanups: number;
  leasesSwept: number;
}

/** More nodes, or dead ones remembered, than a cluster has; the oldest go first. */
const nodesMax = 1_024;
/** A look that comes later than so many periods was ours to miss. */
const lateLooks = 3;

export function watchdog(deps: WatchdogDeps): Behaviour<WatchdogMessage, State> {
  return {
    init: (life) => {
      look(deps, life);
      const tell = (message: WatchdogMessage): boolean => life.self.tell(message) !== "full";
      deps.listen(tell, life.signal).catch((error) => life.fail(asError(error)));
      return {
        nodes: new Map(),
        gone: new Map(),
        lookedAtMs: life.clock.monotonicMs(),
        reclaiming: false,
        lookingAtTensors: false,
        cleanups: 0,
        leasesSwept: 0,
      };
    },
    receive: (state, message, turn) => receive(deps, state, message, turn),
    summary,
  };
}

function look(deps: WatchdogDeps, life: Life<WatchdogMessage>): void {
  tellLater(life, deps.lookEveryMs, { kind: "look" });
}

function receive(deps: WatchdogDeps, state: State, message: WatchdogMessage, turn: Turn<WatchdogMessage>): void {
  switch (message.kind) {
    case "heartbeat":
      heard(deps, state, message, turn);
      return;
    case "left":
      for (const seen of state.nodes.values())
        if (seen.node === message.node && seen.incarnation <= message.incarnation)
          bury(state, seen, { how: "died", isSwept: false });
      return;
    case "died":
      died(deps, state, message, turn);
      return;
    case "cleaned":
      if (message.first) count(deps, state, turn, [{ ...about(message), leases: message.leases, why: "died" }]);
      return;
    case "reclaimed":
      state.reclaiming = false;
      if (message.leases.length > 0) count(deps, state, turn, message.leases.map(reclaimedItem));
      return;
    case "tensors":
      tensorsSeen(deps, state, message.look, turn);
      return;
    case "undeclared":
      for (const seen of state.nodes.values()) if (keyOf(seen) === keyOf(message)) seen.declared = false;
      return;
    case "look":
      look(deps, turn);
      lookAtTensors(deps, state, turn);
      lookAround(deps, state, turn);
      return;
    default:
      message satisfies never;
  }
}

function heard(deps: WatchdogDeps, state: State, beat: Heartbeat, turn: Turn<WatchdogMessage>): void {
  const key = keyOf(beat);
  const gone = state.gone.get(key);
  const isGone = gone !== undefined && beat.incarnation <= gone.incarnation;
  if (isGone && (gone.how === "died" || beat.incarnation < gone.incarnation)) return;
  const returns = isGone && gone.how === "declared";
  if (returns) state.gone.set(key, { ...gone, how: "returned" });
  const known = state.nodes.get(key);
  if (known !== undefined && known.incarnation > beat.incarnation) return;
  const nowMs = turn.clock.monotonicMs();
  if (returns || known?.silent === true) {
    const silentForMs = known === undefined ? undefined : nowMs - known.atMs;
    report(deps, turn, "node_heard", { ...about(beat), silentForMs, declaredDead: returns ? true : undefined });
  }
  const detector = known?.incarnation === beat.incarnation ? known.detector : deps.detector();
  detector.heard(nowMs);
  const { node, run, rooted, incarnation } = beat;
  state.nodes.delete(key);
  state.nodes.set(key, { node, run, rooted, incarnation, detector, atMs: nowMs, silent: false, declared: isGone });
  forgetOldest(state.nodes);
}

function died(
  deps: WatchdogDeps,
  state: State,
  death: NodeLife & { readonly by: Cleaner },
  turn: Turn<WatchdogMessage>,
): void {
  const life = lifeOf(death);
  const gone = state.gone.get(keyOf(life));
  const isKnown = gone?.incarnation === life.incarnation;
  if (gone !== undefined && (gone.incarnation > life.incarnation || (isKnown && gone.isSwept))) return;
  const how = isKnown ? gone.how : death.by === "watchdog" ? "declared" : "died";
  bury(state, life, { how, isSwept: true });
  const clean = async (): Promise<void> => {
    const leases = await deps.sweep(life, turn.signal);
    const first = await deps.confirm(life, leases);
    await tellWhenRoom(turn, { kind: "cleaned", ...life, leases, first });
  };
  // Not in this turn: the others' deaths do not wait for a broker that is away.
  turn.onCommit(() => {
    clean().catch((error) => turn.fail(asError(error)));
  });
}

/** From now on it is dead; its next incarnation, which may have been heard already, is not. */
function bury(state: State, life: NodeLife, end: Pick<Gone, "how" | "isSwept">): void {
  const key = keyOf(life);
  if ((state.nodes.get(key)?.incarnation ?? 0) <= life.incarnation) state.nodes.delete(key);
  state.gone.delete(key);
  state.gone.set(key, { incarnation: life.incarnation, ...end });
  forgetOldest(state.gone);
}

function lookAround(deps: WatchdogDeps, state: State, turn: Turn<WatchdogMessage>): void {
  const nowMs = turn.clock.monotonicMs();
  const wasBlind = !deps.hears() || nowMs - state.lookedAtMs > lateLooks * deps.lookEveryMs;
  state.lookedAtMs = nowMs;
  if (wasBlind) for (const { detector } of state.nodes.values()) detector.excuse(nowMs);
  else for (const seen of state.nodes.values()) judge(deps, seen, nowMs, turn);
  if (state.reclaiming || wasBlind) return;
  state.reclaiming = true;
  const runs = new Set([...state.nodes.values()].map(({ run }) => run));
  const reclaim = async (): Promise<void> => {
    const leases = await deps.reclaim((run) => runs.has(run));
    await tellWhenRoom(turn, { kind: "reclaimed", leases });
  };
  turn.onCommit(() => {
    reclaim().catch((error) => turn.fail(asError(error)));
  });
}

function lookAtTensors({ tensors }: WatchdogDeps, state: State, turn: Turn<WatchdogMessage>): void {
  if (tensors === undefined || state.lookingAtTensors) return;
  state.lookingAtTensors = true;
  const seen = async (): Promise<void> => tellWhenRoom(turn, { kind: "tensors", look: await tensors.look() });
  turn.onCommit(() => {
    seen().catch((error) => turn.fail(asError(error)));
  });
}

function tensorsSeen(deps: WatchdogDeps, state: State, seen: TensorLook, turn: Turn<WatchdogMessage>): void {
  state.lookingAtTensors = false;
  turn.onCommit(() => meterTensorLeases(deps.telemetry.counters, seen));
  const left = seen.swept.filter(({ record, files }) => record.leases.length > 0 || files > 0);
  const cleaned: Item[] = [
    ...left.map(({ record: { owner, pid, leases }, files, bytes }) => {
      return { about: owner, pid, leases: leases.length, files, bytes, why: "tensor_owner_died" };
    }),
    ...seen.expired.map(({ owner, pid, leases }) => ({ about: owner, pid, leases, why: "tensor_lease_expired" })),
  ];
  if (cleaned.length > 0) count(deps, state, turn, cleaned);
}

function judge(deps: WatchdogDeps, seen: Seen, nowMs: number, turn: Turn<WatchdogMessage>): void {
  const phi = seen.detector.suspicion(nowMs);
  if (phi < deps.suspectPhi) return;
  const figures = { silentForMs: nowMs - seen.atMs, phi: Math.round(phi * 100) / 100 };
  if (!seen.silent) {
    seen.silent = true;
    report(deps, turn, "node_silent", { ...about(seen), ...figures });
  }
  if (seen.rooted || seen.declared || seen.detector.silenceMs(nowMs) < deps.declareAfterMs) return;
  const cause = `silent for ${Math.round(figures.silentForMs)} ms (phi ${figures.phi}), and nobody restarts it`;
  seen.declared = true;
  report(deps, turn, "node_died", { ...about(seen), ...figures, cause });
  const life = lifeOf(seen);
  // The stream brings the death back to every watchdog, this one too.
  const declare = async (): Promise<void> => {
    if (!(await deps.declare(life, cause))) await tellWhenRoom(turn, { kind: "undeclared", ...life });
  };
  turn.onCommit(() => {
    declare().catch((error) => turn.fail(asError(error)));
  });
}

type Item = Parameters<Telemetry["event"]>[2] extends () => readonly (infer Each)[] ? Each : never;

function count(deps: WatchdogDeps, state: State, turn: Turn<WatchdogMessage>, cleaned: readonly Item[]): void {
  const leases = cleaned.reduce((sum, item) => sum + Number(item.leases), 0);
  state.cleanups += cleaned.length;
  state.leasesSwept += leases;
  turn.onCommit(() => {
    deps.telemetry.counters.add("watchdog_cleanups", cleaned.length);
    deps.telemetry.counters.add("leases_reclaimed", leases);
    deps.telemetry.event("cleanup", originOf(turn), () => cleaned.map((item) => ({ ...item, by: "watchdog" })));
  });
}

function reclaimedItem(lease: ReclaimedLease): Item {
  const { key, why, unchangedMs } = lease;
  return { ...about(lease), leases: 1, why, key, unchangedMs };
}

function report(deps: WatchdogDeps, turn: Turn<WatchdogMessage>, kind: string, item: Item): void {
  turn.onCommit(() => deps.telemetry.event(kind, originOf(turn), () => [item]));
}

function forgetOldest(map: Map<string, unknown>): void {
  if (map.size <= nodesMax) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}

function keyOf({ node, run }: Pick<NodeLife, "node" | "run">): string {
  return `${node}@${run}`;
}

function lifeOf({ node, incarnation, run }: NodeLife): NodeLife {
  return { node, incarnation, run };
}

function about({ node, incarnation }: Pick<NodeLife, "node" | "incarnation">) {
  return { about: node, about_incarnation: incarnation };
}

function originOf(turn: Turn<WatchdogMessage>): { readonly actor: string; readonly incarnation: number } {
  return { actor: turn.path, incarnation: turn.incarnation };
}

function summary(state: State): Summary {
  return {
    nodes: Object.fromEntries(
      [...state.nodes.values()].map(({ node, incarnation, run, rooted, atMs, silent }) => [
        node,
        { incarnation, run, rooted, atMs, silent },
      ]),
    ),
    cleanups: state.cleanups,
    leasesSwept: state.leasesSwept,
  };
}
