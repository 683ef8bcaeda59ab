// `driftmend up`: a cluster on this machine until Ctrl-C.
//
// Owns: what is said when it is ready, when something restarts, and at the end. Does not own: the cluster (local-cluster.ts).

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { seededRandom } from "../../models/clock.js";
import { guarded } from "../../models/learning/guard-limits.js";
import { loadModel, ModelError } from "../../models/manifest.js";
import { type Logger, openLogger } from "../../supervision/logger.js";
import { initSystemOf } from "../../supervision/process/init-system.js";
import type { ClusterContext } from "../../transport/access/context.js";
import { withTimeouts } from "../../transport/timeouts.js";
import { addressText, chooseAddress, type HttpAddress, isLoopback } from "../http/http-address.js";
import { clientIn, makeTokens } from "../http/http-tokens.js";
import type { Terminal } from "../terminal/terminal.js";
import { clusterSettingsOf, nodeFlagsOf } from "./cluster-settings.js";
import { AccessError } from "./listening.js";
import { digitsFolder, type LocalCluster, startLocalCluster } from "./local-cluster.js";
import type { LocalClusterOptions } from "./local-cluster-options.js";
import type { Outcome } from "./outcome.js";
import type { UpOptions } from "./run-options.js";
import { signInOf, tlsOf } from "./sign-in.js";

/** The compiled cli.js: what every node process runs. */
export const entry = fileURLToPath(new URL("../../cli.js", import.meta.url));

export async function runUp(options: UpOptions, terminal: Terminal): Promise<Outcome> {
  if (options.replicas !== undefined && options.nats === undefined)
    return {
      kind: "usage",
      message: "--replicas goes with --nats: the server that this verb starts is one server alone",
      next: "leave --replicas out, or start three nats-servers first (docs/clusters.md)",
    };
  const initSystem = initSystemOf(options.environment ?? {}, {
    clock: terminal.clock,
    log: rootLogger(options),
    pid: process.pid,
    sendWithinMs: withTimeouts(options.timeout ?? {}).initSystem,
  });
  const cluster = await startFrom(options, terminal);
  const { context, contextFile, readyMs } = cluster;
  initSystem.ready(`serving at ${context.natsUrl}`);
  if (terminal.json)
    terminal.print(
      JSON.stringify({
        ready: true,
        readyMs: Math.round(readyMs),
        natsUrl: context.natsUrl,
        httpUrl: context.httpUrl,
        contextFile,
      }),
    );
  else
    terminal.print(
      [
        `ready in ${Math.round(readyMs)} ms   NATS ${context.natsUrl}   context ${contextFile}`,
        ...listenLines(options),
        ...pageLines(context, terminal.self),
        `in another terminal: ${terminal.self} tree (or status, watch, chaos kill updater)`,
        "Ctrl-C drains and stops",
      ].join("\n"),
    );
  const failure = await Promise.race([interrupted(terminal.interrupted), cluster.failed]);
  void initSystem.stopping();
  const ending = await cluster.stop(terminal.insisted);
  if (failure === undefined) return ending === "drained" ? { kind: "interrupted" } : cutShort;
  return { kind: "failed", message: failure.message, next: "driftmend doctor looks at this machine" };
}

function listenLines({ listen, tlsCert }: UpOptions): readonly string[] {
  return listen === undefined
    ? []
    : [`NATS listens on ${addressText(listen)}${tlsCert === undefined ? "" : ", with TLS"}`];
}

/** Where the page is, and who may read it. The operator's link has a secret in it, so it is printed by a verb and not here. */
export function pageLines({ httpUrl }: ClusterContext, self: string): readonly string[] {
  if (httpUrl === "") return [];
  const orders = `${self} page --operator prints the link that may give orders`;
  if (isLoopback(new URL(httpUrl).hostname)) return [`page ${httpUrl}   ${orders}`];
  const open = "beyond loopback everything needs a token";
  return [`page ${httpUrl}   ${open}: ${self} page prints the link that has one, and ${orders}`];
}

/** What a cluster ends with that was not given the time to drain. */
export const cutShort: Outcome = {
  kind: "forced",
  message: "ended by force, before everything in flight was finished",
  next: "driftmend up starts on the same log: nothing that was answered is lost",
};

/** What a demo keeps apart from the store of a cluster that is meant to stay. */
export interface Aside {
  /** Takes all log lines instead of stderr. */
  readonly output?: number;
  readonly logStore?: string;
}

function httpOf(address: HttpAddress, { httpRate: ratePerMinute, environment = {} }: UpOptions) {
  const client = clientIn(environment);
  return {
    ...{ address, tokens: makeTokens() },
    ...(ratePerMinute === undefined ? {} : { ratePerMinute }),
    ...(client === undefined ? {} : { client }),
  };
}

