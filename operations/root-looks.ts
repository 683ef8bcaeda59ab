// The root seen and touched from outside: the tree over every process, and faults of whole nodes and of the broker.
//
// Owns: what is answered under the node name "root". Does not own: the nodes' own trees (looks.ts answers there), who may ask.

import type { Clock } from "../models/clock.js";
import { ChaosRefusedError } from "../supervision/chaos.js";
import type { ProcessTree } from "../supervision/process-root.js";
import type { TreeNode as LiveNode } from "../supervision/tree.js";
import type { Bus, Incoming } from "../transport/bus.js";
import {
  type ChaosRequest,
  encodeChaosReceipt,
  encodeLookRequest,
  encodeTree,
  parseChaosRequest,
  parseTree,
  type TreeNode,
} from "../transport/orders.js";
import type { Subjects } from "../transport/subjects.js";
import { encodeRefusal, type Refusal } from "../transport/wire.js";
import type { BrokerWatch } from "./broker-watch.js";
import type { Telemetry } from "./telemetry.js";

export interface RootLookDeps {
  readonly bus: Bus;
  readonly subjects: Subjects;
  readonly processes: ProcessTree;
  readonly brokerWatch: BrokerWatch;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
}

/** The broker's name in the tree, and as a target of faults. */
export const brokerName = "nats-server";
const nodeTreeMs = 800;
const reconnectWithinMs = 10_000;
/** Waits before each sending of a broker's receipt: longer together than a client takes to reconnect. */
const receiptAfterMs = [0, 100, 400] as const;

export function answerAsRoot(deps: RootLookDeps): { stop(): void } {
  const { bus, subjects } = deps;
  const subscriptions = [
    bus.subscribe(subjects.actor("root", "tree"), {}, async (message) => {
      message.respond(encodeTree(await wholeTree(deps)));
    }),
    bus.subscribe(subjects.chaos("root"), {}, (message) => fault(deps, message)),
  ];
  return {
    stop: () => {
      for (const subscription of subscriptions) subscription.unsubscribe();
    },
  };
}

/** The processes as the root sees them, each with the tree that its node tells of itself. */
async function wholeTree(deps: RootLookDeps): Promise<TreeNode> {
  const root = deps.processes.tree();
  const nodes = await Promise.all(root.children.map((child) => withInside(deps, child)));
  return { ...root, children: [...brokerNode(deps.brokerWatch), ...nodes] };
}

async function withInside({ bus, subjects }: RootLookDeps, node: LiveNode): Promise<TreeNode> {
  if (node.state !== "running") return node;
  const outcome = await bus.request(subjects.actor(node.name, "tree"), encodeLookRequest(), { timeoutMs: nodeTreeMs });
  const parsed = outcome.kind === "reply" ? parseTree(outcome.data) : undefined;
  if (parsed?.kind !== "ok" || parsed.value.kind !== "reply") return { ...node, state: "running, does not answer" };
  return { ...node, children: parsed.value.reply.children };
}

function brokerNode({ pid, alive, restarts }: BrokerWatch): TreeNode[] {
  if (pid === undefined) return [];
  const state = alive ? "running" : "waiting";
  return [{ name: brokerName, kind: "actor", pid, generation: restarts + 1, state, restarts, children: [] }];
}

async function fault(deps: RootLookDeps, message: Incoming): Promise<void> {
  const parsed = parseChaosRequest(message.data);
  if (parsed.kind === "refused") return refuse(message, parsed);
  const { target, mode, forMs } = parsed.value;
  deps.telemetry.event("chaos_began", { actor: target, incarnation: 0 }, () => [
    { about: target, mode, forMs: forMs ?? 0 },
  ]);
  if (target === brokerName) return strikeBroker(deps, message, mode);
  if (mode !== "sigkill" && mode !== "sigstop" && mode !== "kill")
    return refuse(message, {
      code: "bad_request",
      field: "mode",
      message: `a node takes sigkill or sigstop, not ${mode}`,
    });
  try {
    const receipt = await deps.processes.kill(target, mode === "kill" ? "sigkill" : mode, forMs);
    message.respond(encodeChaosReceipt({ ...receipt, mode }));
  } catch (error) {
    if (!(error instanceof ChaosRefusedError)) throw error;
    refuse(message, { code: "bad_request", field: "target", message: error.message });
  }
}

/** The receipt travels over the broker that was killed. Whoever asked may be back later than the root, so it is sent more than once. */
async function strikeBroker(
  { bus, brokerWatch, clock }: RootLookDeps,
  message: Incoming,
  mode: ChaosRequest["mode"],
): Promise<void> {
  if (mode !== "sigkill" && mode !== "kill")
    return refuse(message, { code: "bad_request", field: "mode", message: `the broker takes sigkill, not ${mode}` });
  const generationBefore = brokerWatch.restarts + 1;
  const repair = await brokerWatch.strike();
  const unmeasured = { inFlight: null, redelivered: null, refused: null, lost: null };
  const receipt = {
    target: brokerName,
    mode,
    generationBefore,
    generationAfter: brokerWatch.restarts + 1,
    ...unmeasured,
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

function refuse(message: Incoming, refusal: Refusal): void {
  const { bytes, headers } = encodeRefusal(refusal);
  message.respond(bytes, headers);
}
