// The set-up of the serving comparison: one broker, the contenders behind it, one load generator, all as processes of their own.
//
// Owns: the processes, the temporary folder, their end. Does not own: which rounds are run (serving.ts).
//
// B1. `close` leaves no process and no file behind, also when the set-up broke half way. Children end with this process whatever
//     becomes of it; only the temporary folder needs `close`.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { seededRandom } from "../models/clock.js";
import { startLocalCluster } from "../operations/cluster/local-cluster.js";
import { entry } from "../operations/cluster/up.js";
import { systemClock as clock } from "../supervision/clock.js";
import { silentLogger } from "../supervision/logger.js";
import { type ProcessTree, startProcesses } from "../supervision/process/process-root.js";
import type { ProcessSpec } from "../supervision/process/process-spec.js";
import {
  makePassword,
  makePasswords,
  type PasswordCredential,
  type Passwords,
} from "../transport/access/credentials.js";
import { type Bus, connectBus } from "../transport/bus/bus.js";
import { encodeLookRequest, parseActorLook, parseTree } from "../transport/messages/look-orders.js";
import { type Broker, startBroker } from "../transport/server/broker.js";
import { inboxPrefixOf, type Subjects, subjectsOf } from "../transport/subjects.js";
import { type CountReport, type LoadOrder, type LoadReport, passwordVariable } from "./conversation.js";

export const contenderNames = ["bare unbatched", "bare batched", "full loop"] as const;
export type ContenderName = (typeof contenderNames)[number];

export interface Contender {
  readonly name: ContenderName;
  readonly subject: string;
  readonly pid: number;
  /** Runs of the model so far, and the rows in them. */
  counted(): Promise<{ readonly runs: number; readonly rows: number }>;
}

export interface Lab {
  readonly contenders: readonly Contender[];
  /** Processes beside the contender that work for the full loop or for everybody. */
  readonly pids: { readonly broker: number; readonly learning: number; readonly load: number };
  load(order: Omit<LoadOrder, "kind" | "id">): Promise<Extract<LoadReport, { kind: "loaded" }>>;
  /** Experiences in the memory of the serving node. */
  remembered(): Promise<number>;
  close(): Promise<void>;
}

export interface LabOptions {
  readonly binary: string;
  /** Where broker and log are kept; removed by `close`. */
  readonly store: string;
  readonly model: string;
  readonly modelName: string;
  readonly searchPath: string;
}

const cluster = "bench";
/** Outside of the cluster's names: inside, its nodes would refuse a model that they do not serve. */
const bareSubjects = subjectsOf("bare");
const lookMs = 2_000;
const random = seededRandom(1);
const log = silentLogger;

