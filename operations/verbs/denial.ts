// A verb whose user may not do what it does: what the server said no to, and what to type instead.
//
// Owns: these words. Does not own: the rights (transport/access/credentials.ts), when the server says no (transport/bus/bus.ts).
//
// D1. Whatever else a verb made of it (no node answers, no report, an answer that is missing): a right that was missing is what is said.

import type { Bus, BusEvent } from "../../transport/bus/bus.js";
import { isInbox } from "../../transport/subjects.js";
import type { Outcome } from "../cluster/outcome.js";
import { printable } from "../text.js";

/** Whose rights a verb needs. */
export type Role = "client" | "telemetry" | "operator";

export type Denial = Pick<Extract<BusEvent, { kind: "denied" }>, "operation" | "subject">;

/** Ends a verb where it stands: what it would find out without the right is wrong. `withCluster` says what was denied. */
export class DeniedError extends Error {
  override readonly name = "DeniedError";
}

/** Of a connection: the first thing that was denied from now on, once something was. */
export function watchDenials(bus: Bus): () => Denial | undefined {
  let first: Denial | undefined;
  bus.onEvent((event) => {
    if (event.kind === "denied") first ??= event;
  });
  return () => first;
}

export const rightsOf: Readonly<Record<Role, string>> = {
  client: "a client or an operator",
  telemetry: "a listener (telemetry) or an operator",
  operator: "an operator",
};

/** What to give instead; the files are those of `auth init`. */
export function credentialsOf(role: Role): string {
  const files = role === "operator" ? "operator.json" : `${role}.json or operator.json`;
  return `give --context FILE (${files} of driftmend auth init)`;
}

export interface Asker {
  readonly role: Role;
  readonly cluster: string;
  /** Undefined where nobody said who he is. */
  readonly user: string | undefined;
  /** The address was typed, and with it who asks and the cluster's name: each may be another one than was meant. */
  readonly isTyped: boolean;
}

export function deniedOutcome({ operation, subject }: Denial, { role, cluster, user, isTyped }: Asker): Outcome {
  const who = user === undefined ? "this connection" : `user "${printable(user)}"`;
  const what = printable(subject);
  if (operation === "publish") {
    const typed = isTyped ? ", or --nkey FILE of an operator, or the --cluster that is meant" : "";
    const rights = `this needs the rights of ${rightsOf[role]} of the cluster "${printable(cluster)}"`;
    return failed(`${who} may not publish to ${what}: ${rights}`, `${credentialsOf(role)}${typed}`);
  }
  if (isInbox(subject))
    return failed(
      `the key or password is another user's: ${who} may not listen to his own inbox with it (${what})`,
      "say whose it is with --user NAME, or give another --context FILE",
    );
  return failed(
    `${who} may not listen to ${what}`,
    `telemetry and alerts are heard by ${rightsOf.telemetry}: ${credentialsOf("telemetry")}`,
  );
}

function failed(message: string, next: string): Outcome {
  return { kind: "failed", message: `denied: ${message}`, next };
}
