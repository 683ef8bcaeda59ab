// `npm run hosts`: driftmend on three hosts of its own (network namespaces), a nats-server on each, everything struck under load.
//   npm run hosts -- [--faults server_killed,host_cut] [--rate 30] [--replicas 3] [--cut 15] [--keep-store] [--json] [--report FILE] [--keep]
// Ends with 0 when everything holds, 1 when something does not or cannot run here, 2 for wrong usage, 130 after Ctrl-C.
// Needs root. What a run that was killed has left behind is taken away by the next one.

import { closeSync, existsSync, openSync } from "node:fs";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { systemClock as clock } from "../../supervision/clock.js";
import { identify } from "../../transport/process-identity.js";
import { copiesDiffer } from "./copies.js";
import { type FaultName, type FaultReport, faultNames, healthy, type Scene, strike } from "./faults.js";
import { Lan, sweepFormer, whyNoHosts } from "./lan.js";
import { type HostsReport, machine, renderReport } from "./report.js";
import type { ServerPlace } from "./servers.js";
import { judge } from "./verdict.js";
import { flowing, startWorld, subjects, type World } from "./world.js";

const hostNames = ["a", "b", "c"] as const;
const [clientPort, routePort] = [4222, 6222];
const deadlineMs = 30_000;
const startWithinMs = 60_000;
const storePrefix = "driftmend-hosts-";
const keptMark = "kept";

const nodes = [
  ...hostNames.map((host) => ({ name: `serving-${host}`, role: "serving", on: host }) as const),
  { name: "learning-a", role: "learning", on: "a" },
  { name: "learning-b", role: "learning", on: "b" },
  { name: "operations-b", role: "operations", on: "b" },
  { name: "operations-c", role: "operations", on: "c" },
] as const;
/** Started by a fault of its own. */
const later = [{ name: "serving-x", role: "serving", on: "c" }] as const;

interface Options {
  readonly faults: readonly FaultName[];
  readonly rate: number;
  readonly replicas: number;
  readonly cutMs: number;
  readonly json: boolean;
  readonly report: string | undefined;
  readonly keep: boolean;
  readonly keepStore: boolean;
}

class UsageError extends Error {
  override readonly name = "UsageError";
}

function optionsIn(argv: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      faults: { type: "string" },
      rate: { type: "string", default: "30" },
      replicas: { type: "string", default: "3" },
      cut: { type: "string", default: "15" },
      json: { type: "boolean", default: false },
      report: { type: "string" },
      keep: { type: "boolean", default: false },
      "keep-store": { type: "boolean", default: false },
    },
  });
  const faults = values.faults?.split(",") ?? faultNames;
  const known = faultNames.filter((name) => faults.includes(name));
  const unknown = faults.find((name) => !faultNames.some((each) => each === name));
  if (unknown !== undefined) throw new UsageError(`--faults: "${unknown}" is none of ${faultNames.join(", ")}`);
  const { json, keep, report } = values;
  const [rate, replicas, cutS] = [
    wholeIn(values.rate, "--rate", 500),
    wholeIn(values.replicas, "--replicas", 3),
    wholeIn(values.cut, "--cut", 120),
  ];
  return { faults: known, rate, replicas, cutMs: cutS * 1000, json, keep, keepStore: values["keep-store"], report };
}

function wholeIn(text: string, flag: string, high: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > high)
    throw new UsageError(`${flag}: give a whole number from 1 to ${high}`);
  return value;
}

async function main(options: Options, signal: AbortSignal): Promise<number> {
  const note = (text: string): void => void process.stderr.write(`${text}\n`);
  const why = await whyNoHosts();
  if (why !== undefined) {
    note(
      `no hosts can be made here: ${why}\n  -> run it as root on Linux; npm test has a short form without namespaces`,
    );
    return 1;
  }
  const former = [...(await sweepFormer()), ...(await sweepStores())];
  if (former.length > 0) note(`taken away from a former run: ${former.join(", ")}`);
  const directory = await mkdtemp(join(tmpdir(), `${storePrefix}${process.pid}-`));
  const lan = await Lan.make(hostNames);
  try {
    const report = await runOn(lan, directory, options, signal, note);
    if (options.report !== undefined) await writeFile(options.report, `${JSON.stringify(report, undefined, 2)}\n`);
    process.stdout.write(`${options.json ? JSON.stringify(report) : renderReport(report)}\n`);
    if (report.interrupted) return 130;
    return report.holds ? 0 : 1;
  } finally {
    await lan.remove();
    if (options.keep) {
      await writeFile(join(directory, keptMark), "");
      note(`logs are in ${directory}`);
    } else await rm(directory, { recursive: true, force: true });
  }
}

