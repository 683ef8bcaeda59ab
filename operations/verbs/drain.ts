// `driftmend drain NODE`: a node leaves in order, and with --restart comes back.
//
// Owns: whom to order, and what is said of the acknowledgement. Does not own: the drain (operations/cluster/drain-order.ts), who may order it.
import type { DriftmendClient } from "../../transport/client.js";
import type { TreeNode } from "../../transport/messages/look-orders.js";
import { type DrainReceipt, encodeDrainOrder, parseDrainReceipt } from "../../transport/messages/operator-orders.js";
import { done, type Outcome } from "../cluster/outcome.js";
import { formatDuration } from "../duration.js";
import type { Terminal } from "../terminal/terminal.js";
import { printable } from "../text.js";
import { type ClusterOptions, withCluster } from "./cluster.js";
import { askTree } from "./look.js";

export interface DrainOptions extends ClusterOptions {
  readonly restart?: boolean;
}

export async function drain(node: string, options: DrainOptions, terminal: Terminal): Promise<Outcome> {
  return withCluster(options, "operator", terminal, async (client) => {
    const tree = await askTree(client, terminal);
    if (tree === undefined) return { kind: "failed", message: "no node of the cluster answers", next: "driftmend up" };
    const nodes = tree.children.filter(({ kind }) => kind === "node");
    const found = nodes.find(({ name }) => name === node);
    if (found === undefined)
      return {
        kind: "failed",
        message: `there is no node "${printable(node)}"`,
        next: `one of ${nodes.map(({ name }) => printable(name)).join(", ")}`,
      };
    return order(client, found, options, terminal);
  });
}

async function order(
  { bus, subjects }: DriftmendClient,
  { name: node, joined = false }: TreeNode,
  { restart = false }: DrainOptions,
  terminal: Terminal,
): Promise<Outcome> {
  const { drain: drainMs, halt, nodeReady, look } = bus.timeouts;
  const timeoutMs = drainMs + halt + (restart ? nodeReady : 0) + look;
  // A node that was started by hand drains itself; a root would start it again.
  const to = joined ? node : "root";
  const outcome = await bus.request(subjects.order(to, "drain"), encodeDrainOrder({ node, restart }), { timeoutMs });
  if (outcome.kind !== "reply")
    return { kind: "failed", message: `${node}: ${silence[outcome.kind]}`, next: "driftmend tree" };
  const parsed = parseDrainReceipt(outcome.data);
  if (parsed.kind === "refused")
    return { kind: "failed", message: `${node}: the answer cannot be read: ${parsed.message}`, next: "driftmend tree" };
  if (parsed.value.kind === "refusal")
    return { kind: "failed", message: printable(parsed.value.refusal.message), next: "driftmend tree" };
  const receipt = parsed.value.reply;
  terminal.print(terminal.json ? JSON.stringify(receipt) : sentence(receipt, joined));
  if (restart === (receipt.state === "running")) return done;
  return { kind: "failed", message: `${node} did not come back`, next: "driftmend tree" };
}

const silence = {
  timeout: "no acknowledgement in time",
  no_responders: "nobody there takes the order",
  closed: "the connection is closed",
  denied: "this user may not order a drain",
} as const;

function sentence({ node, generation, state, exit, drainMs }: DrainReceipt, joined: boolean): string {
  const left = `${printable(node)} left after ${formatDuration(drainMs)} (${printable(exit)})`;
  if (joined) return `${left}; it was joined by hand, so nobody starts it again`;
  return state === "running" ? `${left}, and runs again as generation ${generation}` : `${left}; its place is stopped`;
}
