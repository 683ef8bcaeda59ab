// A cluster on this machine: the root process with its broker and its nodes.
//
// Owns: the order of start and end, the restart of broker and nodes, cleanup before restart, the tree over all of it, faults of whole
// nodes, the context file. Does not own: any model code (the nodes have it), what a person sees (up.ts, sim/demo.ts).
//
// R1. Ready means: every node said so, and the context file is written.
// R2. A dead node's leases are confirmed gone before its next incarnation starts: by the watchdog within the timeout `cleanup`, else by the
//     root itself, and the confirmation says by whom (law 6).
// R3. Ends in reverse order, and all of it (endings.ts): the context file goes, nodes drain, then the broker stops.

import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Clock, Random } from "../../models/clock.js";
import { makeFolder } from "../../models/make-folder.js";
import { within } from "../../supervision/deadline.js";
import { asError } from "../../supervision/exit-reason.js";
import type { Logger } from "../../supervision/logger.js";
import { type ProcessTree, startProcesses } from "../../supervision/process/process-root.js";
import { describeProcessExit, type ProcessEvent } from "../../supervision/process/process-spec.js";
import {
  type ClusterContext,
  contextFile,
  nobody,
  readContext,
  removeContext,
  writeContext,
} from "../../transport/access/context.js";
import { type Credential, type Credentials, identityOf, makeCredentials } from "../../transport/access/credentials.js";
import type { Tls } from "../../transport/access/tls-files.js";
import { type Bus, connectBus } from "../../transport/bus/bus.js";
import { evictAll } from "../../transport/log/lease-sweep.js";
import { ensureCleanupStream, ensureLeaseBucket } from "../../transport/log/streams.js";
import { type Broker, startBroker } from "../../transport/server/broker.js";
import { findServer, versionOf } from "../../transport/server/server-binary.js";
import { type Subjects, subjectsOf } from "../../transport/subjects.js";
import { type Timeouts, timeoutDefaults } from "../../transport/timeouts.js";
import { feelPulse } from "../broker/broker-pulse.js";
import { superviseBroker } from "../broker/broker-watch.js";
import { urlOf } from "../http/http-address.js";
import { Counters, Telemetry } from "../metrics/telemetry.js";
import { packedEntry } from "../packed/pack.js";
import { type CleanupDeps, confirmCleanup, reclaimFormer, recordStart } from "./cleanup-confirmation.js";
import { obeyAsRoot } from "./drain-order.js";
import { Endings } from "./endings.js";
import { prepareListening } from "./listening.js";
import type { LocalClusterOptions } from "./local-cluster-options.js";
import { flightFolder, modelFolder, nodeSpecs } from "./node-specs.js";
import { type Ending, patience } from "./patience.js";
import { Porter } from "./porter.js";
import { streamsReady } from "./ready-streams.js";
import type { RootFaults } from "./root-faults.js";
import { answerAsRoot } from "./root-looks.js";
import { refuseSecondRoot } from "./second-root.js";
import { watchViolations } from "./violation-watch.js";

export interface LocalClusterDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly onEvent?: (event: ProcessEvent) => void;
}

export interface LocalCluster {
  readonly context: ClusterContext;
  readonly contextFile: string;
  readonly readyMs: number;
  /** Of nodes and broker since the start. */
  readonly restarts: number;
  /** A node or the broker failed too often: nothing runs any more. */
  readonly failed: Promise<Error>;
  /** Drains within the grace time; `insisted` cuts that short, also a drain under way. Either way nothing is left: no process, no lease, no context file. */
  stop(insisted?: AbortSignal): Promise<Ending>;
}

const intensity = { restarts: 20, withinMs: 60_000 };

export async function startLocalCluster(options: LocalClusterOptions, deps: LocalClusterDeps): Promise<LocalCluster> {
  const startedAtMs = deps.clock.monotonicMs();
  const store = resolve(options.store);
  await refuseSecond(store);
  await makeFolder(store, 0o700);
  const subjects = subjectsOf(options.cluster);
  const access = await openAccess(options, resolve(options.logStore ?? store), subjects, deps);
  const ending = new Endings();
  const timeouts = options.timeouts ?? timeoutDefaults;
  const force = new AbortController();
  const endAll = async (): Promise<Ending> => {
    const { over, done } = patience(deps.clock, timeouts.drain, force.signal);
    await ending.endAll(over).finally(done);
    return over.aborted ? "forced" : "drained";
  };
  let stopping: Promise<Ending> | undefined;
  const stop = (insisted?: AbortSignal): Promise<Ending> => {
    if (insisted?.aborted === true) force.abort();
    else insisted?.addEventListener("abort", () => force.abort(), { once: true });
    stopping ??= endAll();
    return stopping;
  };
  try {
    for (const folder of [flightFolder(store), modelFolder(store)])
      ending.push(() => rm(folder, { recursive: true, force: true }));
    if (access.broker !== undefined) ending.push(() => access.broker?.stop() ?? Promise.resolve());
    const root = await startRoot(options, access, subjects, deps, ending);
    const context = {
      ...contextOf(options.cluster, access),
      ...(options.http === undefined ? {} : { httpUrl: urlOf(options.http.address), httpTokens: options.http.tokens }),
      ...(options.settings === undefined ? {} : { settings: options.settings.context }),
    };
    const written = await writeContext(store, context);
    ending.push(() => removeContext(store, process.pid));
    return {
      context,
      contextFile: written,
      readyMs: deps.clock.monotonicMs() - startedAtMs,
      get restarts() {
        return root.restarts();
      },
      failed: root.failed,
      stop,
    };
  } catch (error) {
    // Whoever asked is told why it did not start.
    await stop().catch((failed) =>
      deps.log.error("not all that had started could be ended", { error: asError(failed) }),
    );
    throw error;
  }
}

