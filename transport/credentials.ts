// Who may do what: four roles, their permissions as data, their passwords, and the server's config text for them.
//
// Owns: the allow-lists. Does not own: subjects (subjects.ts), the server (broker.ts), where passwords are written (context.ts).
//
// P1. Allow-lists only: what is not named is denied, so JetStream's API, the leases, the log and other people's inboxes are closed to
//     everyone but nodes, and open to operators for reading.
// P2. Every user has an inbox prefix of its own; nobody else may listen on it.
//
// A node is trusted: it answers anybody's inbox and owns the log. An operator may create consumers, which is how a log is read; a
// consumer could be pointed at another subject, so operators are people who are trusted with the cluster.

import { randomBytes } from "node:crypto";
import { discovery, inboxPrefixOf, readOnlyJetStreamApi, type Subjects } from "./subjects.js";

export const roles = ["client", "telemetry", "operator", "node"] as const;
export type Role = (typeof roles)[number];

export interface Credential {
  readonly user: string;
  readonly password: string;
}
export type Credentials = Readonly<Record<Role, Credential>>;

export interface Permissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

const passwordBytes = 24;

/** Fresh random passwords; the user names are the roles. */
export function makeCredentials(): Credentials {
  return { client: fresh("client"), telemetry: fresh("telemetry"), operator: fresh("operator"), node: fresh("node") };
}

function fresh(role: Role): Credential {
  return { user: role, password: randomBytes(passwordBytes).toString("base64url") };
}

export function permissionsOf(role: Role, subjects: Subjects): Permissions {
  const { all } = subjects;
  const inbox = `${inboxPrefixOf(role)}.>`;
  switch (role) {
    case "client":
      return { publish: [all.infer, all.feedback, discovery.all], subscribe: [inbox] };
    case "telemetry":
      return { publish: [all.report], subscribe: [all.telemetry, all.alert, inbox] };
    case "operator":
      return {
        publish: [
          ...[all.infer, all.feedback, all.chaos, all.order, all.actor, all.report],
          // Whoever sends a labelled stream says how it went; every other event is a node's.
          subjects.event("scored"),
          // How far the stability test is.
          subjects.event("stability"),
          discovery.all,
          ...readOnlyJetStreamApi,
        ],
        subscribe: [all.telemetry, all.alert, all.cleanup, inbox],
      };
    case "node":
      return { publish: [">"], subscribe: [">"] };
  }
}

const accountName = "DRIFTMEND";

/** The accounts block of a nats-server config. */
export function renderAccounts(credentials: Credentials, subjects: Subjects): string {
  const users = roles.map((role) => renderUser(credentials[role], permissionsOf(role, subjects)));
  return [
    "accounts {",
    `  ${accountName} {`,
    "    jetstream: enabled",
    "    users: [",
    ...users,
    "    ]",
    "  }",
    "}",
  ].join("\n");
}

function renderUser(credential: Credential, permissions: Permissions): string {
  const { publish, subscribe } = permissions;
  return [
    `      { user: ${quoted(credential.user)}, password: ${quoted(credential.password)}, permissions: {`,
    `          publish: ${publish.length === 0 ? '{ deny: ">" }' : `{ allow: ${listed(publish)} }`}`,
    `          subscribe: { allow: ${listed(subscribe)} }`,
    "      } }",
  ].join("\n");
}

function listed(subjects: readonly string[]): string {
  return `[${subjects.map(quoted).join(", ")}]`;
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
