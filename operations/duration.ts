// How long: the spelling of durations on the command line.
//
// Owns: `90s`, `2m`, `8h` and their refusal in words. Does not own: which flag it was (the command line names it).

export type DurationParse =
  | { readonly kind: "ok"; readonly ms: number }
  | { readonly kind: "refused"; readonly message: string };

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A timer of Node holds a signed 32-bit count of milliseconds (24.8 days) and fires at once above it, so this is the end of the scale. */
const longestMs = 24 * 86_400_000;

/** `text` is a positive decimal number and one of ms, s, m, h, d, without a space. Result in whole milliseconds, 1 ms to 24 days. */
export function parseDuration(text: string): DurationParse {
  const match = /^(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h|d)$/.exec(text.trim());
  const unit = match?.[2] === undefined ? undefined : unitMs[match[2]];
  if (match === null || unit === undefined)
    return { kind: "refused", message: `"${text}" is not a duration: write a number and a unit, as in 90s, 2m or 8h` };
  const ms = Math.round(Number(match[1]) * unit);
  if (ms < 1) return { kind: "refused", message: `"${text}" is too short: the shortest duration is 1ms` };
  if (ms > longestMs) return { kind: "refused", message: `"${text}" is too long: the longest duration is 24d` };
  return { kind: "ok", ms };
}

/** For people: `480 ms`, `4.2 s`, `2 m 05 s`, `8 h 00 m`. `ms` finite and not negative. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} m ${twoDigits(seconds % 60)} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${twoDigits(minutes % 60)} m`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}
