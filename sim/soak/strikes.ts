// Carries a plan out: strikes each fault at its time, waits for its repair, keeps the receipts.
//
// Owns: lanes, retries of a fault whose receipt got lost, what was struck. Does not own: the plan (plan.ts), the faults themselves (the
// cluster does them: an operator's chaos requests, and plain signals to processes).
//
// S1. A fault counts when it is known to have struck: by its receipt, or by the exit of the process. One whose receipt got lost with a
//     node or with the broker is struck again, so at least as many strike as were planned.
// S2. Every wait is bounded; an interruption ends all lanes after the faults under way.

import type { Clock } from "../../models/clock.js";
import { within } from "../../supervision/deadline.js";
import type { Bus } from "../../transport/bus/bus.js";
import {
  type ChaosReceipt,
  encodeChaosRequest,
  type FaultMode,
  parseChaosReceipt,
} from "../../transport/messages/chaos-orders.js";
import type { Subjects } from "../../transport/subjects.js";
import { type Fault, type Plan, pace } from "./plan.js";
import type { Witness } from "./witness.js";

export interface StrikeDeps {
  readonly bus: Bus;
  readonly subjects: Subjects;
  readonly witness: Witness;
  readonly clock: Clock;
  /** Name of the embedded broker among the root's targets. */
  readonly broker: string;
  readonly signal: AbortSignal;
  readonly onStruck: (fault: Fault) => void;
}

export interface Struck {
  readonly counts: Readonly<Record<Fault["kind"], number>>;
  readonly receipts: readonly ChaosReceipt[];
  /** Faults that could not be struck, and why. */
  readonly missed: readonly string[];
}

const receiptWithinMs = 20_000;
const repairWithinMs = 30_000;
const triesMax = 12;
const againAfterMs = 150;

export async function strikeAll(plan: Plan, deps: StrikeDeps): Promise<Struck> {
  const strikes = new Strikes(deps);
  const lanes = new Map<string, Fault[]>();
  for (const fault of plan.faults) lanes.set(fault.lane, [...(lanes.get(fault.lane) ?? []), fault]);
  const beganAtMs = deps.clock.monotonicMs();
  await Promise.all([...lanes.values()].map((faults) => strikes.lane(faults, beganAtMs)));
  return strikes;
}

class Strikes implements Struck {
  readonly counts = { actor: 0, node: 0, stop: 0, broker: 0 };
  readonly receipts: ChaosReceipt[] = [];
  readonly missed: string[] = [];
  readonly #deps: StrikeDeps;

  constructor(deps: StrikeDeps) {
    this.#deps = deps;
  }

  async lane(faults: readonly Fault[], beganAtMs: number): Promise<void> {
    const { clock, signal } = this.#deps;
    let lastAtMs = Number.NEGATIVE_INFINITY;
    for (const fault of faults) {
      const dueAtMs = Math.max(beganAtMs + fault.atMs, lastAtMs + leastGapMs(fault));
      if (dueAtMs > clock.monotonicMs()) await clock.delay(dueAtMs - clock.monotonicMs(), signal);
      if (signal.aborted) return;
      lastAtMs = await this.#strike(fault);
    }
  }

