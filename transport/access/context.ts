// context.json: how the other verbs, and other programs, find a running cluster: the one of this machine, whose root wrote it, or one
// anywhere, for which `driftmend auth init` wrote a file for each user.
//
// Owns: the file's shape, its mode 0600, and the judgement whether its cluster still lives.
// Does not own: the secrets in it (credentials.ts).
//
// C1. What a former version wrote is read: there everybody has a password.

import { randomUUID } from "node:crypto";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { makeFolder } from "../../models/make-folder.js";
import { isTimeoutName, type Timeouts } from "../timeouts.js";
import { type Credential, identityOf, type PasswordCredential } from "./credentials.js";
import { publicKeyOf } from "./nkeys.js";
import type { Tls } from "./tls-files.js";

export interface ClusterContext {
  readonly cluster: string;
  readonly natsUrl: string;
  /** "" where HTTP is not served. */
  readonly httpUrl: string;
  /** Who reads over HTTP, who gives orders, who asks for inferences (files of 0.1.0 have none); left out where it is not served. */
  readonly httpTokens?: { readonly viewer: string; readonly operator: string; readonly client?: string };
  /** The root process; 0 of a cluster that has none on this machine. */
  readonly pid: number;
  /** Whom alone this file is for; left out when it is for whoever started the cluster. The others of `users` are nobody then. */
  readonly only?: ContextRole;
  /** What a connection needs where the server speaks TLS; a path that is not whole is seen from the file's own folder. */
  readonly tls?: Tls;
  /** What this cluster was started with beside the defaults. */
  readonly settings?: ClusterSettings;
  readonly users: {
    readonly client: PasswordCredential;
    readonly telemetry: PasswordCredential;
    readonly operator: Credential;
  };
}

export type ContextRole = "client" | "telemetry" | "operator";
/** Of a cluster that asks nobody who he is. */
export const nobody: PasswordCredential = { user: "", password: "" };

/** Only what differs from the defaults. */
export interface ClusterSettings {
  readonly timeouts: Partial<Timeouts>;
  readonly overflow?: string;
  readonly openMax?: number;
  /** Guardrails by name, as they were given. */
  readonly guardrails: Readonly<Record<string, number>>;
  readonly unsafeGuardrails: boolean;
}

export type FoundContext =
  | { readonly kind: "found"; readonly context: ClusterContext; readonly file: string }
  | { readonly kind: "missing"; readonly file: string }
  /** The root process that wrote it is gone. */
  | { readonly kind: "stale"; readonly file: string; readonly pid: number }
  | { readonly kind: "damaged"; readonly file: string; readonly message: string };

const fileName = "context.json";
export const defaultStore = ".driftmend";

export function contextFile(store: string): string {
  return join(store, fileName);
}

export async function writeContext(store: string, context: ClusterContext): Promise<string> {
  await makeFolder(store, 0o700);
  const file = contextFile(store);
  const temporary = `${file}.${randomUUID()}`;
  await writeFile(temporary, contextText(context), { mode: 0o600 });
  await rename(temporary, file);
  return file;
}

/** As it stands in the file. */
export function contextText(context: ClusterContext): string {
  const { only, users, ...rest } = context;
  const told = only === undefined ? { users } : { only, users: { [only]: users[only] } };
  return `${JSON.stringify({ ...rest, ...told }, undefined, 2)}\n`;
}

/** What a connection to the cluster is made with, in somebody's rights; a cluster without users asks nobody who he is. */
export function accessAs({ natsUrl, tls, users }: ClusterContext, role: ContextRole) {
  return { url: natsUrl, ...identityOf(users[role]), ...(tls === undefined ? {} : { tls }) };
}

/** Only the cluster that wrote it removes it: a successor's file stays. */
export async function removeContext(store: string, pid: number): Promise<void> {
  const found = await readContext(contextFile(store));
  const own = (found.kind === "found" && found.context.pid === pid) || (found.kind === "stale" && found.pid === pid);
  if (own) await rm(contextFile(store), { force: true });
}

