// Three NATS servers as `auth init` sets them up, with certificates made by the commands of docs/security.md as they stand there: a cluster
// that keeps three copies, and lets nobody in as a server who has not its files.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test, { type ExecutionContext } from "ava";
import { systemClock } from "../../supervision/clock.js";
import { readSeedFile } from "../../transport/access/nkeys.js";
import { type Bus, connectBus } from "../../transport/bus/bus.js";
import { findServer } from "../../transport/server/server-binary.js";
import { tryStoring } from "../../transport/server/storing-trial.js";
import { subjectsOf } from "../../transport/subjects.js";
import { typedIn } from "../cluster/program.js";
import { patient } from "../transport/fixture.js";
import { until } from "../until.js";

const run = promisify(execFile);
/** A server says so when it hears the others. */
const leader = /Self is new JetStream cluster metadata leader|JetStream cluster new metadata leader/;
const securityPage = fileURLToPath(new URL("../../../docs/security.md", import.meta.url));
/** What a server that starts may take on a busy machine. */
const withinMs = 60_000;

/** The commands of the page's chapter on TLS that make certificates, as somebody would copy them. */
async function certificateCommands(): Promise<readonly string[]> {
  const chapter = (await readFile(securityPage, "utf8")).split(/^## /m).find((each) => each.startsWith("TLS\n")) ?? "";
  return [...chapter.matchAll(/^ {4}((?:openssl|echo) .*)$/gm)].map(([, command = ""]) => command);
}

async function emptyFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "driftmend-servers-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Free now, each with the port 2000 above it. */
async function freePorts(count: number): Promise<readonly number[]> {
  const found: number[] = [];
  const held = [];
  while (found.length < count) {
    const port = 20_000 + Math.floor((process.pid * 7 + held.length * 13) % 10_000) + found.length;
    const servers = [createServer(), createServer()];
    held.push(...servers);
    const free = await Promise.all(servers.map((server, index) => listens(server, port + 2_000 * index)));
    if (free.every((each) => each)) found.push(port);
  }
  for (const server of held) server.close();
  return found;
}

function listens(server: ReturnType<typeof createServer>, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    server.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true));
  });
}

interface Running {
  readonly child: ChildProcess;
  /** The first line of its log that matches. */
  says(words: RegExp): Promise<string>;
}

async function serve(t: ExecutionContext, cwd: string, config: string): Promise<Running> {
  const child = spawn(await findServer({ mayFetch: false }), ["-c", config], {
    cwd,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const over = new AbortController();
  t.teardown(async () => {
    over.abort();
    const ended = once(child, "exit");
    if (child.exitCode === null && child.kill("SIGKILL")) await ended;
  });
  const lines: string[] = [];
  const waiting = new Set<(line: string) => void>();
  createInterface({ input: child.stderr }).on("line", (line) => {
    lines.push(line);
    for (const hear of waiting) hear(line);
  });
  const says = (words: RegExp): Promise<string> =>
    new Promise((resolve, reject) => {
      const hear = (line: string): void => {
        if (words.test(line)) resolve(line);
      };
      waiting.add(hear);
      for (const line of lines) hear(line);
      void systemClock.delay(withinMs, over.signal).then(() => reject(new Error(`${words}: ${lines.join("\n")}`)));
    });
  return { child, says };
}

test("the commands of docs/security.md make certificates, and with the files of auth init three servers form a cluster that no stranger joins (S2-65)", async (t) => {
  t.timeout(5 * withinMs);
  const folder = await emptyFolder(t);
  const commands = await certificateCommands();
  t.is(commands.length, 4);
  for (const command of commands) await run("sh", ["-c", command], { cwd: folder });
  for (const key of ["ca.key", "server.key"]) t.is((await stat(join(folder, key))).mode & 0o777, 0o600, key);
  const urls = (await freePorts(3)).map((port) => `tls://127.0.0.1:${port}`);
  const tls = ["--tls-cert", "server.pem", "--tls-key", "server.key", "--tls-ca", "ca.pem"];
  const init = (...words: readonly string[]) =>
    typedIn(folder, "auth", "init", "--out", "auth", "--nats", urls.join(","), ...tls, ...words).ended;
  const tooMany = await init("--replicas", "4");
  t.is(tooMany.code, 2);
  t.regex(tooMany.stderr, /--replicas 4: --nats names 3 servers, and each keeps one copy/);
  const made = await init();
  t.is(made.code, 0, made.stderr);
  t.regex(made.stdout, /node --role serving --nats \S+ --nkey \S+node\.nk --tls-ca \S+ca\.pem --replicas 3\n/);
  const auth = join(folder, "auth");
  const configs = ["server-1.conf", "server-2.conf", "server-3.conf"];
  const secret = /password: "([^"]+)"/.exec(await readFile(join(auth, "server-1.conf"), "utf8"))?.[1] ?? "none";
  t.false(made.stdout.includes(secret));
  for (const config of configs) {
    t.is((await stat(join(auth, config))).mode & 0o777, 0o600, config);
    t.true((await readFile(join(auth, config), "utf8")).includes(secret), "all servers have one secret");
  }
  const servers = await Promise.all(configs.map((config) => serve(t, auth, config)));
  await Promise.all(servers.map(({ says }) => says(leader)));
  const bus = await nodeAt(folder, urls.join(","));
  t.teardown(() => bus.close());
  t.like(await tryStoring(bus, subjectsOf("driftmend"), 3, systemClock), { kind: "stored", replicas: 3 });
  await noStrangerJoins(t, { folder, auth, url: urls[0] ?? "", servers });
});

