// What one node runs, as data: the one picture of what restarts with what.
//
//   node                       one_for_one; gives up -> the process exits 70, its root starts the next incarnation
//   ├─ beacon                  heartbeat and vital figures                                    every node
//   ├─ <model>                 one_for_one                                                    serving
//   │  ├─ buffer               memory and moments: a fold over the experience log
//   │  ├─ voter                judgement, append, reply
//   │  ├─ relay                update tasks that the log asks for
//   │  └─ inference            the model, in batches; its engine opens from the start, while the buffer folds
//   ├─ <model>-updater         the single writer of the model's parameters                    learning
//   ├─ <added model>, <added model>-updater, as above, while the registry has it              as above
//   ├─ watchdog                silence, sweeps, confirmations                                 operations
//   ├─ observer                the cluster's figures and their health, once a second          operations
//   ├─ alerter                 events to alerts                                               operations
//   ├─ web                     the HTTP interface, where one is wanted                        operations
//   ├─ exporter                spans to a collector, where one is named                       operations
//   ├─ registrar               the models that are added while the cluster runs               every node
//   └─ intake                  the door; stopped first, and then everything open is finished  serving
//
// Children start in this order, each ready before the next, and stop in reverse; added models stand in front of the registrar. Where there are
// several models, what runs of each has a budget of restarts of its own: one that spends it is down alone, and tried again later
// (actors/host/roster.ts); where there is one, its node gives up with it. An actor that restarts takes nobody with it: refs and
// mailboxes outlive it, and what it held comes back from the log.
//
// Owns: the tree, and the life of the process around it. Does not own: how its actors reach the bus and the log (actors/wiring/wiring.ts),
// the order in which they start and end (actors/host/host.ts).

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { beacon } from "./actors/beacon.js";
import { registrarId } from "./actors/host/added-models.js";
import { gaveUpExitCode, type HostedNode, hostNode } from "./actors/host/host.js";
import { type RegistrarDeps, registrar } from "./actors/host/registrar.js";
import { writerOf } from "./actors/host/roster.js";
import { updater } from "./actors/learning/updater.js";
import { alerter } from "./actors/operations/alerter.js";
import { exporter } from "./actors/operations/exporter.js";
import { observer } from "./actors/operations/observer.js";
import { watchdog } from "./actors/operations/watchdog.js";
import { web } from "./actors/operations/web.js";
import { buffer } from "./actors/serving/buffer.js";
import { deskDefaults } from "./actors/serving/desk.js";
import { inference } from "./actors/serving/inference.js";
import { intake } from "./actors/serving/intake.js";
import { relay } from "./actors/serving/relay.js";
import { voter } from "./actors/serving/voter.js";
import { sharedMemoryOf } from "./actors/wiring/former-owners.js";
import type { ModelWiring } from "./actors/wiring/model-wiring.js";
import type { NodeWiring } from "./actors/wiring/wiring.js";
import { type Clock, seededRandom } from "./models/clock.js";
import { guarded } from "./models/learning/guard-limits.js";
import { openLearner } from "./models/learning/learner.js";
import { loadModel, type Model } from "./models/manifest.js";
import { digitsFolder } from "./operations/cluster/local-cluster.js";
import { type NodeLines, openLines } from "./operations/cluster/node-lines.js";
import { httpOf, measuring, operationsOf, segmentsOf } from "./operations/cluster/node-settings.js";
import { drainWithin, patience } from "./operations/cluster/patience.js";
import type { NodeOptions } from "./operations/cluster/run-options.js";
import { entry, interrupted } from "./operations/cluster/up.js";
import type { HttpSettings } from "./operations/http/http-settings.js";
import { ModelLog } from "./operations/log/model-log.js";
import { recoverForNothing, rehearseRecovery } from "./operations/log/rehearsal.js";
import { processVitals } from "./operations/metrics/process-vitals.js";
import type { Terminal } from "./operations/terminal/terminal.js";
import { type Logger, openLogger } from "./supervision/logger.js";
import { initSystemOf } from "./supervision/process/init-system.js";
import { killSelfAfter } from "./supervision/process/last-resort.js";
import { lowerPriority } from "./supervision/process/niceness.js";
import { awaitActivation, reportReady, reportSpent, spentIn, watchParent } from "./supervision/process/parent-watch.js";
import type { ChildSpec, SupervisorSpec } from "./supervision/tree/child-spec.js";
import type { SpentBudgets } from "./supervision/tree/restart-intensity.js";
import { subjectsOf } from "./transport/subjects.js";
import { openChunkLine } from "./transport/tensors/chunk-line.js";
import { withTimeouts } from "./transport/timeouts.js";