/** Another cluster of this store lives: whoever starts a second one must choose another store, or end the first. */
export class ClusterRunsError extends Error {
  override readonly name = "ClusterRunsError";
  constructor(store: string, pid: number) {
    super(`a cluster runs on ${store} already (process ${pid}); end it, or give another --store`);
  }
}

/** Two clusters on one store would overwrite each other's context and log. */
export async function refuseSecond(store: string): Promise<void> {
  const found = await readContext(contextFile(store));
  if (found.kind === "found" && found.context.pid !== process.pid) throw new ClusterRunsError(store, found.context.pid);
}

/** Where NATS is and with which rights: ours, or the one we were given. */
interface Access {
  readonly url: string;
  readonly broker: Broker | undefined;
  readonly credentials: Credentials | undefined;
  readonly node: Credential | undefined;
  readonly tls: Tls | undefined;
}

async function openAccess(
  options: LocalClusterOptions,
  store: string,
  subjects: Subjects,
  { clock }: LocalClusterDeps,
): Promise<Access> {
  const { nats } = options;
  if (nats !== undefined) {
    const { url, tls } = nats;
    return { url, broker: undefined, credentials: undefined, node: credentialIn(nats), tls };
  }
  const binary = await findServer({ explicit: options.natsServer, searchPath: options.searchPath, mayFetch: true });
  const listening = await prepareListening(options.listening ?? {}, await versionOf(binary), clock.nowMs());
  const credentials = makeCredentials();
  const broker = await startBroker({
    binary,
    store,
    subjects,
    credentials,
    clock,
    timeouts: options.timeouts ?? timeoutDefaults,
    ...listening,
  });
  return { url: broker.url, broker, credentials, node: credentials.node, tls: listening.trust };
}

function credentialIn({ user, password, nkey }: NonNullable<LocalClusterOptions["nats"]>): Credential | undefined {
  if (user === undefined) return undefined;
  if (nkey !== undefined) return { user, nkey };
  return password === undefined ? undefined : { user, password };
}

async function startRoot(
  options: LocalClusterOptions,
  access: Access,
  subjects: Subjects,
  deps: LocalClusterDeps,
  ending: Endings,
): Promise<{ readonly failed: Promise<Error>; restarts(): number }> {
  const { clock, random, log } = deps;
  const bus = await connectAs(access, clock, options.timeouts);
  ending.push(() => bus.close());
  if (access.broker === undefined) await refuseSecondRoot({ bus, subjects });
  const brokerWatch = superviseBroker(access.broker, { clock, random, log });
  const telemetry = new Telemetry(bus, subjects, "root", new Counters(), clock);
  const porter = new Porter(bus, subjects);
  ending.push(async () => porter.leave());
  const run = randomBytes(6).toString("hex");
  const cleanup: CleanupDeps = { bus, subjects, telemetry, clock, run };
  await prepareCleanup(cleanup, access, options.replicas, log, ending);
  let nodeRestarts = 0;
  let faults: RootFaults | undefined;
  const started = { ...options, entry: packedEntry(options.entry) };
  const processes = await startProcesses(nodeSpecs(started, { ...access, client: access.credentials?.client, run }), {
    clock,
    random,
    log,
    intensity,
    beforeRestart: (id, generation, exit) => {
      nodeRestarts += 1;
      const cause = describeProcessExit(exit);
      const detectMs = exit.kind === "declared_dead" ? exit.silentMs : undefined;
      const death = { node: id, incarnation: generation, cause, detectMs };
      return confirmCleanup(cleanup, death);
    },
    onEvent: (event) => {
      if (event.role === "serving") attend(porter, event);
      if (event.kind === "crashed" || event.kind === "stopped") faults?.nodeEnded(event.id);
      if (event.kind === "spawned") recordStart(cleanup, event.id, event.generation);
      report(telemetry, event);
      deps.onEvent?.(event);
    },
  });
  ending.push((over) => endProcesses(processes, { bus, subjects, clock }, run, over));
  const looks = answerAsRoot({ bus, subjects, processes, brokerWatch, clock, telemetry, minimums: options.keep ?? {} });
  faults = looks;
  const disobey = obeyAsRoot({ bus, subjects, processes, clock });
  ending.push(async () => disobey());
  ending.push(async () => looks.stop());
  ending.push(async () => brokerWatch.release());
  watchPulse(access, telemetry, deps, ending);
  watchLog(access, telemetry, deps, ending);
  return {
    failed: Promise.race([processes.failed, brokerWatch.failed, closedForGood(bus)]),
    restarts: () => nodeRestarts + brokerWatch.restarts,
  };
}

