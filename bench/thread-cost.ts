// What one request costs a serving node in CPU time, thread by thread: of this build, of another one beside it, and of the bare responders.
//
//   node dist/bench/thread-cost.js [--against DIR] [--rounds 8] [--round-ms 1000] [--in-flight 64,1]     prints a table
//
// Measures: the scheduler's own account of every thread (Linux only), so that other work on the machine shows little; the lower quartile over
// rounds, which are interleaved. `DIR` holds another build (dist, node_modules, models/digits).
// Not measured: time that nobody computes. Throughput and latency are in serving.ts.
//
// C1. Threads are told by their order: main, four of V8 (collection and compilation), those of libuv, then the memory's and the engine's.
import { mkdtemp, readdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { loadModel } from "../models/manifest.js";
import { digitsFolder } from "../operations/cluster/local-cluster.js";
import { entry } from "../operations/cluster/up.js";
import { systemClock as clock } from "../supervision/clock.js";
import { findServer } from "../transport/server/server-binary.js";
import { type Contender, type Lab, type LabOptions, openLab } from "./lab.js";
import { quantile } from "./statistics.js";
import { table } from "./tables.js";

const { values } = parseArgs({
  options: {
    against: { type: "string" },
    rounds: { type: "string", default: "8" },
    "round-ms": { type: "string", default: "1000" },
    "in-flight": { type: "string", default: "64,1" },
  },
});
const { PATH: searchPath = "" } = process.env;
const unlimited = Number.MAX_SAFE_INTEGER;
const prefill = 15_000;
const restMs = 300;
/** Threads that cost less are not shown, us per request. */
const shownFromUs = 0.5;

interface Runner {
  readonly name: string;
  readonly lab: Lab;
  readonly contender: Contender;
}

/** Microseconds per request: by thread, in the order of their making. */
type Cost = readonly number[];

async function labOf(open: typeof openLab): Promise<Lab> {
  const binary = await findServer({ searchPath, mayFetch: false });
  const store = await mkdtemp(join(tmpdir(), "driftmend-bench-"));
  const model = digitsFolder(entry);
  const { manifest } = await loadModel(model);
  return open({ binary, store, model, modelName: manifest.name, searchPath } satisfies LabOptions);
}

async function runnersOf(labs: ReadonlyMap<string, Lab>): Promise<Runner[]> {
  const runners: Runner[] = [];
  for (const [name, lab] of labs)
    for (const contender of lab.contenders) {
      const isFull = contender.name === "full loop";
      if (isFull) await closedLoop(lab, contender, 64, { requests: prefill });
      // The bare ones are the same in every build.
      if (isFull || name === "this build") runners.push({ name: isFull ? name : contender.name, lab, contender });
    }
  return runners;
}

function closedLoop(lab: Lab, { subject }: Contender, inFlight: number, bounds: object) {
  return lab.load({ subject, inFlight, requests: unlimited, durationMs: 60_000, scored: false, ...bounds });
}

/** Microseconds on a processor, by thread id. */
async function threadsOf(pid: number): Promise<Map<number, number>> {
  const tasks = await readdir(`/proc/${pid}/task`);
  const read = async (task: string): Promise<[number, number]> => {
    const text = await readFile(`/proc/${pid}/task/${task}/schedstat`, "utf8").catch(() => "0");
    return [Number(task), Number(text.split(" ")[0]) / 1_000];
  };
  return new Map((await Promise.all(tasks.map(read))).sort(([a], [b]) => a - b));
}

async function measure({ lab, contender }: Runner, inFlight: number): Promise<Cost> {
  await clock.delay(restMs);
  const before = await threadsOf(contender.pid);
  const { answered } = await closedLoop(lab, contender, inFlight, { durationMs: Number(values["round-ms"]) });
  const after = await threadsOf(contender.pid);
  return [...after].map(([thread, us]) => (us - (before.get(thread) ?? 0)) / answered);
}

function lineOf(name: string, inFlight: number, costs: readonly Cost[]): string[] {
  const low = (of: (cost: Cost) => number): number => quantile(Float64Array.from(costs, of).sort(), 0.25);
  const threads = (costs[0] ?? []).map((_, place) => low((cost) => cost[place] ?? 0));
  const shown = threads.flatMap((us, place) => (us < shownFromUs ? [] : [`${place}: ${us.toFixed(1)}`]));
  return [name, `${inFlight}`, low((cost) => cost.reduce((sum, us) => sum + us, 0)).toFixed(0), shown.join("  ")];
}

const labs = new Map<string, Lab>();
try {
  labs.set("this build", await labOf(openLab));
  if (values.against !== undefined) {
    const other = pathToFileURL(resolve(values.against, "dist/bench/lab.js")).href;
    labs.set("the other", await labOf((await import(other)).openLab));
  }
  const runners = await runnersOf(labs);
  const loads = values["in-flight"].split(",").map(Number);
  const cells = loads.flatMap((inFlight) => runners.map((runner) => ({ runner, inFlight, costs: [] as Cost[] })));
  // Whoever is always first pays for who was last: the order turns with each round.
  for (let round = 0; round < Number(values.rounds); round += 1)
    for (const { runner, inFlight, costs } of round % 2 === 0 ? cells : cells.toReversed())
      costs.push(await measure(runner, inFlight));
  const lines = cells.map(({ runner, inFlight, costs }) => lineOf(runner.name, inFlight, costs));
  process.stdout.write(`${table(["", "in flight", "CPU us", "by thread, us"], lines).join("\n")}\n`);
} finally {
  for (const lab of labs.values()) await lab.close();
}
process.exit(0);
