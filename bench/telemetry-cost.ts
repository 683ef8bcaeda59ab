// What measuring and tracing cost: the throughput of a cluster while its nodes do, against that of the same cluster while they do not.
//
//   node dist/bench/telemetry-cost.js [--what both] [--rounds 12] [--round-ms 2000] [--in-flight 64] [--same]     prints two tables
//
// Measures: one cluster under one closed loop, every request traced. Between rounds its nodes turn something off or on: `--what metrics` the
// instruments (distributions, pools, phases), `--what traces` the spans, `--what both` the two of them together.
// `--same` never turns them: how much two rounds in a row differ here, which is what the difference must be held against.
//
// T1. Rounds come in pairs, and who begins a pair alternates; ratios are taken pair by pair. Two clusters side by side would not do: what they
//     learn depends on how requests fall into batches, and that differs more than what is to be measured.
// T2. The cluster is warm before anything is timed: its memory is full of digits, and its updates are through.
// Not measured: counters, other events, and the times of the stations that both are made of, which are taken in any case.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { seededRandom } from "../models/clock.js";
import { loadModel } from "../models/manifest.js";
import { clusterSettingsOf } from "../operations/cluster/cluster-settings.js";
import { digitsFolder, startLocalCluster } from "../operations/cluster/local-cluster.js";
import { entry } from "../operations/cluster/up.js";
import { systemClock as clock } from "../supervision/clock.js";
import { silentLogger } from "../supervision/logger.js";
import { startProcesses } from "../supervision/process/process-root.js";
import type { ClusterContext } from "../transport/access/context.js";
import { identityOf } from "../transport/access/credentials.js";
import { connectBus } from "../transport/bus/bus.js";
import { encodeLookRequest, parseTree } from "../transport/messages/look-orders.js";
import { subjectsOf } from "../transport/subjects.js";
import { type LoadOrder, type LoadReport, passwordVariable } from "./conversation.js";
import { cpuMs } from "./machine.js";
import { ratiosOf, type Spread, spreadOf } from "./statistics.js";
import { spread, table } from "./tables.js";

interface Scene {
  /** Turns what is measured over, in every node. */
  turn(): Promise<void>;
  load(durationMs: number): Promise<Figures>;
  close(): Promise<void>;
}

interface Figures {
  readonly perSecond: number;
  /** CPU time of the serving node for one answer, microseconds. */
  readonly usEach: number;
}

const { values } = parseArgs({
  options: {
    what: { type: "string", default: "both" },
    rounds: { type: "string", default: "12" },
    "round-ms": { type: "string", default: "2000" },
    "in-flight": { type: "string", default: "64" },
    same: { type: "boolean", default: false },
  },
});
const plan = {
  rounds: Number(values.rounds),
  roundMs: Number(values["round-ms"]),
  inFlight: Number(values["in-flight"]),
};
const warmUpMs = 4_000;
const lookMs = 5_000;
/** What is still under way after a round: updates, commits. */
const settleMs = 500;
const { PATH: searchPath = "" } = process.env;
const random = seededRandom(1);

async function openScene(): Promise<Scene> {
  const store = await mkdtemp(join(tmpdir(), "driftmend-bench-"));
  const folder = digitsFolder(entry);
  const settings = { nodeFlags: ["--meter-switch", values.what], context: clusterSettingsOf({}) };
  const options = {
    cluster: "bench",
    serving: 1,
    models: [folder],
    store,
    searchPath,
    entry,
    env: { PATH: searchPath },
  };
  const cluster = await startLocalCluster({ ...options, settings }, { clock, random, log: silentLogger });
  const loader = await startLoader(cluster.context);
  const subject = subjectsOf("bench").infer((await loadModel(folder)).manifest.name);
  const pids = await nodePids(cluster.context);
  const servingPid = pids.get("serving-1") ?? 0;
  return {
    turn: async () => {
      for (const pid of pids.values()) process.kill(pid, "SIGUSR2");
      await clock.delay(settleMs);
    },
    load: async (durationMs) => {
      const beforeMs = await cpuMs(servingPid);
      const { answered, seconds } = await loader.load({ subject, durationMs });
      return { perSecond: answered / seconds, usEach: (((await cpuMs(servingPid)) - beforeMs) * 1000) / answered };
    },
    close: async () => {
      await loader.processes.stop();
      await cluster.stop();
      await rm(store, { recursive: true, force: true });
    },
  };
}

