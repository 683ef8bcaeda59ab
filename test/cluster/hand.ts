// Processes started by hand against a nats-server of the test's own: nodes without a root, and roots without a broker. What they leave
// behind can be looked at after they are gone.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../supervision/clock.js";
import { type Credential, environmentOf, type Role } from "../../transport/access/credentials.js";
import { DriftmendClient } from "../../transport/client.js";
import { type LeaseView, openLease } from "../../transport/log/lease.js";
import type { Cluster } from "../transport/fixture.js";
import { entry } from "./running.js";

export interface HandStarted {
  readonly child: ChildProcess;
  /** Its first line on stdout. */
  readonly ready: Promise<string>;
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null; readonly stderr: string }>;
  readonly output: { readonly stdout: string };
  /** What it left in its working and in its temporary directory. */
  leftovers(): Promise<readonly string[]>;
  forget(): Promise<void>;
}

/** What a role signs in with, as the environment of a verb has it; the seed of a key in a file under `folder`. */
async function signInFrom(folder: string, credential: Credential): Promise<Readonly<Record<string, string>>> {
  if ("password" in credential) return environmentOf(credential);
  const file = join(folder, "seed.nk");
  await writeFile(file, credential.nkey, { mode: 0o600 });
  return { DRIFTMEND_NKEY: file };
}

/** `role`: whose password or key it is given. */
export async function byHand(cluster: Cluster, role: Role, ...words: readonly string[]): Promise<HandStarted> {
  const [cwd, temporary, keys] = [await emptyFolder(), await emptyFolder(), await emptyFolder()];
  const signIn = await signInFrom(keys, cluster.credentials[role]);
  const child = spawn(process.execPath, [entry, ...words, "--nats", cluster.broker.url, "--user", role], {
    cwd,
    env: { PATH: process.env.PATH, TMPDIR: temporary, ...signIn },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const)
    child[stream].setEncoding("utf8").on("data", (text: string) => {
      output[stream] += text;
    });
  const ended = once(child, "close").then(([code, signal]) => ({ code, signal, stderr: output.stderr }));
  const early = ended.then(({ code, stderr }): never => {
    throw new Error(`ended with ${code} before it was ready: ${stderr}`);
  });
  const ready = Promise.race([once(child.stdout, "data").then(([line]) => String(line)), early]);
  ready.catch(() => undefined);
  return {
    child,
    ready,
    ended,
    output,
    leftovers: async () => [...(await readdir(cwd)), ...(await readdir(temporary))],
    forget: async () => {
      child.kill("SIGKILL");
      await ended;
      for (const folder of [cwd, temporary, keys]) await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A node with all roles. */
export function nodeByHand(cluster: Cluster, name: string, ...words: readonly string[]): Promise<HandStarted> {
  const roles = "serving,learning,operations";
  return byHand(cluster, "node", "node", "--json", "--role", roles, "--name", name, ...words);
}

/** A verb as an operator types it. */
export async function typed(cluster: Cluster, ...words: readonly string[]) {
  const started = await byHand(cluster, "operator", ...words);
  const { code, stderr } = await started.ended;
  const { stdout } = started.output;
  await started.forget();
  return { code, stdout, stderr };
}

export function clientOf(cluster: Cluster): Promise<DriftmendClient> {
  const { url } = cluster.broker;
  return DriftmendClient.connect({ ...cluster.credentials.client, cluster: "driftmend", url, clock: systemClock });
}

/** Who holds the right to write the digits model. */
export async function leaseOf(cluster: Cluster): Promise<LeaseView> {
  const bus = await cluster.bus();
  const view = await openLease(bus, systemClock, cluster.subjects.leaseBucket, "digits").look();
  await bus.close();
  return view;
}

/** Resolves when the node has been elected as the writer. */
export async function leaseHeld(cluster: Cluster, by: string): Promise<void> {
  for (;;) {
    const view = await leaseOf(cluster);
    if (view.kind === "held" && view.owner.node === by) return;
    await systemClock.delay(20);
  }
}

function emptyFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "driftmend-hand-"));
}
