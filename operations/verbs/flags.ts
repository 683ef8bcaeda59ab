// Words of the command line as values, each refused in one sentence; commander puts the flag's name in front and the exit code is 2.
//
// Owns: the spelling of numbers, durations and addresses in flags. Does not own: which flags there are (cli.ts).
import { isIP } from "node:net";
import { InvalidArgumentError } from "commander";
import {
  type GuardrailName,
  type GuardrailValues,
  guardrailNames,
  guardrails,
} from "../../models/learning/guard-limits.js";
import { isDtype } from "../../transport/messages/codec.js";
import { isTimeoutName, type Timeouts, timeoutNames } from "../../transport/timeouts.js";
import { formatDuration, parseDuration } from "../duration.js";
import { type HttpAddress, parseHttpAddress } from "../http/http-address.js";
import { tracePolicyOf } from "../traces/trace-context.js";

export function durationMs(text: string): number {
  const parsed = parseDuration(text);
  if (parsed.kind === "refused") throw new InvalidArgumentError(parsed.message);
  return parsed.ms;
}

/** A duration of `lowMs` or more, in milliseconds. */
export function durationFrom(lowMs: number): (text: string) => number {
  return (text) => {
    const ms = durationMs(text);
    if (ms < lowMs) throw new InvalidArgumentError(`Give ${formatDuration(lowMs)} or more.`);
    return ms;
  };
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

const byteUnits: Readonly<Record<string, number>> = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

/** Bytes, as in 512MiB; `low` at least. */
export function byteSize(low: number): (text: string) => number {
  return (text) => {
    const [, digits, unit = ""] = /^(\d{1,12})(KiB|MiB|GiB)?$/.exec(text) ?? [];
    const value = Number(digits ?? Number.NaN) * (byteUnits[unit] ?? 1);
    if (!(value >= low && Number.isSafeInteger(value)))
      throw new InvalidArgumentError(`Give a size like 512MiB, of ${low} bytes or more.`);
    return value;
  };
}

/** A number above 0: requests per second. */
export function positiveNumber(text: string): number {
  const value = /^\d{1,9}(\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value > 0)) throw new InvalidArgumentError("Give a number above 0.");
  return value;
}

/** A number from `low` to `high`, in decimal digits, with or without a sign. */
export function fromTo(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = /^[+-]?(\d{1,9}(\.\d{1,9})?|\.\d{1,9})$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= low && value <= high)) throw new InvalidArgumentError(`Give a number from ${low} to ${high}.`);
    return value;
  };
}

/** A probability, 0 to 1. */
export function probability(text: string): number {
  const value = /^(\d(\.\d{1,9})?|\.\d{1,9})$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= 0 && value <= 1)) throw new InvalidArgumentError("Give a number from 0 to 1, as in 0.01.");
  return value;
}

/** A wire type and the factor that brings it to the model's scale, as in "|u1:1/255"; collects what is given again. */
export function oneAccepted(
  text: string,
  before: readonly { readonly dt: string; readonly scale: number }[] = [],
): readonly { readonly dt: string; readonly scale: number }[] {
  const [, dt = "", over = "", under = "1"] = /^([<|][a-z]\d):([\d.]+(?:e-?\d+)?)(?:\/([\d.]+))?$/.exec(text) ?? [];
  const scale = Number(over) / Number(under);
  if (!isDtype(dt) || dt === "<f2" || over === "" || !(scale > 0 && scale < Number.POSITIVE_INFINITY))
    throw new InvalidArgumentError("Give a type and a factor, as in '|u1:1/255' or '<f4:1'.");
  if (before.some((each) => each.dt === dt)) throw new InvalidArgumentError(`${dt} is given twice.`);
  return [...before, { dt, scale }];
}

