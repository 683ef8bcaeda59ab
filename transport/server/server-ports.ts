// Where an embedded server listens, as it says itself, and whether it is healthy there.
//
// Owns: the reading of the server's own file of ports, its /healthz. Does not own: the server (broker.ts).

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../models/clock.js";
import { abortedAfter } from "../aborted-after.js";
import { identify, type ProcessIdentity } from "../process-identity.js";

export const loopback = "127.0.0.1";
const healthWithinMs = 2_000;

export interface Ports {
  readonly client: number;
  readonly monitor: number;
}

/** The server writes `nats-server_<pid>.ports` once it listens. */
export async function readPorts(
  directory: string,
): Promise<{ readonly server: ProcessIdentity; readonly ports: Ports } | undefined> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  });
  const file = names.find((name) => name.endsWith(".ports"));
  if (file === undefined) return undefined;
  const text = await readFile(join(directory, file), "utf8");
  if (!text.trimEnd().endsWith("}")) return undefined;
  const listed = JSON.parse(text) as { readonly nats?: readonly string[]; readonly monitoring?: readonly string[] };
  const [client] = listed.nats ?? [];
  const [monitor] = listed.monitoring ?? [];
  const server = await identify(Number(/_(\d+)\.ports$/.exec(file)?.[1]));
  if (client === undefined || monitor === undefined || server === undefined) return undefined;
  return { server, ports: { client: Number(new URL(client).port), monitor: Number(new URL(monitor).port) } };
}

export async function isHealthy(port: number, clock: Clock): Promise<boolean> {
  const url = `http://${loopback}:${port}/healthz`;
  const response = await abortedAfter(clock, healthWithinMs, (signal) => fetch(url, { signal })).catch(() => undefined);
  return response?.ok === true;
}
