// The figures of a live cluster, held against its log and its processes, and what is left of them when the node that knows them is killed.

import { readFile } from "node:fs/promises";
import test from "ava";
import { type Asker, askReport, type Report } from "../../operations/ask-report.js";
import { packedEntry } from "../../operations/packed/pack.js";
import { systemClock } from "../../supervision/clock.js";
import type { Bus } from "../../transport/bus/bus.js";
import { streamState } from "../../transport/log/jetstream.js";
import type { ReportName } from "../../transport/subjects.js";
import { ask } from "./program.js";
import {
  busAs,
  entry,
  Heard,
  nodeOf,
  nodeReady,
  type Running,
  settledCommit,
  startRunning,
  treeOf,
} from "./running.js";
import { Traffic } from "./traffic.js";

const testWithinMs = 120_000;
const reportWithinMs = 60_000;

let running: Running;
let telemetry: Bus;
let asker: Asker;
test.before(async () => {
  running = await startRunning();
  telemetry = await busAs(running.context, "telemetry");
  asker = { bus: telemetry, subjects: running.subjects };
});
test.after.always(async () => {
  await telemetry?.close();
  await running?.stop();
});

/** The first report that is as it is wanted; figures are taken once a second, so this asks again. */
async function reported<Name extends ReportName>(
  what: Name,
  wanted: string,
  fits: (report: Report<Name>) => boolean,
): Promise<Report<Name>> {
  const untilMs = systemClock.monotonicMs() + reportWithinMs;
  for (;;) {
    const asked = await askReport(asker, what, 2_000);
    if (asked.kind === "report" && fits(asked.report)) return asked.report;
    if (systemClock.monotonicMs() >= untilMs) throw new Error(`${what}, ${wanted}: ${JSON.stringify(asked)}`);
    await systemClock.delay(50);
  }
}

