// The host of a tree: what surrounds the actors of one node process, from connecting to the last goodbye.
//
// Owns: the order of start and end, the answers to a look or a fault from outside, the exit code.
// Does not own: the tree (node.ts), the process itself (signals and exit are the caller's: `until`).
//
// H1. Ready is said after every actor is ready: the views have caught up with the log, the model has run once. That holds for the models
//     that the registry names too; one that cannot be loaded is told and does not keep the node from being ready. And the server knows of
//     every subscription: whoever reads "ready" may ask at once.
// H2. Draining: the door closes, what is open is finished or, when time is up, refused by name, the rest stops in reverse order, the
//     connection goes last.
// H3. A tree that gave up, or a connection that is closed for good, ends the node with exit code 70: its root starts the next incarnation.

import { StuckThreads } from "../../models/threads/thread-silence.js";
import { obeyAsNode } from "../../operations/cluster/drain-order.js";
import { answerLooks } from "../../operations/cluster/looks.js";
import { DeadLetterOffice } from "../../operations/dead-letters/dead-letter-office.js";
import { answerDeadLetterOrders } from "../../operations/dead-letters/dead-letter-orders.js";
import { Counters, Telemetry } from "../../operations/metrics/telemetry.js";
import { LogForwarder } from "../../operations/traces/log-forwarder.js";
import { answerProfileOrders } from "../../operations/traces/profiler.js";
import { SpanRecorder } from "../../operations/traces/recorder.js";
import type { Fullness } from "../../operations/traces/span-items.js";
import { traceAll } from "../../operations/traces/trace-context.js";
import { within } from "../../supervision/deadline.js";
import { type Logger, tee } from "../../supervision/logger.js";
import type { SupervisorSpec } from "../../supervision/tree/child-spec.js";
import type { SpentBudgets } from "../../supervision/tree/restart-intensity.js";
import { type ActorTree, startTree, type TreeDeps } from "../../supervision/tree/system.js";
import { type DeadLetters, openDeadLetters } from "../../transport/log/dead-letters.js";
import { evictAll } from "../../transport/log/lease-sweep.js";
import type { HostOptions } from "../host-options.js";
import type { Arrivals } from "../serving/arrivals.js";
import type { Desk } from "../serving/desk.js";
import { ProviderWish } from "../serving/provider-wish.js";
import { sweepFormerOwners } from "../wiring/former-owners.js";
import { ownerOf } from "../wiring/model-wiring.js";
import { prepareStreams } from "../wiring/prepared-streams.js";
import type { NodeIdentity, Surroundings } from "../wiring/surroundings.js";
import { wireTensors } from "../wiring/tensor-wiring.js";
import { watchFlights } from "../wiring/watched-flights.js";
import { type NodeWiring, wire } from "../wiring/wiring.js";
import { type AddedModels, openAddedModels, type PartsOf } from "./added-models.js";
import { bury } from "./burial.js";
import { announce, reportBus, reportSupervision } from "./host-reports.js";
import type { RegistrarDeps } from "./registrar.js";

export interface HostedNode {
  /** Why the node cannot go on; never settles while it can. */
  readonly failed: Promise<Error>;
  /** What to hand on to the next incarnation. */
  spent(): SpentBudgets;
  /** An operator wants the node to leave. */
  readonly drainOrdered: Promise<void>;
  /** In order. */
  stop(): Promise<void>;
  /** At once: what is open is refused by name and the leases are freed, bounded. The tree runs on, so the process has to end now. */
  halt(): Promise<void>;
}

/** The process exit code for a node that gave up (sysexits.h EX_SOFTWARE). */
export const gaveUpExitCode = 70;

export async function hostNode(
  options: HostOptions,
  treeOf: (wiring: NodeWiring, registrar: RegistrarDeps | undefined) => SupervisorSpec,
  /** What runs of a model that comes while the node runs. */
  partsOf: PartsOf = () => [],
): Promise<HostedNode> {
  const { bus, logBus = bus, subjects, clock, node, incarnation } = options;
  await prepareStreams(options);
  const startedAtMs = clock.nowMs();
  const { around, counters, office, watched, tensors } = surround(options);
  const { telemetry, log } = around;
  const operations = options.roles.includes("operations") ? await import("../wiring/operations-wiring.js") : undefined;
  const wiring = wire(around, options.models, operations?.wireOperations);
  const [added] = await Promise.all([
    openAddedModels(options, around, wiring, partsOf),
    sweepFormerOwners(options, telemetry),
  ]);
  const desks = () => wiring.models.map((model) => model.desk);
  around.spans.askFullness((name) => fullnessOf(wiring, name));
  const stopListening = bus.onEvent((event) => reportBus(telemetry, log, incarnation, event));
  const stopListeningToLog = logBus.onEvent((event) => {
    // What becomes of this connection is told of the other one, which ends with it.
    if (event.kind === "denied" && logBus !== bus) reportBus(telemetry, log, incarnation, event);
  });
  const tree = await startTree(treeOf(wiring, added?.registrar), treeDepsOf(options, around, wiring, added));
  added?.roster.attach(tree);
  tree.onDeadLetter((letter) => bury(options, wiring, office, letter));
  const letterOrders = answerDeadLetterOrders({ bus, subjects, clock, deadLetters: around.deadLetters, telemetry });
  const told = () => ({ roles: options.roles.join(","), ...around.vitals() });
  const place = { bus, subjects, node, incarnation, clock, telemetry };
  const stopProfiles = answerProfileOrders({ bus, subjects, clock, node, origin: options.origin });
  const looks = answerLooks({ ...place, pid: options.pid, tree, vitals: told, startedAtMs });
  const stopAnnouncing = announce(options, counters, wiring, startedAtMs);
  const orders = obeyAsNode({ bus, subjects, clock }, { name: node, incarnation, hasRoot: options.hasRoot ?? false });
  telemetry.event("node_ready", { actor: "host", incarnation }, () => [
    { about: node, roles: options.roles.join(",") },
  ]);
  await bus.flush();
  return {
    failed: Promise.race([
      tree.failed,
      around.threads.tooMany,
      ...[bus, logBus].map((each) => each.closed.then((error) => error ?? new Error("the connection was closed"))),
    ]),
    spent: () => tree.spent(),
    drainOrdered: orders.ordered,
    stop: async () => {
      stopAnnouncing();
      await stopTree(tree, telemetry, node, incarnation);
      refuseOpen(desks(), around.arrivals);
      tensors?.close();
      orders.acknowledge();
      looks.stop();
      stopProfiles();
      letterOrders.stop();
      watched?.stop();
      await office.close();
      stopListening();
      stopListeningToLog();
      await added?.close();
      await options.segments?.close();
      await logBus.drain();
      await bus.drain();
    },
    halt: async () => {
      refuseOpen(desks(), around.arrivals);
      await within(clock, bus.timeouts.halt, Promise.all([bus.flush(), letGo(options)]));
    },
  };
}