async function nodeAt(folder: string, url: string): Promise<Bus> {
  const seed = await readSeedFile(join(folder, "auth", "node.nk"));
  return connectBus({
    ...{ url, user: "node", nkey: seed.kind === "seed" ? seed.seed : "", inboxPrefix: "_INBOX.node" },
    ...{ name: "node", clock: systemClock, timeouts: patient, tls: { caFile: join(folder, "ca.pem") } },
  });
}

interface Cluster {
  readonly folder: string;
  readonly auth: string;
  /** Of the first of the servers. */
  readonly url: string;
  readonly servers: readonly Running[];
}

/** A server without the secret, then one without a certificate; and one with both, which shows that the others could have. */
async function noStrangerJoins(t: ExecutionContext, { folder, auth, url, servers }: Cluster): Promise<void> {
  const config = await readFile(join(auth, "server-1.conf"), "utf8");
  const [port = 0] = await freePorts(1);
  const as = async (name: string, change: (text: string) => string): Promise<Running> => {
    const text = config
      .replace(/server_name: ".*"/, `server_name: "${name}"`)
      .replaceAll(`:${new URL(url).port}"`, `:${port}"`)
      .replace(/listen: "127.0.0.1:\d+"\n {2}cluster_advertise: .*/, `listen: "127.0.0.1:${port + 2_000}"`)
      .replace("./jetstream-1", `./${name}`);
    await writeFile(join(auth, `${name}.conf`), change(text), { mode: 0o600 });
    return serve(t, auth, `${name}.conf`);
  };
  // Whoever is refused hears nothing but a connection that ends: those who refuse say why.
  const refused = (words: RegExp): Promise<string> => Promise.any(servers.map(({ says }) => says(words)));
  const guessing = await as("guessing", (text) => text.replace(/route:[\w-]+@/g, "route:guessed@"));
  t.regex(await refused(/rid:\d+ - .*(authentication error|authorization violation)/i), /\[ERR\]/);
  guessing.child.kill("SIGKILL");
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const self = [
    "-keyout",
    "self.key",
    "-out",
    "self.pem",
    "-subj",
    "/CN=self",
    "-addext",
    "subjectAltName=IP:127.0.0.1",
  ];
  await run("openssl", ["req", "-x509", ...curve, ...self], { cwd: folder });
  const unsigned = await as("unsigned", (text) => text.replace(/server\.(pem|key)/g, "self.$1"));
  t.regex(await refused(/rid:\d+ - TLS route handshake error: .*certificate/), /\[ERR\]/);
  unsigned.child.kill("SIGKILL");
  const known = await as("known", (text) => text);
  await known.says(/Server is ready/);
  const bus = await nodeAt(folder, `tls://127.0.0.1:${port}`);
  t.teardown(() => bus.close());
  await until("it tells its clients of the others", withinMs, async () => (bus.server?.peers.length ?? 0) > 3);
}
