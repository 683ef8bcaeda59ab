// The condition of a rule: `pool.utilization > 95 %`, `update.rate == 0 and update.queue > 0`, `job.duration_mean > 2x baseline`.
//
// Owns: the grammar, and where in the text something is wrong. Does not own: what a measure reads (measures.ts), units (units.ts).
//
//     condition  = comparison { "and" comparison }
//     comparison = measure operator level
//     operator   = ">" | ">=" | "<" | "<=" | "==" | "!="
//     level      = number [unit] | word | number "x baseline" | "klAlert"
//
// X1. The first comparison is the rule's figure: its value and its level are what the check tells. The others narrow it.

import { isMeasureName, type MeasureName, measureNames, measureOf } from "./measures.js";
import { suggestion } from "./nearest-name.js";
import { parseLevel, type Unit } from "./units.js";

export const operators = [">=", "<=", "==", "!=", ">", "<"] as const;
export type Operator = (typeof operators)[number];

export type Level =
  | { readonly kind: "number"; readonly value: number }
  /** So many times what is usual for this (baseline.ts). */
  | { readonly kind: "baseline"; readonly factor: number }
  /** The limit that the model's own settings name. */
  | { readonly kind: "kl_alert" };

export interface Comparison {
  readonly measure: MeasureName;
  readonly operator: Operator;
  readonly level: Level;
}

export interface Condition {
  readonly lead: Comparison;
  readonly others: readonly Comparison[];
}

export interface ClearLevel {
  readonly operator: Operator;
  readonly value: number;
}

export type Parsed<T> =
  | { readonly kind: "ok"; readonly value: T }
  /** `at`: index into the text. */
  | { readonly kind: "refused"; readonly at: number; readonly message: string };

export function holds(value: number, operator: Operator, level: number): boolean {
  switch (operator) {
    case ">":
      return value > level;
    case ">=":
      return value >= level;
    case "<":
      return value < level;
    case "<=":
      return value <= level;
    case "==":
      return value === level;
    case "!=":
      return value !== level;
  }
}

export function parseCondition(text: string): Parsed<Condition> {
  const comparisons: Comparison[] = [];
  let at = 0;
  for (const part of text.split(/(\band\b)/)) {
    if (part !== "and") {
      const parsed = parseComparison(part, at);
      if (parsed.kind === "refused") return parsed;
      if (comparisons.length > 0 && parsed.value.level.kind === "baseline")
        return { kind: "refused", at, message: "a baseline goes with the first comparison: put this one first" };
      comparisons.push(parsed.value);
    }
    at += part.length;
  }
  const [lead, ...others] = comparisons;
  if (lead === undefined) return { kind: "refused", at: 0, message: "empty: write a comparison" };
  return { kind: "ok", value: { lead, others } };
}

function parseComparison(part: string, start: number): Parsed<Comparison> {
  const lead = part.length - part.trimStart().length;
  const at = start + lead;
  const body = part.trim();
  const name = /^[^\s<>=!]+/.exec(body)?.[0] ?? "";
  if (name === "")
    return { kind: "refused", at, message: "a comparison is missing here: write one like pool.utilization > 95" };
  if (!isMeasureName(name))
    return { kind: "refused", at, message: `unknown measure "${name}"${suggestion(name, measureNames) || known()}` };
  const { unit, most } = measureOf(name);
  const rest = parseRest(body.slice(name.length), at + name.length, unit);
  if (rest.kind === "refused") return rest;
  const { level } = rest.value;
  if (level.kind === "number" && most !== undefined && (level.value < 0 || level.value > most))
    return { kind: "refused", at, message: `${name} lies between 0 and ${most}, so it never comes to ${level.value}` };
  return { kind: "ok", value: { measure: name, ...rest.value } };
}

function known(): string {
  return `; there are ${measureNames.join(", ")}`;
}

/** Operator and level; `start` is where `text` begins in the whole. */
function parseRest(text: string, start: number, unit: Unit): Parsed<{ operator: Operator; level: Level }> {
  const at = start + (text.length - text.trimStart().length);
  const body = text.trim();
  const operator = operators.find((each) => body.startsWith(each));
  if (operator === undefined)
    return {
      kind: "refused",
      at,
      message: `${body === "" ? "an operator is missing" : `"${body.split(" ")[0]}" is no operator`}: write one of ${[...operators].sort().join(" ")}`,
    };
  const words = body.slice(operator.length);
  const levelAt = at + operator.length + (words.length - words.trimStart().length);
  const level = levelOf(words.trim(), unit);
  if (level.kind === "refused") return { kind: "refused", at: levelAt, message: level.message };
  return { kind: "ok", value: { operator, level: level.value } };
}

function levelOf(text: string, unit: Unit): { kind: "ok"; value: Level } | { kind: "refused"; message: string } {
  const times = /^(\d{1,6}(?:\.\d{1,6})?)\s*x\s+baseline$/.exec(text)?.[1];
  if (times !== undefined) {
    if (unit === "trend" || unit === "yesNo" || Number(times) <= 0)
      return {
        kind: "refused",
        message: `"${text}" is no level here: a baseline is a number above 0 times what is usual`,
      };
    return { kind: "ok", value: { kind: "baseline", factor: Number(times) } };
  }
  if (text === "klAlert") {
    if (unit !== "nats") return { kind: "refused", message: "klAlert is a limit in nats: compare model.kl with it" };
    return { kind: "ok", value: { kind: "kl_alert" } };
  }
  const parsed = parseLevel(text, unit);
  return parsed.kind === "refused" ? parsed : { kind: "ok", value: { kind: "number", value: parsed.value } };
}

/** `< 90`: the level at which a rule that fires is over. It looks the other way than the rule, and lies on the calm side of its level. */
export function parseClear(text: string, lead: Comparison): Parsed<ClearLevel> {
  const unit = lead.level.kind === "baseline" ? "times" : measureOf(lead.measure).unit;
  const rest = parseRest(text, 0, unit);
  if (rest.kind === "refused") return rest;
  const { operator, level } = rest.value;
  const refused = (message: string): Parsed<ClearLevel> => ({ kind: "refused", at: 0, message });
  if (level.kind !== "number") return refused("clear is a plain level, as in < 90");
  const upward = directionOf(lead.operator);
  if (upward === undefined) return refused(`clear goes with >, >=, < and <=; a rule with ${lead.operator} needs none`);
  if (directionOf(operator) !== (upward === "up" ? "down" : "up"))
    return refused(
      `"${text.trim()}" looks the same way as the rule: after ${lead.operator} write ${upward === "up" ? "<" : ">"}`,
    );
  const limit = limitOf(lead.level);
  if (limit !== undefined && (upward === "up" ? level.value > limit : level.value < limit))
    return refused(`${level.value} is beyond the rule's own level of ${limit}: it would be over while it fires`);
  return { kind: "ok", value: { operator, value: level.value } };
}

/** The level as a number where it is known beforehand. */
function limitOf(level: Level): number | undefined {
  if (level.kind === "number") return level.value;
  return level.kind === "baseline" ? level.factor : undefined;
}

function directionOf(operator: Operator): "up" | "down" | undefined {
  if (operator === ">" || operator === ">=") return "up";
  return operator === "<" || operator === "<=" ? "down" : undefined;
}