  /** When it last tried. */
  async #strike(fault: Fault): Promise<number> {
    const { clock, signal } = this.#deps;
    let [why, triedAtMs] = ["", clock.monotonicMs()];
    for (let tries = 1; tries <= triesMax && !signal.aborted; tries += 1) {
      triedAtMs = clock.monotonicMs();
      const outcome = await this.#once(fault);
      if (outcome === "struck") {
        this.counts[fault.kind] += 1;
        this.#deps.onStruck(fault);
        return triedAtMs;
      }
      why = outcome;
      await clock.delay(Math.max(leastGapMs(fault), againAfterMs * tries), signal);
    }
    if (!signal.aborted) this.missed.push(`${fault.kind} ${targetOf(fault)}: ${why}`);
    return triedAtMs;
  }

  #once(fault: Fault): Promise<"struck" | string> {
    switch (fault.kind) {
      case "actor":
        return this.#request(fault.node, { target: fault.path, mode: fault.mode });
      case "node":
        return this.#killNode(fault.node);
      case "stop":
        return this.#request("root", { target: fault.node, mode: "sigstop", forMs: fault.forMs });
      case "broker":
        return this.#request("root", { target: this.#deps.broker, mode: "sigkill" });
      default:
        return fault satisfies never;
    }
  }

  /** As anybody could: the pid, and no farewell. Resolves when the next incarnation is ready. */
  async #killNode(node: string): Promise<"struck" | string> {
    const { witness, clock } = this.#deps;
    const running = witness.running(node);
    if (running === undefined) return "it does not run";
    const back = this.#heard(node, "started", running.incarnation);
    process.kill(running.pid, "SIGKILL");
    const repaired = await within(clock, repairWithinMs, back.heard);
    back.stop();
    if (repaired.kind === "late") this.missed.push(`node ${node}#${running.incarnation} was not replaced in time`);
    return "struck";
  }

  /** Forced: the plan keeps its own pace, and a pool of one has no minimum. A receipt that was on its way when its node died, or when the broker did, never comes. */
  async #request(
    node: string,
    fault: { readonly target: string; readonly mode: FaultMode; readonly forMs?: number },
  ): Promise<"struck" | string> {
    const { bus, subjects, clock, witness } = this.#deps;
    if (!bus.connected) return "the broker is away";
    const incarnation = witness.running(node)?.incarnation ?? 0;
    if (node !== "root" && incarnation === 0) return "its node does not run";
    const died = this.#heard(node, "crashed", incarnation - 1);
    const lost = this.#connectionLost(fault.mode === "sigkill");
    const asked = bus.request(subjects.chaos(node), encodeChaosRequest({ ...fault, force: true }), {
      timeoutMs: receiptWithinMs,
    });
    const interrupted = Promise.race([died.heard, lost.heard]).then(() => undefined);
    const outcome = await within(clock, receiptWithinMs, Promise.race([asked, interrupted]));
    for (const wait of [died, lost]) wait.stop();
    if (outcome.kind === "late" || outcome.value === undefined) return "its receipt got lost";
    if (outcome.value.kind !== "reply") return outcome.value.kind;
    const parsed = parseChaosReceipt(outcome.value.data);
    if (parsed.kind !== "ok") return parsed.message;
    if (parsed.value.kind === "refusal") return parsed.value.refusal.message;
    this.receipts.push(parsed.value.reply);
    return "struck";
  }

  #heard(node: string, kind: "started" | "crashed", after: number): { heard: Promise<void>; stop(): void } {
    let stop = (): void => undefined;
    const heard = new Promise<void>((resolve) => {
      stop = this.#deps.witness.listen((event) => {
        if (event.id === node && event.kind === kind && event.generation > after) resolve();
      });
    });
    return { heard, stop: () => stop() };
  }

  /** Not for the broker's own receipt: the root sends that again when it is back. */
  #connectionLost(isExpected: boolean): { heard: Promise<void>; stop(): void } {
    let stop = (): void => undefined;
    const heard = new Promise<void>((resolve) => {
      stop = this.#deps.bus.onEvent(({ kind }) => {
        if (kind === "disconnected" && !isExpected) resolve();
      });
    });
    return { heard, stop: () => stop() };
  }
}

/** So that no supervisor escalates because of the soak alone (plan.ts P2). */
function leastGapMs(fault: Fault): number {
  return fault.kind === "actor" ? pace.actorLeastMs : 0;
}

function targetOf(fault: Fault): string {
  if (fault.kind === "broker") return "";
  return fault.kind === "actor" ? `${fault.node}/${fault.path}` : fault.node;
}
