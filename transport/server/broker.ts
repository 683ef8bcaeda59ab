// The embedded broker: a nats-server of our own, started, watched and ended with its owner.
//
// Owns: the server process, its config file, its directory under the store, the lock on the store.
// Does not own: when it is restarted (the root process decides), who may do what (credentials.ts).
//
// K1. The server never outlives its owner, not even a SIGKILL of it: a shell guardian holds a pipe whose other end only the owner has.
// K2. A restart uses the ports of the first start, so that clients find it again.
// K3. Ready means: /healthz says ok and JetStream answered a request.
// K4. The server gets a session of its own, so that Ctrl-C in a terminal reaches the owner only and a drain can finish first.
// K5. A restart waits until the store's disk has room: a server on a full disk cannot write its ports, nor open its log.
// K6. A server that outlives its SIGKILL, in a system call that does not return, is waited for so long and named; its store stays locked.
//
// What nats-server 2.9.10 does at a full disk, as seen: it acknowledges what still fits into pages it owns, then falls into a deadlock over
// the stream, for good. No request to JetStream is answered from then on, also after room was made; a connection that published to the stream
// hangs altogether, which is why a node has one of its own for the log; /healthz goes on saying "ok"; SIGTERM does not end it.
// Only another process of it works again, and it has everything that was acknowledged.
//
// Its default for `max_file_store` is three quarters of what the disk has left at the start. A restart on a fuller disk then finds
// the streams' reservations too large and leaves the streams out ("Error recreating stream"), which looks like an empty log. So the bound is
// always given, and far away: streams have bounds of their own.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, readFile, rm, statfs, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Clock } from "../../models/clock.js";
import { makeFolder } from "../../models/make-folder.js";
import { type Credentials, identityOf, type User, usersOf } from "../access/credentials.js";
import type { ServerTls, Tls } from "../access/tls-files.js";
import { ConnectError, connectBus } from "../bus/bus.js";
import { ask } from "../log/jetstream.js";
import { commandOf, isAlive, type ProcessIdentity } from "../process-identity.js";
import { jetStreamApi, type Subjects } from "../subjects.js";
import { type Timeouts, timeoutDefaults } from "../timeouts.js";
import { guarded } from "./broker-guardian.js";
import { renderAccounts, renderTls } from "./server-config.js";
import { isHealthy, loopback, type Ports, readPorts } from "./server-ports.js";
import { lockStore, type StoreLock } from "./store-lock.js";

export interface BrokerOptions {
  /** Path of nats-server (server-binary.ts finds it). */
  readonly binary: string;
  readonly store: string;
  readonly subjects: Subjects;
  readonly credentials: Credentials;
  readonly clock: Clock;
  /** Further users, beside those of `credentials`. */
  readonly users?: readonly User[];
  /** Listening address; loopback unless the user asks for more. */
  readonly host?: string;
  /** The name by which this machine's processes reach it, where TLS asks for a certain one. */
  readonly reach?: string;
  readonly tls?: ServerTls;
  /** Whom the owner's own connections trust. */
  readonly trust?: Tls;
  readonly timeouts?: Timeouts;
  /** Wanted client port; a free one is chosen when left out. */
  readonly port?: number;
  /** Bytes that all streams together may reserve on disk. */
  readonly storeMaxBytes?: number;
}

export interface BrokerExit {
  readonly code: number | null;
  readonly signal: string | null;
  /** The server's last log lines, for whoever reports the death. */
  readonly lastWords: string;
}

export class BrokerError extends Error {
  override readonly name = "BrokerError";
  readonly why: "store_busy" | "not_ready" | "exited" | "stuck";
  constructor(why: BrokerError["why"], message: string) {
    super(message);
    this.why = why;
  }
}

export interface Broker {
  readonly url: string;
  readonly monitorUrl: string;
  /** Where the server writes its log. */
  readonly logFile: string;
  /** Of the nats-server itself; changes with a restart. */
  readonly pid: number;
  readonly alive: boolean;
  /** Called when the server ends without `stop`; returns a function that stops listening. */
  onExit(listener: (exit: BrokerExit) => void): () => void;
  /** After a death: the same store, the same ports. Waits while the disk is full. */
  restart(): Promise<void>;
  /** Whether the store's disk has room for a server to work with. */
  hasRoom(): Promise<boolean>;
  /** `deaf`: the process answers, its JetStream does not. `silent`: nothing of it answers; it is dead, stopped, or starting. */
  pulse(): Promise<"well" | "deaf" | "silent">;
  /** Ends the server at once, as an outage would; one that is dead already, or is being started, is left alone. */
  kill(): void;
  /** Ends the server and releases the store. */
  stop(): Promise<void>;
}

const pollMs = 5;
const unspecified: readonly string[] = ["0.0.0.0", "::"];
const payloadMax = "8MB";
const lastWordsMax = 2_000;
const storeMaxBytesDefault = 2 ** 40;
/** Less than this on the disk, and a server would fail again at once. */
const roomBytes = 1024 * 1024;
const roomPollMs = 250;

