// What one node runs, as data: the one picture of what restarts with what.
//
//   node                       one_for_one; gives up -> the process exits 70, its root starts the next incarnation
//   ├─ beacon                  heartbeat and vital figures                                    every node
//   ├─ <model>                 one_for_one                                                    serving
//   │  ├─ buffer               memory and moments: a fold over the experience log
//   │  ├─ voter                judgement, append, reply
//   │  ├─ relay                update tasks that the log asks for
//   │  └─ inference            the model, in batches
//   ├─ <model>-updater         the single writer of the model's parameters                    learning
//   ├─ watchdog                silence, sweeps, confirmations                                 operations
//   ├─ alerter                 events to alerts                                               operations
//   └─ intake                  the door; stopped first, and then everything open is finished  serving
//
// Children start in this order, each ready before the next, and stop in reverse. An actor that restarts takes nobody with it: refs and
// mailboxes outlive it, and what it held comes back from the log.
//
// Owns: the tree, and the life of the process around it. Does not own: how its actors reach the bus and the log (actors/wiring.ts),
// the order in which they start and end (actors/host.ts).

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { alerter } from "./actors/alerter.js";
import { beacon } from "./actors/beacon.js";
import { buffer } from "./actors/buffer.js";
import { deskDefaults } from "./actors/desk.js";
import { gaveUpExitCode, type HostedNode, hostNode } from "./actors/host.js";
import { inference } from "./actors/inference.js";
import { intake } from "./actors/intake.js";
import type { ModelWiring } from "./actors/model-wiring.js";
import { relay } from "./actors/relay.js";
import { updater } from "./actors/updater.js";
import { voter } from "./actors/voter.js";
import { watchdog } from "./actors/watchdog.js";
import type { NodeWiring } from "./actors/wiring.js";
import { seededRandom } from "./models/clock.js";
import { guarded } from "./models/guard-limits.js";
import { openLearner } from "./models/learner.js";
import { loadModel, type Model } from "./models/manifest.js";
import { rehearse } from "./models/warm-up.js";
import { digitsFolder } from "./operations/local-cluster.js";
import { drainWithin, patience } from "./operations/patience.js";
import type { Terminal } from "./operations/terminal/terminal.js";
import { entry, interrupted } from "./operations/up.js";
import type { NodeOptions } from "./operations/verbs/run-options.js";
import type { ChildSpec, SupervisorSpec } from "./supervision/child-spec.js";
import { killSelfAfter } from "./supervision/last-resort.js";
import { type Logger, openLogger } from "./supervision/logger.js";
import { awaitActivation, reportReady, reportSpent, spentIn, watchParent } from "./supervision/parent-watch.js";
import type { SpentBudgets } from "./supervision/restart-intensity.js";
import { connectBus } from "./transport/bus.js";
import { connectPatiently } from "./transport/patient-connection.js";
import { inboxPrefixOf, subjectsOf } from "./transport/subjects.js";
import { withTimeouts } from "./transport/timeouts.js";

export const roles = ["serving", "learning", "operations"] as const;
export type Role = (typeof roles)[number];

const intensity = { restarts: 10, withinMs: 10_000 } as const;

export function nodeTree(node: string, running: readonly Role[], wiring: NodeWiring): SupervisorSpec {
  const children: (ChildSpec | SupervisorSpec)[] = [actor("beacon", () => beacon(wiring.beacon))];
  for (const model of wiring.models) {
    if (running.includes("serving")) children.push(serving(model));
    if (running.includes("learning"))
      children.push(actor(`${model.name}-updater`, () => updater(model.updater()), { mailboxMax: 256 }));
  }
  if (running.includes("operations")) {
    children.push(actor("watchdog", () => watchdog(wiring.watchdog)));
    children.push(actor("alerter", () => alerter(wiring.alerter)));
  }
  if (running.includes("serving")) children.push(door(wiring));
  return withStops({ id: node, strategy: "one_for_one", intensity, children }, wiring.timeouts.actorStop);
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
      wiring.intake(
        wiring.models.map((model) =>
          model.served(refs.ref(`${model.name}/inference`), refs.ref(`${model.name}/buffer`)),
        ),
      ),
    );
  return actor("intake", behaviour, { mailboxMax: 256, shutdownMs: wiring.timeouts.door });
}

