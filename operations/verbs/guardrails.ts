// `driftmend guardrails MODEL`: what keeps a step from making the model worse, how it is set, and how often it acted.
//
// Does not own: the guardrails (models/learning/guardrails.ts), their counters (the updater counts, this asks it).
import { type GuardrailName, guardrailNames, guardrails, isLooser, said } from "../../models/learning/guard-limits.js";
import { defaults } from "../../models/settings.js";
import type { DriftmendClient } from "../../transport/client.js";
import type { PlainMap } from "../../transport/messages/codec.js";
import { encodeLookRequest, parseActorLook, type TreeNode } from "../../transport/messages/look-orders.js";
import { isToken } from "../../transport/subjects.js";
import { done, type Outcome } from "../cluster/outcome.js";
import type { Terminal } from "../terminal/terminal.js";
import { padRight, printable } from "../text.js";
import { type ClusterOptions, withCluster } from "./cluster.js";
import { askTree } from "./look.js";

interface Shown {
  readonly name: GuardrailName;
  readonly value: number;
  readonly shipped: number;
  readonly set: "as shipped" | "tighter" | "looser" | "off";
  /** How often it acted since the log began; null for one that only shifts the loss. */
  readonly acted: number | null;
  readonly does: string;
}

export async function showGuardrails(model: string, options: ClusterOptions, terminal: Terminal): Promise<Outcome> {
  if (!isToken(model))
    return {
      kind: "usage",
      message: `MODEL: "${printable(model)}" cannot be a model's name`,
      next: 'use 1 to 32 letters, digits, "-" or "_"',
    };
  return withCluster(options, "operator", terminal, async (client) => {
    const tree = await askTree(client, terminal);
    const writers = (tree?.children ?? []).filter((node) => has(node, `${model}-updater`));
    const found = await Promise.all(writers.map(({ name }) => summaryOf(client, name, `${model}-updater`)));
    const summary = found.find((each) => each !== undefined && mapIn(each, "guardrails") !== undefined);
    const settings = mapIn(summary, "guardrails");
    if (settings === undefined)
      return { kind: "failed", message: `no node learns "${printable(model)}" just now`, next: "driftmend tree" };
    const shown = guardrailNames.map((name) => line(name, Number(settings[name]), mapIn(summary, "counters") ?? {}));
    terminal.print(terminal.json ? JSON.stringify({ model, guardrails: shown }) : shown.map(rendered).join("\n"));
    return done;
  });
}

function has(node: TreeNode, actor: string): boolean {
  return node.kind === "node" && node.children.some(({ name }) => name === actor);
}

async function summaryOf(
  { bus, subjects }: DriftmendClient,
  node: string,
  path: string,
): Promise<PlainMap | undefined> {
  const outcome = await bus.request(subjects.actor(node, path), encodeLookRequest(), { timeoutMs: bus.timeouts.look });
  const parsed = outcome.kind === "reply" ? parseActorLook(outcome.data) : undefined;
  return parsed?.kind === "ok" && parsed.value.kind === "reply" ? parsed.value.reply.summary : undefined;
}

function line(name: GuardrailName, value: number, counters: PlainMap): Shown {
  const shipped = defaults[name];
  const set =
    value === guardrails[name].off
      ? "off"
      : value === shipped
        ? "as shipped"
        : isLooser(name, value)
          ? "looser"
          : "tighter";
  return { name, value, shipped, set, acted: actedOf(name, counters), does: guardrails[name].does };
}

function actedOf(name: GuardrailName, counters: PlainMap): number | null {
  const refused = mapIn(counters, "refused") ?? {};
  const counts: Readonly<Record<GuardrailName, unknown>> = {
    klLimit: refused.kl,
    klWeight: null,
    clipNorm: counters.clipped,
    // Both act at every step that is applied.
    restore: counters.applied,
    ema: counters.applied,
    anchorLossMax: refused.anchors,
  };
  const count = counts[name];
  return typeof count === "number" ? count : null;
}

function mapIn(map: PlainMap | undefined, field: string): PlainMap | undefined {
  const value = map?.[field];
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
    ? (value as PlainMap)
    : undefined;
}

function rendered({ name, value, set, acted, does }: Shown): string {
  const times = acted === null ? "" : `acted ${acted} times`;
  return `${padRight(name, 14)} ${padRight(said(name, value), 8)} ${padRight(set, 11)} ${padRight(times, 20)} ${does}`;
}