/** Directories of runs whose process is gone; those that were kept on purpose stay. */
async function sweepStores(): Promise<readonly string[]> {
  const taken: string[] = [];
  for (const name of await readdir(tmpdir())) {
    const pid = Number(name.startsWith(storePrefix) ? /^(\d+)-/.exec(name.slice(storePrefix.length))?.[1] : 0);
    const isKept = pid > 0 && existsSync(join(tmpdir(), name, keptMark));
    if (!(pid > 0) || isKept || (await identify(pid)) !== undefined) continue;
    await rm(join(tmpdir(), name), { recursive: true, force: true });
    taken.push(name);
  }
  return taken;
}

async function runOn(
  lan: Lan,
  directory: string,
  options: Options,
  signal: AbortSignal,
  note: (text: string) => void,
): Promise<HostsReport> {
  const output = openSync(join(directory, "nodes.log"), "a", 0o600);
  const searchPath = process.env.PATH ?? "";
  const places: ServerPlace[] = lan.hosts.map(({ name, address, prefix }) => {
    return { name, host: address, clientPort, routePort, directory: join(directory, name), prefix };
  });
  const { rate, replicas, cutMs, keepStore } = options;
  note(`three hosts, a nats-server on each, ${nodes.length} nodes ...`);
  const plan = { places, nodes, later, replicas, searchPath, output, rate, deadlineMs, run: `hosts-${process.pid}` };
  const world = await startWorld(plan);
  try {
    note(`ready after ${(world.readyMs / 1000).toFixed(1)} s`);
    await flowing(world, "every client has answers", startWithinMs, 20);
    await healthy(world);
    const faults = await strikeAll(
      options.faults,
      { world, lan, searchPath, directory, cutMs, keepStore, note },
      signal,
    );
    const healthyAfterMs = signal.aborted ? null : await healthyAfter(world, note);
    await world.loads.stop();
    note("reading the logs ...");
    const readings = await world.read();
    const kept = (["experience", "update", "weights", "snapshot"] as const).map((kind) =>
      subjects.stream(kind, "digits"),
    );
    const verdict = judge(world.loads.asked(), readings, await copiesDiffer(world.bus, kept));
    const isWell = faults.every(({ checks }) => checks.every(({ passed }) => passed));
    return {
      v: 1,
      machine: machine(),
      hosts: lan.hosts.map(({ name, address }) => `${name} ${address}`),
      natsServer: `nats-server ${world.bus.serverVersion}`,
      ...{ replicas, rate, readyMs: world.readyMs, faults, healthyAfterMs, verdict },
      interrupted: signal.aborted,
      holds: isWell && (signal.aborted || healthyAfterMs !== null) && verdict.violations.length === 0,
    };
  } finally {
    await world.end();
    closeSync(output);
  }
}

async function healthyAfter(world: World, note: (text: string) => void): Promise<number | null> {
  const beganAtMs = clock.monotonicMs();
  try {
    await healthy(world);
    return clock.monotonicMs() - beganAtMs;
  } catch (error) {
    note(error instanceof Error ? error.message : String(error));
    return null;
  }
}

async function strikeAll(names: readonly FaultName[], scene: Scene, signal: AbortSignal): Promise<FaultReport[]> {
  const reports: FaultReport[] = [];
  for (const name of names) {
    if (signal.aborted) break;
    const report = await strike(name, scene);
    const failed = report.checks.filter(({ passed }) => !passed);
    scene.note(
      `  ${report.seconds.toFixed(0)} s${failed.map((check) => `; FAILED ${check.name}: ${check.said}`).join("")}`,
    );
    reports.push(report);
  }
  return reports;
}

const interrupted = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const)
  process.on(name, () => {
    // The second one does not wait for the fault under way.
    if (interrupted.signal.aborted) process.exit(130);
    interrupted.abort();
    process.stderr.write("ending after the fault under way ...\n");
  });
try {
  process.exitCode = await main(optionsIn(process.argv.slice(2)), interrupted.signal);
} catch (error) {
  const isUsage = error instanceof UsageError || (error instanceof TypeError && "code" in error);
  process.stderr.write(`${isUsage ? error.message : error instanceof Error ? error.stack : String(error)}\n`);
  process.exitCode = isUsage ? 2 : 1;
}
process.exit();