export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const directory = resolve(options.store, "nats");
  await makeFolder(directory, 0o700);
  const outcome = await lockStore(resolve(options.store));
  if (outcome.kind === "busy") {
    throw new BrokerError("store_busy", `the store ${options.store} is in use by process ${outcome.pid}`);
  }
  const broker = new EmbeddedBroker(options, directory, outcome.lock);
  try {
    await broker.start();
    return broker;
  } catch (error) {
    const isStuck = error instanceof BrokerError && error.why === "stuck";
    if (!isStuck) await broker.stop();
    throw error;
  }
}

interface Running {
  readonly guardian: ChildProcess;
  readonly exited: Promise<BrokerExit>;
  readonly server: ProcessIdentity;
}

class EmbeddedBroker implements Broker {
  readonly #options: BrokerOptions;
  readonly #timeouts: Timeouts;
  readonly #directory: string;
  readonly #lock: StoreLock;
  readonly #listeners = new Set<(exit: BrokerExit) => void>();
  #ports: Ports | undefined;
  #running: Running | undefined;
  #lastPid = 0;
  #stopping = false;

  constructor(options: BrokerOptions, directory: string, lock: StoreLock) {
    this.#options = options;
    this.#timeouts = options.timeouts ?? timeoutDefaults;
    this.#directory = directory;
    this.#lock = lock;
  }

  get url(): string {
    return `nats://${this.#reach()}:${this.#ports?.client ?? 0}`;
  }