function treeDepsOf(
  { node, incarnation, clock, random, spent, bus }: HostOptions,
  { telemetry, log }: ReturnType<typeof surround>["around"],
  { confirmCleanup }: NodeWiring,
  added: AddedModels | undefined,
): TreeDeps {
  return {
    ...{ node, incarnation, clock, random, log, confirmCleanup },
    ...(spent === undefined ? {} : { spent }),
    cleanupMs: bus.timeouts.actorCleanup,
    onEvent: (event) => {
      reportSupervision(telemetry, log, event);
      if (event.kind === "left_down") added?.roster.leftDown(event.path, event.cause);
    },
  };
}

/** What the actors share, and what outlives them. */
function surround(options: HostOptions) {
  const { bus, logBus = bus, subjects, clock, node } = options;
  const counters = new Counters();
  const telemetry = new Telemetry(bus, subjects, node, counters, clock, options.instruments);
  const log = toldToo(options, counters);
  const spans = new SpanRecorder(telemetry, clock, options.incarnation, options.trace ?? traceAll);
  const deadLetters = openDeadLetters(logBus, clock, subjects);
  const office = new DeadLetterOffice(deadLetters, telemetry, clock);
  const watched = watchFlights(options);
  const tensors = options.roles.includes("serving") ? wireTensors(options, telemetry) : undefined;
  const around = {
    ...{ identity: identityOf(options), bus, logBus, subjects, telemetry, spans, log, clock, deadLetters },
    threads: new StuckThreads(),
    ...(options.ep === undefined ? {} : { wish: new ProviderWish(options.ep) }),
    ...(tensors === undefined ? {} : { arrivals: tensors.arrivals }),
    vitals: () => ({ pid: options.pid, ...options.vitals(), ...counters.all() }),
    giveUp: (letter) => office.post(letter),
    ...(watched === undefined ? {} : { flightOf: watched.flightOf }),
    ...(options.logMaxBytes === undefined ? {} : { logMaxBytes: options.logMaxBytes }),
    ...(options.shm === undefined ? {} : { shm: options.shm }),
    ...(options.replicas === undefined ? {} : { replicas: options.replicas }),
    ...(options.desk === undefined ? {} : { desk: options.desk }),
    ...(options.operations === undefined ? {} : { operations: options.operations }),
    ...(options.http === undefined ? {} : { http: { ...options.http, version: options.version } }),
    ...(options.otlpUrl === undefined ? {} : { otlp: { url: options.otlpUrl, version: options.version } }),
  } satisfies Surroundings & { readonly deadLetters: DeadLetters };
  return { around, counters, office, watched, tensors };
}

/** Lines of this node's log leave as telemetry too. */
function toldToo({ bus, subjects, clock, node, incarnation, log }: HostOptions, counters: Counters): Logger {
  const onDropped = (lines: number): void => counters.add("log_lines_dropped", lines);
  const forwarder = new LogForwarder({ bus, clock, subject: subjects.logLine(node), onDropped });
  return tee(log, forwarder, { node, nodeIncarnation: incarnation });
}

function identityOf({ node, incarnation, origin, run }: HostOptions): NodeIdentity {
  return { node, incarnation, origin, ...(run === undefined ? {} : { run }) };
}

/** The leases of this incarnation, from under their holders. */
async function letGo(options: HostOptions): Promise<void> {
  const { bus, clock, subjects } = options;
  const owner = ownerOf(identityOf(options));
  const swept = await evictAll(bus, clock, subjects.leaseBucket, owner);
  // A holder lives: a renewal of it may have come in between, once.
  if (swept.kind !== "swept" || swept.leases === 0) await evictAll(bus, clock, subjects.leaseBucket, owner);
}

function fullnessOf({ models }: NodeWiring, name: string): Fullness {
  const desk = models.find((model) => model.name === name)?.desk;
  return { active: desk?.size ?? 0, slots: desk?.settings.openMax ?? 0 };
}

/** Nobody here will answer any more; another node may. */
function refuseOpen(desks: readonly Desk[], arrivals: Arrivals | undefined): void {
  const why = "the node left before an answer was ready";
  arrivals?.refuseAll("not_ready", why);
  for (const desk of desks) desk.refuseAll("not_ready", why);
}

async function stopTree(tree: ActorTree, telemetry: Telemetry, node: string, incarnation: number): Promise<void> {
  await tree.stop();
  telemetry.event("node_left", { actor: "host", incarnation }, () => [{ about: node }]);
}
