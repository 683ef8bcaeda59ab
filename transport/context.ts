// context.json: how the other verbs, and other programs, find a running cluster of this machine.
//
// Owns: the file's shape, its mode 0600, and the judgement whether its cluster still lives.
// Does not own: the passwords in it (credentials.ts).

import { randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Credential } from "./credentials.js";
import { isTimeoutName, type Timeouts } from "./timeouts.js";

export interface ClusterContext {
  readonly cluster: string;
  readonly natsUrl: string;
  /** "" where HTTP is not served. */
  readonly httpUrl: string;
  /** Who reads over HTTP, and who gives orders; left out where it is not served. */
  readonly httpTokens?: { readonly viewer: string; readonly operator: string };
  /** The root process. */
  readonly pid: number;
  /** What this cluster was started with beside the defaults. */
  readonly settings?: ClusterSettings;
  readonly users: { readonly client: Credential; readonly telemetry: Credential; readonly operator: Credential };
}

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
  await mkdir(store, { recursive: true, mode: 0o700 });
  const file = contextFile(store);
  const temporary = `${file}.${randomUUID()}`;
  await writeFile(temporary, `${JSON.stringify(context, undefined, 2)}\n`, { mode: 0o600 });
  await rename(temporary, file);
  return file;
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
  const context = contextIn(text);
  if (typeof context === "string") return { kind: "damaged", file, message: context };
  return isRunning(context.pid) ? { kind: "found", context, file } : { kind: "stale", file, pid: context.pid };
}

function contextIn(text: string): ClusterContext | string {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch (error) {
    return String(error);
  }
  const { cluster, natsUrl, httpUrl, httpTokens, pid, users, settings } = (found ?? {}) as Partial<ClusterContext>;
  if (typeof cluster !== "string" || typeof natsUrl !== "string" || typeof pid !== "number") {
    return "cluster, natsUrl or pid is missing";
  }
  if (!isCredential(users?.client) || !isCredential(users.telemetry) || !isCredential(users.operator)) {
    return "users must name client, telemetry and operator with user and password";
  }
  const told = {
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

function isCredential(value: Credential | undefined): value is Credential {
  return typeof value?.user === "string" && typeof value.password === "string";
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
