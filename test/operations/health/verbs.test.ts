// `health` and `config check` as a person types them. Substrate: a real nats-server with the cluster's own credentials, and in the place of an
// operations node one that answers with the report of the moment, made by the same rules from invented figures.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";
import { type HealthReport, healthReportSchema } from "../../../operations/health/health-report.js";
import { systemClock } from "../../../supervision/clock.js";
import { writeContext } from "../../../transport/access/context.js";
import { makeCredentials } from "../../../transport/access/credentials.js";
import { type Bus, connectBus } from "../../../transport/bus/bus.js";
import { encodeMessage } from "../../../transport/messages/codec.js";
import { type Broker, startBroker } from "../../../transport/server/broker.js";
import { findServer } from "../../../transport/server/server-binary.js";
import { inboxPrefixOf, subjectsOf } from "../../../transport/subjects.js";
import { healthOf, job, node, pool, run } from "./figures.js";

const cli = fileURLToPath(new URL("../../../cli.js", import.meta.url));
const subjects = subjectsOf("driftmend");
let folder = "";
let broker: Broker;
let bus: Bus;
let report: HealthReport | null = null;

test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "driftmend-health-"));
  const credentials = makeCredentials();
  const binary = await findServer({ searchPath: process.env.PATH ?? "", mayFetch: false });
  broker = await startBroker({ binary, store: folder, subjects, credentials, clock: systemClock });
  const { client, telemetry, operator } = credentials;
  await writeContext(folder, {
    cluster: "driftmend",
    natsUrl: broker.url,
    httpUrl: "",
    pid: process.pid,
    users: { client, telemetry, operator },
  });
  const inboxPrefix = inboxPrefixOf(credentials.node.user);
  bus = await connectBus({ url: broker.url, name: "test", clock: systemClock, ...credentials.node, inboxPrefix });
  bus.subscribe(subjects.report("health"), {}, (message) => void message.respond(encodeMessage({ v: 1, report })));
  await bus.flush();
});

test.after.always(async () => {
  await bus.close();
  await broker.stop();
  await rm(folder, { recursive: true, force: true });
});

async function typed(...words: readonly string[]) {
  const child = spawn(process.execPath, [cli, ...words], { stdio: "pipe" });
  const read = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const)
    child[stream].setEncoding("utf8").on("data", (text: string) => {
      read[stream] += text;
    });
  await once(child, "close");
  return { code: child.exitCode, ...read };
}

const askHealth = (...words: readonly string[]) => typed("health", ...words, "--context", join(folder, "context.json"));

test.serial("health says healthy and ends with 0, as a table and as one JSON document (S1-39)", async (t) => {
  report = run(healthOf(), { untilMs: 90_000 }, () => ({}));
  const { code, stdout } = await askHealth();
  t.is(code, 0);
  t.regex(stdout, /^ {2}healthy for 1 m 30 s, \d+ checks pass\n/);
  t.regex(stdout, /pass +pool_capacity +infer +pool.utilization 30 %, not > 95 %/);
  const json = await askHealth("--json");
  t.is(json.code, 0);
  t.deepEqual(healthReportSchema.parse(JSON.parse(json.stdout)), report);
});

test.serial(
  "health ends with 0 for degraded and with 1 for unhealthy, and says what to do (S1-39, S1-22)",
  async (t) => {
    const health = healthOf();
    report = run(health, { untilMs: 30_000 }, () => ({ jobs: [job("infer", 0.7)] }));
    const degraded = await askHealth();
    t.is(degraded.code, 0);
    t.regex(degraded.stdout, /degraded for 20.0 s, 1 of \d+ checks fails\n\n {2}warning job_success infer\n/);
    t.regex(degraded.stdout, /-> Find out why infer jobs fail \(70 % succeed\)/);
    report = run(health, { fromMs: 31_000, untilMs: 400_000 }, (elapsedMs) => ({
      pools: [pool("infer", 100)],
      jobs: [{ ...job("infer", 1), finished: elapsedMs / 100 }],
      nodes: [node("serving-1", { heartbeatAgeMs: 6_000 })],
    }));
    const { code, stdout, stderr } = await askHealth();
    t.is(code, 1);
    t.regex(
      stdout,
      /critical pool_capacity infer\n {4}pool.utilization 100 % is > 95 % for 6 m 09 s\n {4}-> Increase infer slots from 5 to 8/,
    );
    t.regex(stderr, /the cluster is unhealthy: node_heartbeat \(serving-1\), pool_capacity \(infer\)/);
  },
);

test.serial("an operations node without figures yet is said to be one", async (t) => {
  report = null;
  const { code, stdout, stderr } = await askHealth();
  t.is(code, 1);
  t.is(stdout, "");
  t.regex(stderr, /no figures yet/);
});

test("config check takes a good file, and gives a bad one a line for each problem and 1 (S1-37)", async (t) => {
  const file = join(folder, "ops.yaml");
  await writeFile(file, "checks:\n  - {name: memory, off: true}\n");
  const good = await typed("config", "check", file);
  t.is(good.code, 0);
  t.regex(good.stdout, /ops.yaml is good: \d+ rules hold with it/);
  await writeFile(
    file,
    "checks:\n  - {name: a, severity: info, when: pool.utilisation > 1}\n  - {name: b, severity: info}\n",
  );
  const bad = await typed("config", "check", file);
  t.is(bad.code, 1);
  t.is(
    bad.stdout,
    [
      `${file}:2:37: when: unknown measure "pool.utilisation"; did you mean pool.utilization?`,
      `${file}:3:5: when: is missing: write a condition like pool.utilization > 95`,
      "",
    ].join("\n"),
  );
  const json = await typed("config", "check", file, "--json");
  t.is(json.code, 1);
  t.is(JSON.parse(json.stdout).problems.length, 2);
  t.is((await typed("config", "check")).code, 2);
  t.regex((await typed("config", "check", `${file}.not`)).stderr, /there is no such file/);
});
