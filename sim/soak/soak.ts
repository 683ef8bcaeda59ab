// A soak: a cluster under a steady load, faults by a plan, and then the whole of the evidence.
//
// Owns: the order of it: start, load, faults, calm, readings, end, aftermath. Does not own: how the cluster is started (who calls says),
// the faults (plan.ts, strikes.ts), what must hold (invariants.ts).
//
// S1. First safety under faults, then liveness: when the last fault is repaired the load goes on for a while and everything must settle.
// S2. An interrupted soak ends the faults, and then does all the rest: its report is as true as a full one's.

import type { Clock } from "../../models/clock.js";
import type { Model } from "../../models/manifest.js";
import { brokerName } from "../../operations/broker/broker-watch.js";
import type { ProcessEvent } from "../../supervision/process/process-spec.js";
import type { ClusterContext } from "../../transport/access/context.js";
import type { Bus } from "../../transport/bus/bus.js";
import { DriftmendClient } from "../../transport/client.js";
import { encodeLookRequest, parseTree, type TreeNode } from "../../transport/messages/look-orders.js";
import { subjectsOf } from "../../transport/subjects.js";
import { connectAs } from "../connection.js";
import type { Sample } from "../stream.js";
import { lookAround } from "./aftermath.js";
import type { Evidence, Violation } from "./evidence.js";
import { violationsIn } from "./invariants.js";
import { SteadyLoad } from "./ledger.js";
import { type FaultCounts, type Plan, planFaults, targetsIn } from "./plan.js";
import { readAll } from "./readings.js";
import { type Struck, strikeAll } from "./strikes.js";
import { Witness } from "./witness.js";

export interface SoakCluster {
  readonly context: ClusterContext;
  /** The cluster gave up; never settles otherwise. */
  readonly failed: Promise<Error>;
  stop(): Promise<unknown>;
}

export interface SoakOptions extends FaultCounts {
  readonly seed: number;
  /** Requests per second. */
  readonly rate: number;
  /** The load alone, before the first fault and after the last repair. */
  readonly calmMs: number;
  readonly model: Model;
  readonly folder: string;
  readonly store: string;
  readonly searchPath: string;
  /** Begins every request id. */
  readonly run: string;
}

export interface SoakDeps {
  readonly start: (onEvent: (event: ProcessEvent) => void) => Promise<SoakCluster>;
  readonly samples: Iterator<Sample, never>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
  /** Runs beside the load after the plan: what a scenario does itself. */
  readonly during?: (scene: Scene) => Promise<void>;
}

export interface Scene {
  readonly context: ClusterContext;
  readonly witness: Witness;
  readonly load: SteadyLoad;
}

export interface Progress {
  readonly phase: "starting" | "calm" | "faults" | "settling" | "checking";
  readonly elapsedMs: number;
  readonly durationMs: number;
  readonly sent: number;
  readonly open: number;
  readonly struck: Struck["counts"];
  readonly planned: FaultCounts;
}

export interface SoakResult {
  readonly evidence: Evidence;
  readonly violations: readonly Violation[];
  readonly struck: Struck;
  readonly plan: Plan;
  readonly sent: number;
  /** Of the load, in seconds. */
  readonly seconds: number;
  readonly retried: number;
  readonly interrupted: boolean;
}

const requestDeadlineMs = 30_000;
const labelEvery = 25;
const progressMs = 1_000;
const lookWithinMs = 5_000;
const nothingStruck = { actor: 0, node: 0, stop: 0, broker: 0 };

export async function runSoak(options: SoakOptions, deps: SoakDeps): Promise<SoakResult> {
  const { clock } = deps;
  const witness = new Witness(clock);
  const cluster = await deps.start(witness.see);
  let isStopped = false;
  try {
    const underFire = await Promise.race([fire(options, deps, cluster, witness), gaveUp(cluster)]);
    await cluster.stop();
    isStopped = true;
    const { store, searchPath } = options;
    const processes = await witness.identified();
    const left = await lookAround({ cluster: cluster.context.cluster, store, searchPath, processes, clock });
    const { outages, actorEvents } = witness;
    const { load, struck, readings, ...rest } = underFire;
    const evidence: Evidence = {
      asked: load.asked,
      ...readings,
      deaths: witness.deaths(),
      outages,
      actorEvents,
      receipts: struck.receipts,
      left,
    };
    const retried = load.asked.reduce((sum, { tries }) => sum + Math.max(0, tries - 1), 0);
    return { ...rest, struck, evidence, violations: violationsIn(evidence), sent: load.sent, retried };
  } finally {
    if (!isStopped) await cluster.stop();
  }
}