/** Starts the cluster that the flags describe. Throws GuardrailError before anything runs when they loosen a guardrail. */
export async function startFrom(options: UpOptions, terminal: Terminal, aside: Aside = {}): Promise<LocalCluster> {
  const folders = options.model ?? [digitsFolder(entry)];
  await checkModels(folders, options);
  const { replicas, http, operations, environment = {} } = options;
  const place = await placeOf(options);
  if (operations !== undefined) await checkOperations(operations, environment, terminal);
  const address = http === false ? undefined : await chooseAddress(http);
  const context = clusterSettingsOf(options);
  return startLocalCluster(
    {
      cluster: options.cluster,
      serving: options.serving,
      spares: options.spare === false ? [] : ["learning"],
      models: folders,
      store: options.store,
      ...(options.keep === undefined ? {} : { keep: options.keep }),
      searchPath: options.searchPath,
      entry,
      env: { PATH: options.searchPath },
      timeouts: withTimeouts(context.timeouts),
      settings: { nodeFlags: nodeFlagsOf(options), context },
      ...(address === undefined ? {} : { http: httpOf(address, options) }),
      ...(options.natsServer === undefined ? {} : { natsServer: options.natsServer }),
      ...(options.logMax === undefined ? {} : { logMaxBytes: options.logMax }),
      ...(replicas === undefined ? {} : { replicas }),
      ...(operations === undefined ? {} : { operations: { file: operations, environment } }),
      ...aside,
      ...place,
    },
    {
      clock: terminal.clock,
      random: seededRandom(randomBytes(4).readUInt32LE()),
      log: rootLogger(options, aside.output),
    },
  );
}

/** Which server, and how it is reached or listens. Throws AccessError for flags that do not go together. */
async function placeOf(options: UpOptions): Promise<Pick<LocalClusterOptions, "nats" | "listening">> {
  const { nats, listen, tlsCert, tlsKey, tlsCa, tlsVerify, acceptKnownHoles, plaintext } = options;
  if (nats !== undefined) {
    if (listen !== undefined || tlsVerify === true)
      throw new AccessError(
        "--listen and --tls-verify are for a server of its own",
        "leave them out, or leave --nats out",
      );
    const signed = await signInOf(options, "node");
    if (signed.kind === "usage") throw new AccessError(signed.message, signed.next);
    const tls = tlsOf(options);
    return { nats: { url: nats, ...signed.identity, ...(tls === undefined ? {} : { tls }) } };
  }
  const hasTls = tlsCert !== undefined && tlsKey !== undefined;
  if (!hasTls && [tlsCert, tlsKey, tlsCa, tlsVerify].some((flag) => flag !== undefined))
    throw new AccessError(
      "TLS of the server needs both --tls-cert and --tls-key",
      "docs/security.md shows how to make them",
    );
  const tls = hasTls
    ? {
        certFile: tlsCert,
        keyFile: tlsKey,
        ...(tlsCa === undefined ? {} : { caFile: tlsCa }),
        verify: tlsVerify === true,
      }
    : undefined;
  const accepted = { acceptKnownHoles: acceptKnownHoles === true, plaintext: plaintext === true };
  return {
    listening: { ...accepted, ...(listen === undefined ? {} : { listen }), ...(tls === undefined ? {} : { tls }) },
  };
}

function rootLogger({ logLevel }: UpOptions, output?: number): Logger {
  return openLogger(logLevel ?? "warn", { process: "root", component: "root" }, output);
}

/** Before anything runs: nodes would start again and again with a model that cannot be served. */
async function checkModels(folders: readonly string[], options: UpOptions): Promise<void> {
  const { guardrail = {}, unsafeGuardrails = false } = options;
  const models = await Promise.all(folders.map(loadModel));
  const seen = new Map<string, string>();
  for (const { manifest, folder } of models.map((model) => guarded(model, guardrail, unsafeGuardrails))) {
    const other = seen.get(manifest.name);
    if (other !== undefined)
      throw new ModelError(
        folder,
        `has the name ${manifest.name}, as ${other} has`,
        "give each model a name of its own",
      );
    seen.set(manifest.name, folder);
  }
}

/** Before anything runs: a file that is bad from the beginning would end the node that reads it again and again. */
async function checkOperations(path: string, env: NonNullable<UpOptions["environment"]>, { clock }: Terminal) {
  const secrets = { env, readFile: (file: string) => readFileSync(file, "utf8") };
  const { openOperationsSettings } = await import("../operations-settings.js");
  (await openOperationsSettings({ path, clock, secrets, onChange: () => undefined })).close();
}

export function interrupted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
}
