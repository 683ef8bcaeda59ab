// One cluster as a person starts it, with TLS and every log line: whoever tries what he may not is told of, and no secret is anywhere but
// where it belongs.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { systemClock } from "../../supervision/clock.js";
import { contextFile } from "../../transport/access/context.js";
import { secretVariables } from "../../transport/access/credentials.js";
import { publicKeyOf } from "../../transport/access/nkeys.js";
import { connectBus } from "../../transport/bus/bus.js";
import { makeCertificates } from "../transport/certificates.js";
import { processesOf, start, typedIn } from "./program.js";
import { Heard, lookAt, nodeOf } from "./running.js";
import { Traffic } from "./traffic.js";

const proc = (pid: number, what: "cmdline" | "environ"): Promise<string> => readFile(`/proc/${pid}/${what}`, "utf8");

function seedIn(environment: string): string {
  const found = environment.split("\0").find((each) => each.startsWith(`${secretVariables.nkey}=`));
  return found?.slice(secretVariables.nkey.length + 1) ?? "";
}

test("with TLS and debug logs a cluster answers, tells of who tries what he may not, and shows no secret in logs, events, errors or ps (S2-65)", async (t) => {
  t.timeout(120_000);
  const certificates = await makeCertificates();
  const store = await mkdtemp(join(tmpdir(), "driftmend-secrets-"));
  t.teardown(async () => {
    await certificates.remove();
    await rm(store, { recursive: true, force: true });
  });
  const { at } = certificates;
  const tls = ["--tls-cert", at("server.pem"), "--tls-key", at("server.key"), "--tls-ca", at("ca.pem")];
  const program = start(store, "up", "--http", "0", "--no-spare", "--log-level", "debug", ...tls);
  t.teardown(() => program.child.kill("SIGKILL"));
  const context = await program.ready;
  t.deepEqual(context.tls, { caFile: at("ca.pem") });
  const sight = await lookAt(context);
  const { operator, client, subjects } = sight;
  const said: string[] = [];
  const listening = operator.subscribe(subjects.all.telemetry, {}, ({ data }) => void said.push(text(data)));
  const alerts = operator.subscribe(subjects.all.alert, {}, ({ data }) => void said.push(text(data)));
  const heard = await Heard.on(operator, subjects.event("permission_violation"));
  const alerted = new Promise<void>((resolve) => {
    operator.subscribe(subjects.alert("warning", "unauthorised"), {}, () => resolve());
  });

  const traffic = new Traffic(sight, { name: "secrets", askers: 1, seed: 1, requests: 4 });
  await traffic.done();
  t.deepEqual(traffic.refused, []);

  const secrets = Object.values(context.users).map((each) => ("nkey" in each ? each.nkey : each.password));
  const serving = await nodeOf(sight, "serving-1");
  const seed = seedIn(await proc(serving.pid, "environ"));
  t.truthy(publicKeyOf(seed), "a node has its key in its environment");
  const environment = await proc(serving.pid, "environ");
  for (const secret of secrets) t.false(environment.includes(secret), "and nobody else's");
  const written = await readFile(contextFile(store), "utf8");
  for (const secret of secrets) t.true(written.includes(secret), "the control: where they belong they are found");
  const all = [...secrets, seed, ...Object.values(context.httpTokens ?? {})];
  t.is(new Set(all.filter((secret) => secret.length >= 20)).size, 7);
  for (const { pid } of await processesOf(sight)) {
    const commandLine = await proc(pid, "cmdline");
    for (const secret of all) t.false(commandLine.includes(secret), commandLine.replaceAll("\0", " "));
  }

  client.bus.publish(subjects.chaos("serving-1"), new Uint8Array(1));
  await client.bus.flush();
  const wrong = { url: context.natsUrl, user: "client", password: `${secrets[0]}x`, tls: { caFile: at("ca.pem") } };
  const error = await t.throwsAsync(connectBus({ ...wrong, name: "wrong", clock: systemClock }));
  await heard.find("the client's attempt", ({ items }) => items.some(({ about }) => about === "client"));
  await heard.find("the stranger's attempt", ({ items }) => items.some(({ about }) => about === "stranger"));
  await alerted;

  const tree = await typedIn(store, "tree", "--context", contextFile(store)).ended;
  t.is(tree.code, 0, tree.stderr);
  const denied = await typedIn(store, "tree", "--nats", context.natsUrl, "--user", "client", "--tls-ca", at("ca.pem"))
    .ended;
  t.is(denied.code, 1);
  listening.unsubscribe();
  alerts.unsubscribe();
  heard.stop();
  await sight.close();
  program.child.kill("SIGINT");
  const { stdout, stderr, code } = await program.ended;
  t.is(code, 130);
  t.regex(stderr, /permission denied/);
  const serverLog = await readFile(join(store, "nats", "server.log"), "utf8");
  const told = {
    stdout,
    stderr,
    serverLog,
    telemetry: said.join("\n"),
    errors: `${error?.stack} ${tree.stdout} ${tree.stderr} ${denied.stdout} ${denied.stderr}`,
  };
  for (const [where, words] of Object.entries(told)) {
    t.true(words.length > 0, where);
    for (const secret of all) t.false(words.includes(secret), `a secret is in ${where}`);
  }
});

function text(data: Uint8Array): string {
  return Buffer.from(data).toString("latin1");
}
