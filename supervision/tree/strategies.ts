// Who restarts with whom: a pure decision.
//
// Source: OTP supervisor.erl, restart strategies and restart types.
// Owns: the plan that follows from one child's exit.
// Does not own: whether the supervisor may still restart (restart-intensity.ts) and when (backoff.ts).

import type { ExitReason } from "../exit-reason.js";

/** permanent: always restarted. transient: unless it ended normally. temporary: never. */
export type RestartType = "permanent" | "transient" | "temporary";

export type Strategy = "one_for_one" | "one_for_all" | "rest_for_one";

/** Indexes of children, both ends included. Every strategy restarts a contiguous run of them. */
export interface ChildRange {
  readonly from: number;
  readonly to: number;
}

export type RestartPlan =
  /** The child stays down, for good. */
  | { readonly kind: "leave" }
  /** Stop what still runs of `range` in reverse order, then start it in order. */
  | { readonly kind: "restart"; readonly range: ChildRange };

export function planRestart(
  strategy: Strategy,
  failed: { readonly index: number; readonly restart: RestartType; readonly reason: ExitReason },
  childCount: number,
): RestartPlan {
  if (!isRestarted(failed.restart, failed.reason)) return { kind: "leave" };
  return { kind: "restart", range: rangeOf(strategy, failed.index, childCount) };
}

function isRestarted(restart: RestartType, reason: ExitReason): boolean {
  switch (restart) {
    case "permanent":
      return true;
    case "transient":
      return reason.kind !== "normal" && reason.kind !== "shutdown";
    case "temporary":
      return false;
    default:
      return restart satisfies never;
  }
}

function rangeOf(strategy: Strategy, index: number, childCount: number): ChildRange {
  switch (strategy) {
    case "one_for_one":
      return { from: index, to: index };
    case "rest_for_one":
      return { from: index, to: childCount - 1 };
    case "one_for_all":
      return { from: 0, to: childCount - 1 };
    default:
      return strategy satisfies never;
  }
}
