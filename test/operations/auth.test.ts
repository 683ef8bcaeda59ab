// `driftmend auth init` as a person types it, and what its files are worth on a real nats-server.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import test, { type ExecutionContext } from "ava";
import { systemClock } from "../../supervision/clock.js";
import { accessAs, type ClusterContext, type ContextRole, readContext } from "../../transport/access/context.js";
import { readSeedFile } from "../../transport/access/nkeys.js";
import { connectBus } from "../../transport/bus/bus.js";
import { findServer } from "../../transport/server/server-binary.js";
import { subjectsOf } from "../../transport/subjects.js";
import { typedIn } from "../cluster/program.js";
import { makeCertificates } from "../transport/certificates.js";
import { patient } from "../transport/fixture.js";
import { tried } from "../transport/permission-matrix.js";

const run = promisify(execFile);
const s = subjectsOf("shop");

async function emptyFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "driftmend-auth-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const init = (folder: string, ...words: readonly string[]) => typedIn(folder, "auth", "init", ...words).ended;

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function contextIn(folder: string, name: string): Promise<ClusterContext> {
  const read = await readContext(join(folder, `${name}.json`));
  if (read.kind !== "found") throw new Error(`${name}: ${read.kind}`);
  return read.context;
}

/** A server with the files of a folder, until the test ends; resolves when it lets the operator in. */
async function serve(t: ExecutionContext, folder: string): Promise<ChildProcess> {
  const binary = await findServer({ mayFetch: false });
  const server = spawn(binary, ["-c", "server.conf"], { cwd: folder, stdio: "ignore" });
  t.teardown(async () => {
    const ended = once(server, "exit");
    server.kill("SIGKILL");
    await ended;
  });
  const access = accessAs(await contextIn(folder, "operator"), "operator");
  for (;;) {
    const bus = await connectBus({ ...access, name: "waiting", clock: systemClock, timeouts: patient }).catch(
      () => undefined,
    );
    if (bus !== undefined) {
      await bus.close();
      return server;
    }
    await systemClock.delay(20);
  }
}

test("auth init makes files for their owner alone, that nats-server takes, and says what to do next without a secret (S2-65)", async (t) => {
  const folder = await emptyFolder(t);
  const { code, stdout, stderr } = await init(folder, "--out", "a", "--client", "web", "--client", "batch");
  t.is(code, 0, stderr);
  const out = join(folder, "a");
  const names = (await readdir(out)).sort();
  t.deepEqual(names, [
    ...["batch.json", "driftmend-accounts.conf", "node.nk", "operator.json", "operator.nk", "server.conf"],
    ...["telemetry.json", "web.json"],
  ]);
  for (const name of names) t.is((await stat(join(out, name))).mode & 0o777, 0o600, name);
  t.is((await stat(out)).mode & 0o777, 0o700);
  await t.notThrowsAsync(run(await findServer({ mayFetch: false }), ["-t", "-c", join(out, "server.conf")]));
  const texts = await Promise.all(names.map((name) => readFile(join(out, name), "utf8")));
  const secrets = texts.flatMap((text) =>
    [...text.matchAll(/SU[A-Z2-7]{56}|"password": "([^"]+)"/g)].map(([all]) => all),
  );
  t.true(secrets.length >= 5);
  for (const secret of secrets) t.false(stdout.includes(secret.replace(/^.*: "|"$/g, "")));
  t.regex(stdout, /--nkey .*node\.nk/);
  t.regex(stdout, /status --context .*operator\.json/);
  const conf = await readFile(join(out, "driftmend-accounts.conf"), "utf8");
  t.false(/SU[A-Z2-7]{56}/.test(conf), "no seed for the servers");
});

test("auth init overwrites nothing unless it is told to, and refuses names that it cannot use (S2-65)", async (t) => {
  const folder = await emptyFolder(t);
  t.is((await init(folder, "--out", "a", "--json")).code, 0);
  const before = await readFile(join(folder, "a", "node.nk"), "utf8");
  const again = await init(folder, "--out", "a");
  t.is(again.code, 1);
  t.regex(again.stderr, /is there already.*--force/s);
  t.is(await readFile(join(folder, "a", "node.nk"), "utf8"), before);
  const forced = await init(folder, "--out", "a", "--force", "--json");
  t.is(forced.code, 0);
  t.is(JSON.parse(forced.stdout).files.length, 7);
  t.not(await readFile(join(folder, "a", "node.nk"), "utf8"), before);
  for (const name of ["node", "a.b"]) {
    const { code, stderr } = await init(folder, "--out", "b", "--client", name);
    t.is(code, 2, name);
    t.regex(stderr, /--client/);
  }
  t.is((await init(folder, "--out", "b", "--tls-cert", "x.pem")).code, 2);
  const secret = await init(folder, "--out", "b", "--nats", "nats://bob:hidden@nats.example:4222");
  t.is(secret.code, 2);
  t.regex(secret.stderr, /--nats.*--user and --password/s);
  t.false(secret.stderr.includes("hidden"), "a password in an address is not said again");
});