/** "low:high", low below high. */
export function valueRange(text: string): readonly [number, number] {
  const [low = "", high = "", ...rest] = text.split(":");
  const range = [Number(low), Number(high)] as const;
  if (low === "" || high === "" || rest.length > 0 || !range.every(Number.isFinite) || range[0] >= range[1])
    throw new InvalidArgumentError("Give two numbers that rise, as in 0:1 or -3:3.");
  return range;
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

/** "append=2s,commit=5s": one or several, added to those given before. */
export function timeoutsOf(text: string, before: Partial<Timeouts> = {}): Partial<Timeouts> {
  const given = pairsOf(text, "NAME=DURATION, as in append=2s").map(([name, duration]) => {
    if (!isTimeoutName(name))
      throw new InvalidArgumentError(`There is no timeout "${name}". There are: ${timeoutNames.join(", ")}.`);
    const ms = durationMs(duration);
    if (ms < 1) throw new InvalidArgumentError(`${name}: a timeout is 1 ms or more.`);
    return [name, ms];
  });
  return { ...before, ...Object.fromEntries(given) };
}

/** "klLimit=0.02,ema=0.95": one or several, added to those given before; "off" takes one away. */
export function guardrailsOf(text: string, before: GuardrailValues = {}): GuardrailValues {
  const given = pairsOf(text, "NAME=VALUE, as in klLimit=0.02").map(([word, value]) => {
    const name = guardrailNames.find((each) => each === word);
    if (name === undefined)
      throw new InvalidArgumentError(`There is no guardrail "${word}". There are: ${guardrailNames.join(", ")}.`);
    return [name, guardrailValue(name, value)];
  });
  return { ...before, ...Object.fromEntries(given) };
}

function guardrailValue(name: GuardrailName, text: string): number {
  const { low, high, off } = guardrails[name];
  if (text === "off") return off;
  const value = /^\d{1,9}(\.\d{1,9})?(e-?\d{1,3})?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= low && value <= high))
    throw new InvalidArgumentError(`${name}: give a number ${high === 1 ? "from 0 to 1" : "of 0 or more"}, or off.`);
  return value;
}

function pairsOf(text: string, form: string): readonly (readonly [string, string])[] {
  return text.split(",").map((pair) => {
    const at = pair.indexOf("=");
    if (at < 1) throw new InvalidArgumentError(`Give ${form}.`);
    return [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
  });
}

/** One address, or several of one cluster's servers with commas between. */
export function natsUrl(text: string): string {
  return text.split(",").map(serverUrl).join(",");
}

function serverUrl(word: string): string {
  const text = word.trim();
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["nats:", "tls:"].includes(url.protocol) || url.hostname === "")
    throw new InvalidArgumentError("Give an address like nats://127.0.0.1:4222, or several with commas between.");
  if (url.username !== "" || url.password !== "")
    throw new InvalidArgumentError("Give the user with --user and --password, not in the address.");
  return text;
}

export function monitorUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol))
    throw new InvalidArgumentError("Give an address like http://127.0.0.1:8222.");
  return text;
}

/** A directory by its whole path, or "off". */
export function shmPlace(text: string): string {
  if (text !== "off" && !text.startsWith("/"))
    throw new InvalidArgumentError("Give the directory where shared memory is mounted, as in /dev/shm, or off.");
  return text;
}

/** "7480", "0.0.0.0:7480", "0" for any free port. */
export function httpAddress(text: string): HttpAddress {
  const read = parseHttpAddress(text);
  if (read.kind === "refused") throw new InvalidArgumentError(read.message);
  return read.address;
}

/** "0.0.0.0:4222", "10.0.0.5", "[::1]:4222": a host with or without a port. */
export function listenAddress(text: string): HttpAddress {
  const hasPort = /^(\[[^\]]*\]|[^:]*):\d+$/.test(text);
  const read = parseHttpAddress(hasPort ? text : `${isIP(text) === 6 ? `[${text}]` : text}:${natsPort}`);
  if (read.kind === "refused" || text === "")
    throw new InvalidArgumentError("Give HOST or HOST:PORT, as in 0.0.0.0 or 10.0.0.5:4222.");
  return read.address;
}

/** Where NATS is looked for by everybody. */
const natsPort = 4222;

function rangeText(low: number, high: number): string {
  return high === Number.MAX_SAFE_INTEGER ? `of ${low} or more` : `from ${low} to ${high}`;
}

/** The word itself: it is handed on to the nodes. */
export function traceWord(text: string): string {
  if (tracePolicyOf(text) === undefined)
    throw new InvalidArgumentError("Give off, errors, all, or a number from 0 to 1, as in 0.1.");
  return text;
}

/** The collector's address: without a path it is `/v1/traces` there, as the OpenTelemetry exporters have it. */
export function otlpUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol))
    throw new InvalidArgumentError("Give an address like http://127.0.0.1:4318.");
  if (url.username !== "" || url.password !== "")
    throw new InvalidArgumentError("A command line is read by every user of the machine: no user or password in it.");
  if (url.pathname === "/") url.pathname = "/v1/traces";
  return url.href;
}
