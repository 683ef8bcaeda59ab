// Who a person says he is: --user with --password or --nkey, and the certificates of --tls-ca, --tls-cert, --tls-key, as values.
//
// Owns: how these flags go together, reading the seed's file. Does not own: the flags' help (grammar.ts), connecting.

import { resolve } from "node:path";
import { readSeedFile } from "../../transport/access/nkeys.js";
import type { Tls } from "../../transport/access/tls-files.js";
import type { Outcome } from "./outcome.js";

export interface SignInOptions {
  readonly user?: string;
  readonly password?: string;
  /** A file with the user's seed. */
  readonly nkey?: string;
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

export interface SignIn {
  readonly kind: "identity";
  readonly identity: { readonly user?: string; readonly password?: string; readonly nkey?: string };
}

/** `keyed`: whose key it is when no user is named; his inbox prefix is named after him. */
export async function signInOf(
  { user, password, nkey: file }: SignInOptions,
  keyed: "node" | "operator",
): Promise<SignIn | Extract<Outcome, { kind: "usage" }>> {
  if (file === undefined)
    return {
      kind: "identity",
      identity: { ...(user === undefined ? {} : { user }), ...(password === undefined ? {} : { password }) },
    };
  const found = await readSeedFile(resolve(file));
  if (found.kind === "refused")
    return {
      kind: "usage",
      message: `--nkey: ${found.message}`,
      next: "driftmend auth init makes keys; docs/security.md",
    };
  // A password may stand in the environment for something else; the key was named on purpose.
  return { kind: "identity", identity: { user: user ?? keyed, nkey: found.seed } };
}

/** Undefined when no flag names a file. */
export function tlsOf({ tlsCa, tlsCert, tlsKey }: SignInOptions): Tls | undefined {
  if (tlsCa === undefined && tlsCert === undefined && tlsKey === undefined) return undefined;
  return {
    ...(tlsCa === undefined ? {} : { caFile: resolve(tlsCa) }),
    ...(tlsCert === undefined ? {} : { certFile: resolve(tlsCert) }),
    ...(tlsKey === undefined ? {} : { keyFile: resolve(tlsKey) }),
  };
}
