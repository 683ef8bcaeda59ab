// `driftmend demo`, the main job on one machine: a cluster, and handwritten digits whose pictures drift.
//
// Owns: the run from start to report. Does not own: the cluster (operations/cluster/local-cluster.ts), the load (load.ts), the screen
// (operations/terminal/).
//
// D1. The report is measured: counts of requests by the client, of experiences and updates by the log, of versions by the commit chain.
// D2. A run with a limit proves its claim before it ends: the log is folded again and compared with what was committed.
// D3. A demo begins with an empty log and leaves nothing behind; with --store the log stays.

import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { guarded } from "../models/learning/guard-limits.js";
import { loadModel } from "../models/manifest.js";
import { openSession } from "../models/serving/onnx-session.js";
import { digitsFolder, type LocalCluster, refuseSecond } from "../operations/cluster/local-cluster.js";
import type { Outcome } from "../operations/cluster/outcome.js";
import { done } from "../operations/cluster/outcome.js";
import type { DemoOptions } from "../operations/cluster/run-options.js";
import { type Aside, cutShort, entry, pageLines, startFrom } from "../operations/cluster/up.js";
import { type DemoState, renderDemo, renderDemoLine } from "../operations/terminal/demo-screen.js";
import { openPainter, type Painter } from "../operations/terminal/painter.js";
import { type DemoReport, renderReport } from "../operations/terminal/report.js";
import type { Terminal } from "../operations/terminal/terminal.js";
import { accessAs } from "../transport/access/context.js";
import { DriftmendClient } from "../transport/client.js";
import { loadDigitPool } from "./digits.js";
import { driftNames } from "./drift.js";
import { type Evidence, gatherEvidence } from "./evidence.js";
import { Load } from "./load.js";
import { withOwnLog } from "./own-log.js";
import { tellScores } from "./score-telling.js";
import { driftingStream } from "./stream.js";
import { followUpdates, type UpdateTally } from "./update-tally.js";
import { defaultCrashProbability, killWorkers, noKills } from "./worker-chaos.js";

/** Requests per second when nobody asked for another rate: readable, and within what one core learns from. */
const defaultRate = 200;
const inFlightMax = 64;
const deadlineMs = 10_000;
const frameMs = 250;

export async function runDemo(options: DemoOptions, terminal: Terminal): Promise<Outcome> {
  if (options.workerCrashProbability !== undefined && !hasChaos(options))
    return { kind: "usage", message: "--worker-crash-probability goes with --chaos", next: "add --chaos" };
  await refuseSecond(options.store);
  return withOwnLog(options, "demo", (aside) => runOn(options, terminal, aside));
}

async function runOn(options: DemoOptions, terminal: Terminal, aside: Aside): Promise<Outcome> {
  if (!terminal.json) terminal.note("starting nats-server, one serving, one learning and one operations node ...");
  const cluster = await startFrom(options, terminal, aside);
  if (!terminal.json) for (const line of pageLines(cluster.context, terminal.self)) terminal.note(line);
  const insisted = insistence(terminal);
  try {
    const outcome = await Promise.race([playToTheEnd(options, terminal, cluster), insisted]);
    const ending = await cluster.stop(terminal.insisted);
    return ending === "forced" ? cutShort : outcome;
  } finally {
    await cluster.stop(terminal.insisted);
  }
}

async function playToTheEnd(options: DemoOptions, terminal: Terminal, cluster: LocalCluster): Promise<Outcome> {
  const report = await play(options, terminal, cluster);
  if (options.report !== undefined) await writeFile(options.report, `${JSON.stringify(report, undefined, 2)}\n`);
  terminal.print(terminal.json ? JSON.stringify(report) : renderReport(report, terminal.width, terminal.colours));
  return outcomeOf(report, terminal);
}

/** A second Ctrl-C waits neither for the requests under way nor for the report. */
export function insistence({ insisted }: Terminal): Promise<Outcome> {
  return new Promise((resolve) => {
    if (insisted?.aborted) resolve(cutShort);
    insisted?.addEventListener("abort", () => resolve(cutShort), { once: true });
  });
}