export const roles = ["serving", "learning", "operations"] as const;
export type Role = (typeof roles)[number];

const intensity = { restarts: 10, withinMs: 10_000 } as const;

export function nodeTree(
  node: string,
  running: readonly Role[],
  wiring: NodeWiring,
  registrarDeps?: RegistrarDeps,
): SupervisorSpec {
  const children: (ChildSpec | SupervisorSpec)[] = [actor("beacon", () => beacon(wiring.beacon))];
  for (const model of wiring.models) children.push(...modelParts(running, wiring, model));
  if (running.includes("operations")) {
    children.push(actor("watchdog", () => watchdog(wiring.watchdog)));
    const { operations, exporter: exporterDeps } = wiring;
    if (operations === undefined) throw new Error("an operations node is wired as one");
    const { web: webDeps } = operations;
    const listening = ["alerter", ...(webDeps === undefined ? [] : ["web"])];
    children.push(actor("observer", (refs) => observer(operations.observer(listening.map((name) => refs.ref(name))))));
    children.push(actor("alerter", () => alerter(operations.alerter)));
    if (webDeps !== undefined) children.push(actor("web", () => web(webDeps), { mailboxMax: 64 }));
    if (exporterDeps !== undefined) children.push(actor("exporter", () => exporter(exporterDeps)));
  }
  if (registrarDeps !== undefined) children.push(actor(registrarId, () => registrar(registrarDeps)));
  if (running.includes("serving")) children.push(door(wiring));
  return withStops({ id: node, strategy: "one_for_one", intensity, children }, wiring.timeouts.actorStop);
}

/** What runs of one model on a node. */
export function modelParts(
  running: readonly Role[],
  { roll, timeouts }: NodeWiring,
  model: ModelWiring,
): (ChildSpec | SupervisorSpec)[] {
  const contained = (): boolean => roll.names.length > 1;
  const parts: (ChildSpec | SupervisorSpec)[] = [];
  if (running.includes("serving")) parts.push({ ...withStops(serving(model), timeouts.actorStop), contained });
  if (running.includes("learning")) {
    const bounds = { mailboxMax: 256, shutdownMs: timeouts.actorStop, contained };
    parts.push(actor(writerOf(model.name), () => updater(model.updater()), bounds));
  }
  return parts;
}

/** Every actor that has no time of its own for its end gets this one. */
function withStops(spec: SupervisorSpec, shutdownMs: number): SupervisorSpec {
  const children = spec.children.map((child) =>
    "children" in child ? withStops(child, shutdownMs) : { shutdownMs, ...child },
  );
  return { ...spec, children };
}

function serving(model: ModelWiring): SupervisorSpec {
  const { name } = model;
  const path = (child: string): string => `${name}/${child}`;
  return {
    id: name,
    strategy: "one_for_one",
    intensity,
    ahead: model.engine,
    children: [
      actor("buffer", (refs) => buffer(model.buffer(refs.ref(path("inference")), refs.ref(path("voter"))))),
      actor("voter", (refs) => voter(model.voter(refs.ref(path("buffer")), refs.ref(path("relay"))))),
      actor("relay", () => relay(model.relay())),
      actor("inference", (refs) => inference(model.inference(refs.ref(path("buffer"))))),
    ],
  };
}

