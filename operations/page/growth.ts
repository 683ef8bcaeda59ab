// Whether memory creeps: a straight line through what a node held, and what to call it. Pure.
//
// Owns: the fit and the verdict. Does not own: the points (the series), whether anybody is woken up (operations/health/).
//
// The line is least squares over the window without its first fifth: a process that warms up grows and does not leak. A slope is called
// growth when it is more than `growthPerHour` and the line climbs by more than twice what the points scatter about it: garbage collection
// saws with an amplitude of many megabytes, and half a tooth is a steep line.

export interface HeldBytes {
  readonly atMs: number;
  readonly bytes: number;
}

export type Growth =
  | { readonly kind: "unknown" }
  | {
      readonly kind: "growing" | "steady" | "shrinking";
      readonly bytesPerHour: number;
      /** The ends of the line. */
      readonly from: HeldBytes;
      readonly to: HeldBytes;
    };

const hourMs = 3_600_000;
const leastMs = 180_000;
const leastPoints = 20;
const growthPerHour = 10_000_000;

export function growthOf(held: readonly HeldBytes[]): Growth {
  const warm = held.slice(Math.floor(held.length / 5));
  const first = warm[0];
  const last = warm.at(-1);
  if (first === undefined || last === undefined || warm.length < leastPoints || last.atMs - first.atMs < leastMs)
    return { kind: "unknown" };
  const { slope, at, scatter } = line(warm);
  const from = { atMs: first.atMs, bytes: at(first.atMs) };
  const to = { atMs: last.atMs, bytes: at(last.atMs) };
  const bytesPerHour = slope * hourMs;
  const isClear = Math.abs(to.bytes - from.bytes) > 2 * scatter && Math.abs(bytesPerHour) > growthPerHour;
  const kind = !isClear ? "steady" : bytesPerHour > 0 ? "growing" : "shrinking";
  return { kind, bytesPerHour, from, to };
}

/** Slope in bytes per millisecond, the line itself, and the standard deviation of the points about it. */
function line(held: readonly HeldBytes[]) {
  const meanMs = mean(held.map(({ atMs }) => atMs));
  const meanBytes = mean(held.map(({ bytes }) => bytes));
  const moment = held.reduce((sum, { atMs, bytes }) => sum + (atMs - meanMs) * (bytes - meanBytes), 0);
  const spread = held.reduce((sum, { atMs }) => sum + (atMs - meanMs) ** 2, 0);
  const slope = moment / spread;
  const at = (atMs: number): number => meanBytes + slope * (atMs - meanMs);
  const scatter = Math.sqrt(mean(held.map(({ atMs, bytes }) => (bytes - at(atMs)) ** 2)));
  return { slope, at, scatter };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
