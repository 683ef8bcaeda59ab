// What a node takes from its flags and its environment: how it signs in, what it measures, its HTTP, its operations file, shared memory.
//
// Owns: how these go together, and what is wrong with them. Does not own: the node's tree and its start (node.ts).

import { readFileSync } from "node:fs";
import type { Logger } from "../../supervision/logger.js";
import { secretVariables } from "../../transport/access/credentials.js";
import { DriftmendClient } from "../../transport/client.js";
import { inboxPrefixOf } from "../../transport/subjects.js";
import { sharedMemoryDir, sharedMemoryOff } from "../../transport/tensors/segment-place.js";
import { openSegments, type Segments } from "../../transport/tensors/segments.js";
import { withTimeouts } from "../../transport/timeouts.js";
import { reachOf } from "../http/http-address.js";
import type { HttpSettings } from "../http/http-settings.js";
import { clientIn, HttpAccessError, needsTokens, tokensIn } from "../http/http-tokens.js";
import { Instruments } from "../metrics/instruments.js";
import type { OperationsSettings } from "../operations-settings.js";
import type { Terminal } from "../terminal/terminal.js";
import { type TracePolicy, traceAll, tracePolicyOf } from "../traces/trace-context.js";
import { AccessError } from "./listening.js";
import type { NodeOptions } from "./run-options.js";
import { signInOf, tlsOf } from "./sign-in.js";

/** The seed comes in the environment of a node that a root starts, else from a file. Throws AccessError for a file that is no good. */
export async function accessOf(options: NodeOptions, env: NodeJS.ProcessEnv) {
  const { [secretVariables.nkey]: seed = "" } = env;
  // What this process starts needs no secret of it.
  delete env[secretVariables.nkey];
  const { user = "node" } = options;
  const signed = seed === "" || options.nkey !== undefined ? await signInOf(options, "node") : undefined;
  if (signed?.kind === "usage") throw new AccessError(signed.message, signed.next);
  const identity = signed?.identity ?? { user, nkey: seed };
  const tls = tlsOf(options);
  return {
    ...identity,
    ...(identity.user === undefined ? {} : { inboxPrefix: inboxPrefixOf(identity.user) }),
    ...(tls === undefined ? {} : { tls }),
  };
}

/** Shared memory, from which large tensors of this host are read; without it they come in chunks. */
export async function segmentsOf(
  { shm: dir = sharedMemoryDir, role, cluster, timeout = {} }: NodeOptions,
  owner: string,
  { clock }: Terminal,
  log: Logger,
): Promise<Segments | undefined> {
  if (dir === sharedMemoryOff || !role.includes("serving")) return undefined;
  const opened = await openSegments({ cluster, dir, clock, owner, timeouts: withTimeouts(timeout) });
  if (opened.kind === "open") return opened;
  log.info("large tensors come in chunks: there is no shared memory", { dir, why: opened.why });
  return undefined;
}

/** What is measured and traced; with a switch, SIGUSR2 turns it off and on. */
export function measuring({ trace: word, meterSwitch }: NodeOptions): {
  readonly instruments?: Instruments;
  readonly trace: TracePolicy;
} {
  const given = word === undefined ? traceAll : (tracePolicyOf(word) ?? traceAll);
  if (meterSwitch === undefined) return { trace: given };
  const instruments = new Instruments();
  const trace = { ...given };
  let isOn = true;
  process.on("SIGUSR2", () => {
    isOn = !isOn;
    if (meterSwitch !== "traces") instruments.turn(isOn);
    if (meterSwitch !== "metrics") trace.ratio = isOn ? given.ratio : 0;
  });
  return { instruments, trace };
}

/** Looked at until the process ends. */
export async function operationsOf(
  { operations: path, role }: NodeOptions,
  { clock }: Terminal,
  log: Logger,
  env: NodeJS.ProcessEnv,
): Promise<OperationsSettings | undefined> {
  if (path === undefined || !role.includes("operations")) return undefined;
  const secrets = { env, readFile: (file: string) => readFileSync(file, "utf8") };
  const onChange = (lines: readonly string[]): void => {
    if (lines.length === 0) log.info("the operations file was read again", { path });
    else log.warn("the operations file was changed and is not taken", { path, lines });
  };
  // With it comes yaml, which no other node needs.
  const { openOperationsSettings } = await import("../operations-settings.js");
  return openOperationsSettings({ path, clock, secrets, onChange });
}

/** The tokens come in the environment: a command line is seen by every user of the machine. */
export function httpOf(options: NodeOptions, { clock }: Terminal, env: NodeJS.ProcessEnv): HttpSettings | undefined {
  const { http: address, httpReports: reports, httpRate: ratePerMinute, role, cluster, nats: url, timeout } = options;
  if (address === undefined) return undefined;
  if (!role.includes("operations")) throw new HttpAccessError("--http goes with the role operations");
  const read = tokensIn(env);
  if (read.kind === "refused") throw new HttpAccessError(read.message);
  if (read.kind === "none" && reachOf(address) === "network") throw new HttpAccessError(needsTokens(address));
  const tokens = read.kind === "tokens" ? read.tokens : undefined;
  const as = { cluster, url, clock, name: "driftmend-http", timeouts: withTimeouts(timeout ?? {}) };
  const credential = clientIn(env);
  const tls = tlsOf(options);
  return {
    address,
    tokens,
    connectClient: () => DriftmendClient.connect({ ...as, ...credential, ...(tls === undefined ? {} : { tls }) }),
    ...(reports === undefined ? {} : { reports }),
    ...(ratePerMinute === undefined ? {} : { ratePerMinute }),
  };
}
