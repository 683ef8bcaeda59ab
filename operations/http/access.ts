// Who may ask what over HTTP: tokens, and the checks that keep other people's web pages out.
//
// Owns: the decision on a request before anything of it but its head is read. Does not own: which route needs what (routes-*.ts),
// how tokens come about (http-tokens.ts).
//
// A1. Bound to loopback, reading and inferences need no token; bound to anything else, everything but `needs: "nothing"` does. Orders
//     always need the operator's. Beyond loopback a client's token asks for inferences and sees nothing else of the cluster, a viewer's
//     sees everything and asks for none, as it is over NATS.
// A2. Bound to loopback, only loopback's own names are taken as Host, so that a foreign name that resolves to this machine (DNS rebinding)
//     reads nothing. A token travels in a header only, never in a cookie, so no other page can send it along.
// A3. A request that says it comes from another origin is refused, whatever token it has.
// A4. Tokens are compared in constant time, by their digests. A right one is taken however many wrong ones came before: a lock-out would
//     let anybody on the same address keep the operator out, and 32 random bytes are not found by trying.

import { createHash, timingSafeEqual } from "node:crypto";
import type { Clock } from "../../models/clock.js";
import { isLoopback } from "./http-address.js";
import type { HttpTokens } from "./http-tokens.js";
import { type Needs, type Refused, refused } from "./route.js";
import { WrongTries } from "./wrong-tries.js";

export interface AccessSettings {
  readonly reach: "loopback" | "network";
  /** Without them nobody gives orders, and beyond loopback nobody reads. */
  readonly tokens: HttpTokens | undefined;
}

/** The head of a request, as far as access goes by it. */
export interface Knock {
  readonly method: string;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  readonly authorization: string | undefined;
  /** Sec-Fetch-Site and Sec-Fetch-Mode: what a browser says of where the request comes from. */
  readonly fetchSite: string | undefined;
  readonly fetchMode: string | undefined;
  readonly remoteAddress: string;
}

export type Verdict = { readonly kind: "granted"; readonly as: Holder } | Refused;

/** Whose token it is. */
export type Holder = "anybody" | "client" | "viewer" | "operator";

const hostPattern = /^(\[[0-9a-f:.]{2,45}\]|[a-z0-9]([a-z0-9._-]{0,252}))(:\d{1,5})?$/;
const askForToken =
  "driftmend page --operator prints a link that carries the token; programs send Authorization: Bearer TOKEN";

export class Access {
  readonly #settings: AccessSettings;
  readonly #wrong: WrongTries;

  constructor(settings: AccessSettings, clock: Clock) {
    this.#settings = settings;
    this.#wrong = new WrongTries(clock);
  }

  judge(knock: Knock, needs: Needs): Verdict {
    return refusalOfPlace(knock, this.#settings.reach) ?? this.#judgeToken(knock, needs);
  }

  #judgeToken({ authorization, remoteAddress }: Knock, needs: Needs): Verdict {
    const as = this.#holderOf(authorization);
    if (as === "wrong") {
      const waitSeconds = this.#wrong.add(remoteAddress);
      if (waitSeconds > 0)
        return refused(
          429,
          "too_many_tries",
          "too many wrong tokens from this address",
          "wait, then send the right one",
          waitSeconds,
        );
      return refused(401, "wrong_token", "this token is not one of this cluster's", askForToken);
    }
    if (needs === "nothing" || as === "operator") return { kind: "granted", as };
    if (needs === "operator")
      return as === "anybody"
        ? refused(401, "token_needed", "an order needs the operator's token", askForToken)
        : refused(403, "operator_only", `a ${as}'s token gives no orders`, askForToken);
    if (this.#settings.reach === "loopback" || as === needs) return { kind: "granted", as };
    if (as === "anybody") return refused(401, "token_needed", "beyond loopback everything needs a token", askForToken);
    if (needs === "token") return { kind: "granted", as };
    return as === "client"
      ? refused(403, "viewer_only", "a client's token asks for inferences and nothing else", askForToken)
      : refused(403, "client_only", "a viewer's token asks for no inferences", askForToken);
  }

  #holderOf(authorization: string | undefined): Holder | "wrong" {
    if (authorization === undefined) return "anybody";
    const [, given] = /^bearer +([\x21-\x7e]{1,256})$/i.exec(authorization) ?? [];
    const { tokens } = this.#settings;
    if (given === undefined || tokens === undefined) return "wrong";
    // All are compared, whichever it is.
    const isOperator = equal(given, tokens.operator);
    const isViewer = equal(given, tokens.viewer);
    const isClient = tokens.client !== undefined && equal(given, tokens.client);
    return isOperator ? "operator" : isViewer ? "viewer" : isClient ? "client" : "wrong";
  }
}

function refusalOfPlace(
  { method, host = "", origin, fetchSite, fetchMode }: Knock,
  reach: AccessSettings["reach"],
): Refused | undefined {
  const [, name] = hostPattern.exec(host.toLowerCase()) ?? [];
  if (name === undefined)
    return refused(400, "bad_host", "the Host header names no host", "send a Host header like 127.0.0.1:7480");
  if (reach === "loopback" && !isLoopback(name))
    return refused(
      403,
      "foreign_host",
      "this Host is not this machine's own loopback name",
      "ask 127.0.0.1 or localhost",
    );
  if (origin !== undefined && !isSameOrigin(origin, host))
    return refused(
      403,
      "foreign_origin",
      "a page of another origin asks",
      "open the page that this server itself gives at /",
    );
  const comesFromElsewhere = fetchSite === "cross-site" || fetchSite === "same-site";
  // A link on another page may be followed here; nothing else may come from there.
  if (comesFromElsewhere && !(method === "GET" && fetchMode === "navigate"))
    return refused(
      403,
      "foreign_origin",
      "a page of another site asks",
      "open the page that this server itself gives at /",
    );
  return undefined;
}

/** By name and port; what stands in front of this server may speak https. */
function isSameOrigin(origin: string, host: string): boolean {
  if (!/^https?:\/\//i.test(origin) || !URL.canParse(origin)) return false;
  const { protocol, host: from } = new URL(origin);
  return URL.canParse(`${protocol}//${host}`) && new URL(`${protocol}//${host}`).host === from;
}

function equal(given: string, right: string): boolean {
  return timingSafeEqual(digest(given), digest(right));
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
