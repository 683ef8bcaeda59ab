// Tells of users who try what they may not, and of connections that are refused: what the embedded server's log says becomes events, and
// these become the alert `unauthorised`.
//
// Owns: whose name is told, and how often. Does not own: the log's lines (transport/server/server-log.ts), the alert (alerts/alert-rules.ts).
//
// W1. However much somebody tries, a user is one event in `quietMs`, which counts what came since; users that nobody knows are one.
// W2. Nothing a stranger wrote is told: no name of a refused connection, and of subjects what the server quoted.

import type { Clock } from "../../models/clock.js";
import type { Logger } from "../../supervision/logger.js";
import type { Credentials } from "../../transport/access/credentials.js";
import { publicKeyOf } from "../../transport/access/nkeys.js";
import type { Broker } from "../../transport/server/broker.js";
import { followLog, type Violation, violationIn } from "../../transport/server/server-log.js";
import type { Telemetry } from "../metrics/telemetry.js";

export const quietMs = 10_000;
const stranger = "stranger";

export interface Told {
  readonly about: string;
  readonly cause: string;
  /** Attempts since the last telling, this one included. */
  readonly count: number;
}

/** Who was told of when, and what came since. */
export class ViolationTally {
  readonly #nameOf: ReadonlyMap<string, string>;
  readonly #told = new Map<string, { atMs: number; since: number }>();

  constructor(credentials: Credentials) {
    this.#nameOf = new Map(Object.values(credentials).map((each) => [knownAs(each), each.user]));
  }

  /** Undefined: counted, and told with the next one. */
  take(violation: Violation, nowMs: number): Told | undefined {
    const about = violation.kind === "refused" ? stranger : (this.#nameOf.get(violation.user) ?? stranger);
    const entry = this.#told.get(about) ?? { atMs: Number.NEGATIVE_INFINITY, since: 0 };
    this.#told.set(about, entry);
    entry.since += 1;
    if (nowMs - entry.atMs < quietMs) return undefined;
    const count = entry.since;
    entry.atMs = nowMs;
    entry.since = 0;
    return { about, cause: causeOf(violation), count };
  }
}

/** As the server's log calls somebody. */
function knownAs(credential: Credentials[keyof Credentials]): string {
  return "password" in credential ? credential.user : (publicKeyOf(credential.nkey) ?? "");
}

function causeOf(violation: Violation): string {
  return violation.kind === "refused"
    ? "a connection with wrong credentials, or none, was refused"
    : `${violation.operation} ${violation.subject}`;
}

export interface ViolationWatchDeps {
  readonly broker: Pick<Broker, "logFile" | "pid">;
  readonly credentials: Credentials;
  readonly clock: Clock;
  readonly log: Logger;
  readonly telemetry: Pick<Telemetry, "event">;
}

/** Watches until the signal aborts. */
export async function watchViolations(
  { broker, credentials, clock, log, telemetry }: ViolationWatchDeps,
  signal: AbortSignal,
): Promise<void> {
  const tally = new ViolationTally(credentials);
  const take = (line: string): void => {
    const violation = violationIn(line, broker.pid);
    const told = violation === undefined ? undefined : tally.take(violation, clock.monotonicMs());
    if (told === undefined) return;
    log.warn("permission denied", { user: told.about, cause: told.cause, count: told.count });
    telemetry.event("permission_violation", { actor: "nats-server", incarnation: 1 }, () => [{ ...told }]);
  };
  await followLog(broker.logFile, clock, take, signal);
}