export async function openLab(options: LabOptions): Promise<Lab> {
  const ending: (() => Promise<void>)[] = [() => rm(options.store, { recursive: true, force: true })];
  const close = async (): Promise<void> => {
    for (const end of ending.splice(0).reverse()) await end();
  };
  try {
    const subjects = subjectsOf(cluster);
    const credentials = makePasswords();
    // The bare responders and the load are no part of the cluster, and talk beside its subjects.
    const outsider = { credential: makePassword("outsider"), permissions: { publish: [">"], subscribe: [">"] } };
    const of = { binary: options.binary, store: options.store, users: [outsider] };
    const broker = await startBroker({ ...of, subjects, credentials, clock });
    ending.push(() => broker.stop());
    const children = await startChildren(options, broker, outsider.credential);
    ending.push(() => children.processes.stop());
    const local = await startLocalCluster(clusterOptions(options, broker, credentials), { clock, random, log });
    ending.push(async () => {
      await local.stop();
    });
    const { user, password } = credentials.node;
    const identity = { user, password, inboxPrefix: inboxPrefixOf(user), name: "bench" };
    const bus = await connectBus({ ...identity, url: broker.url, clock });
    ending.push(() => bus.close());
    return { ...(await describe(options, bus, subjects, broker, children)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

function clusterOptions({ model, store, searchPath }: LabOptions, { url }: Broker, { node }: Passwords) {
  return {
    cluster,
    serving: 1,
    models: [model],
    store: join(store, "cluster"),
    nats: { url, user: node.user, password: node.password },
    searchPath,
    entry,
    env: { PATH: searchPath },
  };
}

interface Children {
  readonly processes: ProcessTree;
  ask<R>(child: string, order: object): Promise<R>;
}

async function startChildren(
  { model, searchPath }: LabOptions,
  { url }: Broker,
  { user, password }: PasswordCredential,
): Promise<Children> {
  const child = (id: string, file: string, args: readonly string[]): ProcessSpec => ({
    id,
    role: "bench",
    command: process.execPath,
    args: [fileURLToPath(new URL(file, import.meta.url)), url, user, ...args],
    env: { PATH: searchPath, [passwordVariable]: password },
    shutdownMs: 2_000,
  });
  const bare = (way: string): ProcessSpec =>
    child(`bare-${way}`, "./bare-responder.js", [bareSubjects.infer(way), way, model]);
  const waiting = new Map<number, (message: unknown) => void>();
  const processes = await startProcesses(
    [child("load", "./load-generator.js", []), bare("unbatched"), bare("batched")],
    {
      clock,
      random,
      log,
      intensity: { restarts: 0, withinMs: 60_000 },
      onEvent: () => undefined,
      onMessage: (_id, _generation, message) => {
        const { id } = message as LoadReport | CountReport;
        waiting.get(id)?.(message);
        waiting.delete(id);
      },
    },
  );
  let nextId = 1;
  return {
    processes,
    ask: <R>(of: string, order: object) => {
      const id = nextId++;
      const answered = new Promise<R>((resolve) => waiting.set(id, (message) => resolve(message as R)));
      const broken = processes.failed.then((error) => Promise.reject(error));
      if (!processes.send(of, { ...order, id })) throw new Error(`${of} does not listen any more`);
      return Promise.race([answered, broken]);
    },
  };
}

async function describe(
  { modelName }: LabOptions,
  bus: Bus,
  subjects: Subjects,
  broker: Broker,
  { processes, ask }: Children,
): Promise<Omit<Lab, "close">> {
  const nodes = await nodePids(bus, subjects);
  const own = new Map(processes.tree().children.map(({ name, pid }) => [name, pid]));
  const summary = (actor: string) => summaryOf(bus, subjects, `${modelName}/${actor}`);
  const bare = (way: "unbatched" | "batched"): Contender => ({
    name: `bare ${way}`,
    subject: bareSubjects.infer(way),
    pid: known(own, `bare-${way}`),
    counted: () => ask<CountReport>(`bare-${way}`, { kind: "count" }),
  });
  const full: Contender = {
    name: "full loop",
    subject: subjects.infer(modelName),
    pid: known(nodes, "serving-1"),
    counted: async () => {
      const { runs, rows } = await summary("inference");
      return { runs: Number(runs), rows: Number(rows) };
    },
  };
  return {
    contenders: [bare("unbatched"), bare("batched"), full],
    pids: { broker: broker.pid, learning: known(nodes, "learning-1"), load: known(own, "load") },
    load: async (order) => {
      const report = await ask<LoadReport>("load", { kind: "load", ...order });
      if (report.kind === "stalled") throw new Error(report.message);
      return report;
    },
    remembered: async () => {
      const { memory } = await summary("buffer");
      return typeof memory === "object" && memory !== null && "size" in memory ? Number(memory.size) : 0;
    },
  };
}

function known(pids: ReadonlyMap<string, number | undefined>, name: string): number {
  const pid = pids.get(name);
  if (pid === undefined) throw new Error(`there is no process "${name}"`);
  return pid;
}

async function nodePids(bus: Bus, subjects: Subjects): Promise<Map<string, number | undefined>> {
  const outcome = await bus.request(subjects.actor("root", "tree"), encodeLookRequest(), { timeoutMs: lookMs });
  const parsed = outcome.kind === "reply" ? parseTree(outcome.data) : undefined;
  if (parsed?.kind !== "ok" || parsed.value.kind !== "reply") throw new Error("the cluster does not show its tree");
  return new Map(parsed.value.reply.children.map(({ name, pid }) => [name, pid]));
}

async function summaryOf(bus: Bus, subjects: Subjects, actor: string) {
  const subject = subjects.actor("serving-1", actor);
  const outcome = await bus.request(subject, encodeLookRequest(), { timeoutMs: lookMs });
  const parsed = outcome.kind === "reply" ? parseActorLook(outcome.data) : undefined;
  if (parsed?.kind !== "ok" || parsed.value.kind !== "reply") throw new Error(`${actor} does not show itself`);
  return parsed.value.reply.summary;
}
