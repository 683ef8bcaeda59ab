// The watchdog: notices who has gone silent, and sweeps what the dead left behind.
//
// Owns: the last heartbeat of every node, the sweep of a dead incarnation's leases, its confirmation on the cleanup stream.
// Does not own: restarts (supervision/), what to tell people (alerter.ts).
//
// W1. Each death of a node incarnation is swept once and confirmed once, also when there was nothing to sweep.
// W2. A node is silent after `silentAfterMs` without a heartbeat; it is reported once, and once more when it is heard again.

import type { Telemetry } from "../operations/telemetry.js";
import type { Behaviour, Life, Turn } from "../supervision/behaviour.js";
import { tellLater } from "../supervision/tell-later.js";

export interface Heartbeat {
  readonly node: string;
  readonly incarnation: number;
}

export type WatchdogMessage =
  | ({ readonly kind: "heartbeat" } & Heartbeat)
  | { readonly kind: "died"; readonly node: string; readonly incarnation: number }
  | { readonly kind: "left"; readonly node: string }
  | { readonly kind: "look" };

export interface WatchdogDeps {
  readonly silentAfterMs: number;
  readonly lookEveryMs: number;
  /** Subscribes to heartbeats, deaths and leave-takings; returns how to stop. */
  readonly listen: (tell: (message: WatchdogMessage) => void) => () => void;
  /** Deletes the leases of that incarnation; resolves to how many there were. */
  readonly sweep: (node: string, incarnation: number) => Promise<number>;
  readonly confirm: (node: string, incarnation: number, leases: number) => Promise<void>;
  readonly telemetry: Telemetry;
}

interface Seen {
  incarnation: number;
  atMs: number;
  silent: boolean;
}

interface State {
  readonly nodes: Map<string, Seen>;
  readonly unlisten: () => void;
  cleanups: number;
  leasesSwept: number;
}

export function watchdog(deps: WatchdogDeps): Behaviour<WatchdogMessage, State> {
  return {
    init: (life) => {
      look(deps, life);
      return {
        nodes: new Map(),
        unlisten: deps.listen((message) => life.self.tell(message)),
        cleanups: 0,
        leasesSwept: 0,
      };
    },
    receive: (state, message, turn) => receive(deps, state, message, turn),
    stop: (state) => state.unlisten(),
    summary: (state) => ({
      nodes: Object.fromEntries([...state.nodes].map(([node, seen]) => [node, { ...seen }])),
      cleanups: state.cleanups,
      leasesSwept: state.leasesSwept,
    }),
  };
}

function look(deps: WatchdogDeps, life: Life<WatchdogMessage>): void {
  tellLater(life, deps.lookEveryMs, { kind: "look" });
}

async function receive(
  deps: WatchdogDeps,
  state: State,
  message: WatchdogMessage,
  turn: Turn<WatchdogMessage>,
): Promise<void> {
  switch (message.kind) {
    case "heartbeat":
      heard(deps, state, message, turn);
      return;
    case "left":
      state.nodes.delete(message.node);
      return;
    case "died":
      await cleanUp(deps, state, message, turn);
      return;
    case "look":
      look(deps, turn);
      reportSilence(deps, state, turn);
      return;
    default:
      message satisfies never;
  }
}

function heard(deps: WatchdogDeps, state: State, beat: Heartbeat, turn: Turn<WatchdogMessage>): void {
  const seen = state.nodes.get(beat.node);
  if (seen?.silent === true)
    turn.onCommit(() =>
      deps.telemetry.event("node_heard", originOf(turn), () => [
        { about: beat.node, about_incarnation: beat.incarnation },
      ]),
    );
  state.nodes.set(beat.node, { incarnation: beat.incarnation, atMs: turn.clock.monotonicMs(), silent: false });
}

async function cleanUp(
  deps: WatchdogDeps,
  state: State,
  dead: { readonly node: string; readonly incarnation: number },
  turn: Turn<WatchdogMessage>,
): Promise<void> {
  const leases = await deps.sweep(dead.node, dead.incarnation);
  await deps.confirm(dead.node, dead.incarnation, leases);
  // Its next incarnation may have been heard already.
  if ((state.nodes.get(dead.node)?.incarnation ?? 0) <= dead.incarnation) state.nodes.delete(dead.node);
  state.cleanups += 1;
  state.leasesSwept += leases;
  turn.onCommit(() => {
    deps.telemetry.counters.add("watchdog_cleanups");
    deps.telemetry.event("cleanup", originOf(turn), () => [
      { about: dead.node, about_incarnation: dead.incarnation, leases, by: "watchdog" },
    ]);
  });
}

function reportSilence(deps: WatchdogDeps, state: State, turn: Turn<WatchdogMessage>): void {
  const nowMs = turn.clock.monotonicMs();
  for (const [node, seen] of state.nodes) {
    const silentForMs = nowMs - seen.atMs;
    if (seen.silent || silentForMs < deps.silentAfterMs) continue;
    seen.silent = true;
    turn.onCommit(() =>
      deps.telemetry.event("node_silent", originOf(turn), () => [
        { about: node, about_incarnation: seen.incarnation, silentForMs },
      ]),
    );
  }
}

function originOf(turn: Turn<WatchdogMessage>): { readonly actor: string; readonly incarnation: number } {
  return { actor: turn.path, incarnation: turn.incarnation };
}
