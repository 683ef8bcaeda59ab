// What becomes of a request that finds the desk full. Pure.
//
// Owns: the three policies and who goes under each. Does not own: the open requests and the bound (desk.ts).
//
// V1. Whoever goes is refused by name: the newcomer, or one victim in its place. Nobody is dropped in silence.

export const overflowPolicies = ["reject", "shed-lowest", "shed-oldest"] as const;
/**
 * `reject`: the newcomer is refused `overloaded`, and from a share of the bound on low priorities are shed before it is reached.
 * `shed-lowest`: the lowest priority goes, the youngest among equals, which may be the newcomer.
 * `shed-oldest`: whoever is open the longest goes.
 */
export type OverflowPolicy = (typeof overflowPolicies)[number];

/** The part of an open request that counts here. */
export interface Standing {
  readonly priority: number;
}

export type OverflowVerdict<T> =
  | { readonly kind: "admit" }
  | { readonly kind: "refuse"; readonly code: "overloaded" | "shed"; readonly message: string }
  | { readonly kind: "evict"; readonly victim: T; readonly message: string };

export interface OverflowSettings {
  readonly policy: OverflowPolicy;
  /** Requests open at once, at most. */
  readonly openMax: number;
  /** Under `reject`: from this share of openMax on, requests of less than default priority are shed. */
  readonly shedFrom: number;
}

/** Of one node. */
export const overflowDefaults: OverflowSettings = { policy: "reject", openMax: 1024, shedFrom: 0.8 };

const defaultPriority = 5;

/** `open` in order of age, the oldest first; `size` is how many there are. Looks at all of them only when the desk is full. */
export function decideOverflow<T extends Standing>(
  { policy, openMax, shedFrom }: OverflowSettings,
  open: Iterable<T>,
  size: number,
  priority: number,
): OverflowVerdict<T> {
  if (size < openMax) {
    if (policy !== "reject" || priority >= defaultPriority || size < openMax * shedFrom) return { kind: "admit" };
    return { kind: "refuse", code: "shed", message: `priority ${priority} is shed under load` };
  }
  const full = `${openMax} requests are open on this node`;
  switch (policy) {
    case "reject":
      return { kind: "refuse", code: "overloaded", message: full };
    case "shed-lowest":
      return lowest(open, priority, full);
    case "shed-oldest":
      for (const victim of open) return { kind: "evict", victim, message: `${full}; this one was open the longest` };
      return { kind: "refuse", code: "overloaded", message: full };
    default:
      return policy satisfies never;
  }
}

/** The newcomer is the youngest of all, so among equals it is the one that goes. */
function lowest<T extends Standing>(open: Iterable<T>, priority: number, full: string): OverflowVerdict<T> {
  let victim: T | undefined;
  for (const each of open) if (victim === undefined || each.priority <= victim.priority) victim = each;
  if (victim === undefined || priority <= victim.priority)
    return { kind: "refuse", code: "shed", message: `${full}, none of them below priority ${priority}` };
  return { kind: "evict", victim, message: `${full}; priority ${victim.priority} gave way to ${priority}` };
}
