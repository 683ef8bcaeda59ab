// A short stability run as a person types it: a cluster of its own, two crashes, and everything it writes and tells on the way.

import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { askReport } from "../../operations/ask-report.js";
import { type ClusterMetrics, clusterMetricsSchema } from "../../operations/metrics/cluster-metrics.js";
import type { StabilityReport } from "../../sim/stability/report/document.js";
import { systemClock } from "../../supervision/clock.js";
import { identify, isAlive } from "../../transport/process-identity.js";
import { start } from "../cluster/program.js";
import { Heard, lookAt, nodeOf, temporaryStore } from "../cluster/running.js";

const requests = 900;
const rate = 60;
/** Strikes in the 3rd and in the 8th second. */
const seed = 10;
const words = [
  ...["stability", "--json", "--requests", `${requests}`, "--rate", `${rate}`, "--seed", `${seed}`],
  ...["--enable-chaos-testing", "--worker-crash-probability", "0.2", "--sample-every", "1s", "--grace", "5s"],
];

async function lines<T>(file: string): Promise<T[]> {
  return (await readFile(file, "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
}

test.serial(
  "a short run with crashes holds, and writes samples, history, report and page (S0-19, S0-20, S0-24, S0-25, S0-27, S0-28, S0-34, S0-35, S0-36, S0-45)",
  async (t) => {
    t.timeout(180_000);
    const store = await temporaryStore();
    t.teardown(() => rm(store, { recursive: true, force: true }));
    const place = join(store, "report");
    const program = start(store, ...words, "--report", place);
    t.teardown(() => void program.child.kill("SIGKILL"));
    const sight = await lookAt(await program.ready);
    const { operator, subjects } = sight;
    const [running, scored] = [
      await Heard.on(operator, subjects.event("stability")),
      await Heard.on(operator, subjects.event("scored")),
    ];
    const worker = await nodeOf(sight, "learning-1");
    const identity = await identify(worker.pid);

    // The same question that anybody may ask, while the run asks it too.
    const asked: ClusterMetrics[] = [];
    const over = new AbortController();
    const asking = (async () => {
      while (!over.signal.aborted) {
        const answer = await askReport({ bus: operator, subjects }, "metrics");
        if (answer.kind === "report") asked.push(answer.report);
        await systemClock.delay(200, over.signal);
      }
    })();
    await running.find("a run with kills", ({ items }) => Number(items[0]?.kills) > 0);
    await scored.find("scored answers", ({ items }) => Number(items[0]?.labels) > 100);
    over.abort();
    await asking;
    await sight.close();

    const { code, stdout, stderr } = await program.ended;
    t.is(code, 0, stderr);
    const report: StabilityReport = JSON.parse(stdout);
    t.deepEqual(report, JSON.parse(await readFile(join(place, "report.json"), "utf8")));
    t.true(report.passed);
    t.like(report.requests, { due: requests, answeredInTime: requests, wantedPerSecond: rate });
    t.true(report.requests.sentPerSecond >= 0.95 * rate || report.requests.limitedBy !== "nobody");

    const { kills, count } = report.chaos;
    t.true(count > 0 && kills.length === count);
    t.false(identity !== undefined && (await isAlive(identity)), "the killed process is gone");
    t.like(kills[0], { pid: worker.pid, node: "learning-1", incarnation: worker.generation, signal: "SIGKILL" });
    t.true(kills.every(({ pid, nextPid }) => nextPid !== null && nextPid !== pid));
    t.true(kills.every(({ recoveryMs }) => recoveryMs !== null));
    t.is(report.cleanups.confirmed, count);
    t.is(report.log.experiences, requests);

    const samples = await lines<{ step: number; metrics: unknown }>(join(place, "samples.jsonl"));
    const history = await lines<Record<string, number>>(join(place, "history.jsonl"));
    // One a second, and one at the end.
    t.true(samples.length >= 10, `${samples.length} samples`);
    t.deepEqual(
      history.map(({ _step }) => _step),
      samples.map((_, i) => i),
    );
    const metrics = samples.map((sample) => clusterMetricsSchema.parse(sample.metrics));
    const same = metrics.filter(({ atMs }) => asked.some((each) => each.atMs === atMs));
    t.true(same.length > 0, "one look was of the same moment");
    for (const each of same)
      t.deepEqual(
        each,
        asked.find(({ atMs }) => atMs === each.atMs),
      );

    const html = await readFile(join(place, "report.html"), "utf8");
    t.is(html.match(/data-mark="Worker Crash"/g)?.length, 2 * count, "on update_rate and on queue_size");
    t.true(html.includes("Nightly Stability Test"));
  },
);
