// The scene of every mending: a cluster of its own under a steady load, and what is seen of it from outside.
//
// Owns: what runs, what is told of it and when it was seen. Does not own: what is killed (mending.ts, serving-kills.ts), the load (steady-load.ts).

import { closeSync, openSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, seededRandom } from "../models/clock.js";
import { loadModel } from "../models/manifest.js";
import { digitsFolder, type LocalCluster, startLocalCluster } from "../operations/cluster/local-cluster.js";
import { entry } from "../operations/cluster/up.js";
import { ModelLog } from "../operations/log/model-log.js";
import { loadDigitPool } from "../sim/digits.js";
import { driftingStream } from "../sim/stream.js";
import { silentLogger } from "../supervision/logger.js";
import type { ProcessEvent } from "../supervision/process/process-spec.js";
import { identityOf } from "../transport/access/credentials.js";
import { type Bus, connectBus } from "../transport/bus/bus.js";
import { DriftmendClient } from "../transport/client.js";
import type { Commit } from "../transport/log/records.js";
import { subjectsOf } from "../transport/subjects.js";
import { SteadyLoad } from "./steady-load.js";

export interface Mended {
  readonly what: string;
  /** Undefined for a part of another figure. */
  readonly aimMs: number | undefined;
  /** One per round. */
  readonly valuesMs: readonly number[];
}

/** Enough for a task every few milliseconds: a recovery must not look long because there was nothing to learn. */
const perSecond = 200;
/** Longer than the root's window would allow kills: 20 in 60 s. */
export const restMs = 3_200;
export const waitMs = 30_000;

export interface Scene {
  readonly cluster: LocalCluster;
  readonly operator: Bus;
  readonly load: SteadyLoad;
  readonly events: Chronicle<ProcessEvent>;
  readonly commits: Chronicle<Commit>;
  close(): Promise<void>;
}

/** What happened, with the moment it was seen. */
export class Chronicle<T> {
  readonly entries: { readonly atMs: number; readonly what: T }[] = [];
  readonly #clock: Clock;
  readonly #waiting = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(what: T): void {
    this.entries.push({ atMs: this.#clock.monotonicMs(), what });
    for (const look of this.#waiting) look();
  }

  /** The first entry after the first `from` that `wanted` takes. */
  next(from: number, wanted: (what: T) => boolean, name: string): Promise<{ readonly atMs: number; readonly what: T }> {
    return new Promise((resolve, reject) => {
      const late = this.#clock.after(waitMs, () => reject(new Error(`not seen within ${waitMs} ms: ${name}`)));
      const look = (): void => {
        const found = this.entries.slice(from).find(({ what }) => wanted(what));
        if (found === undefined) return;
        late();
        this.#waiting.delete(look);
        resolve(found);
      };
      this.#waiting.add(look);
      look();
    });
  }
}

export async function openScene(
  clock: Clock,
  searchPath: string,
  options: {
    readonly learning: number;
    readonly spare: boolean;
    readonly serving?: number;
    readonly remembered?: number;
  },
) {
  const store = await mkdtemp(join(tmpdir(), "driftmend-mending-"));
  const folder = digitsFolder(entry);
  const model = await loadModel(folder);
  const events = new Chronicle<ProcessEvent>(clock);
  const output = openSync(join(store, "nodes.log"), "a", 0o600);
  const cluster = await startLocalCluster(
    {
      ...{
        cluster: "mending",
        serving: options.serving ?? 1,
        learning: options.learning,
        spares: options.spare ? ["learning"] : [],
      },
      ...{ models: [folder], store, searchPath, entry, env: { PATH: searchPath }, output },
    },
    { clock, random: seededRandom(1), log: silentLogger, onEvent: (event) => events.add(event) },
  );
  const { natsUrl: url, users } = cluster.context;
  const operator = await connectBus({ url, clock, ...identityOf(users.operator), name: "mending" });
  const client = await DriftmendClient.connect({ cluster: "mending", url, ...users.client, clock });
  const log = new ModelLog(operator, subjectsOf("mending"), model, clock, () => undefined);
  const commits = new Chronicle<Commit>(clock);
  const following = new AbortController();
  const followed = follow(log, commits, following.signal);
  if (options.remembered !== undefined) await fill(client, options.remembered);
  const load = await SteadyLoad.start(client, 1, perSecond, clock);
  const close = async (): Promise<void> => {
    await load.stop();
    following.abort();
    await followed;
    await Promise.all([client.close(), operator.close()]);
    await cluster.stop();
    closeSync(output);
    await rm(store, { recursive: true, force: true });
  };
  await commits.next(0, () => true, "the first commit");
  return { cluster, operator, load, events, commits, close } satisfies Scene;
}

async function follow(log: ModelLog, commits: Chronicle<Commit>, signal: AbortSignal): Promise<void> {
  for await (const { commit } of log.commits(1, signal)) commits.add(commit);
}

export function isOf(kind: ProcessEvent["kind"], id: string): (event: ProcessEvent) => boolean {
  return (event) => event.kind === kind && event.id === id;
}

export function pidOf(of: object | undefined): number {
  if (of === undefined || !("pid" in of) || typeof of.pid !== "number") throw new Error("it has no process");
  return of.pid;
}

/** Few at a time: of a full micro-batch only some rows are remembered. */
const fillInFlight = 8;

/** So many experiences, as fast as they are answered. */
async function fill(client: DriftmendClient, count: number): Promise<void> {
  const samples = driftingStream({ pool: await loadDigitPool(), seed: 2, variant: "mixed" });
  let asked = 0;
  const ask = async (): Promise<void> => {
    while (asked < count) {
      asked += 1;
      const { picture } = samples.next().value;
      const outcome = await client.infer(
        "digits",
        { dt: "<f4", sh: [1, 28, 28], data: picture },
        { deadlineMs: waitMs },
      );
      if (outcome.kind !== "reply") throw new Error(`filling the memory: ${outcome.kind}`);
    }
  };
  await Promise.all(Array.from({ length: fillInFlight }, ask));
}
