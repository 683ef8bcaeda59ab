// Whether a check fails: not at the first value beyond its level, but once it has stayed there; and not over at the first value back,
// but once it is clearly calm. Pure: the state is a value, time is an argument.
//
// Owns: the state over time of one rule about one thing. Does not own: what is beyond (conditions.ts), words (health.ts).
//
//     calm --beyond--> pending --for--> failing --cleared--> (calming, still failing) --keep_firing_for--> calm
//      ^__________________|  any value that is not beyond          |__beyond or not cleared__> failing
//
// C1. A dip resets: pending begins anew with the next value beyond.
// C2. Between the rule's level and its clear level nothing changes, in either direction.
// C3. Silence proves nothing: after `silenceMs` without a look, or when time steps back, pending begins anew. What fails goes on failing.

export interface Timing {
  /** Beyond for so long, and it fails; 0: at once. */
  readonly forMs: number;
  /** Calm for so long, and it is over; 0: at once. */
  readonly keepFiringMs: number;
}

/** One look. A figure that is not known is neither beyond nor a reason to go on: it is calm. */
export interface Look {
  readonly atMs: number;
  readonly isBeyond: boolean;
  /** Calm enough that a failing check is over. */
  readonly isCleared: boolean;
}

interface Common {
  /** Since when it passes, or fails. */
  readonly sinceMs: number;
  readonly lookedAtMs: number;
}

export type CheckState =
  | (Common & { readonly kind: "calm" })
  | (Common & { readonly kind: "pending"; readonly beyondSinceMs: number })
  | (Common & { readonly kind: "failing"; readonly beyondSinceMs: number; readonly calmSinceMs: number | null });

/** A report comes every second; one that comes a minute after the last says nothing of the time between. */
export const silenceMs = 60_000;

/** `before`: undefined at the first look. */
export function nextState(before: CheckState | undefined, timing: Timing, look: Look): CheckState {
  const { atMs } = look;
  if (before === undefined) return begun({ sinceMs: atMs, lookedAtMs: atMs }, timing, look, atMs);
  const wasSilent = atMs - before.lookedAtMs > silenceMs || atMs < before.lookedAtMs;
  const common = { sinceMs: Math.min(before.sinceMs, atMs), lookedAtMs: atMs };
  if (before.kind === "failing") return failingOn(before, common, timing, look);
  return begun(common, timing, look, before.kind === "pending" && !wasSilent ? before.beyondSinceMs : atMs);
}

function begun(common: Common, { forMs }: Timing, look: Look, beyondSinceMs: number): CheckState {
  if (!look.isBeyond) return { kind: "calm", ...common };
  if (look.atMs - beyondSinceMs < forMs) return { kind: "pending", ...common, beyondSinceMs };
  return { kind: "failing", ...common, sinceMs: look.atMs, beyondSinceMs, calmSinceMs: null };
}

function failingOn(
  before: CheckState & { readonly kind: "failing" },
  common: Common,
  { keepFiringMs }: Timing,
  { atMs, isCleared }: Look,
): CheckState {
  const failing = { kind: "failing", ...common, beyondSinceMs: Math.min(before.beyondSinceMs, atMs) } as const;
  if (!isCleared) return { ...failing, calmSinceMs: null };
  const calmSinceMs = Math.min(before.calmSinceMs ?? atMs, atMs);
  if (atMs - calmSinceMs < keepFiringMs) return { ...failing, calmSinceMs };
  return { kind: "calm", sinceMs: atMs, lookedAtMs: atMs };
}

/** Of a rule that now asks something else: what was pending is forgotten, what fails is judged by the new rule from here on. */
export function asked(state: CheckState): CheckState {
  return state.kind === "pending" ? { kind: "calm", sinceMs: state.sinceMs, lookedAtMs: state.lookedAtMs } : state;
}
