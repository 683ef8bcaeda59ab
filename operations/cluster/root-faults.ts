// The root's chaos subject: faults of whole nodes and of the broker, the guard of the pools, and the ledger of all that only the root sees.
//
// Owns: the ledger of process faults, the nodes' claims, the running schedules. Does not own: who may ask, the signal itself
// (supervision/process/process-chaos.ts), the faults inside a node (node-faults.ts).
//
// R1. A fault stands in the ledger from before its strike until its target is mended, so the guard never counts a node that is about to die.
// R2. A schedule is a lease: whoever runs it says so again and again, and is told when somebody halted it.

import type { Clock } from "../../models/clock.js";
import { UnknownActorError } from "../../supervision/actor/ref.js";
import { ChaosRefusedError } from "../../supervision/faults/chaos.js";
import { type AskedFault, type GuardVerdict, judgeFault, type Minimums } from "../../supervision/faults/fault-guard.js";
import { type FaultEntry, FaultLedger } from "../../supervision/faults/fault-ledger.js";
import { type ProcessTree, stopForMs } from "../../supervision/process/process-root.js";
import type { Bus, Incoming } from "../../transport/bus/bus.js";
import { refuse } from "../../transport/bus/refusing.js";
import {
  type ChaosRequest,
  encodeActiveChaos,
  encodeChaosReceipt,
  encodeGranted,
  encodeHalted,
  type FaultClaim,
  parseChaosOrder,
} from "../../transport/messages/chaos-orders.js";
import { type Subjects, userOfInbox } from "../../transport/subjects.js";
import { type BrokerWatch, brokerName } from "../broker/broker-watch.js";
import { RunningSchedules } from "../faults/running-schedules.js";
import type { Telemetry } from "../metrics/telemetry.js";

export interface RootFaultDeps {
  readonly bus: Bus;
  readonly subjects: Subjects;
  readonly processes: ProcessTree;
  readonly brokerWatch: BrokerWatch;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  /** What each pool keeps, where somebody said so. */
  readonly minimums?: Minimums;
}

export interface RootFaults {
  /** A node's process ended. */
  nodeEnded(node: string): void;
  stop(): void;
}

interface Chaos extends RootFaultDeps {
  readonly ledger: FaultLedger;
  readonly schedules: RunningSchedules;
}

const reconnectWithinMs = 10_000;
/** Waits before each sending of a broker's receipt: longer together than a client takes to reconnect. */
const receiptAfterMs = [0, 100, 400] as const;
const origin = { actor: "root", incarnation: 0 } as const;

export function takeRootFaults(deps: RootFaultDeps): RootFaults {
  const { bus, subjects, clock } = deps;
  const chaos: Chaos = { ...deps, ledger: new FaultLedger("root", clock), schedules: new RunningSchedules(clock) };
  const subscription = bus.subscribe(subjects.chaos("root"), {}, (message) => answer(chaos, message));
  return {
    nodeEnded: (node) => chaos.ledger.leaveNode(node),
    stop: () => {
      subscription.unsubscribe();
      // A stopped process cannot drain.
      chaos.ledger.halt();
    },
  };
}

async function answer(chaos: Chaos, message: Incoming): Promise<void> {
  const { ledger, schedules } = chaos;
  const parsed = parseChaosOrder(message.data);
  if (parsed.kind === "refused") return refuse(message, parsed);
  const order = parsed.value;
  switch (order.kind) {
    case "fault":
      return fault(chaos, order, message);
    case "list":
      message.respond(encodeActiveChaos({ faults: ledger.active, schedules: schedules.active }));
      return;
    case "halt":
      return halt(chaos, message);
    case "claim":
      return claim(chaos, order, message);
    case "schedule": {
      const isKept = schedules.keep(order.id, order.leaseMs, userOfInbox(message.replyTo));
      if (!isKept) return refuse(message, { code: "halted", message: "somebody halted this schedule" });
      message.respond(encodeGranted());
      return;
    }
    case "release":
      ledger.leave(order.id);
      schedules.release(order.id);
      message.respond(encodeGranted());
      return;
    default:
      order satisfies never;
  }
}

/** The nodes' own faults are theirs to end and to count. */
function halt({ ledger, schedules, telemetry }: Chaos, message: Incoming): void {
  const halted = { faults: ledger.halt(({ node, target }) => node === target), schedules: schedules.halt() };
  telemetry.event("chaos_halted", origin, () => [{ ...halted }]);
  message.respond(encodeHalted(halted));
}

function claim(chaos: Chaos, { id, node, target, mode, forMs, force, by }: FaultClaim, message: Incoming): void {
  const verdict = judge(chaos, { node, target }, force === true, false);
  if (verdict.kind === "refused") {
    refuse(message, { ...verdict, field: "target" });
    return;
  }
  chaos.ledger.enter({ id, node, target, mode, forMs, by });
  message.respond(encodeGranted());
}

