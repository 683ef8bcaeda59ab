// `driftmend tree` and `driftmend status`: a look inside, from outside.
//
// Owns: what is shown, and what a silence ends with. Does not own: whom to ask for a tree (whole-tree.ts).
import type { DriftmendClient } from "../../transport/client.js";
import type { Fields } from "../../transport/messages/codec.js";
import { map } from "../../transport/messages/fields.js";
import { encodeLookRequest, type TreeNode } from "../../transport/messages/look-orders.js";
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
import { askWholeTree, type WholeTree } from "../whole-tree.js";
import { type ClusterOptions, withCluster } from "./cluster.js";
import { DeniedError } from "./denial.js";

const nobody: Outcome = {
  kind: "failed",
  message: "NATS answers, but no node of the cluster does",
  next: "start one with: driftmend up, or driftmend node --role serving,learning,operations --nats URL",
};

export async function tree(options: ClusterOptions, terminal: Terminal): Promise<Outcome> {
  return withCluster(options, "operator", terminal, async (client) => {
    const { tree: found, silent } = await askAndNote(client, terminal);
    if (found === undefined) return nobody;
    terminal.print(terminal.json ? JSON.stringify(found) : renderTree(found, terminal.width, terminal.colours));
    if (silent.length === 0) return done;
    const message = `no tree from ${silent.map(({ node }) => printable(node)).join(", ")}`;
    return { kind: "failed", message, next: "driftmend status" };
  });
}

/** The whole cluster as one tree; undefined when nobody answers. Whoever could say no more than why is noted. Throws DeniedError for a user who may not look. */
export async function askTree(client: DriftmendClient, terminal: Terminal): Promise<TreeNode | undefined> {
  return (await askAndNote(client, terminal)).tree;
}

async function askAndNote(client: DriftmendClient, terminal: Terminal): Promise<WholeTree> {
  const whole = await askWholeTree(client);
  if (whole.denied !== undefined) throw new DeniedError(whole.denied);
  for (const { node, message } of whole.silent)
    if (message !== undefined) terminal.note(`${node}: ${printable(message)}`);
  return whole;
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
