// The set-up of the comparison with peers: a NATS server without users, a process for each peer, one load on them all.
//
// Owns: the processes, the server's folder, their end. Does not own: which rounds are run (measure.ts), driftmend and the bare
// responders, which have a set-up of their own (bench/lab.ts).
//
// B1. `close` leaves no process and no file behind, also when the set-up broke half way.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { seededRandom } from "../../models/clock.js";
import { systemClock as clock } from "../../supervision/clock.js";
import { silentLogger } from "../../supervision/logger.js";
import { type ProcessTree, startProcesses } from "../../supervision/process/process-root.js";
import type { ProcessSpec } from "../../supervision/process/process-spec.js";
import type { CountReport, LoadReport } from "../conversation.js";
import { type Listening, nameOf, type Opened, type Peer, type PeerLoadOrder } from "./peer.js";

export interface PeerLab {
  readonly pids: { readonly broker: number; readonly load: number };
  /** The process that serves a peer: the load's own, where there is no wire. */
  pidOf(peer: Peer): number;
  /** Runs of the model so far, and the rows in them. */
  counted(peer: Peer): Promise<CountReport>;
  load(
    peer: Peer,
    order: Omit<PeerLoadOrder, "kind" | "id" | "name">,
  ): Promise<Extract<LoadReport, { kind: "loaded" }>>;
  close(): Promise<void>;
}

export interface PeerLabOptions {
  /** Path of nats-server. */
  readonly binary: string;
  /** Where its streams are kept; removed by `close`. */
  readonly store: string;
  /** Folder of the model. */
  readonly model: string;
  readonly searchPath: string;
}

type Word = Listening | Opened | CountReport | LoadReport;

const brokerWithinMs = 30_000;
const brokerLookMs = 20;
const loadId = "load";

export async function openPeerLab(options: PeerLabOptions, peers: readonly Peer[]): Promise<PeerLab> {
  const ending: (() => Promise<void>)[] = [() => rm(options.store, { recursive: true, force: true })];
  const close = async (): Promise<void> => {
    for (const end of ending.splice(0).reverse()) await end();
  };
  try {
    const broker = await startPlainBroker(options);
    ending.push(broker.stop);
    const children = await startChildren(options, broker.url, peers);
    ending.push(() => children.processes.stop());
    for (const peer of peers) {
      const name = nameOf(peer);
      await children.ask(loadId, { kind: "open", name, wire: peer.wire, address: children.addresses.get(name) ?? "" });
    }
    return { ...described(children, broker.pid), close };
  } catch (error) {
    await close();
    throw error;
  }
}

function described({ processes, ask }: Children, broker: number): Omit<PeerLab, "close"> {
  const pids = new Map(processes.tree().children.map(({ name, pid }) => [name, pid]));
  const servedBy = (peer: Peer): string => (peer.wire === "in process" ? loadId : idOf(peer));
  const known = (id: string): number => {
    const pid = pids.get(id);
    if (pid === undefined) throw new Error(`there is no process "${id}"`);
    return pid;
  };
  return {
    pids: { broker, load: known(loadId) },
    pidOf: (peer) => known(servedBy(peer)),
    counted: async (peer) => {
      const word = await ask(servedBy(peer), { kind: "count" });
      if (word.kind !== "counted") throw new Error(`${nameOf(peer)} does not count`);
      return word;
    },
    load: async (peer, order) => {
      const word = await ask(loadId, { kind: "load", name: nameOf(peer), ...order });
      if (word.kind === "loaded") return word;
      throw new Error(word.kind === "stalled" ? word.message : `the load answered ${word.kind}`);
    },
  };
}

function idOf(peer: Peer): string {
  return nameOf(peer).replaceAll(/\W+/g, "-");
}

interface Children {
  readonly processes: ProcessTree;
  readonly addresses: ReadonlyMap<string, string>;
  ask(child: string, order: object): Promise<Word>;
}

async function startChildren(options: PeerLabOptions, natsUrl: string, peers: readonly Peer[]): Promise<Children> {
  const child = (id: string, file: string, args: readonly string[]): ProcessSpec => ({
    id,
    role: "bench",
    command: process.execPath,
    args: [fileURLToPath(new URL(file, import.meta.url)), ...args],
    env: { PATH: options.searchPath },
    shutdownMs: 2_000,
  });
  const served = peers.filter(({ wire }) => wire !== "in process");
  const waiting = new Map<number, (word: Word) => void>();
  const addresses = new Map<string, string>();
  const processes = await startProcesses(
    [
      child(loadId, "./load.js", [options.model, natsUrl]),
      ...served.map((peer) => child(idOf(peer), "./server.js", [peer.wire, peer.way, options.model, natsUrl])),
    ],
    {
      clock,
      random: seededRandom(1),
      log: silentLogger,
      intensity: { restarts: 0, withinMs: 60_000 },
      onEvent: () => undefined,
      onMessage: (id, _generation, message) => {
        const word = message as Word;
        const peer = served.find((each) => idOf(each) === id);
        if (word.kind === "listening") addresses.set(peer === undefined ? id : nameOf(peer), word.address);
        else waiting.get(word.id)?.(word);
      },
    },
  );
  return { processes, addresses, ask: asking(processes, waiting) };
}

function asking(processes: ProcessTree, waiting: Map<number, (word: Word) => void>): Children["ask"] {
  let nextId = 1;
  const broken = processes.failed.then((error) => Promise.reject(error));
  broken.catch(() => undefined);
  return async (child, order) => {
    const id = nextId++;
    const answered = new Promise<Word>((resolve) => waiting.set(id, resolve));
    if (!processes.send(child, { ...order, id })) throw new Error(`${child} does not listen any more`);
    const word = await Promise.race([answered, broken]);
    waiting.delete(id);
    if (word.kind === "stalled") throw new Error(word.message);
    return word;
  };
}

/**
 * Runs the server ($@) until standard input, held open by this process alone, ends: it never outlives the benchmark, not even a SIGKILL of it.
 */
const guardian = `
exec 3<&0
"$@" 3<&- </dev/null &
pid=$!
( while read -r line <&3; do :; done; kill -9 $pid 2>/dev/null ) &
exec 3<&-
wait $pid
`;

/** Without users: what the peers' libraries cost is theirs, not that of permissions. */
async function startPlainBroker({ binary, store }: PeerLabOptions) {
  await mkdir(store, { recursive: true });
  const words = ["--jetstream", "--store_dir", store, "--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir", store];
  const child = spawn("sh", ["-c", guardian, "peers-broker", binary, ...words], {
    stdio: ["pipe", "ignore", "ignore"],
  });
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  child.once("error", () => undefined);
  const stop = async (): Promise<void> => {
    child.stdin.end();
    await gone;
  };
  try {
    return { ...(await listeningIn(store, child)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The server writes `nats-server_<pid>.ports` once it listens. */
async function listeningIn(folder: string, child: ChildProcess) {
  const untilMs = clock.monotonicMs() + brokerWithinMs;
  while (clock.monotonicMs() < untilMs && child.exitCode === null) {
    const file = (await readdir(folder)).find((name) => name.endsWith(".ports")) ?? "";
    const pid = Number(/_(\d+)\.ports$/.exec(file)?.[1]);
    const text = Number.isNaN(pid) ? "" : await readFile(join(folder, file), "utf8");
    if (text.trimEnd().endsWith("}")) {
      const { nats } = JSON.parse(text) as { readonly nats?: readonly string[] };
      if (nats?.[0] !== undefined) return { url: nats[0], pid };
    }
    await clock.delay(brokerLookMs);
  }
  throw new Error("the NATS server of the peers did not start");
}