function judge(chaos: Chaos, asked: AskedFault, force: boolean, endsProcess: boolean): GuardVerdict {
  if (force) return { kind: "allowed" };
  const { processes, ledger, minimums = {} } = chaos;
  const restartsLeft = endsProcess ? processes.tree().intensity?.left : undefined;
  return judgeFault(asked, { members: processes.members(), faults: ledger.active, minimums, restartsLeft });
}

async function fault(chaos: Chaos, request: ChaosRequest, message: Incoming): Promise<void> {
  const { target, mode, force } = request;
  const isBroker = target === brokerName;
  const wrong = isBroker ? brokerCannot(chaos, mode) : nodeCannot(mode);
  if (wrong !== undefined) return refuse(message, { code: "bad_request", field: "mode", message: wrong });
  if (!isBroker && !chaos.processes.tree().children.some(({ name }) => name === target))
    return refuse(message, { code: "bad_request", field: "target", message: notOwned(target) });
  const verdict = judge(chaos, { node: target, target }, force === true, !isBroker);
  if (verdict.kind === "refused") return refuse(message, { ...verdict, field: "target" });
  const forMs = mode === "sigstop" ? (request.forMs ?? stopForMs) : undefined;
  const by = userOfInbox(message.replyTo);
  const entry = chaos.ledger.enter({ node: target, target, mode, forMs, by });
  chaos.telemetry.event("chaos_began", { ...origin, actor: target }, () => [
    { about: target, mode, forMs: forMs ?? 0 },
  ]);
  try {
    await (isBroker ? strikeBroker(chaos, message, mode) : strikeNode(chaos, entry, forMs, message));
  } finally {
    entry.leave();
    chaos.telemetry.event("chaos_ended", { ...origin, actor: target }, () => [{ about: target, mode }]);
  }
}

function notOwned(target: string): string {
  return `no node "${target}" under this root, which can signal only what it started; a node that was joined by hand is drained (driftmend drain ${target}), or killed on its own machine`;
}

function nodeCannot(mode: ChaosRequest["mode"]): string | undefined {
  if (mode === "sigkill" || mode === "sigstop" || mode === "kill") return undefined;
  return `a node takes sigkill or sigstop, not ${mode}`;
}

function brokerCannot({ brokerWatch }: Chaos, mode: ChaosRequest["mode"]): string | undefined {
  if (brokerWatch.pid === undefined) return "the broker is somebody else's";
  return mode === "sigkill" || mode === "kill" ? undefined : `the broker takes sigkill, not ${mode}`;
}

async function strikeNode(
  { processes }: Chaos,
  { fault: { target, mode }, halted }: FaultEntry,
  forMs: number | undefined,
  message: Incoming,
): Promise<void> {
  try {
    const receipt = await processes.kill(target, mode === "sigstop" ? "sigstop" : "sigkill", forMs, halted);
    message.respond(encodeChaosReceipt({ ...receipt, mode }));
  } catch (error) {
    if (error instanceof ChaosRefusedError)
      refuse(message, { code: error.code, field: "target", message: error.message });
    else if (error instanceof UnknownActorError)
      refuse(message, { code: "bad_request", field: "target", message: error.message });
    else throw error;
  }
}

/** The receipt travels over the broker that was killed. Whoever asked may be back later than the root, so it is sent more than once. */
async function strikeBroker(
  { bus, brokerWatch, clock }: Chaos,
  message: Incoming,
  mode: ChaosRequest["mode"],
): Promise<void> {
  const generationBefore = brokerWatch.restarts + 1;
  const repair = await brokerWatch.strike();
  const unmeasured = { inFlight: null, redelivered: null, refused: null, lost: null };
  const receipt = {
    target: brokerName,
    mode,
    generationBefore,
    generationAfter: brokerWatch.restarts + 1,
    ...unmeasured,
    cause: brokerWatch.lastExit ?? null,
  };
  await connectedAgain(bus, clock);
  const bytes = encodeChaosReceipt({ ...receipt, leasesCleaned: 0, ...repair });
  for (const waitMs of receiptAfterMs) {
    await clock.delay(waitMs);
    message.respond(bytes);
  }
}

/** Bounded: an asker that waits longer for its receipt has given up. */
async function connectedAgain(bus: Bus, clock: Clock): Promise<void> {
  const stop = new AbortController();
  const unlisten = bus.onEvent((event) => {
    if (event.kind === "reconnected") stop.abort();
  });
  if (!(bus.connected && (await bus.flush()))) await clock.delay(reconnectWithinMs, stop.signal);
  unlisten();
}