async function residentBytes(pid: number): Promise<number> {
  const found = /^VmRSS:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/status`, "utf8"));
  return Number(found?.[1]) * 1_024;
}

test.serial(
  "every node runs the pack where there is one of these modules, and cli.js where there is none",
  async (t) => {
    const started = packedEntry(entry);
    for (const name of ["serving-1", "learning-1", "operations-1"]) {
      const words = (await readFile(`/proc/${(await nodeOf(running, name)).pid}/cmdline`, "utf8")).split("\0");
      t.true(words.includes(started), `${name}: ${words.join(" ")}`);
    }
  },
);

test.serial("figures agree with the log, the commits and the processes (S0-14, S0-28, S2-41)", async (t) => {
  t.timeout(testWithinMs);
  const traffic = new Traffic(running, { name: "observed", askers: 8, seed: 5, requests: 400 });
  await traffic.done();
  t.deepEqual(traffic.refused, []);
  const commit = await settledCommit(running);
  const applied = commit?.counters.applied ?? 0;
  const sent = traffic.sent + traffic.retried;
  const metrics = await reported("metrics", "all requests", ({ counters, models, nodes }) => {
    const isThere = counters.requests === sent && models[0]?.version === (commit?.version ?? 0);
    return isThere && nodes.length === 3 && nodes.every(({ roles }) => roles.length > 0);
  });
  t.is(metrics.vitals.queueSize, 0);
  t.is(metrics.models[0]?.updates.applied, applied);
  t.is(metrics.vitals.updateRate, applied);
  t.is(metrics.counters.answered_digits, 400);
  for (const kind of ["experience", "update"] as const) {
    const stream = running.subjects.stream(kind, "digits");
    const state = await streamState(running.operator, stream);
    const log = metrics.logs.find((each) => each.stream === stream);
    t.is(log?.messages, state.kind === "state" ? state.state.messages : -1, stream);
  }
  const tree = await treeOf(running);
  for (const { node, pid, rssBytes, state } of metrics.nodes) {
    t.is(state, "running");
    t.true(tree.children.some((child) => child.name === node && child.pid === pid));
    const resident = await residentBytes(pid);
    t.true(rssBytes > resident / 2 && rssBytes < resident * 2, `${node}: ${rssBytes} of ${resident}`);
  }
  t.is(metrics.leases.held, 1);
});

test.serial("the verbs print what the report says (S2-12, S0-28)", async (t) => {
  t.timeout(testWithinMs);
  const before = await reported("metrics", "any", () => true);
  const printed = (await ask(running.store, "metrics")) as Report<"metrics">;
  t.deepEqual(Object.keys(printed), Object.keys(before));
  const learned = ({ models }: Report<"metrics">) =>
    models.map(({ name, version, updates }) => ({ name, version, updates }));
  t.deepEqual(learned(printed), learned(before));
  const { queues } = (await ask(running.store, "subjects")) as Pick<Report<"metrics">, "queues">;
  t.deepEqual(
    queues.map(({ name, where }) => `${name} ${where}`),
    before.queues.map(({ name, where }) => `${name} ${where}`),
  );
  const { metrics } = (await ask(running.store, "top")) as { readonly metrics: Report<"metrics"> };
  t.deepEqual(learned(metrics), learned(before));
  const status = (await ask(running.store, "status")) as { readonly vitals: object; readonly modes: object };
  t.deepEqual(Object.keys(status.vitals), Object.keys(before.vitals));
  t.deepEqual(Object.keys(status.modes), ["digits"]);
});

test.serial("reports are for telemetry and operators: a client is refused (S2-65)", async (t) => {
  t.timeout(testWithinMs);
  const client = await askReport({ bus: running.client.bus, subjects: running.subjects }, "metrics", 2_000);
  t.is(client.kind, "unavailable");
  if (client.kind === "unavailable") t.is(client.why, "denied");
  const operator = await askReport({ bus: running.operator, subjects: running.subjects }, "metrics", 5_000);
  t.is(operator.kind, "report");
});

test.serial("kill -9 of the node that knows the figures: the next one knows them too (S1-40, S0-46)", async (t) => {
  t.timeout(testWithinMs);
  const heard = await Heard.on(running.operator, running.subjects.event("node_ready"));
  const learning = await nodeOf(running, "learning-1");
  process.kill(learning.pid, "SIGKILL");
  await nodeReady(heard, "learning-1", 2);
  const restarted = ({ nodes }: Report<"metrics">): boolean =>
    nodes.some(({ node, incarnation }) => node === "learning-1" && incarnation === 2);
  const before = await reported("metrics", "the new learner", restarted);
  const points = (await reported("series", "a point", (series) => series.points.length > 0)).points;
  // What reaches further back than the stream is left behind every ten seconds.
  const operations = await nodeOf(running, "operations-1");
  process.kill(operations.pid, "SIGKILL");
  await nodeReady(heard, "operations-1", 2);
  const after = await reported("metrics", "a new observer", ({ atMs }) => atMs > before.atMs);
  for (const [name, sum] of Object.entries(before.counters))
    if (!name.startsWith("telemetry_"))
      t.true((after.counters[name] ?? 0) >= sum, `${name}: ${after.counters[name]} < ${sum}`);
  t.is(after.models[0]?.updates.applied, before.models[0]?.updates.applied);
  t.true(after.restarts.nodes >= 1);
  const { marks, points: later } = await reported("series", "the marks", (series) => series.marks.length >= 3);
  t.true(marks.some(({ label, about }) => label === "Worker Crash" && about === "learning-1"));
  t.true(marks.some(({ kind, about }) => kind === "node_died" && about === "operations-1"));
  t.true(later.length >= points.length);
  heard.stop();
});

test.serial(
  "kill -9 of the broker: its memory of the past is gone, the observer's is not (S0-46, S1-40)",
  async (t) => {
    t.timeout(testWithinMs);
    const before = await reported("metrics", "any", () => true);
    const broker = await nodeOf(running, "nats-server");
    process.kill(broker.pid, "SIGKILL");
    const isBack = ({ atMs, nodes }: Report<"metrics">): boolean =>
      atMs > before.atMs + 1_000 && nodes.every(({ state }) => state === "running");
    const after = await reported("metrics", "new figures", isBack);
    for (const [name, sum] of Object.entries(before.counters))
      t.true((after.counters[name] ?? 0) >= sum, `${name}: ${after.counters[name]} < ${sum}`);
    const traffic = new Traffic(running, { name: "again", askers: 4, seed: 6, requests: 20 });
    await traffic.done();
    const stream = running.subjects.telemetryStream;
    const filled = ({ logs }: Report<"metrics">): boolean =>
      logs.some((log) => log.stream === stream && log.messages > 0);
    await t.notThrowsAsync(reported("metrics", "a telemetry stream that was made anew", filled));
  },
);
