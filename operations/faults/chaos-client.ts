// Asking for faults: one fault with its receipt, what is active everywhere, the end of all of it.
//
// Owns: whom to ask, and what a silence means. Does not own: the fault, the terminal (verbs/, terminal/).

import type { Bus } from "../../transport/bus/bus.js";
import type { RequestFailure } from "../../transport/bus/bus-outcome.js";
import {
  type ActiveChaos,
  type ActiveFault,
  type ChaosOrder,
  type ChaosReceipt,
  type ChaosRequest,
  encodeChaosOrder,
  encodeChaosRequest,
  type Halted,
  parseActiveChaos,
  parseChaosReceipt,
  parseGranted,
  parseHalted,
} from "../../transport/messages/chaos-orders.js";
import type { Parsed } from "../../transport/messages/fields.js";
import type { Outcome, RefusalCode } from "../../transport/messages/wire.js";
import type { Subjects } from "../../transport/subjects.js";

export interface ChaosDoor {
  readonly bus: Bus;
  readonly subjects: Subjects;
}

export type Answer<T> =
  | { readonly kind: "reply"; readonly reply: T }
  | { readonly kind: "refused"; readonly code: RefusalCode; readonly message: string }
  /** Nobody said anything that could be understood: whether it was done is not known. */
  | { readonly kind: "silent"; readonly why: RequestFailure["kind"] | "garbled"; readonly message: string };

const silence = {
  timeout: "no answer in time",
  no_responders: "nobody there takes faults",
  closed: "the connection is closed",
  denied: "this user may not inject faults",
} as const;

const orderMs = 2_000;

/** `node` is whom to ask: the root for whole processes. A receipt is written after the repair: backoff, replay, start of a process. */
export function askFault(
  door: ChaosDoor,
  node: string,
  request: ChaosRequest,
  mendedWithinMs = door.bus.timeouts.receipt,
): Promise<Answer<ChaosReceipt>> {
  return ask(door, node, encodeChaosRequest(request), mendedWithinMs + (request.forMs ?? 0), parseChaosReceipt);
}

/** A schedule begins or goes on at the root; false when somebody halted it. Where nobody answers it goes on: the broker may be what was struck. */
export async function keepSchedule(door: ChaosDoor, id: string, leaseMs: number): Promise<boolean> {
  const bytes = encodeChaosOrder({ kind: "schedule", id, leaseMs });
  const answer = await ask(door, "root", bytes, orderMs, parseGranted);
  return !(answer.kind === "refused" && answer.code === "halted");
}

/** Best effort: its lease ends it too. */
export function releaseSchedule({ bus, subjects }: ChaosDoor, id: string): void {
  bus.publish(subjects.chaos("root"), encodeChaosOrder({ kind: "release", id }));
}

/** Everything active at the root and at these nodes, each fault once, oldest first; and who did not answer. */
export async function listChaos(
  door: ChaosDoor,
  nodes: readonly string[],
): Promise<ActiveChaos & { readonly silent: readonly string[] }> {
  const answers = await askAll(door, nodes, { kind: "list" }, parseActiveChaos);
  const found = answers.flatMap(({ answer }) => (answer.kind === "reply" ? [answer.reply] : []));
  const faults = new Map<string, ActiveFault>();
  for (const fault of found.flatMap((each) => each.faults)) faults.set(fault.id, fault);
  return {
    faults: [...faults.values()].sort((a, b) => a.beganAtMs - b.beganAtMs),
    schedules: found.flatMap(({ schedules }) => schedules),
    silent: silentOnes(answers),
  };
}

/** Ends everything at the root and at these nodes. */
export async function haltChaos(
  door: ChaosDoor,
  nodes: readonly string[],
): Promise<Halted & { readonly silent: readonly string[] }> {
  // The root first: a process that it wakes up can then answer for itself.
  const root = await askAll(door, ["root"], { kind: "halt" }, parseHalted);
  const answers = [
    ...root,
    ...(await askAll(
      door,
      nodes.filter((node) => node !== "root"),
      { kind: "halt" },
      parseHalted,
    )),
  ];
  const halted = answers.flatMap(({ answer }) => (answer.kind === "reply" ? [answer.reply] : []));
  return {
    faults: halted.reduce((sum, { faults }) => sum + faults, 0),
    schedules: halted.reduce((sum, { schedules }) => sum + schedules, 0),
    silent: silentOnes(answers),
  };
}

interface Told<T> {
  readonly node: string;
  readonly answer: Answer<T>;
}

function askAll<T>(
  door: ChaosDoor,
  nodes: readonly string[],
  order: ChaosOrder,
  read: (bytes: Uint8Array) => Parsed<Outcome<T>>,
): Promise<Told<T>[]> {
  const bytes = encodeChaosOrder(order);
  return Promise.all(nodes.map(async (node) => ({ node, answer: await ask(door, node, bytes, orderMs, read) })));
}

/** A cluster without a root has none that could answer. */
function silentOnes(answers: readonly Told<unknown>[]): readonly string[] {
  return answers.flatMap(({ node, answer }) => {
    const isAbsentRoot = node === "root" && answer.kind === "silent" && answer.why === "no_responders";
    return answer.kind === "reply" || isAbsentRoot ? [] : [node];
  });
}

async function ask<T>(
  { bus, subjects }: ChaosDoor,
  node: string,
  bytes: Uint8Array,
  timeoutMs: number,
  read: (bytes: Uint8Array) => Parsed<Outcome<T>>,
): Promise<Answer<T>> {
  const outcome = await bus.request(subjects.chaos(node), bytes, { timeoutMs });
  if (outcome.kind !== "reply") return { kind: "silent", why: outcome.kind, message: silence[outcome.kind] };
  const parsed = read(outcome.data);
  if (parsed.kind === "refused")
    return { kind: "silent", why: "garbled", message: `the answer cannot be read: ${parsed.message}` };
  if (parsed.value.kind === "reply") return parsed.value;
  const { code, message } = parsed.value.refusal;
  return { kind: "refused", code, message };
}
