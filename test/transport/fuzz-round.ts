// A round of fuzzing: so many payloads over the parsers, and what was wrong with any of them.
//
// What must hold of every payload: the parser returns, a value of its type; a lying length allocates nothing; what it takes is plain.

import { getHeapStatistics } from "node:v8";
import { type Random, seededRandom } from "../../models/clock.js";
import { goodMessages, otherMessages, type Parser } from "./fuzz-messages.js";
import { type Good, mutated, tokensOf } from "./fuzz-mutations.js";

export interface Round {
  readonly seed: number;
  readonly payloads: number;
}

export interface Finding {
  readonly parser: string;
  readonly payload: number;
  readonly why: string;
  /** Hexadecimal, cut. */
  readonly bytes: string;
}

export interface Found {
  readonly payloads: number;
  /** By what came of them. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly findings: readonly Finding[];
}

const findingsMax = 5;
/** More than a message of this size makes under any parser; far less than what a lie claims. */
const allocatedMaxBytes = 16 * 1024 * 1024;
const lookedAtShare = 0.25;

export class Fuzzer {
  readonly #parsers: readonly (readonly [string, Parser, readonly Good[]])[];
  readonly #goods: readonly Good[];

  constructor(parsers: Readonly<Record<string, Parser>>) {
    const asGood = (bytes: Uint8Array): Good => ({ bytes, tokens: bytes[0] === 1 ? wholeOf(bytes) : tokensOf(bytes) });
    const own = new Map(Object.entries(goodMessages).map(([name, list]) => [name, list.map(asGood)]));
    this.#goods = [...[...own.values()].flat(), ...otherMessages.map(asGood)];
    this.#parsers = Object.entries(parsers).map(([name, parser]) => [name, parser, own.get(name) ?? this.#goods]);
  }

  run({ seed, payloads }: Round): Found {
    const random = seededRandom(seed);
    const outcomes: Record<string, number> = {};
    const findings: Finding[] = [];
    for (let payload = 0; payload < payloads && findings.length < findingsMax; payload += 1) {
      const [parser, parse, own] = this.#parsers[payload % this.#parsers.length] ?? [];
      if (parser === undefined || parse === undefined || own === undefined) throw new Error("there is no parser");
      const good = own[Math.floor(random() * own.length)] as Good;
      const { bytes, isLie } = mutated(this.#goods, good, random);
      const outcome = outcomeOf(parse, bytes, isLie, random);
      outcomes[outcome.what] = (outcomes[outcome.what] ?? 0) + 1;
      if (outcome.why !== undefined)
        findings.push({ parser, payload, why: outcome.why, bytes: Buffer.from(bytes).toString("hex").slice(0, 400) });
    }
    return { payloads, outcomes, findings };
  }
}

/** No msgpack inside: one value. */
function wholeOf(bytes: Uint8Array): Good["tokens"] {
  return [{ at: 0, body: 1, end: bytes.length, kind: "bin", isKey: false }];
}

function outcomeOf(parse: Parser, bytes: Uint8Array, isLie: boolean, random: Random) {
  const before = isLie ? allocatedBytes() : 0;
  let result: unknown;
  try {
    result = parse(bytes);
  } catch (error) {
    return { what: "thrown", why: `threw ${String(error).slice(0, 200)}` };
  }
  const allocated = isLie ? allocatedBytes() - before : 0;
  if (allocated > allocatedMaxBytes) return { what: "hoard", why: `${bytes.length} bytes allocated ${allocated}` };
  return judged(result, random() < lookedAtShare);
}

function allocatedBytes(): number {
  const { used_heap_size, external_memory } = getHeapStatistics();
  return used_heap_size + external_memory;
}

function judged(result: unknown, looked: boolean): { readonly what: string; readonly why?: string } {
  // `scan` and `readSketch` say undefined.
  if (result === undefined || typeof result === "string")
    return { what: result === undefined ? "undefined" : "refused" };
  if (typeof result !== "object" || result === null) return { what: "untyped", why: `returned ${typeof result}` };
  const kind: unknown = Reflect.get(result, "kind");
  if (kind === "refused") {
    const [code, message]: unknown[] = [Reflect.get(result, "code"), Reflect.get(result, "message")];
    const isNamed = (code === "bad_request" || code === "bad_tensor") && typeof message === "string";
    return isNamed && message.length < 1_000
      ? { what: "refused" }
      : { what: "unnamed", why: `a refusal by ${String(code)}` };
  }
  const strange = looked ? strangeIn(result, 0) : undefined;
  return { what: "taken", ...(strange === undefined ? {} : { why: `took ${strange}` }) };
}

/** What has no business in a decoded message: whatever is not plain, and prototypes that are not a plain object's. */
function strangeIn(value: unknown, depth: number): string | undefined {
  if (typeof value === "function" || typeof value === "symbol") return `a ${typeof value}`;
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return undefined;
  if (depth > 40) return "a nest deeper than 40";
  if (Array.isArray(value)) {
    for (const item of value) {
      const strange = strangeIn(item, depth + 1);
      if (strange !== undefined) return strange;
    }
    return undefined;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return `a ${Object.prototype.toString.call(value)}`;
  for (const item of Object.values(value)) {
    const strange = strangeIn(item, depth + 1);
    if (strange !== undefined) return strange;
  }
  return undefined;
}
