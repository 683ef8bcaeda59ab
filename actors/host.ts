// The host of a tree: what surrounds the actors of one node process, from connecting to the last goodbye.
//
// Owns: the order of start and end, the answers to a look or a fault from outside, the exit code.
// Does not own: the tree (node.ts), the process itself (signals and exit are the caller's: `until`).
//
// H1. Ready is said after every actor is ready: the views have caught up with the log, the model has run once.
// H2. Draining: the door closes, what is open is finished or, when time is up, refused by name, the rest stops in reverse order, the
//     connection goes last.
// H3. A tree that gave up, or a connection that is closed for good, ends the node with exit code 70: its root starts the next incarnation.

import type { Clock, Random } from "../models/clock.js";
import type { Model } from "../models/manifest.js";
import { StuckThreads } from "../models/thread-silence.js";
import { DeadLetterOffice } from "../operations/dead-letter-office.js";
import { answerDeadLetterOrders, requeuedEvent } from "../operations/dead-letter-orders.js";
import { obeyAsNode } from "../operations/drain-order.js";
import { answerLooks } from "../operations/looks.js";
import { Counters, Telemetry } from "../operations/telemetry.js";
import type { SupervisorSpec } from "../supervision/child-spec.js";
import type { DeadLetter } from "../supervision/dead-letters.js";
import { within } from "../supervision/deadline.js";
import type { SupervisionEvent } from "../supervision/events.js";
import { type FlightRecord, openFlightRecord } from "../supervision/flight-record.js";
import type { Logger } from "../supervision/logger.js";
import type { SpentBudgets } from "../supervision/restart-intensity.js";
import { type ActorTree, startTree } from "../supervision/system.js";
import type { Bus, BusEvent } from "../transport/bus.js";
import { ensureDeadLetterStream, openDeadLetters } from "../transport/dead-letters.js";
import { parseEvent } from "../transport/events.js";
import { evictAll } from "../transport/lease-sweep.js";
import { announceService, type EndpointStats } from "../transport/service.js";
import {
  ensureCleanupStream,
  ensureLeaseBucket,
  ensureStreams,
  limitsFor,
  withHeadroom,
} from "../transport/streams.js";
import type { Subjects } from "../transport/subjects.js";
import type { Desk, DeskSettings } from "./desk.js";
import { deadLetterOfRequest, isPoison, phaseOf, requestsIn } from "./giving-up.js";
import { type NodeWiring, wire } from "./wiring.js";

export interface HostOptions {
  readonly node: string;
  readonly incarnation: number;
  /** What the last incarnation handed on when it gave up. */
  readonly spent?: SpentBudgets;
  readonly pid: number;
  readonly origin: string;
  /** Of the root that restarts this node; left out when nobody does. */
  readonly run?: string;
  readonly roles: readonly string[];
  readonly models: readonly Model[];
  readonly bus: Bus;
  /** A connection of its own for the log (actors/wiring.ts says why); `bus` when left out. */
  readonly logBus?: Bus;
  readonly subjects: Subjects;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly version: string;
  readonly vitals: () => Readonly<Record<string, number>>;
  readonly desk?: DeskSettings;
  /** A root started this process, and would start it again. */
  readonly hasRoot?: boolean;
  /** Bound of each model's experience log, in bytes; the default when left out. */
  readonly logMaxBytes?: number;
  /** Where it is noted which requests are in a model, for the next incarnation of the process; nowhere when left out. */
  readonly flightDir?: string;
}

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

/** Shorter than its root waits for a node to be ready. */
const prepareWithinMs = 20_000;
const preparePauseMs = 250;

