// The circuit breakers of one process: one for each target that it calls.
//
// Owns: which breaker a call passes, and what is said when one opens or closes (S1-58). Does not own: the states
// (supervision/circuit-breaker.ts), the calls.

import type { Clock } from "../../models/clock.js";
import {
  type BreakerSettings,
  type BreakerTurn,
  breakerDefaults,
  type CallOutcome,
  CircuitBreaker,
} from "../../supervision/circuit-breaker.js";
import type { Logger } from "../../supervision/logger.js";
import type { Origin, Telemetry } from "../metrics/telemetry.js";

export interface BreakerSurroundings {
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly telemetry: Pick<Telemetry, "event">;
  readonly origin: Origin;
}

export type Passed<T> =
  | { readonly kind: "called"; readonly value: T }
  /** Nobody was asked. `retryInMs` is null while others probe. */
  | { readonly kind: "circuit_open"; readonly target: string; readonly retryInMs: number | null };

export class Breakers {
  readonly #around: BreakerSurroundings;
  readonly #settings: BreakerSettings;
  readonly #breakers = new Map<string, CircuitBreaker>();

  constructor(around: BreakerSurroundings, settings: BreakerSettings = breakerDefaults) {
    this.#around = around;
    this.#settings = settings;
  }

  /** One bounded call to the target, unless its breaker is open. A call that throws has failed. `log` is the caller's. */
  async through<T>(
    target: string,
    call: () => Promise<T>,
    judge: (value: T) => CallOutcome,
    log: Pick<Logger, "info" | "warn">,
  ): Promise<Passed<T>> {
    const { clock } = this.#around;
    const breaker = this.#of(target);
    const admission = breaker.admit(clock.monotonicMs());
    if (admission.kind === "rejected") {
      const { retryAtMs } = admission;
      return { kind: "circuit_open", target, retryInMs: retryAtMs === null ? null : retryAtMs - clock.monotonicMs() };
    }
    this.#tell(target, admission.turned, log);
    let outcome: CallOutcome = "failed";
    try {
      const value = await call();
      outcome = judge(value);
      return { kind: "called", value };
    } finally {
      this.#tell(target, breaker.settle(admission.permit, outcome, clock.monotonicMs()), log);
    }
  }

  /** Each target that was called, and how its breaker stands. */
  all(): readonly { readonly target: string; readonly state: CircuitBreaker["kind"] }[] {
    return Array.from(this.#breakers, ([target, { kind }]) => ({ target, state: kind }));
  }

  #of(target: string): CircuitBreaker {
    const known = this.#breakers.get(target) ?? new CircuitBreaker(this.#settings);
    this.#breakers.set(target, known);
    return known;
  }

  #tell(target: string, turned: BreakerTurn | undefined, log: Pick<Logger, "info" | "warn">): void {
    if (turned === undefined) return;
    const { telemetry, origin, clock } = this.#around;
    const facts =
      turned.kind === "opened"
        ? { failures: turned.failures, calls: turned.calls, openMs: Math.round(turned.untilMs - clock.monotonicMs()) }
        : {};
    const line = turned.kind === "opened" ? log.warn : log.info;
    line(`circuit breaker ${turned.kind}: ${target}`, { target, ...facts });
    telemetry.event(`breaker_${turned.kind}`, origin, () => [{ about: target, ...facts }]);
  }
}
