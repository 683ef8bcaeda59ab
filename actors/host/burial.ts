// What becomes of a message that no actor of a node will handle any more.
//
// Owns: the refusal of its requests, and whether a letter is left. Does not own: letters (giving-up.ts), who gave up (supervision/).

import type { DeadLetterOffice } from "../../operations/dead-letters/dead-letter-office.js";
import type { DeadLetter } from "../../supervision/actor/dead-letters.js";
import { refuse } from "../../transport/bus/refusing.js";
import { deadLetterOfRequest, isFeedback, isPoison, phaseOf, requestsIn } from "../giving-up.js";
import type { HostOptions } from "../host-options.js";
import type { NodeWiring } from "../wiring/wiring.js";

/**
 * A request that no actor will handle any more is refused by name; nobody waits for its deadline. Where the actor ended and the request is
 * not to blame, it may be tried again: another node, or the next incarnation, takes it. A poison one leaves a letter.
 */
export function bury({ node }: HostOptions, wiring: NodeWiring, office: DeadLetterOffice, letter: DeadLetter): void {
  const { to, cause, deliveries: attempts, atMs } = letter;
  const code = letter.reason === "dead" ? "not_ready" : "internal";
  if (isFeedback(letter.message)) {
    const { request, message } = letter.message;
    refuse(message, { id: request.id, code, message: `${to} gave up on it: ${cause}` });
    return;
  }
  for (const request of requestsIn(letter.message)) {
    // Its deadline may have closed it already; then its actor's path tells whose it was.
    const owner =
      wiring.models.find(({ desk }) => desk.isOpen(request)) ?? wiring.models.find((each) => isBelow(to, each));
    const model = owner?.model;
    owner?.desk.refuse(request, code, `${to} gave up on it: ${cause}`);
    if (model === undefined || !isPoison(letter)) continue;
    office.post(
      deadLetterOfRequest(model, request, { node, phase: phaseOf(to), state: "exhausted", cause, attempts, atMs }),
    );
  }
}

function isBelow(path: string, { name }: { readonly name: string }): boolean {
  return path.startsWith(`${name}/`);
}