function door(wiring: NodeWiring): ChildSpec {
  const behaviour: ChildSpec["behaviour"] = (refs) =>
    intake(
      wiring.intake((model) => model.served(refs.ref(`${model.name}/inference`), refs.ref(`${model.name}/buffer`))),
    );
  return actor("intake", behaviour, { mailboxMax: 256, shutdownMs: wiring.timeouts.door });
}

function actor<M, S>(
  id: string,
  behaviour: ChildSpec<M, S>["behaviour"],
  bounds: Pick<ChildSpec, "mailboxMax" | "shutdownMs" | "contained"> = {},
): ChildSpec<M, S> {
  return { id, behaviour, restart: "permanent", ...bounds };
}

/** What makes a process this node and no other: a spare learns it when it is needed. */
interface Identity {
  readonly node: string;
  readonly incarnation: number;
  readonly spent: SpentBudgets;
}

/**
 * Runs one node until it is told to drain (exit 0), or gives up (exit 70). A node that a root started dies with it. A spare loads what
 * every incarnation needs, is connected, and waits to be told which one it is.
 */
export async function runNode(options: NodeOptions, terminal: Terminal): Promise<number> {
  const hasParent = watchParent(() => process.exit(gaveUpExitCode));
  // Learning yields: a step may wait, an answer may not (law 7).
  if (!options.role.includes("serving") && options.role.includes("learning"))
    lowerPriority(process.pid, constants.priority.PRIORITY_BELOW_NORMAL, terminal.clock);
  const http = httpOf(options, terminal, process.env);
  const node = options.name ?? `${options.role[0]}-${randomBytes(3).toString("hex")}`;
  const [models, lines] = await Promise.all([
    loadModels(options),
    openLines(options, node, { clock: terminal.clock, env: process.env, hasRoot: hasParent }),
  ]);
  const identity = await identityOf(options, node, models, lines, terminal);
  if (identity === undefined) return 0;
  const log = openLogger(options.logLevel ?? "warn", { node, nodeIncarnation: identity.incarnation });
  const hosted = await startNode(options, identity, models, { terminal, log, lines, hasRoot: hasParent, http });
  if (!(reportReady() || terminal.json)) terminal.note(`${node} is ready (${options.role.join(", ")})`);
  if (terminal.json && !hasParent) terminal.print(JSON.stringify({ ready: true, node }));
  const { drain, halt, initSystem: sendWithinMs } = withTimeouts(options.timeout ?? {});
  // For a node of a root the root speaks.
  const initSystem = initSystemOf(hasParent ? {} : process.env, {
    clock: terminal.clock,
    log,
    pid: process.pid,
    sendWithinMs,
  });
  initSystem.ready(`${node} serves at ${options.nats}`);
  const failure = await Promise.race([interrupted(terminal.interrupted), hosted.drainOrdered, hosted.failed]);
  void initSystem.stopping();
  if (failure instanceof Error) {
    log.fatal("this node gives up", { error: failure });
    await reportSpent(hosted.spent());
  }
  const ending = await drainWithin(hosted.stop(), patience(terminal.clock, drain, terminal.insisted));
  if (ending === "forced") await hosted.halt();
  if (failure instanceof Error) {
    // A thread that hangs in native code would keep a process that exits.
    killSelfAfter(halt);
    return gaveUpExitCode;
  }
  return ending === "drained" ? 0 : endByForce(log);
}

/** Not by an exit: that waits for threads in native code, and may abort in them. */
function endByForce(log: Logger): Promise<never> {
  log.warn("ended by force, before everything in flight was finished", {});
  process.kill(process.pid, "SIGKILL");
  return new Promise(() => undefined);
}

/** Undefined: a spare that was never needed. */
async function identityOf(
  options: NodeOptions,
  node: string,
  models: readonly Model[],
  lines: NodeLines,
  terminal: Terminal,
): Promise<Identity | undefined> {
  if (options.spare !== true)
    return { node, incarnation: options.incarnation, spent: spentIn(JSON.parse(options.spent ?? "{}")) };
  if (options.role.includes("learning")) await warmUp(options, models, lines, terminal.clock);
  const activation = await awaitActivation(terminal.interrupted);
  if (activation !== undefined) return { node, incarnation: activation.generation, spent: activation.spent };
  await Promise.all([lines.bus.close(), lines.logBus.close()]);
  return undefined;
}

