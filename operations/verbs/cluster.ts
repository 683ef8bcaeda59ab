// Finding the cluster that a verb is meant for, and talking to it for as long as the verb lasts.
//
// Owns: where the address and the credentials come from, and what is said when there is no cluster.
// Does not own: the context file's format (transport/access/context.ts), the connection (transport/client.ts).
import { resolve } from "node:path";
import type { Clock } from "../../models/clock.js";
import {
  type ClusterSettings,
  contextFile,
  defaultStore,
  type FoundContext,
  readContext,
} from "../../transport/access/context.js";
import type { Tls } from "../../transport/access/tls-files.js";
import { ConnectError } from "../../transport/bus/bus.js";
import { DriftmendClient } from "../../transport/client.js";
import { type Timeouts, withTimeouts } from "../../transport/timeouts.js";
import type { Outcome } from "../cluster/outcome.js";
import { signInOf, tlsOf } from "../cluster/sign-in.js";
import type { Terminal } from "../terminal/terminal.js";
import { printable } from "../text.js";
import { credentialsOf, deniedOutcome, type Role, rightsOf, watchDenials } from "./denial.js";

export interface ClusterOptions {
  readonly json?: boolean;
  readonly context?: string;
  readonly nats?: string;
  readonly user?: string;
  readonly password?: string;
  /** A file with the user's seed. */
  readonly nkey?: string;
  readonly tlsCa?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly cluster?: string;
  readonly timeout?: Partial<Timeouts>;
  /** Where shared memory is, or "off"; of verbs that send tensors. */
  readonly shm?: string;
}

interface Address {
  readonly kind: "address";
  readonly cluster: string;
  readonly url: string;
  readonly user?: string;
  readonly password?: string;
  readonly nkey?: string;
  readonly tls?: Tls;
  readonly settings: ClusterSettings;
  /** Where it was read, for messages. */
  readonly source: string;
}

const noSettings: ClusterSettings = { timeouts: {}, guardrails: {}, unsafeGuardrails: false };
export const startOne = "start a cluster with: driftmend up   (or the demo: driftmend demo)";

type Work = (client: DriftmendClient, settings: ClusterSettings) => Promise<Outcome>;

/** Connects, runs `work`, closes the connection however it ended. Where a right was missing, that is what is said of it. */
export async function withCluster(
  options: ClusterOptions,
  role: Role,
  terminal: Terminal,
  work: Work,
): Promise<Outcome> {
  const address = await findAddress(options, role);
  if (address.kind !== "address") return address;
  const { cluster, user } = address;
  const asker = { role, cluster, user, isTyped: options.nats !== undefined };
  return connected(address, options, terminal, async (client, settings) => {
    const denied = watchDenials(client.bus);
    try {
      const outcome = await work(client, settings);
      const denial = denied();
      return denial === undefined || outcome.kind === "interrupted" ? outcome : deniedOutcome(denial, asker);
    } catch (error) {
      const denial = denied();
      if (denial === undefined) throw error;
      return deniedOutcome(denial, asker);
    }
  });
}

/** The same for who tries what he may not do on purpose. */
export async function withConnection(
  options: ClusterOptions,
  role: Role,
  terminal: Terminal,
  work: Work,
): Promise<Outcome> {
  const address = await findAddress(options, role);
  return address.kind === "address" ? connected(address, options, terminal, work) : address;
}

async function connected(address: Address, options: ClusterOptions, terminal: Terminal, work: Work): Promise<Outcome> {
  const client = await connect(address, options, terminal.clock);
  if (!(client instanceof DriftmendClient)) return client;
  try {
    return await Promise.race([work(client, address.settings), interruption(terminal.interrupted)]);
  } finally {
    await client.close();
  }
}

/** Ctrl-C ends a client's verb at once: there is nothing to drain. */
function interruption(signal: AbortSignal): Promise<Outcome> {
  return new Promise((resolveOutcome) => {
    const end = (): void => resolveOutcome({ kind: "interrupted" });
    if (signal.aborted) end();
    signal.addEventListener("abort", end, { once: true });
  });
}

async function findAddress(options: ClusterOptions, role: Role): Promise<Address | Outcome> {
  if (options.nats === undefined) return fromContext(options, role);
  if (options.context !== undefined)
    return { kind: "usage", message: "--context and --nats both say where the cluster is", next: "give one of them" };
  const signed = await signInOf(options, "operator");
  if (signed.kind === "usage") return signed;
  const tls = tlsOf(options);
  return {
    kind: "address",
    cluster: options.cluster ?? "driftmend",
    url: options.nats,
    source: "--nats",
    settings: noSettings,
    ...signed.identity,
    ...(tls === undefined ? {} : { tls }),
  };
}

async function fromContext(options: ClusterOptions, role: Role): Promise<Address | Outcome> {
  // Not --password and --nkey: they may stand in the environment, where they disturb nobody.
  for (const flag of ["user", "cluster"] as const)
    if (options[flag] !== undefined)
      return { kind: "usage", message: `--${flag} goes with --nats`, next: `add --nats URL, or leave --${flag} out` };
  const file = resolve(options.context ?? contextFile(defaultStore));
  const read = await readContext(file);
  if (read.kind !== "found") return { kind: "unreachable", message: whyNone(read), next: startOne };
  const { cluster, natsUrl, users, only = role, settings = noSettings } = read.context;
  if (only !== role && only !== "operator")
    return {
      kind: "failed",
      message: `${file} is for ${only === "client" ? "a client" : "a listener"}, and this needs the rights of ${rightsOf[role]}`,
      next: credentialsOf(role),
    };
  const credential = users[only];
  const tls = tlsOf(options) ?? read.context.tls;
  return {
    kind: "address",
    cluster,
    url: natsUrl,
    source: file,
    settings,
    // Without users the cluster runs on a server that somebody else keeps, and asks nobody for a password.
    ...(credential.user === "" ? {} : credential),
    ...(tls === undefined ? {} : { tls }),
  };
}

export function whyNone(read: Exclude<FoundContext, { kind: "found" }>): string {
  if (read.kind === "missing") return `no cluster here: there is no ${read.file}`;
  if (read.kind === "stale") return `the cluster of ${read.file} is gone: its process ${read.pid} ended`;
  return `${read.file} cannot be read: ${printable(read.message)}`;
}

/** A verb waits as the cluster does, unless it is told otherwise. */
async function connect(
  address: Address,
  { timeout, shm }: ClusterOptions,
  clock: Clock,
): Promise<DriftmendClient | Outcome> {
  const { kind: _, source, settings, ...options } = address;
  const timeouts = withTimeouts({ ...settings.timeouts, ...timeout });
  try {
    const name = "driftmend-cli";
    return await DriftmendClient.connect({ ...options, clock, timeouts, name, ...(shm === undefined ? {} : { shm }) });
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    const message = `${error.message} (from ${source})`;
    if (error.why === "denied")
      return { kind: "failed", message, next: "check --user with --password or --nkey, or the context file" };
    if (error.why === "untrusted")
      return { kind: "failed", message, next: "check --tls-ca, --tls-cert and --tls-key, or the context file" };
    return { kind: "unreachable", message, next: startOne };
  }
}
