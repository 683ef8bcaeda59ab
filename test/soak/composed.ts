// A cluster composed by hand from the production parts: a broker, a root, and nodes that run a program of the test's choice.
//
// Where startLocalCluster composes one way only, this one lets a test put its own node program, a second writer, or another rule of cleanup
// in, and leaves all the rest as it is.

import { closeSync, openSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { seededRandom } from "../../models/clock.js";
import { superviseBroker } from "../../operations/broker/broker-watch.js";
import {
  type CleanupDeps,
  confirmCleanup,
  type Death,
  recordStart,
} from "../../operations/cluster/cleanup-confirmation.js";
import { Porter } from "../../operations/cluster/porter.js";
import { answerAsRoot } from "../../operations/cluster/root-looks.js";
import { Counters, Telemetry } from "../../operations/metrics/telemetry.js";
import type { SoakCluster } from "../../sim/soak/soak.js";
import { systemClock } from "../../supervision/clock.js";
import { openLogger } from "../../supervision/logger.js";
import { startProcesses } from "../../supervision/process/process-root.js";
import { describeProcessExit, type ProcessEvent, type ProcessSpec } from "../../supervision/process/process-spec.js";
import { makePasswords, type Passwords } from "../../transport/access/credentials.js";
import { connectBus } from "../../transport/bus/bus.js";
import { ensureCleanupStream, ensureLeaseBucket } from "../../transport/log/streams.js";
import { startBroker } from "../../transport/server/broker.js";
import { findServer } from "../../transport/server/server-binary.js";
import { inboxPrefixOf, subjectsOf } from "../../transport/subjects.js";
import { folder } from "../cluster/running.js";

/** The node program that takes protections away, or dies where it is told. */
export const unsafeNode = fileURLToPath(new URL("./unsafe-node.js", import.meta.url));

export interface ComposedNode {
  readonly id: string;
  readonly role: "serving" | "learning" | "operations";
  /** Told to the node program in its environment. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface Composition {
  readonly store: string;
  readonly entry: string;
  readonly nodes: readonly ComposedNode[];
  /** What stands between a death and the next start; the production rule when left out. */
  readonly cleanUp?: (deps: CleanupDeps, death: Death) => Promise<{ readonly leasesCleaned: number }>;
}

export const searchPath = process.env.PATH ?? "";
const cluster = "driftmend";
const clock = systemClock;
/** Of this root: the owner's run in every lease. */
const run = "composed";

export async function startComposed(
  composition: Composition,
  onEvent: (event: ProcessEvent) => void,
): Promise<SoakCluster> {
  const { store, nodes, cleanUp = confirmCleanup } = composition;
  const subjects = subjectsOf(cluster);
  const credentials = makePasswords();
  const log = openLogger("silent", { process: "root" });
  const random = seededRandom(7);
  const binary = await findServer({ searchPath, mayFetch: false });
  const broker = await startBroker({ binary, store, subjects, credentials, clock });
  const { user, password } = credentials.node;
  const bus = await connectBus({
    url: broker.url,
    name: "root",
    clock,
    user,
    password,
    inboxPrefix: inboxPrefixOf(user),
  });
  const brokerWatch = superviseBroker(broker, { clock, random, log });
  const telemetry = new Telemetry(bus, subjects, "root", new Counters(), clock);
  const cleanup: CleanupDeps = { bus, subjects, telemetry, clock, run };
  for (const outcome of [await ensureLeaseBucket(bus, subjects), await ensureCleanupStream(bus, subjects)])
    if (outcome.kind === "unavailable") throw new Error(`JetStream is unavailable: ${outcome.why}`);
  const porter = new Porter(bus, subjects);
  const output = openSync(join(store, "nodes.log"), "a", 0o600);
  const specs = nodes.map((node) => specOf(node, composition, broker.url, credentials, output));
  const processes = await startProcesses(specs, {
    clock,
    random,
    log,
    intensity: { restarts: 30, withinMs: 60_000 },
    beforeRestart: (node, incarnation, exit) =>
      cleanUp(cleanup, { node, incarnation, cause: describeProcessExit(exit) }),
    onEvent: (event) => {
      if (event.kind === "spawned") recordStart(cleanup, event.id, event.generation);
      if (event.role === "serving" && event.kind === "started") porter.arrived(event.id);
      if (event.role === "serving" && event.kind === "crashed") porter.left(event.id);
      onEvent(event);
    },
  });
  const looks = answerAsRoot({ bus, subjects, processes, brokerWatch, clock, telemetry });
  const { client, telemetry: listener, operator } = credentials;
  return {
    context: {
      ...{ cluster, natsUrl: broker.url, httpUrl: "", pid: process.pid },
      users: { client, telemetry: listener, operator },
    },
    failed: processes.failed,
    stop: async () => {
      brokerWatch.release();
      looks.stop();
      await processes.stop();
      porter.leave();
      await bus.close();
      await broker.stop();
      closeSync(output);
    },
  };
}

function specOf(
  { id, role, env }: ComposedNode,
  { entry }: Composition,
  url: string,
  credentials: Passwords,
  output: number,
): ProcessSpec {
  const { user, password } = credentials.node;
  const args = [
    "node",
    "--role",
    role,
    "--name",
    id,
    "--nats",
    url,
    "--cluster",
    cluster,
    "--model",
    folder,
    "--run",
    run,
  ];
  return {
    id,
    role,
    command: process.execPath,
    args: [entry, ...args, "--user", user],
    env: { PATH: searchPath, DRIFTMEND_PASSWORD: password, ...env },
    spawnArgs: (generation) => ({ args: ["--incarnation", `${generation}`] }),
    shutdownMs: 8_000,
    output,
  };
}

export async function removeStore(store: string): Promise<void> {
  await rm(store, { recursive: true, force: true });
}
