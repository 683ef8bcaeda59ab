// A whole cluster for a test file: a real broker and real node processes under a root in this process, a client of each kind, and the
// log as an operator reads it.

import { closeSync, openSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { seededRandom } from "../../models/clock.js";
import { type ExperienceBatch, rowsOf, type UpdateTask } from "../../models/experience.js";
import { loadModel, type Model } from "../../models/manifest.js";
import { digitsFolder, type LocalCluster, startLocalCluster } from "../../operations/cluster/local-cluster.js";
import type { LocalClusterOptions } from "../../operations/cluster/local-cluster-options.js";
import { ModelLog } from "../../operations/log/model-log.js";
import { systemClock } from "../../supervision/clock.js";
import { openLogger } from "../../supervision/logger.js";
import { accessAs, type ClusterContext } from "../../transport/access/context.js";
import { type Bus, connectBus } from "../../transport/bus/bus.js";
import { DriftmendClient } from "../../transport/client.js";
import {
  type ChaosReceipt,
  encodeChaosRequest,
  type FaultMode,
  parseChaosReceipt,
} from "../../transport/messages/chaos-orders.js";
import type { Fields } from "../../transport/messages/codec.js";
import { parseEvent, type TelemetryEvent } from "../../transport/messages/events.js";
import { map } from "../../transport/messages/fields.js";
import { encodeLookRequest, parseTree, type TreeNode } from "../../transport/messages/look-orders.js";
import { parseOutcome } from "../../transport/messages/wire.js";
import { type Subjects, subjectsOf } from "../../transport/subjects.js";
import { until } from "../until.js";

export const entry = fileURLToPath(new URL("../../cli.js", import.meta.url));
export const folder = digitsFolder(entry);
export const model: Model = await loadModel(folder);

/** How long an event is waited for before the wait itself is the failure. */
const eventWithinMs = 40_000;
const lookWithinMs = 10_000;

/** What can be seen of a running cluster, whoever started it. */
export interface Sight {
  readonly context: ClusterContext;
  readonly subjects: Subjects;
  readonly client: DriftmendClient;
  readonly operator: Bus;
  readonly log: ModelLog;
  close(): Promise<void>;
}

export interface Running extends Sight {
  readonly cluster: LocalCluster;
  readonly store: string;
  stop(): Promise<void>;
}

export function temporaryStore(): Promise<string> {
  return mkdtemp(join(tmpdir(), "driftmend-cluster-"));
}

export async function startRunning(
  options: Partial<
    Pick<
      LocalClusterOptions,
      "cluster" | "serving" | "models" | "spares" | "settings" | "logStore" | "logMaxBytes" | "nats" | "http"
    >
  > = {},
  /** Of a broker that the test keeps itself: a cluster that did not make them does not know them. */
  users?: ClusterContext["users"],
): Promise<Running> {
  const store = await temporaryStore();
  const searchPath = process.env.PATH ?? "";
  const output = openSync(join(store, "nodes.log"), "a", 0o600);
  const cluster = await startLocalCluster(
    {
      cluster: "driftmend",
      serving: 1,
      models: [folder],
      ...options,
      store,
      searchPath,
      entry,
      env: { PATH: searchPath },
      output,
    },
    { clock: systemClock, random: seededRandom(7), log: openLogger("silent", { node: "root" }) },
  );
  const sight = await lookAt({ ...cluster.context, ...(users === undefined ? {} : { users }) });
  return {
    ...sight,
    cluster,
    store,
    stop: async () => {
      await sight.close();
      await cluster.stop();
      closeSync(output);
      await rm(store, { recursive: true, force: true });
    },
  };
}

/** Connects to a cluster that runs in another process, or in this one. */
export async function lookAt(context: ClusterContext): Promise<Sight> {
  const subjects = subjectsOf(context.cluster);
  const client = await DriftmendClient.connect({
    ...accessAs(context, "client"),
    cluster: context.cluster,
    clock: systemClock,
  });
  const operator = await busAs(context, "operator");
  return {
    context,
    subjects,
    client,
    operator,
    log: new ModelLog(operator, subjects, model, systemClock, ({ stream, seq, message }) => {
      throw new Error(`${stream} ${seq} cannot be read: ${message}`);
    }),
    close: async () => {
      await client.close();
      await operator.close();
    },
  };
}

export function busAs(context: ClusterContext, role: keyof ClusterContext["users"]): Promise<Bus> {
  return connectBus({ ...accessAs(context, role), name: `test-${role}`, clock: systemClock });
}

export interface Row {
  readonly seq: number;
  readonly index: number;
  readonly id: string;
  readonly record: ExperienceBatch;
}

/** Every experience in the log now, one by one. */
export async function experiencesIn({ log }: Sight): Promise<Row[]> {
  const rows: Row[] = [];
  const { lastSeq } = await log.state("experience");
  await readTo(
    lastSeq,
    (signal) => log.experiences(1, signal),
    ({ seq, record }) => {
      if (record?.kind === "answers")
        for (let index = 0; index < rowsOf(record); index += 1)
          rows.push({ seq, index, id: record.ids[index] ?? "", record });
    },
  );
  return rows;
}

/** Every update task in the log now. */
export async function tasksIn({ log }: Sight): Promise<UpdateTask[]> {
  const tasks: UpdateTask[] = [];
  const { lastSeq } = await log.state("update");
  await readTo(
    lastSeq,
    (signal) => log.updates(1, signal),
    ({ entry: each }) => {
      if (each.kind === "task") tasks.push(each.task);
    },
  );
  return tasks;
}

async function readTo<T extends { readonly seq: number }>(
  lastSeq: number,
  follow: (signal: AbortSignal) => AsyncIterable<T>,
  take: (each: T) => void,
): Promise<void> {
  if (lastSeq === 0) return;
  const reading = new AbortController();
  for await (const each of follow(reading.signal)) {
    take(each);
    if (each.seq >= lastSeq) break;
  }
  reading.abort();
}

/** The newest commit, once everything that is on the update stream now is in it. */
export async function settledCommit({ log }: Sight) {
  const { lastSeq } = await log.state("update");
  if (lastSeq === 0) return undefined;
  const reading = new AbortController();
  const late = systemClock.after(eventWithinMs, () => reading.abort());
  try {
    for await (const { commit } of log.commits(1, reading.signal)) if (commit.updateSeq >= lastSeq) return commit;
    throw new Error(`no commit covers update ${lastSeq} within ${eventWithinMs} ms`);
  } finally {
    late();
    reading.abort();
  }
}

export async function treeOf({ operator, subjects }: Sight): Promise<TreeNode> {
  const outcome = await operator.request(subjects.actor("root", "tree"), encodeLookRequest(), {
    timeoutMs: lookWithinMs,
  });
  const parsed = outcome.kind === "reply" ? parseTree(outcome.data) : undefined;
  if (parsed?.kind !== "ok" || parsed.value.kind !== "reply") throw new Error(`no tree: ${outcome.kind}`);
  return parsed.value.reply;
}

export async function nodeOf(sight: Sight, name: string): Promise<TreeNode & { readonly pid: number }> {
  const node = (await treeOf(sight)).children.find((child) => child.name === name);
  if (node?.pid === undefined) throw new Error(`${name} has no process in the tree`);
  return { ...node, pid: node.pid };
}

/** Node and path of an actor, by the last word of its name; waited for, as a node that has just come back may not have told of it yet. */
export function actorOf(sight: Sight, name: string): Promise<{ readonly node: string; readonly path: string }> {
  return until(`an actor ${name} in the tree`, eventWithinMs, async () => {
    for (const node of (await treeOf(sight)).children) {
      const path = pathTo(node, name);
      if (path !== undefined) return { node: node.name, path: path.join("/") };
    }
    return undefined;
  });
}

function pathTo(node: TreeNode, name: string): string[] | undefined {
  for (const child of node.children) {
    if (child.kind === "actor" && (child.name === name || child.name.endsWith(`-${name}`))) return [child.name];
    const below = pathTo(child, name);
    if (below !== undefined) return [child.name, ...below];
  }
  return undefined;
}

/** What a node says of itself: counters, vital figures, the summary of every actor by its path. */
export async function statusOf(
  { operator, subjects }: Pick<Sight, "operator" | "subjects">,
  node: string,
): Promise<Fields> {
  const outcome = await operator.request(subjects.actor(node, "status"), encodeLookRequest(), {
    timeoutMs: lookWithinMs,
  });
  if (outcome.kind !== "reply") throw new Error(`no status of ${node}: ${outcome.kind}`);
  const parsed = parseOutcome(outcome.data, (fields) => map(fields, "status"));
  if (parsed.kind !== "ok" || parsed.value.kind !== "reply") throw new Error(`no status of ${node}`);
  return parsed.value.reply;
}

export async function strike(
  { operator, subjects }: Sight,
  fault: { readonly node: string; readonly path: string; readonly mode: FaultMode; readonly forMs?: number },
): Promise<ChaosReceipt> {
  const bytes = encodeChaosRequest({ target: fault.path, mode: fault.mode, forMs: fault.forMs });
  const outcome = await operator.request(subjects.chaos(fault.node), bytes, { timeoutMs: eventWithinMs });
  const parsed = outcome.kind === "reply" ? parseChaosReceipt(outcome.data) : undefined;
  if (parsed?.kind !== "ok" || parsed.value.kind !== "reply")
    throw new Error(`no receipt for ${fault.path}: ${JSON.stringify(parsed ?? outcome)}`);
  return parsed.value.reply;
}

/** Events on a subject, kept from now on, so that none is missed between two waits. */
export class Heard {
  readonly events: TelemetryEvent[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #stop: () => void;

  private constructor(bus: Bus, subject: string) {
    const subscription = bus.subscribe(subject, {}, ({ data }) => {
      const parsed = parseEvent(data);
      if (parsed.kind !== "ok") return;
      this.events.push(parsed.value);
      for (const look of this.#waiting) look();
    });
    this.#stop = () => subscription.unsubscribe();
  }

  static async on(bus: Bus, subject: string): Promise<Heard> {
    const heard = new Heard(bus, subject);
    await bus.flush();
    return heard;
  }

  /** The first event that `wanted` takes, heard already or to come. */
  async find(what: string, wanted: (event: TelemetryEvent) => boolean): Promise<TelemetryEvent> {
    await this.until(what, (events) => events.some(wanted));
    const found = this.events.find(wanted);
    if (found === undefined) throw new Error(`heard and gone: ${what}`);
    return found;
  }

  /** Resolves when all that was heard together is enough. */
  async until(what: string, enough: (events: readonly TelemetryEvent[]) => boolean): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const look = (): void => {
        if (!enough(this.events)) return;
        cancel();
        this.#waiting.delete(look);
        resolve();
      };
      const cancel = systemClock.after(eventWithinMs, () => {
        this.#waiting.delete(look);
        reject(new Error(`not heard within ${eventWithinMs} ms: ${what}`));
      });
      this.#waiting.add(look);
      look();
    });
  }

  stop(): void {
    this.#stop();
  }
}

/** The word that a node of an incarnation is ready. */
export function nodeReady(heard: Heard, node: string, incarnation: number): Promise<TelemetryEvent> {
  return heard.find(
    `${node} ready as incarnation ${incarnation}`,
    (event) => event.kind === "node_ready" && event.node === node && event.incarnation === incarnation,
  );
}
