// Nodes on different machines that share one NATS: each started by hand with `driftmend node`, in a directory of its own, with no root
// above them. Where the test may (root on Linux), the two serving nodes live in network namespaces of their own, joined to the server by
// veth pairs; elsewhere they are processes that share nothing but the server's address.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import test from "ava";
import {
  answersWithoutExperience,
  chainIsTheFold,
  oneChain,
  parametersAgree,
  repeatedExperiences,
  tasksAgainstFlags,
  unanswered,
} from "../../sim/soak/invariants.js";
import { SteadyLoad } from "../../sim/soak/ledger.js";
import { readAll } from "../../sim/soak/readings.js";
import { systemClock as clock } from "../../supervision/clock.js";
import { type Credentials, environmentOf, makeCredentials } from "../../transport/access/credentials.js";
import { type Broker, startBroker } from "../../transport/server/broker.js";
import { findServer } from "../../transport/server/server-binary.js";
import { subjectsOf } from "../../transport/subjects.js";
import { until } from "../until.js";
import { driftingDigits } from "./pictures.js";
import { entry, folder, lookAt, model, type Sight, statusOf } from "./running.js";

const run = promisify(execFile);
const cluster = "driftmend";
const searchPath = process.env.PATH ?? "";
const waitMs = 60_000;

interface Machine {
  readonly name: string;
  /** Words in front of a command that is to run there. */
  readonly prefix: readonly string[];
  /** The server's address as seen from there. */
  readonly host: string;
  readonly directory: string;
  remove(): Promise<void>;
}

/** A namespace with a cable to this one, or a directory where that is not allowed. */
async function machine(index: number): Promise<Machine> {
  const name = `drift${process.pid}-${index}`;
  const directory = await mkdtemp(join(tmpdir(), `driftmend-${name}-`));
  const bare = { name, directory, prefix: [], host: "127.0.0.1" };
  const removeDirectory = (): Promise<void> => rm(directory, { recursive: true, force: true });
  const [here, there] = [`10.213.${index}.1`, `10.213.${index}.2`];
  // An interface's name has 15 characters at most.
  const cable = `dm${process.pid}-${index}`;
  const ip = (...words: readonly string[]) => run("ip", [...words]);
  const removeNamespace = (): Promise<unknown> => ip("netns", "del", name);
  try {
    await ip("netns", "add", name);
  } catch {
    return { ...bare, remove: removeDirectory };
  }
  try {
    await ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name);
    await ip("addr", "add", `${here}/30`, "dev", cable);
    await ip("link", "set", cable, "up");
    await ip("netns", "exec", name, "ip", "addr", "add", `${there}/30`, "dev", "eth0");
    await ip("netns", "exec", name, "ip", "link", "set", "eth0", "up");
  } catch {
    await removeNamespace();
    return { ...bare, remove: removeDirectory };
  }
  const remove = async (): Promise<void> => {
    await removeNamespace();
    await removeDirectory();
  };
  return { name, directory, prefix: ["ip", "netns", "exec", name], host: here, remove };
}

interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<unknown>;
}

