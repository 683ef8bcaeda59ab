// `driftmend chaos kill`: one fault, and its receipt.
//
// Owns: finding what was meant by TARGET in the tree. Does not own: the fault, nor whether it is allowed (the cluster refuses by name).

import type { DriftmendClient } from "../../transport/client.js";
import type { FaultMode } from "../../transport/messages/chaos-orders.js";
import type { TreeNode } from "../../transport/messages/look-orders.js";
import type { RefusalCode } from "../../transport/messages/wire.js";
import { done, type Outcome } from "../cluster/outcome.js";
import { askFault } from "../faults/chaos-client.js";
import { type Receipt, renderReceipt } from "../terminal/answer.js";
import type { Terminal } from "../terminal/terminal.js";
import { printable } from "../text.js";
import { type ClusterOptions, withCluster } from "./cluster.js";
import { askTree } from "./look.js";

export interface ChaosOptions extends ClusterOptions {
  readonly mode?: FaultMode;
  readonly for?: number;
  /** Also when the guard says no. */
  readonly force?: boolean;
}

/** What a fault is for: a whole node, which the root ends, or an actor, which its node ends. */
export type Target =
  | { readonly kind: "node"; readonly node: string; readonly joined: boolean }
  | { readonly kind: "actor"; readonly node: string; readonly path: string }
  | { readonly kind: "unclear"; readonly message: string; readonly next: string };

const lasting: readonly FaultMode[] = ["hang", "slow", "sigstop"];

export async function chaosKill(target: string, options: ChaosOptions, terminal: Terminal): Promise<Outcome> {
  if (options.for !== undefined && (options.mode === undefined || !lasting.includes(options.mode)))
    return { kind: "usage", message: "--for goes with a fault that lasts", next: "add --mode hang, slow or sigstop" };
  return withCluster(options, "operator", terminal, async (client) => {
    const tree = await askTree(client, terminal);
    if (tree === undefined) return { kind: "failed", message: "no node of the cluster answers", next: "driftmend up" };
    const found = findTarget(tree, target);
    if (found.kind === "unclear") return { kind: "failed", message: found.message, next: found.next };
    if (found.kind === "node" && found.joined) return notOurs(found.node);
    return inject(client, found, options, terminal);
  });
}

/** A signal reaches a process from its own machine alone, and the root sends it only to those that it started. */
function notOurs(node: string): Outcome {
  const name = printable(node);
  return {
    kind: "failed",
    message: `${name} was joined by hand: no root owns its process, so none can kill or stop it`,
    next: `driftmend drain ${name}, or chaos kill ${name}/ACTOR for an actor in it, or kill -9 its pid on its own machine`,
  };
}

async function inject(
  client: DriftmendClient,
  target: Exclude<Target, { kind: "unclear" }>,
  options: ChaosOptions,
  terminal: Terminal,
): Promise<Outcome> {
  const whole = target.kind === "node";
  const name = whole ? target.node : `${target.node}/${target.path}`;
  const answer = await askFault(client, whole ? "root" : target.node, {
    target: whole ? target.node : target.path,
    mode: options.mode ?? (whole ? "sigkill" : "kill"),
    ...(options.for === undefined ? {} : { forMs: options.for }),
    ...(options.force === true ? { force: true } : {}),
  });
  if (answer.kind === "silent")
    return { kind: "failed", message: `${name}: ${answer.message}`, next: "driftmend tree" };
  if (answer.kind === "refused")
    return {
      kind: "failed",
      message: `${name}: ${answer.code}: ${printable(answer.message)}`,
      next: nextAfter[answer.code] ?? "driftmend tree",
    };
  const receipt: Receipt = answer.reply;
  terminal.print(terminal.json ? JSON.stringify(receipt) : renderReceipt(receipt, terminal.colours));
  if (receipt.lost === null || receipt.lost === 0) return done;
  return { kind: "failed", message: `${receipt.lost} messages were lost`, next: "driftmend watch shows which" };
}

/** What to type when the guard said no. */
const nextAfter: Partial<Record<RefusalCode, string>> = {
  under_minimum: "driftmend chaos ls shows what is under way; add --force, or start the cluster with another --keep",
  already_faulted: "driftmend chaos ls shows it, driftmend chaos halt ends it; or add --force",
  restarts_spent: "driftmend tree shows the budget; wait, or add --force",
};

interface Place {
  readonly node: string;
  /** Names below the node, joined by "/"; "" for the node itself. */
  readonly path: string;
  readonly kind: TreeNode["kind"];
  readonly joined: boolean;
}

/**
 * `text` is a node's name, `node/path/of/actor`, or the end of an actor's path ("inference", "digits/inference", "updater" for
 * "digits-updater") where only one actor ends so. A node's name comes first, and a whole last word before a part of one.
 */
export function findTarget(tree: TreeNode, text: string): Target {
  const places =
    tree.kind === "node"
      ? placesOf(tree, tree.name, "")
      : tree.children.flatMap((node) => placesOf(node, node.name, ""));
  const nodes = places.filter((place) => place.path === "");
  const node = nodes.find((place) => place.node === text);
  if (node !== undefined) return { kind: "node", node: text, joined: node.joined };
  const actors = places.filter((place) => place.path !== "");
  const exact = actors.filter((place) => fullName(place) === text);
  const ending = (mark: string) =>
    actors.filter((place) => fullName(place).endsWith(mark + text) && place.kind === "actor");
  const [found, ...others] = [exact, ending("/"), ending("-")].find((each) => each.length > 0) ?? [];
  if (found === undefined)
    return {
      kind: "unclear",
      message: `there is no "${printable(text)}" in the tree`,
      next: `one of ${listed([...nodes, ...actors])}`,
    };
  if (others.length > 0)
    return {
      kind: "unclear",
      message: `"${printable(text)}" is in several places`,
      next: `say which: ${listed([found, ...others])}`,
    };
  return { kind: "actor", node: found.node, path: found.path };
}

function placesOf(tree: TreeNode, node: string, path: string): readonly Place[] {
  const below = tree.children.flatMap((child) =>
    placesOf(child, node, path === "" ? child.name : `${path}/${child.name}`),
  );
  return [{ node, path, kind: tree.kind, joined: tree.joined === true }, ...below];
}

function fullName({ node, path }: Place): string {
  return path === "" ? node : `${node}/${path}`;
}

function listed(places: readonly Place[]): string {
  return places
    .filter(({ kind }) => kind !== "supervisor")
    .map((place) => printable(fullName(place)))
    .join(", ");
}
