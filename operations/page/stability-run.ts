// A stability test under way, as it tells of itself once a second. Pure.
//
// Owns: what the page reads of it. Does not own: the run (sim/stability/), which may say more; what is unknown here is passed by.

import { count, decimal, share } from "./figures.js";

export interface StabilityRun {
  readonly name: string;
  readonly phase: string;
  readonly startedAtMs: number;
  /** 0..1 */
  readonly progress: number;
  /** At most; null when it does not say. */
  readonly leftMs: number | null;
  readonly figures: readonly (readonly [string, string])[];
  /** What the run says of its assertions before its end. */
  readonly assertions: readonly Assertion[];
}

export interface Assertion {
  readonly name: string;
  readonly state: "holds" | "broken" | "pending";
  readonly message: string;
}

type Loose = Readonly<Record<string, unknown>>;

export function readRun(running: Loose): StabilityRun {
  const elapsedMs = numberIn(running, "elapsedMs") ?? 0;
  const plannedMs = numberIn(running, "plannedMs");
  const progress = numberIn(running, "progress") ?? (plannedMs === undefined ? 0 : elapsedMs / plannedMs);
  const assertions = Array.isArray(running.assertions) ? running.assertions.flatMap(assertionIn) : [];
  return {
    name: textIn(running, "run") ?? "a run without a name",
    phase: textIn(running, "phase") ?? "running",
    startedAtMs: numberIn(running, "startedAtMs") ?? 0,
    progress: Math.max(0, Math.min(1, progress)),
    // By requests it may be further than by time.
    leftMs: plannedMs === undefined ? null : Math.max(0, Math.min(plannedMs - elapsedMs, plannedMs * (1 - progress))),
    figures: [
      ["Worker crashes", count(numberIn(running, "kills"))],
      ["Requests sent", count(numberIn(running, "sent"))],
      ["Answered in time", share(numberIn(running, "inTime"), 2)],
      ["Seed", count(numberIn(running, "seed"))],
      ["Crash probability", decimal(numberIn(running, "probability"))],
    ],
    assertions,
  };
}

function assertionIn(value: unknown): readonly Assertion[] {
  if (!isLoose(value)) return [];
  const name = textIn(value, "name");
  if (name === undefined) return [];
  const allowed = textIn(value, "allowed");
  const message = [textIn(value, "measured") ?? "", allowed === undefined ? "" : `allowed: ${allowed}`];
  const state = value.passed === true ? "holds" : value.passed === false ? "broken" : "pending";
  return [{ name, state, message: message.filter((part) => part !== "").join("; ") }];
}

function textIn(loose: Loose, name: string): string | undefined {
  const value = loose[name];
  return typeof value === "string" && value !== "" ? value : undefined;
}

function numberIn(loose: Loose, name: string): number | undefined {
  const value = loose[name];
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

function isLoose(value: unknown): value is Loose {
  return typeof value === "object" && value !== null;
}