/** As a person would start it there; resolves when it says that it is ready. */
async function startNode(
  on: Machine,
  port: string,
  role: string,
  name: string,
  { node }: Credentials,
): Promise<Started> {
  const words = ["node", "--json", "--role", role, "--name", name, "--user", node.user, "--model", folder];
  const [command, ...args] = [...on.prefix, process.execPath, entry, ...words, "--nats", `nats://${on.host}:${port}`];
  const child = spawn(command ?? "", args, {
    cwd: on.directory,
    env: { PATH: searchPath, ...environmentOf(node) },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const ended = once(child, "close");
  for await (const line of createInterface({ input: child.stdout })) if (JSON.parse(line).ready === true) break;
  if (child.exitCode !== null || child.signalCode !== null) throw new Error(`${name} ended before it was ready`);
  child.stdout.resume();
  return { child, ended };
}

function sightOf(broker: Broker, { client, telemetry, operator }: Credentials): Promise<Sight> {
  const users = { client, telemetry, operator };
  const port = new URL(broker.url).port;
  return lookAt({ cluster, natsUrl: `nats://127.0.0.1:${port}`, httpUrl: "", pid: process.pid, users });
}

test.serial(
  "two serving nodes on different machines share one NATS: kill -9 of one under load loses nothing, and it comes back (S0-39, S0-44)",
  async (t) => {
    t.timeout(240_000);
    const machines = [await machine(1), await machine(2)] as const;
    for (const each of machines) t.teardown(() => each.remove());
    const [one, two] = machines;
    t.log(
      one.prefix.length > 0
        ? "in network namespaces, joined by veth"
        : "on one network: namespaces are not allowed here",
    );
    const store = await mkdtemp(join(tmpdir(), "driftmend-nats-"));
    t.teardown(() => rm(store, { recursive: true, force: true }));
    const credentials = makeCredentials();
    const subjects = subjectsOf(cluster);
    const binary = await findServer({ searchPath, mayFetch: false });
    const broker = await startBroker({ binary, store, subjects, credentials, clock, host: "0.0.0.0" });
    t.teardown(() => broker.stop());
    const { port } = new URL(broker.url);
    const here = { ...one, prefix: [], host: "127.0.0.1" };
    const nodes = await Promise.all([
      startNode(one, port, "serving", "serving-1", credentials),
      startNode(two, port, "serving", "serving-2", credentials),
      startNode(here, port, "learning,operations", "rest-1", credentials),
    ]);
    for (const { child } of nodes) t.teardown(() => void child.kill("SIGKILL"));
    const sight = await sightOf(broker, credentials);
    t.teardown(() => sight.close());
    const options = { model: "digits", run: "two", rate: 60, deadlineMs: 30_000, labelEvery: 25 };
    const load = new SteadyLoad(options, sight.client, driftingDigits(5), clock);
    const answersOf = async (node: string): Promise<number> => Number((await statusOf(sight, node)).answered ?? 0);
    await until(
      "both serve",
      waitMs,
      async () => (await answersOf("serving-1")) > 60 && (await answersOf("serving-2")) > 60,
    );

    nodes[0].child.kill("SIGKILL");
    await nodes[0].ended;
    const before = await answersOf("serving-2");
    await until("the other serves on", waitMs, async () => (await answersOf("serving-2")) > before + 120);
    const again = await startNode(one, port, "serving", "serving-1", credentials);
    t.teardown(() => void again.child.kill("SIGKILL"));
    await until("it serves again", waitMs, async () => (await answersOf("serving-1")) > 60);
    await load.stop();

    const { log, operator: bus } = sight;
    const servingNodes = ["serving-1", "serving-2"];
    const readings = await readAll({ bus, subjects, model, folder, clock, servingNodes });
    const { rows, tasks, chain, folded, parameters } = readings;
    t.deepEqual(unanswered(load.asked), []);
    t.deepEqual(
      load.asked.filter(({ end }) => end.kind === "refused"),
      [],
    );
    t.deepEqual(answersWithoutExperience(load.asked, rows), []);
    t.deepEqual(tasksAgainstFlags(rows, tasks), []);
    t.deepEqual([...oneChain(chain), ...chainIsTheFold(chain, folded), ...parametersAgree(parameters)], []);
    // The record that comes first in the log is the experience of its request; a later one of the same id is a repeat.
    const answered = load.asked.filter(({ end }) => end.kind === "answered").length;
    t.is(new Set(rows.map(({ id }) => id)).size, answered, "experiences, each request counted once");
    t.log(
      `${answered} answered, ${rows.length} rows, ${repeatedExperiences(rows).length} repeated, version ${parameters.live.version}`,
    );
    t.true((await log.state("experience")).messages > 0);
    await sight.close();
    for (const { child, ended } of [again, ...nodes.slice(1)]) {
      child.kill("SIGTERM");
      await ended;
      t.is(child.exitCode, 0);
    }
  },
);
