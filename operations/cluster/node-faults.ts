// The chaos subject of one node: faults of its actors, what is active, and the end of all of it.
//
// Owns: the node's ledger of faults, and asking the root before a fault that lasts. Does not own: who may ask (the broker's permissions), the
// fault itself (supervision/faults/chaos.ts), the pool's minimum (root-faults.ts).
//
// N1. A fault that lasts is claimed at the root first: while it lasts its node counts as faulted. A crash or a kill of an actor is over before
//     a pool could miss it, and is not claimed.
// N2. Where no root takes claims (nodes joined by hand) there is no pool to guard.

import type { Clock } from "../../models/clock.js";
import { UnknownActorError } from "../../supervision/actor/ref.js";
import type { ChaosMode } from "../../supervision/events.js";
import { ChaosRefusedError } from "../../supervision/faults/chaos.js";
import { judgeTarget } from "../../supervision/faults/fault-guard.js";
import { FaultLedger } from "../../supervision/faults/fault-ledger.js";
import { type ActorTree, hangForMs } from "../../supervision/tree/system.js";
import type { Bus, Incoming } from "../../transport/bus/bus.js";
import { refuse } from "../../transport/bus/refusing.js";
import {
  type ChaosRequest,
  encodeActiveChaos,
  encodeChaosOrder,
  encodeChaosReceipt,
  encodeGranted,
  encodeHalted,
  type FaultClaim,
  type FaultMode,
  parseChaosOrder,
  parseGranted,
} from "../../transport/messages/chaos-orders.js";
import type { Refusal } from "../../transport/messages/wire.js";
import { type Subjects, userOfInbox } from "../../transport/subjects.js";
import type { Telemetry } from "../metrics/telemetry.js";

export interface NodeFaultDeps {
  readonly bus: Bus;
  readonly subjects: Subjects;
  readonly node: string;
  readonly incarnation: number;
  readonly tree: ActorTree;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

const claimWithinMs = 1_000;

export function takeNodeFaults(deps: NodeFaultDeps): { stop(): void } {
  const { bus, subjects, node, incarnation, clock } = deps;
  const ledger = new FaultLedger(`${node}.${incarnation}`, clock);
  const subscription = bus.subscribe(subjects.chaos(node), {}, (message) => answer(deps, ledger, message));
  return { stop: () => subscription.unsubscribe() };
}

async function answer(deps: NodeFaultDeps, ledger: FaultLedger, message: Incoming): Promise<void> {
  const parsed = parseChaosOrder(message.data);
  if (parsed.kind === "refused") return refuse(message, parsed);
  const order = parsed.value;
  switch (order.kind) {
    case "fault":
      return fault(deps, ledger, order, message);
    case "list":
      message.respond(encodeActiveChaos({ faults: ledger.active, schedules: [] }));
      return;
    case "halt":
      return halt(deps, ledger, message);
    case "claim":
    case "schedule":
      return refuse(message, { code: "bad_request", field: "kind", message: `a ${order.kind} is for the root` });
    case "release":
      ledger.leave(order.id);
      message.respond(encodeGranted());
      return;
    default:
      order satisfies never;
  }
}

function halt({ telemetry, incarnation }: NodeFaultDeps, ledger: FaultLedger, message: Incoming): void {
  const faults = ledger.halt();
  telemetry.event("chaos_halted", { actor: "host", incarnation }, () => [{ faults }]);
  message.respond(encodeHalted({ faults, schedules: 0 }));
}

async function fault(
  deps: NodeFaultDeps,
  ledger: FaultLedger,
  request: ChaosRequest,
  message: Incoming,
): Promise<void> {
  const { node, tree } = deps;
  const { target, mode, force = false } = request;
  if (!isActorMode(mode))
    return refuse(message, {
      code: "bad_request",
      field: "mode",
      message: `${mode} is for nodes; ask the root for it`,
    });
  const second = force ? undefined : judgeTarget({ node, target }, ledger.active);
  if (second?.kind === "refused") return refuse(message, { ...second, field: "target" });
  const lastsMs = mode === "hang" || mode === "slow" ? (request.forMs ?? hangForMs) : undefined;
  const by = userOfInbox(message.replyTo);
  // In the ledger before anybody is asked: two of a kind that come together are not both taken.
  const entry = ledger.enter({ node, target, mode, forMs: lastsMs, by });
  try {
    if (lastsMs !== undefined) {
      const refusal = await claim(deps, { id: entry.fault.id, node, target, mode, forMs: lastsMs, force, by });
      if (refusal !== undefined) return refuse(message, refusal);
    }
    message.respond(encodeChaosReceipt(await tree.kill(target, mode, lastsMs, entry.halted)));
  } catch (error) {
    if (error instanceof ChaosRefusedError)
      refuse(message, { code: error.code, field: "target", message: error.message });
    else if (error instanceof UnknownActorError)
      refuse(message, { code: "bad_request", field: "target", message: error.message });
    else throw error;
  } finally {
    entry.leave();
    if (lastsMs !== undefined) release(deps, entry.fault.id);
  }
}

/** The root's word against it, if there is one. */
async function claim({ bus, subjects }: NodeFaultDeps, asked: FaultClaim): Promise<Refusal | undefined> {
  const order = encodeChaosOrder({ kind: "claim", ...asked });
  const outcome = await bus.request(subjects.chaos("root"), order, { timeoutMs: claimWithinMs });
  if (outcome.kind === "no_responders" || asked.force) return undefined;
  const parsed = outcome.kind === "reply" ? parseGranted(outcome.data) : undefined;
  if (parsed?.kind === "ok") return parsed.value.kind === "refusal" ? parsed.value.refusal : undefined;
  const message = "the root, who keeps the pools' minimums, does not answer; try again, or add --force";
  return { code: "not_ready", message };
}

/** Best effort: the claim's own time ends it too. */
function release({ bus, subjects }: NodeFaultDeps, id: string): void {
  bus.publish(subjects.chaos("root"), encodeChaosOrder({ kind: "release", id }));
}

function isActorMode(mode: FaultMode): mode is ChaosMode {
  return mode === "crash" || mode === "kill" || mode === "hang" || mode === "slow";
}