test("the authority of another cluster is not written over (S2-65)", async (t) => {
  const folder = await emptyFolder(t);
  const certificates = await makeCertificates();
  t.teardown(() => certificates.remove());
  const { at } = certificates;
  const tls = ["--tls-cert", at("server.pem"), "--tls-key", at("server.key"), "--tls-ca", at("ca.pem")];
  await writeFile(join(folder, "ca.pem"), await readFile(at("other.pem")));
  const refused = await init(folder, "--out", ".", ...tls);
  t.is(refused.code, 1);
  t.regex(refused.stderr, /ca\.pem is there already/);
  t.deepEqual(await readdir(folder), ["ca.pem"]);
  await writeFile(join(folder, "ca.pem"), await readFile(at("ca.pem")));
  t.is((await init(folder, "--out", ".", ...tls)).code, 0, "the same one may lie there");
});

test("each user of auth init signs in with his own file, has his role's rights, and no other's inbox; TLS included (S2-65)", async (t) => {
  const folder = await emptyFolder(t);
  const certificates = await makeCertificates();
  t.teardown(() => certificates.remove());
  const { at } = certificates;
  const url = `nats://127.0.0.1:${await freePort()}`;
  const tls = ["--tls-cert", at("server.pem"), "--tls-key", at("server.key"), "--tls-ca", at("ca.pem")];
  const clients = ["--client", "web", "--client", "batch"];
  t.is((await init(folder, "--out", ".", "--cluster", "shop", "--nats", url, ...clients, ...tls)).code, 0);
  await serve(t, folder);
  const { mode } = await stat(join(folder, "ca.pem"));
  t.is(mode & 0o777, 0o644, "nodes that are another user's read it too");
  t.like(JSON.parse(await readFile(join(folder, "web.json"), "utf8")), { tls: { caFile: "ca.pem" } });
  const as = async (name: string, role: ContextRole) => {
    const bus = await connectBus({
      ...accessAs(await contextIn(folder, name), role),
      name,
      clock: systemClock,
      timeouts: patient,
    });
    t.teardown(() => bus.close());
    return bus;
  };
  const web = await as("web", "client");
  const operator = await as("operator", "operator");
  const telemetry = await as("telemetry", "telemetry");
  t.is(await tried(web, ["client", "", "publish", s.infer("m"), "allowed"]), "allowed");
  t.is(await tried(web, ["client", "", "subscribe", "_INBOX.batch.>", "denied"]), "denied");
  t.is(await tried(web, ["client", "", "publish", s.chaos("n1"), "denied"]), "denied");
  t.is(await tried(operator, ["operator", "", "publish", s.chaos("n1"), "allowed"]), "allowed");
  t.is(await tried(operator, ["operator", "", "publish", s.updates("m"), "denied"]), "denied");
  t.is(await tried(telemetry, ["telemetry", "", "subscribe", s.all.telemetry, "allowed"]), "allowed");
  t.is(await tried(telemetry, ["telemetry", "", "publish", s.infer("m"), "denied"]), "denied");
  const seed = await readSeedFile(join(folder, "node.nk"));
  const nkey = seed.kind === "seed" ? seed.seed : "";
  const node = await connectBus({
    ...{ url, user: "node", nkey, inboxPrefix: "_INBOX.node", tls: { caFile: at("ca.pem") } },
    ...{ name: "node", clock: systemClock, timeouts: patient },
  });
  t.teardown(() => node.close());
  t.is(await tried(node, ["node", "", "publish", s.updates("m"), "allowed"]), "allowed");
  const client = await typedIn(folder, "status", "--context", join(folder, "web.json")).ended;
  t.is(client.code, 1);
  t.regex(client.stderr, /web\.json is for a client, and this needs the rights of an operator/);
  const open = join(folder, "open.nk");
  await writeFile(open, nkey);
  await chmod(open, 0o644);
  const refused = await typedIn(folder, "tree", "--nats", url, "--cluster", "shop", "--nkey", open).ended;
  t.is(refused.code, 2);
  t.regex(refused.stderr, /open\.nk is readable by others \(mode 644\): chmod 600/);
  t.false(refused.stderr.includes(nkey));
  const untrusted = await typedIn(folder, "tree", "--nats", url, "--nkey", join(folder, "operator.nk")).ended;
  t.is(untrusted.code, 1);
  t.regex(untrusted.stderr, /not signed by the system's authorities.*\n.*--tls-ca/);
});