function actor<M, S>(
  id: string,
  behaviour: ChildSpec<M, S>["behaviour"],
  bounds: Pick<ChildSpec, "mailboxMax" | "shutdownMs"> = {},
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
 * every incarnation needs, and waits to be told which one it is.
 */
export async function runNode(options: NodeOptions, terminal: Terminal): Promise<number> {
  const hasParent = watchParent(() => process.exit(gaveUpExitCode));
  // Learning yields: a step may wait, an answer may not (law 7).
  if (!options.role.includes("serving") && options.role.includes("learning"))
    setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  const models = await loadModels(options);
  const identity = await identityOf(options, models, terminal);
  if (identity === undefined) return 0;
  const { node } = identity;
  const log = openLogger("warn", { node, nodeIncarnation: identity.incarnation });
  const hosted = await startNode(options, identity, models, { terminal, log, hasRoot: hasParent });
  if (!(reportReady() || terminal.json)) terminal.note(`${node} is ready (${options.role.join(", ")})`);
  if (terminal.json && !hasParent) terminal.print(JSON.stringify({ ready: true, node }));
  const failure = await Promise.race([interrupted(terminal.interrupted), hosted.drainOrdered, hosted.failed]);
  if (failure instanceof Error) {
    log.fatal("this node gives up", { error: failure });
    await reportSpent(hosted.spent());
  }
  const { drain, halt } = withTimeouts(options.timeout ?? {});
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
  models: readonly Model[],
  terminal: Terminal,
): Promise<Identity | undefined> {
  const node = options.name ?? `${options.role[0]}-${randomBytes(3).toString("hex")}`;
  if (options.spare !== true)
    return { node, incarnation: options.incarnation, spent: spentIn(JSON.parse(options.spent ?? "{}")) };
  if (options.role.includes("learning")) await warmUp(models);
  const activation = await awaitActivation(terminal.interrupted);
  return activation === undefined ? undefined : { node, incarnation: activation.generation, spent: activation.spent };
}

/** Backends stay open in the process, so the learner of the incarnation finds them warm. */
async function warmUp(models: readonly Model[]): Promise<void> {
  const learner = await openLearner();
  for (const model of models) await rehearse(learner, model);
  learner.close();
}

function loadModels({ model, guardrail = {}, unsafeGuardrails = false }: NodeOptions): Promise<Model[]> {
  const folders = model ?? [digitsFolder(entry)];
  return Promise.all(folders.map(async (folder) => guarded(await loadModel(folder), guardrail, unsafeGuardrails)));
}

interface Surroundings {
  readonly terminal: Terminal;
  readonly log: Logger;
  readonly hasRoot: boolean;
}

async function startNode(
  options: NodeOptions,
  { node, incarnation, spent }: Identity,
  models: readonly Model[],
  { terminal, log, hasRoot }: Surroundings,
): Promise<HostedNode> {
  const { user, password, overflow = deskDefaults.policy, openMax = deskDefaults.openMax } = options;
  const connectAs = (name: string) =>
    (hasRoot ? connectPatiently : connectBus)({
      url: options.nats,
      name,
      clock: terminal.clock,
      timeouts: withTimeouts(options.timeout ?? {}),
      ...(user === undefined ? {} : { user, inboxPrefix: inboxPrefixOf(user) }),
      ...(password === undefined ? {} : { password }),
    });
  const bus = await connectAs(node);
  const logBus = await connectAs(`${node}-log`);
  const origin = randomBytes(6).toString("hex");
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
      bus,
      logBus,
      subjects: subjectsOf(options.cluster),
      clock: terminal.clock,
      random: seededRandom(randomBytes(4).readUInt32LE()),
      log,
      version: version(),
      vitals: vitalSigns(),
      desk: { ...deskDefaults, policy: overflow, openMax },
      hasRoot,
      ...(options.logMax === undefined ? {} : { logMaxBytes: options.logMax }),
      ...(options.flightDir === undefined ? {} : { flightDir: join(options.flightDir, node) }),
    },
    (wiring) => nodeTree(node, options.role, wiring),
  );
}

/** Memory in bytes, the longest delay of the event loop in milliseconds since the last look. */
function vitalSigns(): () => Readonly<Record<string, number>> {
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  return () => {
    const { rss, heapUsed } = process.memoryUsage();
    const loopDelayMaxMs = delay.max / 1e6;
    delay.reset();
    return { rssBytes: rss, heapUsedBytes: heapUsed, loopDelayMaxMs, uptimeMs: Math.round(process.uptime() * 1000) };
  };
}

function version(): string {
  const found: { readonly version?: string } = JSON.parse(
    readFileSync(new URL("../package.json", import.meta.url), "utf8"),
  );
  return found.version ?? "0.0.0";
}