  get logFile(): string {
    return join(this.#directory, "server.log");
  }

  get monitorUrl(): string {
    return `http://${loopback}:${this.#ports?.monitor ?? 0}`;
  }

  get pid(): number {
    return this.#lastPid;
  }

  get alive(): boolean {
    return this.#running !== undefined;
  }

  onExit(listener: (exit: BrokerExit) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async restart(): Promise<void> {
    while (!(this.#stopping || (await this.hasRoom()))) await this.#options.clock.delay(roomPollMs);
    if (this.#stopping) throw new BrokerError("exited", "the broker was stopped");
    if (this.#running === undefined) await this.start();
  }

  async hasRoom(): Promise<boolean> {
    const { bavail, bsize } = await statfs(this.#directory);
    return bavail * bsize >= roomBytes;
  }

  async pulse(): Promise<"well" | "deaf" | "silent"> {
    const ports = this.#ports;
    if (ports === undefined || !this.alive || !(await isHealthy(ports.monitor, this.#options.clock))) return "silent";
    const answers = await this.#jetStreamAnswers(ports).catch((error: unknown) => {
      if (error instanceof ConnectError) return undefined;
      throw error;
    });
    if (answers === undefined) return "silent";
    return answers ? "well" : "deaf";
  }

  kill(): void {
    if (this.#running !== undefined) signal(this.#running.server.pid, "SIGKILL");
  }

  async start(): Promise<void> {
    const portsDir = join(this.#directory, "ports");
    await this.#endOrphan(portsDir);
    await rm(portsDir, { recursive: true, force: true });
    await mkdir(portsDir, { mode: 0o700 });
    const config = join(this.#directory, "server.conf");
    await rm(config, { force: true });
    await writeFile(config, this.#config(), { mode: 0o600 });
    const { guardian, exited } = this.#spawn(config, portsDir);
    const gone = { now: false };
    void exited.then(() => {
      gone.now = true;
    });
    const found = await this.#untilReady(portsDir, gone).catch(async (error: unknown) => {
      // Nobody holds a server that was not ready in time, also one that wrote no ports yet: its guardian ends it, before the store is let go.
      guardian.stdin?.destroy();
      if (!(await this.#endsInTime(exited))) throw stuck(`a server for ${this.#options.store}`);
      throw error;
    });
    this.#ports = found.ports;
    this.#lastPid = found.server.pid;
    const running: Running = { guardian, exited, server: found.server };
    this.#running = running;
    void exited.then((exit) => this.#onServerExit(running, exit));
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    const running = this.#running;
    if (running !== undefined) {
      signal(running.server.pid, "SIGTERM");
      await this.#endsInTime(running.exited, this.#timeouts.brokerStop);
      if (await isAlive(running.server)) signal(running.server.pid, "SIGKILL");
      // The lock stays: who takes it over when this process is gone finds the server by its ports, and ends it.
      if (!(await this.#endsInTime(running.exited))) throw stuck(`process ${running.server.pid}`);
    }
    await this.#lock.release();
  }

  /** A server that an earlier owner left behind, its guardian killed too: two servers in one store would destroy it. */
  async #endOrphan(portsDir: string): Promise<void> {
    const orphan = await readPorts(portsDir);
    if (orphan === undefined || !(await commandOf(orphan.server.pid)).includes(portsDir)) return;
    signal(orphan.server.pid, "SIGKILL");
    const { clock } = this.#options;
    const deadlineAtMs = clock.monotonicMs() + this.#timeouts.brokerKill;
    while (await isAlive(orphan.server)) {
      if (clock.monotonicMs() >= deadlineAtMs) throw stuck(`process ${orphan.server.pid}, of an earlier owner,`);
      await clock.delay(pollMs);
    }
  }

  /** Whether it ended within the time that a killed server has (K6). */
  async #endsInTime(exited: Promise<BrokerExit>, ms: number = this.#timeouts.brokerKill): Promise<boolean> {
    const done = new AbortController();
    const late = this.#options.clock.delay(ms, done.signal).then(() => false);
    const outcome = await Promise.race([exited.then(() => true), late]);
    done.abort();
    return outcome;
  }

  #spawn(config: string, portsDir: string) {
    const [shell, ...args] = guarded(this.#options.binary, ["-c", config, "--ports_file_dir", portsDir]);
    const guardian = spawn(shell, args, { stdio: ["pipe", "ignore", "ignore"], detached: true });
    const exited = new Promise<BrokerExit>((resolveExit) => {
      const settle = (code: number | null, by: string | null): void => {
        void this.#lastWords().then((lastWords) => resolveExit({ code, signal: by, lastWords }));
      };
      guardian.once("exit", settle);
      guardian.once("error", () => settle(null, null));
    });
    return { guardian, exited };
  }

  async #untilReady(portsDir: string, gone: { readonly now: boolean }) {
    const { clock } = this.#options;
    const deadlineAtMs = clock.monotonicMs() + this.#timeouts.brokerReady;
    let found: { readonly server: ProcessIdentity; readonly ports: Ports } | undefined;
    while (clock.monotonicMs() < deadlineAtMs) {
      if (gone.now) throw new BrokerError("exited", `nats-server ended at once: ${await this.#lastWords()}`);
      found ??= await readPorts(portsDir);
      if (found !== undefined && (await isHealthy(found.ports.monitor, clock)) && (await this.#isTaken(found)))
        return found;
      await clock.delay(pollMs);
    }
    if (found !== undefined) signal(found.server.pid, "SIGKILL");
    throw new BrokerError(
      "not_ready",
      `nats-server was not ready within ${this.#timeouts.brokerReady} ms: ${await this.#lastWords()}`,
    );
  }

  /** A server that refuses its own owner is of no use to anybody; one that is only slow is asked again. */
  async #isTaken({ server, ports }: { readonly server: ProcessIdentity; readonly ports: Ports }): Promise<boolean> {
    try {
      return await this.#jetStreamAnswers(ports);
    } catch (error) {
      if (error instanceof ConnectError && error.why === "unreachable") return false;
      signal(server.pid, "SIGKILL");
      throw error;
    }
  }

  async #jetStreamAnswers(ports: Ports): Promise<boolean> {
    const { credentials, clock, trust } = this.#options;
    const bus = await connectBus({
      url: `nats://${this.#reach()}:${ports.client}`,
      ...identityOf(credentials.node),
      name: "driftmend-broker-check",
      clock,
      timeouts: this.#timeouts,
      ...(trust === undefined ? {} : { tls: trust }),
    });
    try {
      const answer = await ask(bus, jetStreamApi.account, undefined);
      return answer.kind === "ok";
    } finally {
      await bus.close();
    }
  }

  #onServerExit(running: Running, exit: BrokerExit): void {
    if (this.#running !== running) return;
    this.#running = undefined;
    if (this.#stopping) return;
    // The guardian alone may have died; the store must not have two servers.
    void isAlive(running.server).then((alive) => {
      if (alive) signal(running.server.pid, "SIGKILL");
      for (const listener of this.#listeners) listener(exit);
    });
  }

  #config(): string {
    const { subjects, credentials, users = [], host, port, tls, storeMaxBytes = storeMaxBytesDefault } = this.#options;
    return [
      `server_name: ${JSON.stringify(`driftmend-${subjects.cluster}`)}`,
      `listen: "${bracketed(host ?? loopback)}:${this.#ports?.client ?? port ?? -1}"`,
      `http: "${loopback}:${this.#ports?.monitor ?? -1}"`,
      `max_payload: ${payloadMax}`,
      `log_file: ${JSON.stringify(this.logFile)}`,
      "logfile_size_limit: 4MB",
      `jetstream { store_dir: ${JSON.stringify(this.#directory)}, max_file_store: ${storeMaxBytes} }`,
      ...(tls === undefined ? [] : [renderTls(tls)]),
      renderAccounts([...usersOf(credentials, subjects), ...users]),
      "",
    ].join("\n");
  }

  /** An address that means "every interface" is none that one connects to. */
  #reach(): string {
    const { host = loopback, reach } = this.#options;
    return reach ?? bracketed(unspecified.includes(host) ? loopback : host);
  }

  async #lastWords(): Promise<string> {
    const text = await readFile(this.logFile, "utf8").catch(() => "no log was written");
    return text.slice(-lastWordsMax).trim();
  }
}

function stuck(who: string): BrokerError {
  return new BrokerError(
    "stuck",
    `nats-server (${who}) does not end after a SIGKILL: does the disk of its store hang?`,
  );
}

function bracketed(host: string): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}

function signal(pid: number, name: "SIGTERM" | "SIGKILL"): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    const gone = error instanceof Error && "code" in error && error.code === "ESRCH";
    if (!gone) throw error;
  }
}
