// `driftmend up`: a cluster on this machine until Ctrl-C.
//
// Owns: what is said when it is ready, when something restarts, and at the end. Does not own: the cluster (local-cluster.ts).

import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { seededRandom } from "../models/clock.js";
import { openLogger } from "../supervision/logger.js";
import { digitsFolder, type LocalCluster, startLocalCluster } from "./local-cluster.js";
import type { Terminal } from "./terminal/terminal.js";
import type { Outcome } from "./verbs/outcome.js";
import type { UpOptions } from "./verbs/run-options.js";

/** The compiled cli.js: what every node process runs. */
export const entry = fileURLToPath(new URL("../cli.js", import.meta.url));

export async function runUp(options: UpOptions, terminal: Terminal): Promise<Outcome> {
  const cluster = await startFrom(options, terminal);
  const { context, contextFile, readyMs } = cluster;
  if (terminal.json)
    terminal.print(
      JSON.stringify({ ready: true, readyMs: Math.round(readyMs), natsUrl: context.natsUrl, contextFile }),
    );
  else
    terminal.print(
      [
        `ready in ${Math.round(readyMs)} ms   NATS ${context.natsUrl}   context ${contextFile}`,
        `in another terminal: ${terminal.self} tree (or status, watch, chaos kill updater)`,
        "Ctrl-C drains and stops",
      ].join("\n"),
    );
  const failure = await Promise.race([interrupted(terminal.interrupted), cluster.failed]);
  await cluster.stop();
  if (failure === undefined) return { kind: "interrupted" };
  return { kind: "failed", message: failure.message, next: "driftmend doctor looks at this machine" };
}

/** What a demo keeps apart from the store of a cluster that is meant to stay. */
export interface Aside {
  /** Takes all log lines instead of stderr. */
  readonly output?: number;
  readonly logStore?: string;
}

/** Starts the cluster that the flags describe. */
export function startFrom(options: UpOptions, terminal: Terminal, aside: Aside = {}): Promise<LocalCluster> {
  const { nats, user, password } = options;
  return startLocalCluster(
    {
      cluster: options.cluster,
      serving: options.serving,
      spares: options.spare === false ? [] : ["learning"],
      models: [options.model ?? digitsFolder(entry)],
      store: options.store,
      ...(options.keep === undefined ? {} : { keep: options.keep }),
      searchPath: options.searchPath,
      entry,
      env: { PATH: options.searchPath },
      ...(options.natsServer === undefined ? {} : { natsServer: options.natsServer }),
      ...aside,
      ...(nats === undefined
        ? {}
        : {
            nats: {
              url: nats,
              ...(user === undefined ? {} : { user }),
              ...(password === undefined ? {} : { password }),
            },
          }),
    },
    {
      clock: terminal.clock,
      random: seededRandom(randomBytes(4).readUInt32LE()),
      log: openLogger("warn", { process: "root" }, aside.output),
    },
  );
}

export function interrupted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
}
