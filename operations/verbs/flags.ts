// Words of the command line as values, each refused in one sentence; commander puts the flag's name in front and the exit code is 2.
//
// Owns: the spelling of numbers, durations and addresses in flags. Does not own: which flags there are (cli.ts).
import { InvalidArgumentError } from "commander";
import { parseDuration } from "../duration.js";

export function durationMs(text: string): number {
  const parsed = parseDuration(text);
  if (parsed.kind === "refused") throw new InvalidArgumentError(parsed.message);
  return parsed.ms;
}

/** A whole number from `low` to `high`, in decimal digits. */
export function wholeNumber(low: number, high: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= low && value <= high))
      throw new InvalidArgumentError(`Give a whole number ${rangeText(low, high)}.`);
    return value;
  };
}

/** A number above 0: requests per second. */
export function positiveNumber(text: string): number {
  const value = /^\d{1,9}(\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value > 0)) throw new InvalidArgumentError("Give a number above 0.");
  return value;
}

/** A probability, 0 to 1. */
export function probability(text: string): number {
  const value = /^(\d(\.\d{1,9})?|\.\d{1,9})$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= 0 && value <= 1)) throw new InvalidArgumentError("Give a number from 0 to 1, as in 0.01.");
  return value;
}

/** What each of `names` keeps, as in "serving=2,learning=1". */
export function amounts<T extends string>(names: readonly T[]): (text: string) => Partial<Record<T, number>> {
  return (text) => {
    const kept: Partial<Record<T, number>> = {};
    for (const word of text.split(",")) {
      const [, name, amount] = /^\s*([a-z]+)=(\d{1,4})\s*$/.exec(word) ?? [];
      const found = names.find((each) => each === name);
      if (found === undefined || kept[found] !== undefined)
        throw new InvalidArgumentError(
          `Give one or several of ${names.join(", ")} with a number, as in serving=2,learning=1.`,
        );
      kept[found] = Number(amount);
    }
    return kept;
  };
}

/** One or several of `choices`, separated by commas; each at most once. */
export function someOf<T extends string>(choices: readonly T[]): (text: string) => readonly T[] {
  return (text) => {
    const words = text.split(",").map((word) => choices.find((choice) => choice === word.trim()));
    const chosen = words.filter((word) => word !== undefined);
    if (chosen.length < words.length || new Set(chosen).size < words.length)
      throw new InvalidArgumentError(`Give one or several of ${choices.join(", ")}, separated by commas.`);
    return chosen;
  };
}

export function natsUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["nats:", "tls:"].includes(url.protocol) || url.hostname === "")
    throw new InvalidArgumentError("Give an address like nats://127.0.0.1:4222.");
  if (url.username !== "" || url.password !== "")
    throw new InvalidArgumentError("Give the user with --user and --password, not in the address.");
  return text;
}

function rangeText(low: number, high: number): string {
  return high === Number.MAX_SAFE_INTEGER ? `of ${low} or more` : `from ${low} to ${high}`;
}