/** `file` is what --context names, or contextFile(store). */
export async function readContext(file: string): Promise<FoundContext> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return { kind: "missing", file };
    throw error;
  }
  const context = contextIn(text, dirname(file));
  if (typeof context === "string") return { kind: "damaged", file, message: context };
  return context.pid === 0 || isRunning(context.pid)
    ? { kind: "found", context, file }
    : { kind: "stale", file, pid: context.pid };
}

function contextIn(text: string, folder: string): ClusterContext | string {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    return "it is not JSON; --context takes the context.json of `up`, or a file of `auth init`";
  }
  const { cluster, natsUrl, httpUrl, httpTokens, pid, only, tls, settings, ...given } = (found ??
    {}) as Partial<ClusterContext>;
  if (typeof cluster !== "string" || typeof natsUrl !== "string" || typeof pid !== "number") {
    return "cluster, natsUrl or pid is missing";
  }
  const users = usersIn(given.users, only);
  if (typeof users === "string") return users;
  const told = {
    ...(only === undefined ? {} : { only }),
    ...(tls === undefined ? {} : { tls: tlsIn(tls, folder) }),
    ...(settings === undefined ? {} : { settings: settingsIn(settings) }),
    ...(typeof httpTokens?.viewer === "string" && typeof httpTokens.operator === "string" ? { httpTokens } : {}),
  };
  return { cluster, natsUrl, httpUrl: typeof httpUrl === "string" ? httpUrl : "", pid, users, ...told };
}

/** What another version wrote and this one does not know is left out. */
function settingsIn(found: Partial<ClusterSettings>): ClusterSettings {
  const { overflow, openMax, unsafeGuardrails } = found;
  return {
    timeouts: Object.fromEntries(Object.entries(numbersIn(found.timeouts)).filter(([name]) => isTimeoutName(name))),
    guardrails: numbersIn(found.guardrails),
    unsafeGuardrails: unsafeGuardrails === true,
    ...(typeof overflow === "string" ? { overflow } : {}),
    ...(typeof openMax === "number" ? { openMax } : {}),
  };
}

function numbersIn(found: unknown): Readonly<Record<string, number>> {
  if (typeof found !== "object" || found === null) return {};
  return Object.fromEntries(Object.entries(found).filter(([, value]) => typeof value === "number"));
}

function usersIn(
  found: Partial<ClusterContext["users"]> | undefined,
  only: ContextRole | undefined,
): ClusterContext["users"] | string {
  const { client, telemetry, operator } = found ?? {};
  if (only === "operator" && isCredential(operator)) return { client: nobody, telemetry: nobody, operator };
  if (only === "client" && isPassword(client)) return { client, telemetry: nobody, operator: nobody };
  if (only === "telemetry" && isPassword(telemetry)) return { client: nobody, telemetry, operator: nobody };
  if (only !== undefined) return `it is for ${String(only)}, and users does not name that one with its secret`;
  if (isPassword(client) && isPassword(telemetry) && isCredential(operator)) return { client, telemetry, operator };
  return "users must name client and telemetry with user and password, operator with user and nkey or password";
}

/** A context travels with the authority's certificate beside it. */
function tlsIn({ caFile, certFile, keyFile }: Partial<Tls>, folder: string): Tls {
  return Object.fromEntries(
    Object.entries({ caFile, certFile, keyFile }).flatMap(([name, file]) =>
      typeof file === "string" ? [[name, resolve(folder, file)]] : [],
    ),
  );
}

function isPassword(value: Partial<PasswordCredential> | undefined): value is PasswordCredential {
  return typeof value?.user === "string" && typeof value.password === "string";
}

function isCredential(value: Credential | undefined): value is Credential {
  if (value !== undefined && "nkey" in value)
    return typeof value.user === "string" && typeof value.nkey === "string" && publicKeyOf(value.nkey) !== undefined;
  return isPassword(value);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
