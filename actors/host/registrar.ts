// The registrar: follows the registry of models, and has the node do what it says.
//
// Owns: where the reading is, the pace of second tries, and on an operations node what is tidied on the stream. Does not own: what a record
// means (transport/log/model-records.ts), what is done about it (roster.ts).
//
// G1. Every incarnation reads the registry from its beginning: what the one before it missed or did by half is seen.
// G2. A broker that is away costs it nothing: it waits.

import type { Behaviour, Life, Summary } from "../../supervision/actor/behaviour.js";
import { tellLater } from "../../supervision/actor/tell-later.js";
import { asError } from "../../supervision/exit-reason.js";
import { foldRecord, type LoggedModelRecord, type Standings } from "../../transport/log/model-records.js";
import type { ModelRegistry } from "../../transport/log/model-registry.js";
import { tellWhenRoom } from "../tell-firmly.js";

export interface RegistrarDeps {
  readonly registry: Pick<ModelRegistry, "standings" | "follow" | "sweep" | "purgeLog">;
  readonly roster: {
    follow(standings: Standings): void;
    tick(): void;
    has(model: string): boolean;
    summary(): Summary;
  };
  /** Of the operations nodes: purges logs, sweeps pieces. */
  readonly tidies: boolean;
  readonly tickMs: number;
  readonly sweepEveryMs: number;
}

export type RegistrarMessage =
  | { readonly kind: "record"; readonly record: LoggedModelRecord }
  | { readonly kind: "tick" };

interface State {
  standings: Standings;
  sweptAtMs: number;
  /** Names whose log is purged as far as this incarnation knows. */
  readonly purged: Map<string, number>;
}

const pauseMs = 250;

export function registrar(deps: RegistrarDeps): Behaviour<RegistrarMessage, State> {
  return {
    init: (life) => init(deps, life),
    receive: (state, message, life) => receive(deps, state, message, life),
    summary: ({ standings }) => ({
      ...deps.roster.summary(),
      registered: [...standings].flatMap(([name, { served }]) => (served === undefined ? [] : [name])),
    }),
  };
}

async function init(deps: RegistrarDeps, life: Life<RegistrarMessage>): Promise<State> {
  const read = await readUntilThere(deps, life);
  deps.roster.follow(read.standings);
  followRecords(deps, read.nextSeq, life).catch((error) => life.fail(asError(error)));
  tellLater(life, deps.tickMs, { kind: "tick" });
  return { standings: read.standings, sweptAtMs: Number.NEGATIVE_INFINITY, purged: new Map() };
}

async function readUntilThere({ registry }: RegistrarDeps, { clock, signal }: Life<RegistrarMessage>) {
  for (;;) {
    const read = await registry.standings();
    if (read.kind === "standings") return read;
    if (read.why === "closed" || read.why === "denied" || signal.aborted)
      throw new Error(`the registry of models cannot be read: ${read.why}`);
    await clock.delay(pauseMs, signal);
  }
}

async function followRecords(
  { registry }: RegistrarDeps,
  fromSeq: number,
  life: Life<RegistrarMessage>,
): Promise<void> {
  for await (const record of registry.follow(fromSeq, life.signal))
    await tellWhenRoom(life, { kind: "record", record });
}

async function receive(
  deps: RegistrarDeps,
  state: State,
  message: RegistrarMessage,
  life: Life<RegistrarMessage>,
): Promise<void> {
  switch (message.kind) {
    case "record":
      state.standings = foldRecord(state.standings, message.record);
      deps.roster.follow(state.standings);
      return;
    case "tick":
      tellLater(life, deps.tickMs, { kind: "tick" });
      deps.roster.tick();
      if (deps.tidies) await tidy(deps, state, life);
      return;
    default:
      message satisfies never;
  }
}

/** A log goes only when this node has no model of that name: not while one is ending, and never that of one it was started with. */
async function tidy(
  { registry, roster, sweepEveryMs }: RegistrarDeps,
  state: State,
  { clock, log }: Life<RegistrarMessage>,
): Promise<void> {
  for (const [name, { isPurged, seq }] of state.standings) {
    if (!isPurged || state.purged.get(name) === seq || roster.has(name)) continue;
    const outcome = await registry.purgeLog(name);
    if (outcome.kind === "unavailable") continue;
    state.purged.set(name, seq);
    if (outcome.kind === "purged") log.info("the log of a model was purged", { model: name });
  }
  if (clock.monotonicMs() - state.sweptAtMs < sweepEveryMs) return;
  state.sweptAtMs = clock.monotonicMs();
  const uploads = await registry.sweep(state.standings);
  if (uploads > 0) log.info("pieces of uploads that nobody needs were removed", { uploads });
}