/** Backends stay open in the process, so the learner of the incarnation finds them warm. */
async function warmUp(
  { cluster, logMax }: NodeOptions,
  models: readonly Model[],
  { logBus }: NodeLines,
  clock: Clock,
): Promise<void> {
  const learner = await openLearner();
  for (const model of models) {
    await rehearseRecovery(learner, model);
    const store = new ModelLog(logBus, subjectsOf(cluster), model, clock, () => undefined, {
      experienceMaxBytes: logMax,
    });
    await recoverForNothing({ learner, model, store, nowMs: () => clock.nowMs() });
  }
  learner.close();
}

function loadModels(options: NodeOptions): Promise<Model[]> {
  return Promise.all((options.model ?? [digitsFolder(entry)]).map((folder) => loadGuarded(options, folder)));
}

async function loadGuarded({ guardrail = {}, unsafeGuardrails = false }: NodeOptions, folder: string): Promise<Model> {
  return guarded(await loadModel(folder), guardrail, unsafeGuardrails);
}

interface Surroundings {
  readonly terminal: Terminal;
  readonly log: Logger;
  readonly lines: NodeLines;
  readonly hasRoot: boolean;
  readonly http: HttpSettings | undefined;
}

async function startNode(
  options: NodeOptions,
  { node, incarnation, spent }: Identity,
  models: readonly Model[],
  { terminal, log, lines, hasRoot, http }: Surroundings,
): Promise<HostedNode> {
  const { overflow = deskDefaults.policy, openMax = deskDefaults.openMax } = options;
  const onRefused = (message: string): void => log.warn("the server refuses the line of chunks", { message });
  const chunkLine = options.role.includes("serving")
    ? openChunkLine({ ...lines.as(`${node}-chunks`), onRefused })
    : undefined;
  const origin = randomBytes(6).toString("hex");
  const segments = await segmentsOf(options, node, terminal, log);
  const operations = await operationsOf(options, terminal, log, process.env);
  return hostNode(
    {
      node,
      incarnation,
      spent,
      pid: process.pid,
      origin: `${node}-${origin}`,
      ...(options.run === undefined ? {} : { run: options.run }),
      roles: options.role,
      models,
      bus: lines.bus,
      logBus: lines.logBus,
      subjects: subjectsOf(options.cluster),
      clock: terminal.clock,
      random: seededRandom(randomBytes(4).readUInt32LE()),
      log,
      version: version(),
      vitals: processVitals(terminal.clock),
      desk: { ...deskDefaults, policy: overflow, openMax },
      ...measuring(options),
      ...sharedMemoryOf(options.shm),
      ...(options.ep === undefined ? {} : { ep: options.ep }),
      ...(options.otlp === undefined ? {} : { otlpUrl: options.otlp }),
      hasRoot,
      added: {
        folder: join(options.modelCache ?? join(tmpdir(), `driftmend-models-${origin}`), node),
        ends: options.modelCache === undefined,
        load: (folder) => loadGuarded(options, folder),
      },
      ...(options.logMax === undefined ? {} : { logMaxBytes: options.logMax }),
      ...(options.replicas === undefined ? {} : { replicas: options.replicas }),
      ...(http === undefined ? {} : { http }),
      ...(operations === undefined ? {} : { operations }),
      ...(segments === undefined ? {} : { segments }),
      ...(chunkLine === undefined ? {} : { chunkLine }),
      ...(options.flightDir === undefined ? {} : { flightDir: join(options.flightDir, node) }),
    },
    (wiring, registrarDeps) => nodeTree(node, options.role, wiring, registrarDeps),
    (wiring, model) => modelParts(options.role, wiring, model),
  );
}

function version(): string {
  const found: { readonly version?: string } = JSON.parse(
    readFileSync(new URL("../package.json", import.meta.url), "utf8"),
  );
  return found.version ?? "0.0.0";
}