async function startLoader({ natsUrl, users }: ClusterContext) {
  const { user, password } = users.client;
  const waiting = new Map<number, (report: LoadReport) => void>();
  const child = {
    id: "load",
    role: "bench",
    command: process.execPath,
    args: [fileURLToPath(new URL("./load-generator.js", import.meta.url)), natsUrl, user],
    env: { PATH: searchPath, [passwordVariable]: password },
    shutdownMs: 2_000,
  };
  const processes = await startProcesses([child], {
    ...{ clock, random, log: silentLogger, intensity: { restarts: 0, withinMs: 60_000 }, onEvent: () => undefined },
    onMessage: (_id, _generation, message) => {
      const report = message as LoadReport;
      waiting.get(report.id)?.(report);
      waiting.delete(report.id);
    },
  });
  let nextId = 1;
  return {
    processes,
    load: async (order: Pick<LoadOrder, "subject" | "durationMs">) => {
      const id = nextId++;
      const reported = new Promise<LoadReport>((resolve) => waiting.set(id, resolve));
      const loop = { requests: Number.MAX_SAFE_INTEGER, inFlight: plan.inFlight, scored: false };
      if (!processes.send("load", { kind: "load", id, ...loop, ...order })) throw new Error("the load does not listen");
      const report = await Promise.race([reported, processes.failed.then((error) => Promise.reject(error))]);
      if (report.kind === "stalled") throw new Error(report.message);
      return report;
    },
  };
}

async function nodePids({ natsUrl, users, cluster }: ClusterContext): Promise<ReadonlyMap<string, number>> {
  const bus = await connectBus({ url: natsUrl, ...identityOf(users.operator), name: "bench", clock });
  const subject = subjectsOf(cluster).actor("root", "tree");
  const outcome = await bus.request(subject, encodeLookRequest(), { timeoutMs: lookMs });
  await bus.close();
  const parsed = outcome.kind === "reply" ? parseTree(outcome.data) : undefined;
  if (parsed?.kind !== "ok" || parsed.value.kind !== "reply") throw new Error("the cluster does not show its tree");
  const nodes = parsed.value.reply.children.filter(({ name }) => /^(serving|learning|operations)-/.test(name));
  return new Map(nodes.flatMap(({ name, pid }) => (pid === undefined ? [] : [[name, pid] as const])));
}

type Rounds = Readonly<Record<"off" | "on", Figures[]>>;

async function measure(scene: Scene, note: (line: string) => void): Promise<Rounds> {
  const rounds: Rounds = { off: [], on: [] };
  await scene.load(warmUpMs);
  let now: "off" | "on" = "on";
  for (let round = 1; round <= plan.rounds; round += 1) {
    for (const next of round % 2 === 0 ? (["on", "off"] as const) : (["off", "on"] as const)) {
      if (next !== now && !values.same) await scene.turn();
      else await clock.delay(settleMs);
      now = next;
      rounds[next].push(await scene.load(plan.roundMs));
    }
    const rate = (name: "off" | "on"): string => `${name} ${rounds[name].at(-1)?.perSecond.toFixed(0)}/s`;
    note(`round ${round} of ${plan.rounds}: ${rate("off")}  ${rate("on")}`);
  }
  return rounds;
}

function report(rounds: Rounds): string {
  const of = (name: "off" | "on", figure: keyof Figures): number[] => rounds[name].map((round) => round[figure]);
  const ratio = (figure: keyof Figures): Spread => ratiosOf(of("on", figure), of("off", figure));
  const each = (["off", "on"] as const).map((name) => [
    values.same ? "on" : name,
    ...spread(spreadOf(of(name, "perSecond")), 0),
    ...spread(spreadOf(of(name, "usEach")), 0),
  ]);
  return [
    ...table(
      [
        values.what === "both" ? "metrics and traces" : values.what,
        "answers/s",
        "least - most",
        "CPU us/answer",
        "least - most",
      ],
      each,
    ),
    "",
    ...table(
      [values.same ? "on / on, pair by pair" : "on / off, pair by pair", "median", "least - most"],
      [
        ["answers/s", ...spread(ratio("perSecond"), 3)],
        ["CPU of the serving node for one answer", ...spread(ratio("usEach"), 3)],
      ],
    ),
    "",
  ].join("\n");
}

async function main(): Promise<void> {
  const scene = await openScene();
  try {
    process.stdout.write(report(await measure(scene, (line) => void process.stderr.write(`${line}\n`))));
  } finally {
    await scene.close();
  }
}

await main();