async function gaveUp({ failed }: SoakCluster): Promise<never> {
  throw await failed;
}

async function fire(options: SoakOptions, deps: SoakDeps, cluster: SoakCluster, witness: Witness) {
  const { clock, signal } = deps;
  const { context } = cluster;
  const subjects = subjectsOf(context.cluster);
  const operator = await connectAs(context, "operator", "driftmend-soak", clock);
  const client = await DriftmendClient.connect({
    ...context.users.client,
    cluster: context.cluster,
    url: context.natsUrl,
    clock,
  });
  const model = options.model.manifest.name;
  try {
    await witness.attend(operator, subjects);
    const tree = await treeOf(operator, subjects.actor("root", "tree"));
    for (const { pid } of tree.children) if (pid !== undefined) witness.remember(pid);
    const plan = planFaults(options, targetsIn(tree), options.seed);
    const { rate, run, calmMs } = options;
    const loadOptions = { model, run, rate, deadlineMs: requestDeadlineMs, labelEvery };
    const load = new SteadyLoad(loadOptions, client, deps.samples, clock);
    const beganAtMs = clock.monotonicMs();
    const struckSoFar = { ...nothingStruck };
    const phase: { now: Progress["phase"] } = { now: "calm" };
    const stopTelling = tell(options, deps, plan, phase, load, struckSoFar);
    await clock.delay(calmMs, signal);
    phase.now = "faults";
    const strikes = strikeAll(plan, {
      bus: operator,
      subjects,
      witness,
      clock,
      broker: brokerName,
      signal,
      onStruck: ({ kind }) => {
        struckSoFar[kind] += 1;
        if (kind === "broker") void remembered(operator, subjects.actor("root", "tree"), witness);
      },
    });
    const [struck] = await Promise.all([strikes, deps.during?.({ context, witness, load })]);
    phase.now = "settling";
    await clock.delay(calmMs, signal);
    await load.stop();
    const seconds = (clock.monotonicMs() - beganAtMs) / 1000;
    phase.now = "checking";
    const servingNodes = tree.children.flatMap(({ name, kind }) =>
      kind === "node" && name.startsWith("serving") ? [name] : [],
    );
    const readings = await readAll({
      bus: operator,
      subjects,
      model: options.model,
      folder: options.folder,
      clock,
      servingNodes,
    });
    stopTelling();
    return { load, struck, readings, plan, seconds, interrupted: signal.aborted };
  } finally {
    await client.close();
    await operator.close();
  }
}

/** The broker has another pid now; it too must be gone at the end. */
async function remembered(bus: Bus, subject: string, witness: Witness): Promise<void> {
  const tree = await treeOf(bus, subject).catch(() => undefined);
  const broker = tree?.children.find(({ name }) => name === brokerName);
  if (broker?.pid !== undefined) witness.remember(broker.pid);
}

function tell(
  options: SoakOptions,
  { clock, onProgress }: SoakDeps,
  plan: Plan,
  phase: { readonly now: Progress["phase"] },
  load: SteadyLoad,
  struck: Struck["counts"],
): () => void {
  const beganAtMs = clock.monotonicMs();
  let cancel = (): void => undefined;
  const again = (): void => {
    onProgress({
      phase: phase.now,
      elapsedMs: clock.monotonicMs() - beganAtMs,
      durationMs: plan.durationMs + 2 * options.calmMs,
      sent: load.sent,
      open: load.open,
      struck,
      planned: options,
    });
    cancel = clock.after(progressMs, again);
  };
  again();
  return () => cancel();
}

async function treeOf(bus: Bus, subject: string): Promise<TreeNode> {
  const outcome = await bus.request(subject, encodeLookRequest(), { timeoutMs: lookWithinMs });
  const parsed = outcome.kind === "reply" ? parseTree(outcome.data) : undefined;
  if (parsed?.kind !== "ok" || parsed.value.kind !== "reply")
    throw new Error(`the root shows no tree: ${outcome.kind}`);
  return parsed.value.reply;
}
