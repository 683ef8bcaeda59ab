// The node processes of a cluster on this machine, as data.
//
// Owns: how many of which role, the command line of each, spares. Does not own: when they run (local-cluster.ts, supervision/).

import { constants } from "node:os";
import { join, resolve } from "node:path";
import type { ProcessSpec, SpareSpec } from "../../supervision/process/process-spec.js";
import type { SpentBudgets } from "../../supervision/tree/restart-intensity.js";
import { type Credential, environmentOf } from "../../transport/access/credentials.js";
import type { Tls } from "../../transport/access/tls-files.js";
import { timeoutDefaults } from "../../transport/timeouts.js";
import { addressText } from "../http/http-address.js";
import { type ClientCredential, clientEnvironment, environmentOf as tokenEnvironmentOf } from "../http/http-tokens.js";
import { nodeFlags } from "../packed/node-flags.js";
import type { LocalClusterOptions } from "./local-cluster-options.js";
import type { NodeRole } from "./run-options.js";

export type NodeSpecOptions = Pick<
  LocalClusterOptions,
  | "cluster"
  | "serving"
  | "learning"
  | "spares"
  | "models"
  | "store"
  | "entry"
  | "env"
  | "output"
  | "logMaxBytes"
  | "settings"
  | "http"
  | "operations"
  | "timeouts"
  | "replicas"
>;

/** How a node reaches the cluster, and the run it belongs to. */
export interface NodeAccess {
  readonly url: string;
  readonly node: Credential | undefined;
  readonly tls?: Tls | undefined;
  /** As whom an operations node asks for inferences that come by HTTP; as nobody when left out. */
  readonly client?: ClientCredential | undefined;
  readonly run: string;
}

/** Where the nodes note which requests are in a model; gone with the cluster. */
export function flightFolder(store: string): string {
  return join(resolve(store), "flight");
}

/** Where the nodes unpack models that are added; gone with the cluster, made again from the registry. */
export function modelFolder(store: string): string {
  return join(resolve(store), "models");
}

/** Where stability runs on this store leave their reports. */
function reportFolder(store: string): string {
  return join(resolve(store), "stability");
}

/** Serving nodes, learning nodes, one operations node. */
export function nodeSpecs(options: NodeSpecOptions, access: NodeAccess): ProcessSpec[] {
  const { drain, halt, nodeReady, nodeCleanup } = options.timeouts ?? timeoutDefaults;
  const several = (count: number, role: NodeRole) =>
    Array.from({ length: count }, (_, index) => spec(`${role}-${index + 1}`, role));
  return [
    ...several(options.serving, "serving"),
    ...several(options.learning ?? 1, "learning"),
    ...several(1, "operations"),
  ];

  function spec(id: string, role: NodeRole): ProcessSpec {
    const http = role === "operations" ? options.http : undefined;
    const operations = role === "operations" ? options.operations : undefined;
    const client = access.client ?? http?.client;
    const models = options.models.flatMap((folder) => ["--model", folder]);
    return {
      id,
      role,
      command: process.execPath,
      args: [
        ...nodeFlags,
        ...[options.entry, "node", "--role", role, "--name", id],
        ...["--nats", access.url, "--cluster", options.cluster, "--run", access.run],
        ...(options.replicas === undefined ? [] : ["--replicas", `${options.replicas}`]),
        ...(options.logMaxBytes === undefined ? [] : ["--log-max", `${options.logMaxBytes}`]),
        ...["--flight-dir", flightFolder(options.store), "--model-cache", modelFolder(options.store)],
        ...models,
        ...(options.settings?.nodeFlags ?? []),
        ...(access.node === undefined ? [] : ["--user", access.node.user]),
        ...tlsFlags(access.tls),
        ...(operations === undefined ? [] : ["--operations", resolve(operations.file)]),
        ...(http === undefined
          ? []
          : ["--http", addressText(http.address), "--http-reports", reportFolder(options.store)]),
        ...(http?.ratePerMinute === undefined ? [] : ["--http-rate", `${http.ratePerMinute}`]),
      ],
      // A secret on a command line is seen by every user of the machine.
      env: {
        ...secretsOf(operations?.environment ?? {}),
        ...options.env,
        ...(access.node === undefined ? {} : environmentOf(access.node)),
        ...(http === undefined ? {} : tokenEnvironmentOf(http.tokens)),
        ...(http === undefined || client === undefined ? {} : clientEnvironment(client)),
      },
      spawnArgs: (generation, spent) => ({
        args: ["--incarnation", `${generation}`, ...(isEmpty(spent) ? [] : ["--spent", JSON.stringify(spent)])],
      }),
      ...(options.spares?.includes(role) ? { spare: spareOf(role) } : {}),
      // A node ends itself by force when its own grace time is over, and frees its leases.
      shutdownMs: drain + halt,
      readyMs: nodeReady,
      cleanupMs: nodeCleanup,
      ...(options.output === undefined ? {} : { output: options.output }),
    };
  }
}

/** Of this machine's environment, for the node that reads the operations file; every other node gets what it needs and no more. */
function secretsOf(environment: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const])),
  );
}

function tlsFlags({ caFile, certFile, keyFile }: Tls = {}): readonly string[] {
  const flags = { "--tls-ca": caFile, "--tls-cert": certFile, "--tls-key": keyFile };
  return Object.entries(flags).flatMap(([flag, file]) => (file === undefined ? [] : [flag, resolve(file)]));
}

/** A learning node runs at this priority in any case (node.ts); a serving node's spare must not give away what its service needs. */
function spareOf(role: NodeRole): SpareSpec {
  const args = ["--spare"];
  return role === "learning" ? { args, niceness: constants.priority.PRIORITY_BELOW_NORMAL } : { args };
}

function isEmpty(spent: SpentBudgets): boolean {
  return Object.keys(spent).length === 0;
}
