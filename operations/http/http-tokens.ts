// The two tokens of the HTTP interface: made by the root, handed to the operations node in its environment, never on a command line.
//
// Owns: how they are made and the names they travel under. Does not own: who is asked for which (access.ts), context.json (transport/context.ts).

import { randomBytes } from "node:crypto";
import { addressText, type HttpAddress } from "./http-address.js";

export interface HttpTokens {
  /** Reads. */
  readonly viewer: string;
  /** Reads and gives orders. */
  readonly operator: string;
}

const tokenVariables = { viewer: "DRIFTMEND_HTTP_VIEWER", operator: "DRIFTMEND_HTTP_OPERATOR" } as const;

const tokenBytes = 32;
/** Characters: a token of 16 random bytes has that many. */
const shortest = 22;

export function makeTokens(): HttpTokens {
  const fresh = (): string => randomBytes(tokenBytes).toString("base64url");
  return { viewer: fresh(), operator: fresh() };
}

/** As a node's environment says them. */
export function environmentOf({ viewer, operator }: HttpTokens): Readonly<Record<string, string>> {
  return { [tokenVariables.viewer]: viewer, [tokenVariables.operator]: operator };
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
  const { [tokenVariables.viewer]: viewer = "", [tokenVariables.operator]: operator = "" } = environment;
  if (viewer === "" && operator === "") return { kind: "none" };
  const weak = [viewer, operator].some((each) => each.length < shortest || !/^[\x21-\x7e]+$/.test(each));
  if (weak || viewer === operator) {
    const message = `${tokenVariables.viewer} and ${tokenVariables.operator}: two different tokens of ${shortest} or more characters without blanks`;
    return { kind: "refused", message };
  }
  return { kind: "tokens", tokens: { viewer, operator } };
}
