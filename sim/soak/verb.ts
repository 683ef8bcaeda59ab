// `driftmend soak`: the promise under fire, on a cluster of its own in a temporary store.
//
// Owns: the cluster's place and its end, progress, the report and the exit code. Does not own: the soak (soak.ts), its figures (report.ts).
//
// V1. Everything is real: an embedded nats-server, node processes under a root in this process, faults as operators make them.
// V2. A temporary store goes when every invariant holds; otherwise it stays, and its place is said. With --store it stays in any case.

import { randomBytes } from "node:crypto";
import { closeSync, openSync } from "node:fs";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seededRandom } from "../../models/clock.js";
import { makeFolder } from "../../models/make-folder.js";
import { loadModel } from "../../models/manifest.js";
import { digitsFolder, startLocalCluster } from "../../operations/cluster/local-cluster.js";
import { done, type Outcome } from "../../operations/cluster/outcome.js";
import { entry } from "../../operations/cluster/up.js";
import type { Terminal } from "../../operations/terminal/terminal.js";
import { openLogger } from "../../supervision/logger.js";
import { loadDigitPool } from "../digits.js";
import { driftingStream } from "../stream.js";
import type { FaultCounts } from "./plan.js";
import { renderSoak, reportOf, type SoakReport } from "./report.js";
import { type Progress, runSoak } from "./soak.js";

export interface SoakVerbOptions extends FaultCounts {
  readonly json?: boolean;
  readonly seed: number;
  /** Requests per second. */
  readonly rate: number;
  readonly serving: number;
  /** Keeps the log here; without it the store is temporary. */
  readonly store?: string;
  /** Where the JSON report is written too. */
  readonly report?: string;
  readonly natsServer?: string;
  /** The PATH variable's value: where nats-server is looked for. */
  readonly searchPath: string;
}

const cluster = "driftmend";
const calmMs = 2_000;

export async function runSoakVerb(options: SoakVerbOptions, terminal: Terminal): Promise<Outcome> {
  if (options.store !== undefined) await refuseUsed(options.store);
  const store = options.store ?? (await mkdtemp(join(tmpdir(), "driftmend-soak-")));
  const report = await soakIn(store, options, terminal);
  if (options.report !== undefined) await writeFile(options.report, `${JSON.stringify(report, undefined, 2)}\n`);
  terminal.print(terminal.json ? JSON.stringify(report) : renderSoak(report));
  if (!report.holds)
    return { kind: "failed", message: "an invariant does not hold", next: `look at the log in ${store}` };
  if (options.store === undefined) await rm(store, { recursive: true, force: true });
  if (terminal.interrupted.aborted) return { kind: "interrupted" };
  if (report.faults.missed.length > 0)
    return { kind: "failed", message: "not every fault could be struck", next: "try again on a quieter machine" };
  return done;
}

/** A log that others wrote would be judged with this one. */
async function refuseUsed(store: string): Promise<void> {
  await makeFolder(store, 0o700);
  if ((await readdir(store)).length > 0) throw new StoreInUseError(store);
}

class StoreInUseError extends Error {
  override readonly name = "StoreInUseError";
  constructor(store: string) {
    super(`${store} is not empty; a soak begins with an empty log: give another --store, or none`);
  }
}

async function soakIn(store: string, options: SoakVerbOptions, terminal: Terminal): Promise<SoakReport> {
  const { clock, interrupted } = terminal;
  const { searchPath, seed, rate, serving, natsServer } = options;
  const folder = digitsFolder(entry);
  // Log lines of killed processes would drown the progress.
  const output = openSync(join(store, "nodes.log"), "a", 0o600);
  const log = openLogger("warn", { process: "root" }, output);
  const pool = await loadDigitPool();
  const { note, width } = terminal;
  if (!terminal.json) note(`starting a cluster in ${store} ...`);
  try {
    const result = await runSoak(
      {
        ...{ actorKills: options.actorKills, nodeKills: options.nodeKills },
        ...{ stops: options.stops, brokerKills: options.brokerKills },
        ...{ seed, rate, calmMs, folder, store, searchPath },
        model: await loadModel(folder),
        run: `soak-${randomBytes(4).toString("hex")}`,
      },
      {
        start: (onEvent) =>
          startLocalCluster(
            {
              ...{ cluster, serving, store, searchPath, entry, output },
              models: [folder],
              env: { PATH: searchPath },
              ...(natsServer === undefined ? {} : { natsServer }),
            },
            { clock, random: seededRandom(seed), log, onEvent },
          ),
        samples: driftingStream({ pool, seed, variant: "iid" }),
        clock,
        signal: interrupted,
        onProgress: (progress) => {
          if (!terminal.json) note(lineOf(progress).slice(0, width));
        },
      },
    );
    return reportOf(result, options);
  } finally {
    closeSync(output);
  }
}

function lineOf({ phase, elapsedMs, durationMs, sent, open, struck, planned }: Progress): string {
  const seconds = `${(elapsedMs / 1000).toFixed(0)}/${(durationMs / 1000).toFixed(0)} s`;
  const faults = [
    `${struck.actor}/${planned.actorKills} actors`,
    `${struck.node}/${planned.nodeKills} nodes`,
    `${struck.stop}/${planned.stops} stops`,
    `${struck.broker}/${planned.brokerKills} brokers`,
  ];
  return `${phase.padEnd(8)} ${seconds}  ${faults.join(", ")}  ${sent} sent, ${open} open`;
}
