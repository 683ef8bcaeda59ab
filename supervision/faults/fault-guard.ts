// Whether a fault may be: a pure decision over what runs, what is faulted already, and what has to stay.
//
// Owns: the rule. Does not own: who asks it (operations/), the ledger of faults (fault-ledger.ts).
//
// G1. A fault is refused by name when it would leave a pool with fewer nodes up than its minimum. A pool is the nodes of one role; up is who
//     runs, is ready, and has no fault. The minimum of a pool of N is N - 1 unless somebody said otherwise: one at a time.
// G2. A target has one fault at a time.
// G3. No fault takes the last restart that the root has left: the next crash, ours or not, would end the whole cluster.

import type { ActiveFault } from "../../transport/messages/chaos-orders.js";
import type { RefusalCode } from "../../transport/messages/wire.js";

export interface PoolMember {
  readonly id: string;
  readonly pool: string;
  /** Running and ready. */
  readonly isUp: boolean;
}

/** What a pool must keep, by its name; a pool that is not named keeps all but one. */
export type Minimums = Readonly<Record<string, number>>;

export interface GuardView {
  readonly members: readonly PoolMember[];
  readonly faults: readonly Pick<ActiveFault, "node" | "target">[];
  readonly minimums: Minimums;
  /** Of the root; undefined for a fault that ends no process. */
  readonly restartsLeft?: number | undefined;
}

export interface AskedFault {
  readonly node: string;
  /** The node's own name for all of it, or an actor of it. */
  readonly target: string;
}

export type GuardVerdict =
  | { readonly kind: "allowed" }
  | {
      readonly kind: "refused";
      readonly code: Extract<RefusalCode, "under_minimum" | "already_faulted" | "restarts_spent">;
      readonly message: string;
    };

const allowed: GuardVerdict = { kind: "allowed" };

export function judgeFault(asked: AskedFault, view: GuardView): GuardVerdict {
  const second = judgeTarget(asked, view.faults);
  if (second.kind === "refused") return second;
  if (view.restartsLeft !== undefined && view.restartsLeft <= 1)
    return {
      kind: "refused",
      code: "restarts_spent",
      message: `the root has ${view.restartsLeft} restarts left in its window; wait for more, or add --force`,
    };
  return judgePool(asked.node, view);
}

/** The part of the rule that needs no view of the pool: G2. */
export function judgeTarget({ node, target }: AskedFault, faults: GuardView["faults"]): GuardVerdict {
  if (!faults.some((fault) => fault.node === node && fault.target === target)) return allowed;
  const message = `${node === target ? node : `${node}/${target}`} has a fault already; add --force for a second one`;
  return { kind: "refused", code: "already_faulted", message };
}

function judgePool(node: string, { members, faults, minimums }: GuardView): GuardVerdict {
  const pool = members.find(({ id }) => id === node)?.pool;
  if (pool === undefined) return allowed;
  const all = members.filter((member) => member.pool === pool);
  const up = all.filter(({ id, isUp }) => isUp && !faults.some((fault) => fault.node === id));
  const left = up.filter(({ id }) => id !== node).length;
  const minimum = minimums[pool] ?? all.length - 1;
  if (left >= minimum) return allowed;
  return {
    kind: "refused",
    code: "under_minimum",
    message: `pool ${pool} has ${up.length} of ${all.length} up and keeps at least ${minimum}: a fault of ${node} would leave ${left}; add --force to do it all the same`,
  };
}
