// `driftmend chaos ls` and `driftmend chaos halt`: what is active in the whole cluster, and its end.
//
// Owns: which nodes are asked: those of the tree that run, also beside the root.
import type { DriftmendClient } from "../../transport/client.js";
import type { TreeNode } from "../../transport/messages/look-orders.js";
import { done, type Outcome } from "../cluster/outcome.js";
import { haltChaos, listChaos } from "../faults/chaos-client.js";
import { renderActiveChaos, renderHalted } from "../terminal/chaos.js";
import type { Terminal } from "../terminal/terminal.js";
import { silentState } from "../whole-tree.js";
import { type ClusterOptions, withCluster } from "./cluster.js";
import { askTree } from "./look.js";

const nobody: Outcome = { kind: "failed", message: "no node of the cluster answers", next: "driftmend up" };

export async function chaosList(options: ClusterOptions, terminal: Terminal): Promise<Outcome> {
  return withCluster(options, "operator", terminal, async (client) => {
    const { answering, silent } = await nodesOf(client, terminal);
    if (answering.length + silent.length === 0) return nobody;
    // Of a silent node the root knows: what it struck itself, and what the node had claimed.
    const found = await listChaos(client, ["root", ...answering]);
    const active = { ...found, silent: [...silent, ...found.silent] };
    for (const node of active.silent) terminal.note(`${node} does not answer`);
    const nowMs = terminal.clock.nowMs();
    terminal.print(
      terminal.json ? JSON.stringify(active) : renderActiveChaos(active, nowMs, terminal.width, terminal.colours),
    );
    return done;
  });
}

export async function chaosHalt(options: ClusterOptions, terminal: Terminal): Promise<Outcome> {
  return withCluster(options, "operator", terminal, async (client) => {
    const { answering, silent } = await nodesOf(client, terminal);
    if (answering.length + silent.length === 0) return nobody;
    const halted = await haltChaos(client, [...answering, ...silent]);
    terminal.print(terminal.json ? JSON.stringify(halted) : renderHalted(halted));
    if (halted.silent.length === 0) return done;
    return {
      kind: "failed",
      message: `no answer from ${halted.silent.join(", ")}; a fault there ends by itself`,
      next: "driftmend chaos ls",
    };
  });
}

interface Nodes {
  readonly answering: readonly string[];
  /** Their process runs, and they said nothing when the tree was asked for. */
  readonly silent: readonly string[];
}

/** A node that is down has no fault to end, and nobody to ask. */
async function nodesOf(client: DriftmendClient, terminal: Terminal): Promise<Nodes> {
  const tree = await askTree(client, terminal);
  const running = (tree?.children ?? []).filter(({ kind, state }) => kind === "node" && state.startsWith("running"));
  const named = (nodes: readonly TreeNode[]) => nodes.map(({ name }) => name).sort();
  return {
    answering: named(running.filter(({ state }) => state !== silentState)),
    silent: named(running.filter(({ state }) => state === silentState)),
  };
}
