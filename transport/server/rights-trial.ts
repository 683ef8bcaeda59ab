// What a user may do, found out by trying: a server tells nobody else's permissions, and its own only from 2.10 on.
//
// Owns: the list of what a role needs, and a trial that changes nothing. Does not own: the permissions (credentials.ts).
//
// T1. Nothing is read, stored or answered: a trial uses a subject that nobody listens to, and names a stream that does not exist, so that no
//     stream takes the message in.

import { permissionsOf, type Role } from "../access/credentials.js";
import type { Bus } from "../bus/bus.js";
import { header, type Subjects, trialOf } from "../subjects.js";

export interface Right {
  readonly operation: "publish" | "subscription";
  readonly pattern: string;
}

const noStream = "no-such-stream";
/** The server's refusals come before its answer to the ping; the library hands them on in a later turn. */
const settleMs = 50;

/** What a role has to be allowed: its permissions. `user` is whose inbox replies come to. */
export function rightsNeeded(role: Role, subjects: Subjects, user: string = role): readonly Right[] {
  const { publish, subscribe } = permissionsOf(role, subjects, user);
  return [
    ...publish.map((pattern): Right => ({ operation: "publish", pattern })),
    ...subscribe.map((pattern): Right => ({ operation: "subscription", pattern })),
  ];
}

export type RightsTried =
  | { readonly kind: "tried"; readonly tried: number; readonly denied: readonly Right[] }
  | { readonly kind: "closed" };

/** Patterns without a wildcard are left out: somebody listens there by name. */
export async function tryRights(
  bus: Bus,
  needed: readonly Right[],
  delay: (ms: number) => Promise<void>,
): Promise<RightsTried> {
  const rights = needed.filter(({ pattern }) => /[*>]/.test(pattern));
  const refused = new Set<string>();
  const keyOf = (operation: string, subject: string): string => `${operation} ${subject}`;
  const stopListening = bus.onEvent((event) => {
    if (event.kind === "denied") refused.add(keyOf(event.operation, event.subject));
  });
  const subscriptions = rights
    .filter(({ operation }) => operation === "subscription")
    .map(({ pattern }) => bus.subscribe(trialOf(pattern), {}, () => undefined));
  try {
    for (const { operation, pattern } of rights)
      if (operation === "publish")
        bus.publish(trialOf(pattern), new Uint8Array(0), { headers: { [header.expectedStream]: noStream } });
    if (!(await bus.flush())) return { kind: "closed" };
    await delay(settleMs);
  } finally {
    stopListening();
    for (const subscription of subscriptions) subscription.unsubscribe();
  }
  const denied = rights.filter(({ operation, pattern }) => refused.has(keyOf(operation, trialOf(pattern))));
  return { kind: "tried", tried: rights.length, denied };
}