const orderly = describeProcessExit({ kind: "exited", code: 0 });

/** A node that did not end in order could not free its leases: the root does it. */
async function endProcesses(
  processes: ProcessTree,
  { bus, subjects, clock }: { readonly bus: Bus; readonly subjects: Subjects; readonly clock: Clock },
  run: string,
  over: AbortSignal,
): Promise<void> {
  const force = (): void => void processes.stop("force");
  over.addEventListener("abort", force, { once: true });
  await processes.stop(over.aborted ? "force" : "orderly");
  over.removeEventListener("abort", force);
  const cutOff = processes.tree().children.filter(({ lastExit }) => lastExit !== orderly);
  const freed = cutOff.map(({ name, generation }) =>
    evictAll(bus, clock, subjects.leaseBucket, { node: name, incarnation: generation, run }),
  );
  await within(clock, bus.timeouts.halt, Promise.all(freed));
}

/** A connection that nothing brings back is a crash of its owner. */
async function closedForGood(bus: Bus): Promise<Error> {
  const cause = await bus.closed;
  return new Error("the root's connection to NATS was closed for good", { cause });
}

/** Of a broker of our own only: somebody else's is somebody else's to restart. */
function watchPulse({ broker }: Access, telemetry: Telemetry, { clock, log }: LocalClusterDeps, ending: Endings): void {
  if (broker === undefined) return;
  const feeling = new AbortController();
  const felt = feelPulse({ broker, clock, log, telemetry }, feeling.signal).catch((error) =>
    log.error("the broker's pulse is felt no more", { error: asError(error) }),
  );
  ending.push(async () => {
    feeling.abort();
    await felt;
  });
}

/** Of a broker of our own only: nobody else's log can be read. */
function watchLog(
  { broker, credentials }: Access,
  telemetry: Telemetry,
  deps: LocalClusterDeps,
  ending: Endings,
): void {
  if (broker === undefined || credentials === undefined) return;
  const { clock, log } = deps;
  const watching = new AbortController();
  const watched = watchViolations({ broker, credentials, clock, log, telemetry }, watching.signal).catch((error) =>
    log.error("the broker's log is watched no more", { error: asError(error) }),
  );
  ending.push(async () => {
    watching.abort();
    await watched;
  });
}

function connectAs({ url, node, tls }: Access, clock: Clock, timeouts?: Timeouts): Promise<Bus> {
  return connectBus({
    url,
    name: "driftmend-root",
    clock,
    ...identityOf(node),
    ...(tls === undefined ? {} : { tls }),
    ...(timeouts === undefined ? {} : { timeouts }),
  });
}

/** What runs before this one left behind is gone before a node starts; on somebody else's broker that takes a while and nobody waits. */
async function prepareCleanup(
  deps: CleanupDeps,
  access: Access,
  replicas: number | undefined,
  log: Logger,
  ending: Endings,
): Promise<void> {
  const { bus, subjects } = deps;
  for (const ensure of [ensureLeaseBucket, ensureCleanupStream])
    await streamsReady(() => ensure(bus, subjects, replicas), { bus, clock: deps.clock, replicas });
  const stopped = new AbortController();
  ending.push(async () => stopped.abort());
  const reclaiming = reclaimFormer(deps, access.broker === undefined ? "shared" : "ours", stopped.signal).then(
    (leases) => {
      if (leases > 0) log.warn("leases of a former run were reclaimed", { leases });
    },
  );
  if (access.broker !== undefined) await reclaiming;
  else
    reclaiming.catch((error) => log.warn("leases of a former run could not be looked at", { error: asError(error) }));
}

function attend(porter: Porter, event: ProcessEvent): void {
  if (event.kind === "started") porter.arrived(event.id);
  if (event.kind === "crashed" || event.kind === "stopped") porter.left(event.id);
}

function report(telemetry: Telemetry, event: ProcessEvent): void {
  if (event.kind !== "restarting" && event.kind !== "escalated") return;
  telemetry.event(
    event.kind === "restarting" ? "node_restarting" : "escalated",
    { actor: event.id, incarnation: event.generation },
    () => [{ about: event.id, about_incarnation: event.generation, cause: event.cause }],
  );
}

function contextOf(cluster: string, { url, credentials, tls }: Access): ClusterContext {
  const { client, telemetry, operator } = credentials ?? { client: nobody, telemetry: nobody, operator: nobody };
  return {
    cluster,
    natsUrl: url,
    httpUrl: "",
    pid: process.pid,
    ...(tls === undefined ? {} : { tls }),
    users: { client, telemetry, operator },
  };
}

/** Where the digits are: beside the compiled code, in the package. */
export function digitsFolder(entry: string): string {
  return join(entry, "..", "..", "models", "digits");
}
