// Who may do what: four roles, their permissions as data, and their secrets.
//
// Owns: the allow-lists. Does not own: subjects (subjects.ts), keys (nkeys.ts), the server's config (server-config.ts), where secrets are
// written (context.ts).
//
// P1. Allow-lists only: what is not named is denied, so JetStream's API, the leases, the log and other people's inboxes are closed to
//     everyone but nodes, and open to operators for reading.
// P2. Every user has an inbox prefix of its own; nobody else may listen on it. Several clients are several users.
// P3. Nodes and operators have keys: no secret of theirs is ever shown to a server. Clients and listeners have passwords, which every NATS
//     client in every language takes.
//
// A node is trusted with the cluster's own subjects, and with nothing else: of JetStream's API with what transport/ asks of it, of buckets
// with the cluster's, and it listens on no inbox but its own. An operator may create consumers, which is how a log is read; a consumer
// could be pointed at another subject, so operators are people who are trusted with the cluster.

import { randomBytes } from "node:crypto";
import {
  bucketKeys,
  discovery,
  inboxes,
  inboxPrefixOf,
  nodeJetStreamApi,
  readOnlyJetStreamApi,
  type Subjects,
} from "../subjects.js";
import { makeSeed } from "./nkeys.js";

export const roles = ["client", "telemetry", "operator", "node"] as const;
export type Role = (typeof roles)[number];

export interface PasswordCredential {
  readonly user: string;
  readonly password: string;
}
export interface NkeyCredential {
  /** Names the inbox prefix; the server knows the key. */
  readonly user: string;
  /** The seed: a secret. */
  readonly nkey: string;
}
export type Credential = PasswordCredential | NkeyCredential;
export interface Credentials {
  readonly client: PasswordCredential;
  readonly telemetry: PasswordCredential;
  readonly operator: Credential;
  readonly node: Credential;
}
/** A password for everybody. */
export type Passwords = Readonly<Record<Role, PasswordCredential>>;

export interface Permissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/** One user of the server. */
export interface User {
  readonly credential: Credential;
  readonly permissions: Permissions;
}

const passwordBytes = 24;

/** Fresh secrets: keys for node and operator, passwords for client and telemetry. The user names are the roles. */
export function makeCredentials() {
  const { client, telemetry } = makePasswords();
  return { client, telemetry, operator: makeNkey("operator"), node: makeNkey("node") } satisfies Credentials;
}

/** Fresh passwords for everybody: for programs of somebody else that play a node and know no keys. */
export function makePasswords(): Passwords {
  return {
    client: makePassword("client"),
    telemetry: makePassword("telemetry"),
    operator: makePassword("operator"),
    node: makePassword("node"),
  };
}

export function makePassword(user: string): PasswordCredential {
  return { user, password: randomBytes(passwordBytes).toString("base64url") };
}

export function makeNkey(user: string): NkeyCredential {
  return { user, nkey: makeSeed() };
}

/** A user in the rights of a role; several may have those of one. */
export function userAs(role: Role, credential: Credential, subjects: Subjects): User {
  return { credential, permissions: permissionsOf(role, subjects, credential.user) };
}

/** One user for each role. */
export function usersOf(credentials: Credentials, subjects: Subjects): readonly User[] {
  return roles.map((role) => userAs(role, credentials[role], subjects));
}

/** What a connection says of who it is; nothing where the server asks nobody. */
export function identityOf(credential: Credential | undefined) {
  return credential === undefined || credential.user === ""
    ? {}
    : { ...credential, inboxPrefix: inboxPrefixOf(credential.user) };
}

/** Where a process finds its secret: never on its command line, which every user of the machine can read. */
export const secretVariables = { password: "DRIFTMEND_PASSWORD", nkey: "DRIFTMEND_NKEY_SEED" } as const;

export function environmentOf(credential: Credential): Readonly<Record<string, string>> {
  return "password" in credential
    ? { [secretVariables.password]: credential.password }
    : { [secretVariables.nkey]: credential.nkey };
}

/** The user's name decides where his inbox is. */
export function permissionsOf(role: Role, subjects: Subjects, user: string = role): Permissions {
  const { all } = subjects;
  const inbox = `${inboxPrefixOf(user)}.>`;
  switch (role) {
    case "client":
      return { publish: [all.infer, all.feedback, all.chunk, discovery.all], subscribe: [inbox] };
    case "telemetry":
      return { publish: [all.report], subscribe: [all.telemetry, all.alert, inbox] };
    case "operator":
      return {
        publish: [
          ...[all.infer, all.feedback, all.chunk, all.chaos, all.order, all.actor, all.report],
          // Models are added and taken away; what is valid is decided by whoever reads it (model-records.ts).
          all.model,
          // Whoever sends a labelled stream says how it went; every other event is a node's.
          subjects.event("scored"),
          // How far the stability test is.
          subjects.event("stability"),
          discovery.all,
          ...readOnlyJetStreamApi,
        ],
        subscribe: [all.telemetry, all.alert, all.cleanup, inbox],
      };
    case "node": {
      const own = [all.subjects, bucketKeys(subjects.leaseBucket), bucketKeys(subjects.alertBucket), discovery.all];
      return { publish: [...own, inboxes, ...nodeJetStreamApi], subscribe: [...own, inbox] };
    }
  }
}