function outcomeOf(report: Report, terminal: Terminal): Outcome {
  if (!report.replay.equal)
    return {
      kind: "failed",
      message: "the committed parameters are not the fold of the log",
      next: "keep the log with --store DIR and report it",
    };
  return terminal.interrupted.aborted ? { kind: "interrupted" } : done;
}

export interface Report extends DemoReport {
  /** Lowest lead over the source model in any 200 answers; null when there were fewer. */
  readonly worstWindow: number | null;
  readonly retried: number;
  readonly replay: Evidence["replay"];
  readonly readyMs: number;
}

async function play(options: DemoOptions, terminal: Terminal, cluster: LocalCluster): Promise<Report> {
  const { clock, interrupted } = terminal;
  const [folder = digitsFolder(entry)] = options.model ?? [];
  const model = guarded(await loadModel(folder), options.guardrail ?? {}, true);
  const { context } = cluster;
  const client = await DriftmendClient.connect({
    ...accessAs(context, "client"),
    cluster: context.cluster,
    clock,
  });
  const source = await openSession(model.sourceBytes);
  const updates = await followUpdates(context, clock);
  const samples = driftingStream({
    pool: await loadDigitPool(),
    seed: options.seed,
    variant: "iid",
    segment: segmentOf(options.requests),
  });
  const limits = {
    requests: options.requests ?? Number.POSITIVE_INFINITY,
    durationMs: options.duration ?? Number.POSITIVE_INFINITY,
    rate: options.rate ?? defaultRate,
  };
  const run = `demo-${randomBytes(4).toString("hex")}`;
  const load = new Load(
    { model: model.manifest.name, run, inFlightMax, deadlineMs, ...limits },
    { client, source, samples, clock, signal: interrupted },
  );
  const startedAtMs = clock.monotonicMs();
  const stopScreen = terminal.json ? () => undefined : show(options, terminal, cluster, load, updates);
  const loadOver = new AbortController();
  const killing = hasChaos(options) ? killWorkers(context, clock, chaosOf(options, load), loadOver.signal) : noKills;
  const { scoreboard } = load;
  const endScores = await tellScores(context, clock, run, () => ({ ...scoreboard.right, labels: scoreboard.scored }));
  await load.run();
  const seconds = (clock.monotonicMs() - startedAtMs) / 1000;
  loadOver.abort();
  const chaos = await killing;
  stopScreen();
  await endScores();
  const evidence = await gatherEvidence(context, model, folder, clock);
  await updates.close();
  await client.close();
  // The tree forgets what a node's earlier incarnations saw, and an event may be lost with the broker: the larger of two counts.
  const actorRestarts = Math.max(evidence.actorRestarts, updates.actorRestarts);
  return { ...reportOf(options, cluster, load, { ...evidence, actorRestarts }, seconds), chaos };
}

function hasChaos({ chaos = false, enableChaosTesting = false }: DemoOptions): boolean {
  return chaos || enableChaosTesting;
}

function chaosOf({ workerCrashProbability = defaultCrashProbability, seed }: DemoOptions, load: Load) {
  return { probability: workerCrashProbability, seed, sent: () => load.sent };
}

/** Requests of one drift, least and most: a run with a limit shows all ten drifts, as far as each still has time to be adapted to. */
export function segmentOf(requests: number | undefined): readonly [number, number] {
  if (requests === undefined) return [300, 600];
  const even = requests / driftNames.length;
  return [bounded((2 / 3) * even, 150, 300), bounded((4 / 3) * even, 250, 600)];
}

function bounded(value: number, least: number, most: number): number {
  return Math.round(Math.min(most, Math.max(least, value)));
}

