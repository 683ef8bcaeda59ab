// How many requests came from whom within a window: pure counting, bounded.
//
// Owns: the counts, whose they are. Does not own: the limit (server-limits.ts), who is who (access.ts).

import { isIPv6 } from "node:net";
import type { Clock } from "../../models/clock.js";

/** Askers that are remembered; the one that asked longest ago goes first. */
const askersMax = 4_096;

interface Window {
  count: number;
  readonly sinceMs: number;
}

export interface Taken {
  /** This request among those of its window. */
  readonly count: number;
  readonly leftMs: number;
}

export class RateWindows {
  readonly #clock: Clock;
  readonly #byAsker = new Map<string, Window>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  take(asker: string, windowMs: number): Taken {
    const nowMs = this.#clock.monotonicMs();
    const known = this.#byAsker.get(asker);
    const window = known !== undefined && nowMs - known.sinceMs < windowMs ? known : { count: 0, sinceMs: nowMs };
    window.count += 1;
    this.#byAsker.delete(asker);
    this.#byAsker.set(asker, window);
    const [oldest] = this.#byAsker.keys();
    if (this.#byAsker.size > askersMax && oldest !== undefined) this.#byAsker.delete(oldest);
    return { count: window.count, leftMs: Math.max(0, window.sinceMs + windowMs - nowMs) };
  }
}

/** An IPv4 address itself, as IPv6 may write it too; of IPv6 the /64, which one machine has for itself. */
export function networkOf(address: string): string {
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? [];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(address)) return address;
  const [before = "", after = ""] = address.split("%")[0]?.split("::") ?? [];
  const head = before === "" ? [] : before.split(":");
  const tail = after === "" ? [] : after.split(":");
  const zeros = address.includes("::")
    ? Array.from({ length: Math.max(0, 8 - head.length - tail.length) }, () => "0")
    : [];
  return `${[...head, ...zeros, ...tail].slice(0, 4).join(":")}::/64`;
}
