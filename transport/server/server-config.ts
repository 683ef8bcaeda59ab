// Users and certificates as a nats-server reads them in its config.
//
// Owns: the text of these blocks. Does not own: who may do what (credentials.ts), the rest of a config (broker.ts, operations/cluster/auth-files.ts).
//
// C1. Of a user with a key only the public key is written.

import { resolve } from "node:path";
import type { Credential, User } from "../access/credentials.js";
import { publicKeyOf } from "../access/nkeys.js";
import type { ServerTls } from "../access/tls-files.js";

const accountName = "DRIFTMEND";

/** The accounts block of a nats-server config. */
export function renderAccounts(users: readonly User[]): string {
  return [
    "accounts {",
    `  ${accountName} {`,
    "    jetstream: enabled",
    "    users: [",
    ...users.map(renderUser),
    "    ]",
    "  }",
    "}",
  ].join("\n");
}

function renderUser({ credential, permissions }: User): string {
  return [
    `      { ${renderIdentity(credential)}, permissions: {`,
    `          publish: { allow: ${listed(permissions.publish)} }`,
    `          subscribe: { allow: ${listed(permissions.subscribe)} }`,
    "      } }",
  ].join("\n");
}

function renderIdentity(credential: Credential): string {
  if ("password" in credential) return `user: ${quoted(credential.user)}, password: ${quoted(credential.password)}`;
  const key = publicKeyOf(credential.nkey);
  if (key === undefined) throw new Error(`the nkey of ${credential.user} is no user's seed`);
  return `nkey: ${key}`;
}

function listed(subjects: readonly string[]): string {
  return `[${subjects.map(quoted).join(", ")}]`;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}

/** The tls block of a nats-server config. */
export function renderTls({ certFile, keyFile, caFile, verify = false }: ServerTls): string {
  const named = { cert_file: resolve(certFile), key_file: resolve(keyFile) };
  const lines = Object.entries({ ...named, ...(caFile === undefined ? {} : { ca_file: resolve(caFile) }) });
  return [
    "tls {",
    ...lines.map(([name, file]) => `  ${name}: ${JSON.stringify(file)}`),
    ...(verify ? ["  verify: true"] : []),
    "}",
  ].join("\n");
}

/** Between servers each shows its certificate, whatever clients are asked for. */
export function renderRouteTls(tls: ServerTls, indent: string): string {
  return renderTls({ ...tls, verify: true }).replace(/^/gm, indent);
}
