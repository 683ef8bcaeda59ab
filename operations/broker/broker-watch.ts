// Restarts the embedded broker when it dies. With a server that somebody else runs there is nothing to watch.
//
// Owns: intensity and backoff of these restarts. Does not own: the server process (transport/server/broker.ts).

import { constants } from "node:os";
import type { Clock, Random } from "../../models/clock.js";
import { asError } from "../../supervision/exit-reason.js";
import type { Logger } from "../../supervision/logger.js";
import { backoffDefaults, nextBackoff } from "../../supervision/tree/backoff.js";
import { type RestartHistory, recordRestart } from "../../supervision/tree/restart-intensity.js";
import type { Broker, BrokerExit } from "../../transport/server/broker.js";

/** The broker's name in the tree, and as a target of faults. */
export const brokerName = "nats-server";

/** Milliseconds from the kill until it was noticed, and until the server answered again. */
export interface BrokerRepair {
  readonly detectMs: number;
  readonly repairMs: number;
}

export interface BrokerWatch {
  readonly pid: number | undefined;
  readonly alive: boolean;
  readonly restarts: number;
  /** Why it ended last, in one line. */
  readonly lastExit: string | undefined;
  /** The broker died too often, or did not come back. */
  readonly failed: Promise<Error>;
  /** Kills the server as an outage would; resolves when it is back. */
  strike(): Promise<BrokerRepair>;
  /** Watches no longer: the broker is about to be stopped. */
  release(): void;
}

const intensity = { restarts: 20, withinMs: 60_000 };

export interface BrokerWatchDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export function superviseBroker(broker: Broker | undefined, deps: BrokerWatchDeps): BrokerWatch {
  return broker === undefined ? nothingToWatch : new EmbeddedBrokerWatch(broker, deps);
}

const nothingToWatch: BrokerWatch = {
  pid: undefined,
  alive: true,
  restarts: 0,
  lastExit: undefined,
  failed: new Promise(() => undefined),
  strike: () => Promise.reject(new Error("the broker is somebody else's")),
  release: () => undefined,
};

class EmbeddedBrokerWatch implements BrokerWatch {
  readonly failed: Promise<Error>;
  readonly release: () => void;
  readonly #broker: Broker;
  readonly #deps: BrokerWatchDeps;
  readonly #waiting: { resolve(): void; reject(error: Error): void }[] = [];
  #diedAtMs = 0;
  #fail: (error: Error) => void = () => undefined;
  #history: RestartHistory = [];
  #failures = 0;
  #upSinceMs: number;
  #restarts = 0;
  #released = false;
  #lastExit: string | undefined;

  constructor(broker: Broker, deps: BrokerWatchDeps) {
    this.#broker = broker;
    this.#deps = deps;
    this.#upSinceMs = deps.clock.monotonicMs();
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
    const stopListening = broker.onExit((exit) => {
      this.#diedAtMs = deps.clock.monotonicMs();
      this.#lastExit = describeBrokerExit(exit);
      deps.log.error("nats-server has terminated unexpectedly. Attempting to restart.", { lastWords: exit.lastWords });
      this.#restart().catch((error) => this.#giveUp(asError(error)));
    });
    this.release = () => {
      this.#released = true;
      stopListening();
    };
  }

  get pid(): number {
    return this.#broker.pid;
  }

  get alive(): boolean {
    return this.#broker.alive;
  }

  get restarts(): number {
    return this.#restarts;
  }

  get lastExit(): string | undefined {
    return this.#lastExit;
  }

  async strike(): Promise<BrokerRepair> {
    const { clock } = this.#deps;
    const beganAtMs = clock.monotonicMs();
    const back = new Promise<void>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    // One that is dead already comes back by itself: its process id may be somebody else's by now.
    this.#broker.kill();
    await back;
    return { detectMs: Math.max(0, this.#diedAtMs - beganAtMs), repairMs: clock.monotonicMs() - beganAtMs };
  }

  #giveUp(error: Error): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
    this.#fail(error);
  }

  async #restart(): Promise<void> {
    const { clock, random } = this.#deps;
    const verdict = recordRestart(this.#history, clock.monotonicMs(), intensity);
    this.#history = verdict.history;
    if (verdict.kind === "exceeded")
      throw new Error(`nats-server died more than ${intensity.restarts} times in a minute`);
    // Killed from outside, as a node or an actor: that says nothing of its health. It counts for the intensity.
    if (this.#lastExit !== killed) {
      const backoff = nextBackoff(this.#failures, clock.monotonicMs() - this.#upSinceMs, backoffDefaults, random);
      this.#failures = backoff.failures;
      await clock.delay(backoff.delayMs);
    }
    if (this.#released) return;
    await this.#broker.restart();
    this.#restarts += 1;
    this.#upSinceMs = clock.monotonicMs();
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }
}

const killed = "signal SIGKILL";

/** Between us and the server stands a shell: a code above 128 is the signal that ended the server. */
function describeBrokerExit({ code, signal }: BrokerExit): string {
  const named = Object.entries(constants.signals).find(([, number]) => code !== null && number === code - 128)?.[0];
  const by = signal ?? named;
  return by === undefined ? `exit code ${code ?? "unknown"}` : `signal ${by}`;
}
