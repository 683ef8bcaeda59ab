// `driftmend tree` and `driftmend status`: a look inside, from outside.
//
// Owns: whom to ask. The root answers for everybody; where there is none (nodes joined by hand) every node is asked.
import type { DriftmendClient } from "../../transport/client.js";
import type { Fields } from "../../transport/messages/codec.js";
import { map } from "../../transport/messages/fields.js";
import { encodeLookRequest, parseTree, type TreeNode } from "../../transport/messages/look-orders.js";
import { parseOutcome } from "../../transport/messages/wire.js";
import { askReport } from "../ask-report.js";
import { done, type Outcome } from "../cluster/outcome.js";
import { discoverNodes } from "../discovery.js";
import type { ClusterMetrics } from "../metrics/cluster-metrics.js";
import { renderVitals } from "../terminal/metrics.js";
import { renderStatus } from "../terminal/status.js";
import type { Terminal } from "../terminal/terminal.js";
import { renderTree } from "../terminal/tree.js";
import { cut, printable } from "../text.js";
import { type ClusterOptions, withCluster } from "./cluster.js";
import { DeniedError } from "./denial.js";

const nobody: Outcome = {
  kind: "failed",
  message: "NATS answers, but no node of the cluster does",
  next: "start one with: driftmend up, or driftmend node --role serving,learning,operations --nats URL",
};

export async function tree(options: ClusterOptions, terminal: Terminal): Promise<Outcome> {
  return withCluster(options, "operator", terminal, async (client) => {
    const found = await askTree(client, terminal);
    if (found === undefined) return nobody;
    terminal.print(terminal.json ? JSON.stringify(found) : renderTree(found, terminal.width, terminal.colours));
    return done;
  });
}

/** The whole cluster as one tree; undefined when nobody answers. Throws DeniedError for a user who may not look. */
export async function askTree(client: DriftmendClient, terminal: Terminal): Promise<TreeNode | undefined> {
  const root = await askNodeTree(client, "root", terminal);
  if (root !== undefined) return root;
  const nodes = await discoverNodes(client);
  const trees = await Promise.all(nodes.map((node) => askNodeTree(client, node, terminal)));
  const children = trees.filter((each) => each !== undefined);
  if (children.length === 0) return undefined;
  return {
    name: client.subjects.cluster,
    kind: "root",
    generation: 0,
    state: "without a root process",
    restarts: 0,
    children,
  };
}

async function askNodeTree(client: DriftmendClient, node: string, terminal: Terminal): Promise<TreeNode | undefined> {
  const outcome = await client.bus.request(client.subjects.actor(node, "tree"), encodeLookRequest(), {
    timeoutMs: client.bus.timeouts.look,
  });
  if (outcome.kind === "denied") throw new DeniedError(outcome.message);
  if (outcome.kind !== "reply") return undefined;
  const parsed = parseTree(outcome.data);
  if (parsed.kind === "ok" && parsed.value.kind === "reply") return parsed.value.reply;
  terminal.note(
    `${node}: ${parsed.kind === "ok" && parsed.value.kind === "refusal" ? printable(parsed.value.refusal.message) : "its answer cannot be read"}`,
  );
  return undefined;
}

export async function status(options: ClusterOptions, terminal: Terminal): Promise<Outcome> {
  return withCluster(options, "operator", terminal, async (client) => {
    const nodes = await discoverNodes(client);
    const asked = await Promise.all(nodes.map(async (node) => ({ node, status: await askStatus(client, node) })));
    if (nodes.length === 0) return nobody;
    const figures = await askReport(client, "metrics");
    const metrics = figures.kind === "report" ? figures.report : undefined;
    if (terminal.json)
      terminal.print(
        JSON.stringify({
          cluster: client.subjects.cluster,
          ...clusterStatus(metrics),
          nodes: Object.fromEntries(asked.map(({ node, status: found }) => [node, found ?? null])),
        }),
      );
    else
      terminal.print(
        [
          ...(metrics === undefined ? [] : [clusterText(metrics, terminal)]),
          ...asked.map(({ node, status: found }) => statusText(node, found, terminal)),
        ].join("\n\n"),
      );
    const silent = asked.filter((each) => each.status === undefined).map(({ node }) => node);
    if (silent.length === 0) return done;
    return { kind: "failed", message: `no status from ${silent.join(", ")}`, next: "driftmend tree" };
  });
}

async function askStatus(client: DriftmendClient, node: string): Promise<Fields | undefined> {
  const outcome = await client.bus.request(client.subjects.actor(node, "status"), encodeLookRequest(), {
    timeoutMs: client.bus.timeouts.look,
  });
  if (outcome.kind === "denied") throw new DeniedError(outcome.message);
  if (outcome.kind !== "reply") return undefined;
  const parsed = parseOutcome(outcome.data, (fields) => map(fields, "status"));
  return parsed.kind === "ok" && parsed.value.kind === "reply" ? parsed.value.reply : undefined;
}

/** The same fields whether or not somebody knows the figures: null, where nobody does. */
function clusterStatus(metrics: ClusterMetrics | undefined) {
  if (metrics === undefined) return { atMs: null, modes: null, vitals: null };
  const { atMs, models, vitals } = metrics;
  return { atMs, modes: Object.fromEntries(models.map(({ name, mode }) => [name, mode])), vitals };
}

/** The cluster in two lines: its vital signs, and in which mode each model answers. */
function clusterText(metrics: ClusterMetrics, { colours, width }: Terminal): string {
  const modes = metrics.models.map(({ name, mode, version }) => `${printable(name)} ${mode}, version ${version}`);
  return [
    colours.title(printable(metrics.cluster)),
    cut(`  ${renderVitals(metrics)}`, width),
    cut(`  ${modes.join("; ")}`, width),
  ].join("\n");
}

function statusText(node: string, found: Fields | undefined, terminal: Terminal): string {
  if (found === undefined) return `${terminal.colours.title(node)}\n  ${terminal.colours.bad("does not answer")}`;
  return renderStatus(node, found, terminal.width, terminal.colours);
}
