// The tokens of the HTTP interface: made by the root, handed to the operations node in its environment, never on a command line.
//
// Owns: how they are made and the names they travel under. Does not own: who is asked for which (access.ts), context.json (transport/access/context.ts).

import { randomBytes } from "node:crypto";
import { addressText, type HttpAddress } from "./http-address.js";

export interface HttpTokens {
  /** Reads. */
  readonly viewer: string;
  /** Reads, gives orders, asks for inferences. */
  readonly operator: string;
  /** Asks for inferences; nobody has it where it is left out. */
  readonly client?: string;
}

const tokenVariables = {
  viewer: "DRIFTMEND_HTTP_VIEWER",
  operator: "DRIFTMEND_HTTP_OPERATOR",
  client: "DRIFTMEND_HTTP_CLIENT",
} as const;

const tokenBytes = 32;
/** Characters: a token of 16 random bytes has that many. */
const shortest = 22;

export function makeTokens(): HttpTokens {
  const fresh = (): string => randomBytes(tokenBytes).toString("base64url");
  return { viewer: fresh(), operator: fresh(), client: fresh() };
}

/** As a node's environment says them. */
export function environmentOf({ viewer, operator, client }: HttpTokens): Readonly<Record<string, string>> {
  return {
    [tokenVariables.viewer]: viewer,
    [tokenVariables.operator]: operator,
    ...(client === undefined ? {} : { [tokenVariables.client]: client }),
  };
}

/** The node was told to serve HTTP and cannot do it safely: whoever starts it must give the tokens. */
export class HttpAccessError extends Error {
  override readonly name = "HttpAccessError";
}

export function needsTokens(address: HttpAddress): string {
  const names = `${tokenVariables.viewer} and ${tokenVariables.operator}`;
  return `--http ${addressText(address)} is beyond loopback, where everything needs a token: set ${names} in the environment`;
}

export type ReadTokens =
  | { readonly kind: "tokens"; readonly tokens: HttpTokens }
  | { readonly kind: "none" }
  | { readonly kind: "refused"; readonly message: string };

export function tokensIn(environment: Readonly<Record<string, string | undefined>>): ReadTokens {
  const { viewer: viewerName, operator: operatorName, client: clientName } = tokenVariables;
  const { [viewerName]: viewer = "", [operatorName]: operator = "", [clientName]: client = "" } = environment;
  if (viewer === "" && operator === "" && client === "") return { kind: "none" };
  const given = [viewer, operator, ...(client === "" ? [] : [client])];
  const weak = given.some((each) => each.length < shortest || !/^[\x21-\x7e]+$/.test(each));
  if (weak || new Set(given).size < given.length) {
    const message = `${viewerName} and ${operatorName}, and ${clientName} where it is wanted: different tokens of ${shortest} or more characters without blanks`;
    return { kind: "refused", message };
  }
  return { kind: "tokens", tokens: { viewer, operator, ...(client === "" ? {} : { client }) } };
}

/** Of the NATS user as whom an operations node asks for inferences that come by HTTP. */
const clientVariables = { user: "DRIFTMEND_CLIENT_USER", password: "DRIFTMEND_CLIENT_PASSWORD" } as const;

export interface ClientCredential {
  readonly user: string;
  readonly password: string;
}

export function clientEnvironment({ user, password }: ClientCredential): Readonly<Record<string, string>> {
  return { [clientVariables.user]: user, [clientVariables.password]: password };
}

/** Undefined where there is no password: then it asks as nobody, which a server without users takes. */
export function clientIn(environment: Readonly<Record<string, string | undefined>>): ClientCredential | undefined {
  const { [clientVariables.user]: user = "client", [clientVariables.password]: password = "" } = environment;
  return password === "" ? undefined : { user, password };
}