function reportOf(
  options: DemoOptions,
  cluster: LocalCluster,
  load: Load,
  evidence: Evidence,
  seconds: number,
): Report {
  const { scoreboard, latency } = load;
  const scored = scoreboard.scored > 0;
  const { adapting, source } = scoreboard.accuracy;
  return {
    requests: load.sent,
    answered: load.answered,
    refused: load.refused,
    retried: load.retried,
    seconds,
    accuracy: { adapting: scored ? adapting : null, source: scored ? source : null },
    worstWindow: scoreboard.worstWindow,
    accuracyByDrift: scoreboard.byDrift,
    mode: load.mode,
    updates: evidence.updates,
    modelVersion: evidence.modelVersion,
    latencyMs: { p50: latency.quantile(0.5), p95: latency.quantile(0.95), p99: latency.quantile(0.99) },
    log: evidence.log,
    replay: evidence.replay,
    restarts: cluster.restarts + evidence.actorRestarts,
    readyMs: cluster.readyMs,
    seed: options.seed,
  };
}

/** Draws until the returned function is called. */
function show(
  options: DemoOptions,
  terminal: Terminal,
  cluster: LocalCluster,
  load: Load,
  updates: UpdateTally,
): () => void {
  const { clock, colours } = terminal;
  const { stdout } = process;
  const canvas = {
    write: (text: string) => void stdout.write(text),
    live: stdout.isTTY === true,
    columns: () => stdout.columns ?? terminal.width,
    rows: () => stdout.rows ?? 40,
  };
  const painter: Painter = openPainter(canvas, clock);
  const beganAtMs = clock.monotonicMs();
  let last = { atMs: beganAtMs, answered: 0, perSecond: 0 };
  let stopped = false;
  const frame = (): void => {
    if (stopped) return;
    const nowMs = clock.monotonicMs();
    if (nowMs - last.atMs >= 1000)
      last = {
        atMs: nowMs,
        answered: load.answered,
        perSecond: ((load.answered - last.answered) * 1000) / (nowMs - last.atMs),
      };
    const state = stateOf(options, terminal, cluster, load, updates, nowMs - beganAtMs, last.perSecond);
    painter.paint({ screen: (width) => renderDemo(state, width, colours), line: () => renderDemoLine(state) });
    clock.after(frameMs, frame);
  };
  frame();
  return () => {
    stopped = true;
    painter.close();
  };
}

function stateOf(
  options: DemoOptions,
  terminal: Terminal,
  cluster: LocalCluster,
  load: Load,
  updates: UpdateTally,
  elapsedMs: number,
  requestsPerSecond: number,
): DemoState {
  const { scoreboard } = load;
  const some = scoreboard.scored > 0;
  const accuracy = (whose: "adapting" | "source") => ({
    all: some ? scoreboard.accuracy[whose] : null,
    last200: some ? scoreboard.newest[whose] : null,
    history: scoreboard.curve.map((point) => point[whose]),
  });
  return {
    readyMs: cluster.readyMs,
    elapsedMs,
    requestsPerSecond,
    answered: load.answered,
    refused: load.refused,
    limit: limitOf(options),
    accuracy: { adapting: accuracy("adapting"), source: accuracy("source") },
    drift: load.drift,
    confidence: load.confidence,
    mode: load.newestMode,
    modelVersion: load.modelVersion,
    updates: { applied: updates.applied, refused: updates.refused },
    restarts: cluster.restarts + updates.actorRestarts,
    event: updates.event,
    natsUrl: cluster.context.natsUrl,
    contextFile: cluster.contextFile,
    next: [
      { command: `${terminal.self} tree`, does: "what runs, and what was restarted" },
      { command: `${terminal.self} chaos kill updater`, does: "kill the learner; learning resumes" },
      { command: `${terminal.self} chaos kill serving-1`, does: "kill a whole node; no answer is lost" },
      { command: `${terminal.self} watch`, does: "telemetry as it happens" },
    ],
  };
}

function limitOf({ requests, duration }: DemoOptions): DemoState["limit"] {
  if (requests !== undefined) return { kind: "requests", requests };
  return duration === undefined ? undefined : { kind: "duration", ms: duration };
}