export async function hostNode(
  options: HostOptions,
  treeOf: (wiring: NodeWiring) => SupervisorSpec,
): Promise<HostedNode> {
  const { bus, logBus = bus, subjects, clock, log, node, incarnation, models } = options;
  await prepareStreams(options);
  const counters = new Counters();
  const telemetry = new Telemetry(bus, subjects, node, counters, clock);
  const startedAtMs = clock.nowMs();
  const vitals = () => ({ pid: options.pid, ...options.vitals(), ...counters.all() });
  const run = options.run === undefined ? {} : { run: options.run };
  const identity = { node, incarnation, origin: options.origin, ...run };
  const threads = new StuckThreads();
  const deadLetters = openDeadLetters(logBus, clock, subjects);
  const office = new DeadLetterOffice(deadLetters, telemetry, clock);
  const watched = watchFlights(options);
  const wiring = wire(
    {
      ...{ identity, bus, logBus, subjects, telemetry, clock, vitals },
      giveUp: (letter) => office.post(letter),
      ...(watched === undefined ? {} : { flightOf: watched.flightOf }),
      ...(options.logMaxBytes === undefined ? {} : { logMaxBytes: options.logMaxBytes }),
      ...(options.desk === undefined ? {} : { desk: options.desk }),
      threads,
    },
    models,
  );
  const desks = wiring.models.map((model) => model.desk);
  const stopListening = bus.onEvent((event) => reportBus(telemetry, log, incarnation, event));
  const tree = await startTree(treeOf(wiring), {
    node,
    incarnation,
    clock,
    random: options.random,
    log,
    ...(options.spent === undefined ? {} : { spent: options.spent }),
    cleanupMs: bus.timeouts.actorCleanup,
    onEvent: (event) => reportSupervision(telemetry, log, event),
    confirmCleanup: wiring.confirmCleanup,
  });
  tree.onDeadLetter((letter) => bury(options, wiring, office, letter));
  const letterOrders = answerDeadLetterOrders({ bus, subjects, clock, deadLetters, telemetry });
  const told = () => ({ roles: options.roles.join(","), ...vitals() });
  const place = { bus, subjects, node, incarnation, clock, telemetry };
  const looks = answerLooks({ ...place, pid: options.pid, tree, vitals: told, startedAtMs });
  const stopAnnouncing = announce(options, counters, wiring, startedAtMs);
  const orders = obeyAsNode({ bus, subjects, clock }, { name: node, incarnation, hasRoot: options.hasRoot ?? false });
  telemetry.event("node_ready", { actor: "host", incarnation }, () => [
    { about: node, roles: options.roles.join(",") },
  ]);
  return {
    failed: Promise.race([
      tree.failed,
      threads.tooMany,
      ...[bus, logBus].map((each) => each.closed.then((error) => error ?? new Error("the connection was closed"))),
    ]),
    spent: () => tree.spent(),
    drainOrdered: orders.ordered,
    stop: async () => {
      stopAnnouncing();
      await stopTree(tree, telemetry, node, incarnation);
      refuseOpen(desks);
      orders.acknowledge();
      looks.stop();
      letterOrders.stop();
      watched?.stop();
      await office.close();
      stopListening();
      await logBus.drain();
      await bus.drain();
    },
    halt: async () => {
      refuseOpen(desks);
      await within(clock, bus.timeouts.halt, Promise.all([bus.flush(), letGo(options)]));
    },
  };
}

/** The leases of this incarnation, from under their holders. */
async function letGo({ bus, clock, subjects, node, incarnation, run }: HostOptions): Promise<void> {
  const owner = { node, incarnation, ...(run === undefined ? {} : { run }) };
  const swept = await evictAll(bus, clock, subjects.leaseBucket, owner);
  // A holder lives: a renewal of it may have come in between, once.
  if (swept.kind !== "swept" || swept.leases === 0) await evictAll(bus, clock, subjects.leaseBucket, owner);
}

/** Nobody here will answer any more; another node may. */
function refuseOpen(desks: readonly Desk[]): void {
  for (const desk of desks) desk.refuseAll("not_ready", "the node left before an answer was ready");
}

/** Waits for a broker that is on its way back, so that an outage does not cost the node one of its restarts. */
async function prepareStreams(options: HostOptions): Promise<void> {
  const { clock } = options;
  const deadlineAtMs = clock.monotonicMs() + prepareWithinMs;
  for (;;) {
    const outcome = await ensureAll(options);
    if (outcome.kind === "ready") return;
    if (outcome.why === "full")
      throw new Error("JetStream has no room for the streams: give it more, or a smaller --log-max");
    if (outcome.why === "closed" || outcome.why === "denied" || clock.monotonicMs() >= deadlineAtMs)
      throw new Error(`JetStream is unavailable: ${outcome.why}`);
    await clock.delay(preparePauseMs);
  }
}

async function ensureAll({ bus: only, logBus: bus = only, subjects, models, logMaxBytes }: HostOptions) {
  const limits = withHeadroom(limitsFor(logMaxBytes));
  const steps = [
    () => ensureLeaseBucket(bus, subjects),
    () => ensureCleanupStream(bus, subjects),
    () => ensureDeadLetterStream(bus, subjects),
    ...models.map((model) => () => ensureStreams(bus, subjects, model.manifest.name, limits)),
  ];
  for (const step of steps) {
    const outcome = await step();
    if (outcome.kind === "unavailable") return outcome;
  }
  return { kind: "ready" } as const;
}

/** The flight records of the models, and an ear for what operators let run again. */
function watchFlights({ flightDir, roles, bus, subjects }: HostOptions) {
  if (flightDir === undefined || !roles.includes("serving")) return undefined;
  const records = new Map<string, FlightRecord>();
  const flightOf = (model: string): FlightRecord => {
    const record = records.get(model) ?? openFlightRecord(flightDir, model);
    records.set(model, record);
    return record;
  };
  const requeued = bus.subscribe(subjects.event(requeuedEvent), {}, ({ data }) => {
    const parsed = parseEvent(data);
    if (parsed.kind !== "ok") return;
    for (const { about, id } of parsed.value.items) records.get(String(about))?.forgive(String(id));
  });
  return { flightOf, stop: () => requeued.unsubscribe() };
}

