// The beginning of a connection: how it says who it is, and what it means when it does not come about.
//
// Owns: the choice between key and password, the causes of a failure. Does not own: the connection (bus.ts), keys and signatures (nkeys.ts),
// certificates (tls-files.ts).

import { errors } from "@nats-io/transport-node";
import { proverOf } from "../access/nkeys.js";
import { type Tls, whyUntrusted } from "../access/tls-files.js";

export interface Identity {
  readonly user?: string;
  readonly password?: string;
  readonly nkey?: string;
}

/** With a key the server is told no user: it knows whose key it is. Throws ConnectError for a key that is none. */
export function signIn({ url, user, password, nkey }: Identity & { readonly url: string }) {
  if (nkey !== undefined) {
    const prove = proverOf(nkey);
    if (prove === undefined)
      throw new ConnectError("denied", url, undefined, "what was given as nkey is no user's seed");
    return { authenticator: (challenge = "") => prove(challenge) };
  }
  return { ...(user === undefined ? {} : { user }), ...(password === undefined ? {} : { pass: password }) };
}

/** Whether waiting (unreachable), other credentials (denied), or other certificates (untrusted) would help. */
export type ConnectFailure = "unreachable" | "denied" | "untrusted";

/** The first connection failed. */
export class ConnectError extends Error {
  override readonly name = "ConnectError";
  readonly why: ConnectFailure;
  readonly url: string;
  /** `detail`: what is wrong with the certificates or the key, or could be. */
  constructor(why: ConnectFailure, url: string, cause: unknown, detail = "") {
    super(sayOf(why, url, detail), { cause });
    this.why = why;
    this.url = url;
  }
}

function sayOf(why: ConnectFailure, url: string, detail: string): string {
  if (why === "denied")
    return detail === "" ? `${url} refused these credentials` : `nothing to sign in with at ${url}: ${detail}`;
  return why === "untrusted" ? `no TLS with ${url}: ${detail}` : `no NATS server answers at ${url}${detail}`;
}

const silentHint = "; if it asks for client certificates, it did not take what it was given (--tls-cert, --tls-key)";

export function connectFailure(error: unknown, url: string, tls: Tls | undefined): ConnectError {
  const isDenied = error instanceof errors.AuthorizationError || error instanceof errors.UserAuthenticationExpiredError;
  if (isDenied) return new ConnectError("denied", url, error);
  const untrusted = whyUntrusted(error, tls);
  if (untrusted !== undefined) return new ConnectError("untrusted", url, error, untrusted);
  // A server that does not like a client's certificate hangs up without a word, which looks like one that hangs.
  const maybe = tls !== undefined && error instanceof errors.TimeoutError ? silentHint : "";
  return new ConnectError("unreachable", url, error, maybe);
}
