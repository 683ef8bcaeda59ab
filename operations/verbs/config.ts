// `driftmend config`: every timeout and bound, its value, where that comes from, and what it bounds.
//
// Owns: which of three sources a value is from. Does not own: the values (transport/timeouts.ts, models/learning/guard-limits.ts).
//
// O1. A flag typed here wins over the running cluster, and that over what is shipped: with flags it shows what `up` would do with them.
import { resolve } from "node:path";
import { guardrailNames, guardrails, said } from "../../models/learning/guard-limits.js";
import { defaults } from "../../models/settings.js";
import { type ClusterSettings, contextFile, defaultStore, readContext } from "../../transport/access/context.js";
import { timeoutDefaults, timeoutNames, whatTimeoutBounds } from "../../transport/timeouts.js";
import { clusterSettingsOf, type SettingOptions } from "../cluster/cluster-settings.js";
import { done, type Outcome } from "../cluster/outcome.js";
import { overflowDefaults } from "../overflow.js";
import type { Terminal } from "../terminal/terminal.js";
import { cut, padRight } from "../text.js";

export interface ConfigOptions extends SettingOptions {
  readonly context?: string;
}

type Source = "default" | "cluster" | "flag";

interface Line {
  readonly name: string;
  readonly kind: "timeout" | "bound" | "guardrail";
  readonly value: number | string;
  readonly unit: "ms" | "";
  readonly from: Source;
  readonly bounds: string;
}

export async function config(options: ConfigOptions, terminal: Terminal): Promise<Outcome> {
  const file = resolve(options.context ?? contextFile(defaultStore));
  const read = await readContext(file);
  if (options.context !== undefined && read.kind !== "found")
    return {
      kind: "unreachable",
      message: `no running cluster in ${file}`,
      next: "driftmend up, or leave --context out",
    };
  const running = read.kind === "found" ? read.context.settings : undefined;
  const lines = linesOf(clusterSettingsOf(options), running);
  if (terminal.json) {
    const cluster = read.kind === "found" ? read.context.cluster : null;
    terminal.print(JSON.stringify({ cluster, settings: lines }));
  } else terminal.print(lines.map((line) => rendered(line, terminal.width)).join("\n"));
  return done;
}

function linesOf(typed: ClusterSettings, running: ClusterSettings | undefined): readonly Line[] {
  const timeouts = timeoutNames.map((name): Line => {
    const { value, from } = first(typed.timeouts[name], running?.timeouts[name], timeoutDefaults[name]);
    return { name, kind: "timeout", value, unit: "ms", from, bounds: whatTimeoutBounds(name) };
  });
  const openMax = first(typed.openMax, running?.openMax, overflowDefaults.openMax);
  const overflow = first<string>(typed.overflow, running?.overflow, overflowDefaults.policy);
  const bounds: readonly Line[] = [
    { name: "open-max", kind: "bound", unit: "", ...openMax, bounds: "requests open at once on one node" },
    { name: "overflow", kind: "bound", unit: "", ...overflow, bounds: "who goes when that many are open" },
  ];
  const guards = guardrailNames.map((name): Line => {
    const { value, from } = first(typed.guardrails[name], running?.guardrails[name], defaults[name]);
    return { name, kind: "guardrail", value: said(name, value), unit: "", from, bounds: guardrails[name].does };
  });
  return [...timeouts, ...bounds, ...guards];
}

function first<T>(
  typed: T | undefined,
  running: T | undefined,
  shipped: T,
): { readonly value: T; readonly from: Source } {
  if (typed !== undefined) return { value: typed, from: "flag" };
  return running === undefined ? { value: shipped, from: "default" } : { value: running, from: "cluster" };
}

function rendered({ name, value, unit, from, bounds }: Line, width: number): string {
  const told = `${padRight(name, 15)} ${padRight(`${value}${unit === "" ? "" : ` ${unit}`}`, 12)} ${padRight(from, 8)} `;
  return told + cut(bounds, Math.max(20, width - told.length));
}