async function stopTree(tree: ActorTree, telemetry: Telemetry, node: string, incarnation: number): Promise<void> {
  await tree.stop();
  telemetry.event("node_left", { actor: "host", incarnation }, () => [{ about: node }]);
}

function announce(options: HostOptions, counters: Counters, wiring: NodeWiring, startedAtMs: number): () => void {
  const { bus, subjects, node, roles, models, incarnation, origin } = options;
  const serves = roles.includes("serving") ? wiring.models : [];
  const identity = {
    name: "driftmend",
    id: origin,
    version: options.version,
    description: "inference that mends crashes and drift",
    metadata: {
      cluster: subjects.cluster,
      node,
      role: roles.join(","),
      incarnation: `${incarnation}`,
      model: models.map((model) => model.manifest.name).join(","),
    },
  };
  const endpoints = serves.map(({ name, desk }) => ({
    name,
    subject: subjects.infer(name),
    queueGroup: subjects.servingGroup,
    stats: () => endpointStats(counters, name, desk),
  }));
  return announceService(bus, identity, endpoints, startedAtMs);
}

/** Requests that were opened at the desk of a model: answered, or refused later. Those refused at the door are counted by telemetry. */
function endpointStats(counters: Counters, model: string, { lastRefusal }: Desk): EndpointStats {
  const errors = counters.get(`closed_refused_${model}`);
  return {
    requests: counters.get(`answered_${model}`) + errors,
    errors,
    lastError: lastRefusal,
    processingMs: counters.get(`processing_ms_${model}`),
  };
}

/** A request that no actor will handle any more is refused by name; nobody waits for its deadline. A poison one leaves a letter. */
function bury({ node, models }: HostOptions, wiring: NodeWiring, office: DeadLetterOffice, letter: DeadLetter): void {
  const { to, cause, deliveries: attempts, atMs } = letter;
  for (const request of requestsIn(letter.message)) {
    // Its deadline may have closed it already; then its actor's path tells whose it was.
    const owner =
      wiring.models.find(({ desk }) => desk.isOpen(request)) ?? wiring.models.find((each) => isBelow(to, each));
    const model = models.find(({ manifest }) => manifest.name === owner?.name);
    owner?.desk.refuse(request, "internal", `${to} gave up on it: ${cause}`);
    if (model === undefined || !isPoison(letter)) continue;
    office.post(
      deadLetterOfRequest(model, request, { node, phase: phaseOf(to), state: "exhausted", cause, attempts, atMs }),
    );
  }
}

function isBelow(path: string, { name }: { readonly name: string }): boolean {
  return path.startsWith(`${name}/`);
}

const loud = new Set<SupervisionEvent["kind"]>(["crashed", "escalated", "dead_letter"]);

function reportSupervision(telemetry: Telemetry, log: Logger, event: SupervisionEvent): void {
  const { kind, path, incarnation, node: _node, nodeIncarnation, atMs: _at, ...facts } = event;
  const line = { actor: path, incarnation, nodeIncarnation, ...plain(facts) };
  if (loud.has(kind)) log.warn(`actor ${kind}`, line);
  else log.debug(`actor ${kind}`, line);
  telemetry.counters.add(`actors_${kind}`);
  telemetry.event(kind, { actor: path, incarnation }, () => [{ nodeIncarnation, ...plain(facts) }]);
}

function plain(facts: Readonly<Record<string, unknown>>): Readonly<Record<string, string | number>> {
  return Object.fromEntries(
    Object.entries(facts).map(([name, value]) => [
      name,
      typeof value === "number" || typeof value === "string" ? value : ((value as { kind?: string }).kind ?? ""),
    ]),
  );
}

function reportBus(telemetry: Telemetry, log: Logger, incarnation: number, event: BusEvent): void {
  const origin = { actor: "bus", incarnation };
  switch (event.kind) {
    case "denied":
      log.warn("permission denied", { operation: event.operation, subject: event.subject });
      telemetry.event("permission_violation", origin, () => [{ about: event.subject, cause: event.operation }]);
      return;
    case "reconnected":
      telemetry.event("reconnected", origin, () => [{ outageMs: event.outageMs }]);
      return;
    case "handler_failed":
    case "server_error":
      log.error(event.kind, { error: event.error });
      return;
    case "disconnected":
    case "server_leaving":
    case "slow_consumer":
      log.warn(event.kind, { ...event });
      return;
    default:
      event satisfies never;
  }
}
