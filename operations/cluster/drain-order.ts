// The order to drain, as it comes over a subject: to the root for one of its nodes, or to a node that has none.
//
// Owns: who obeys which order, and the acknowledgement. Does not own: the drain (supervision/process/process-root.ts, actors/host/host.ts), who may
// order (credentials.ts).
//
// R1. The acknowledgement is sent when the node has left, or is ready again, and says how it ended. An order that cannot be obeyed is
//     refused at once, by name.

import type { Clock } from "../../models/clock.js";
import type { ProcessTree } from "../../supervision/process/process-root.js";
import { describeProcessExit } from "../../supervision/process/process-spec.js";
import type { Bus, Incoming } from "../../transport/bus/bus.js";
import { refuse } from "../../transport/bus/refusing.js";
import { encodeDrainReceipt, parseDrainOrder } from "../../transport/messages/operator-orders.js";
import type { Subjects } from "../../transport/subjects.js";

interface Surroundings {
  readonly bus: Bus;
  readonly subjects: Subjects;
  readonly clock: Clock;
}

/** The root drains its nodes; the returned function ends that. */
export function obeyAsRoot(around: Surroundings & { readonly processes: ProcessTree }): () => void {
  const { bus, subjects } = around;
  const subscription = bus.subscribe(subjects.order("root", "drain"), {}, (message) => drainChild(around, message));
  return () => subscription.unsubscribe();
}

async function drainChild(
  { processes, clock }: Surroundings & { readonly processes: ProcessTree },
  message: Incoming,
): Promise<void> {
  const parsed = parseDrainOrder(message.data);
  if (parsed.kind === "refused") return refuse(message, parsed);
  const { node, restart } = parsed.value;
  const found = processes.tree().children.find(({ name }) => name === node);
  if (found === undefined)
    return refuse(message, { code: "bad_request", field: "node", message: `no node "${node}" under this root` });
  if (found.state === "stopped" && !restart)
    return refuse(message, { code: "bad_request", field: "node", message: `${node} is stopped already` });
  const beganAtMs = clock.monotonicMs();
  const exit = await processes.drain(node);
  const drainMs = clock.monotonicMs() - beganAtMs;
  if (restart) await processes.revive(node);
  const now = processes.tree().children.find(({ name }) => name === node) ?? found;
  message.respond(
    encodeDrainReceipt({
      node,
      generation: now.generation,
      state: now.state === "running" ? "running" : "stopped",
      exit: exit === undefined ? "was stopped" : describeProcessExit(exit),
      drainMs: found.state === "stopped" ? 0 : drainMs,
    }),
  );
}

/** A node without a root drains itself. */
export interface DrainOrders {
  /** Resolves at the first order. */
  readonly ordered: Promise<void>;
  /** The node has left: whoever ordered it hears so. */
  acknowledge(): void;
}

export function obeyAsNode(
  { bus, subjects, clock }: Surroundings,
  node: { readonly name: string; readonly incarnation: number; readonly hasRoot: boolean },
): DrainOrders {
  const asking: { readonly message: Incoming; readonly beganAtMs: number }[] = [];
  let order: () => void = () => undefined;
  const ordered = new Promise<void>((resolve) => {
    order = resolve;
  });
  bus.subscribe(subjects.order(node.name, "drain"), {}, (message) => {
    const parsed = parseDrainOrder(message.data);
    if (parsed.kind === "refused") return refuse(message, parsed);
    const why = whyNot(node, parsed.value);
    if (why !== undefined) return refuse(message, { code: "bad_request", ...why });
    asking.push({ message, beganAtMs: clock.monotonicMs() });
    order();
  });
  return {
    ordered,
    acknowledge: () => {
      for (const { message, beganAtMs } of asking.splice(0))
        message.respond(
          encodeDrainReceipt({
            node: node.name,
            generation: node.incarnation,
            state: "stopped",
            exit: "exit code 0",
            drainMs: clock.monotonicMs() - beganAtMs,
          }),
        );
    },
  };
}

function whyNot(
  { name, hasRoot }: { readonly name: string; readonly hasRoot: boolean },
  order: { readonly node: string; readonly restart: boolean },
): { readonly field: string; readonly message: string } | undefined {
  if (order.node !== name) return { field: "node", message: `this is ${name}, not ${order.node}` };
  if (hasRoot) return { field: "node", message: `${name} has a root, which would start it again: order the root` };
  if (order.restart) return { field: "restart", message: `${name} has no root that could start it again` };
  return undefined;
}
