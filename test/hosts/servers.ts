// Three (or more) real nats-servers that form one JetStream cluster, each in a place of its own: a directory and ports on loopback, or a
// network namespace with an address.
//
// Owns: their configuration (the one that docs/clusters.md shows), their processes. Does not own: the network between them (lan.ts).
//
// S1. A server that is started again has its name, its ports and its directory: it is the same member of the cluster.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { systemClock as clock } from "../../supervision/clock.js";
import { type Bus, ConnectError, connectBus } from "../../transport/bus/bus.js";
import { ask } from "../../transport/log/jetstream.js";
import { findServer } from "../../transport/server/server-binary.js";
import { jetStreamApi } from "../../transport/subjects.js";
import { until } from "../until.js";

export interface ServerPlace {
  readonly name: string;
  readonly host: string;
  readonly clientPort: number;
  readonly routePort: number;
  readonly directory: string;
  /** Words in front of a command that is to run there. */
  readonly prefix: readonly string[];
}

const readyWithinMs = 60_000;
const storeMaxBytes = 2 ** 40;

/** The configuration of one of several servers, as docs/clusters.md shows it. */
export function serverConfig(place: ServerPlace, all: readonly ServerPlace[], cluster: string): string {
  const routes = all.map(({ host, routePort }) => `nats://${host}:${routePort}`);
  return [
    `server_name: ${JSON.stringify(`${cluster}-${place.name}`)}`,
    `listen: "${place.host}:${place.clientPort}"`,
    "max_payload: 8MB",
    // A cut cable closes no connection: without these a route that leads nowhere is used for up to four minutes more.
    'ping_interval: "1s"',
    "ping_max: 2",
    'write_deadline: "2s"',
    `jetstream { store_dir: ${JSON.stringify(place.directory)}, max_file_store: ${storeMaxBytes} }`,
    "cluster {",
    `  name: ${JSON.stringify(cluster)}`,
    `  listen: "${place.host}:${place.routePort}"`,
    `  routes: [${routes.map((route) => JSON.stringify(route)).join(", ")}]`,
    "}",
    `log_file: ${JSON.stringify(join(place.directory, "server.log"))}`,
    "",
  ].join("\n");
}

/** Places on loopback, on ports that are free now. */
export async function loopbackPlaces(directory: string, names: readonly string[]): Promise<ServerPlace[]> {
  const ports = await freePorts(2 * names.length);
  return names.map((name, index) => ({
    name,
    host: "127.0.0.1",
    clientPort: ports[2 * index] ?? 0,
    routePort: ports[2 * index + 1] ?? 0,
    directory: join(directory, name),
    prefix: [],
  }));
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

export class Server {
  readonly place: ServerPlace;
  readonly #command: readonly string[];
  #child: ChildProcess | undefined;

  constructor(place: ServerPlace, binary: string) {
    this.place = place;
    this.#command = [...place.prefix, binary, "-c", join(place.directory, "server.conf")];
  }

  get url(): string {
    return `nats://${this.place.host}:${this.place.clientPort}`;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  start(): void {
    const [program = "", ...args] = this.#command;
    this.#child = spawn(program, args, { stdio: "ignore" });
  }

  /** `ip netns exec` becomes the server, so its pid is the server's. */
  async end(signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.running) return;
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
  }

  /** Of a server that has ended: it gets everything from the others again. */
  async forget(): Promise<void> {
    await rm(join(this.place.directory, "jetstream"), { recursive: true, force: true });
  }
}

export interface Servers {
  readonly all: readonly Server[];
  /** All addresses, as `--nats` takes them; with `first` in front. */
  urls(first?: string): string;
  named(name: string): Server;
  end(): Promise<void>;
}

/** Resolves when every server answers for JetStream. */
export async function startServers(
  places: readonly ServerPlace[],
  cluster: string,
  searchPath: string,
): Promise<Servers> {
  const binary = await findServer({ searchPath, mayFetch: false });
  for (const place of places) {
    await mkdir(place.directory, { recursive: true, mode: 0o700 });
    await writeFile(join(place.directory, "server.conf"), serverConfig(place, places, cluster), { mode: 0o600 });
  }
  const all = places.map((place) => new Server(place, binary));
  const servers: Servers = {
    all,
    urls: (first) => {
      const near = all.filter(({ place }) => place.name === first);
      const far = all.filter(({ place }) => place.name !== first);
      return [...near, ...far].map(({ url }) => url).join(",");
    },
    named: (name) => {
      const found = all.find(({ place }) => place.name === name);
      if (found === undefined) throw new Error(`no server ${name}`);
      return found;
    },
    end: async () => {
      await Promise.all(all.map((server) => server.end("SIGKILL")));
    },
  };
  for (const server of all) server.start();
  try {
    await Promise.all(all.map(answers));
  } catch (error) {
    await servers.end();
    throw error;
  }
  return servers;
}

/** Resolves when JetStream answers somebody who is connected to this server. */
export async function answers(server: Server): Promise<void> {
  const bus = await until(`${server.place.name} listens`, readyWithinMs, () => connected(server.url));
  try {
    await until(`JetStream answers at ${server.place.name}`, readyWithinMs, async () => {
      return (await ask(bus, jetStreamApi.account, undefined)).kind === "ok";
    });
  } finally {
    await bus.close();
  }
}

async function connected(url: string): Promise<Bus | undefined> {
  try {
    return await connectBus({ url, name: "driftmend-hosts", clock });
  } catch (error) {
    if (error instanceof ConnectError) return undefined;
    throw error;
  }
}

/** Name of the server that leads a stream; undefined while none does. */
export async function leaderOf(bus: Bus, stream: string, cluster: string): Promise<string | undefined> {
  const info = await ask(bus, jetStreamApi.streamInfo(stream), undefined);
  if (info.kind !== "ok") return undefined;
  const { cluster: group } = info.body as { readonly cluster?: { readonly leader?: string } };
  return group?.leader?.slice(cluster.length + 1);
}
