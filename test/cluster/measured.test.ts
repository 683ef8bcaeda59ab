// What the nodes of a real cluster measure, as whoever listens to their beats gets it: one cluster, some traffic, a few labels.

import { readFile } from "node:fs/promises";
import test from "ava";
import { lookUp } from "../../operations/metrics/catalogue.js";
import { PercentileSketch } from "../../operations/metrics/percentile-sketch.js";
import { systemClock } from "../../supervision/clock.js";
import { type MetricsSample, parseMetrics } from "../../transport/messages/events.js";
import { experiencesIn, Heard, model, type Running, settledCommit, startRunning } from "./running.js";
import { Traffic } from "./traffic.js";

const requests = 260;
const labelled = 20;
const withinMs = 60_000;

/** The newest beat of every node, each added up over the nodes. */
class Beats {
  readonly newest = new Map<string, MetricsSample>();
  /** Resident bytes that /proc told when the beat came, and those that the beat told. */
  readonly resident: { readonly node: string; readonly told: number; readonly found: number }[] = [];
  readonly #waiting = new Set<() => void>();

  async take(data: Uint8Array): Promise<void> {
    const parsed = parseMetrics(data);
    if (parsed.kind !== "ok") throw new Error(parsed.message);
    const { node, values } = parsed.value;
    const status = await readFile(`/proc/${values.pid}/status`, "utf8").catch(() => "");
    const found = Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) * 1024;
    this.resident.push({ node, told: values.rssBytes ?? 0, found });
    this.newest.set(node, parsed.value);
    for (const wake of this.#waiting) wake();
  }

  sum(name: string): number {
    return [...this.newest.values()].reduce((sum, { values }) => sum + (values[name] ?? 0), 0);
  }

  sketch(name: string): PercentileSketch {
    const merged = new PercentileSketch();
    for (const { sketches = {} } of this.newest.values()) {
      const bytes = sketches[name];
      const read = bytes === undefined ? undefined : PercentileSketch.decode(bytes);
      if (read !== undefined) merged.merge(read);
    }
    return merged;
  }

  /** Resolves when it holds of the newest beats; the names say what was waited for. */
  until(holds: () => boolean, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = systemClock.after(withinMs, () => reject(new Error(`not within ${withinMs} ms: ${what}`)));
      const look = (): void => {
        if (!holds()) return;
        late();
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }
}

async function label(running: Running, traffic: Traffic): Promise<void> {
  const { labels } = model.manifest;
  for (const [index, reply] of traffic.replies.slice(0, labelled).entries()) {
    const right = reply.answer.label;
    const wrong = labels.find((each) => each !== right) ?? "";
    await running.client.feedback("digits", reply.id, index % 4 === 0 ? wrong : right);
  }
}

test.serial(
  "(S1-13, S1-26, S0-12, S1-25) two serving nodes and their writer tell what they did, with no user code",
  async (t) => {
    t.timeout(120_000);
    const running = await startRunning({ serving: 2 });
    const beats = new Beats();
    running.operator.subscribe(running.subjects.all.metrics, {}, ({ data }) => beats.take(data));
    const told = await Heard.on(running.operator, running.subjects.event("update"));
    const traffic = new Traffic(running, { name: "measured", askers: 8, seed: 3, requests });
    await traffic.done();
    await label(running, traffic);
    const commit = await settledCommit(running);
    const logged = (await experiencesIn(running)).length;
    await beats.until(() => beats.sum("jobs_infer_finished") >= requests, "every answer is counted");
    await beats.until(() => beats.sum("feedback_labels") >= labelled, "every label is counted");
    await beats.until(() => beats.sum("updates_applied") >= (commit?.counters.applied ?? 1), "every update is counted");

    t.is(beats.sum("answers"), logged);
    t.true(beats.sum("answered") >= traffic.replies.length);
    t.deepEqual([beats.sum("feedback_labels"), beats.sum("feedback_right")], [labelled, labelled * 0.75]);
    t.is(beats.sketch("confidence").count, logged);
    const [jobs, queue, slots] = ["job", "queue", "slot_wait"].map((name) => beats.sketch(`${name}_infer_ms`));
    t.is(jobs?.count, beats.sum("jobs_infer_finished") + beats.sum("jobs_infer_failed"));
    t.true((jobs?.sum ?? 0) >= (queue?.sum ?? 0) + (slots?.sum ?? 0));
    t.is(beats.sum("pool_infer_slots"), 2 * 64);
    t.is(beats.sum("pool_update_slots"), 1);
    for (const phase of ["receive", "queue", "model", "retrieve", "vote", "remember", "reply"])
      t.true(beats.sketch(`phase_infer_${phase}_ms`).count > 0, phase);

    const kls = told.events.flatMap(({ items }) => items).flatMap(({ kl }) => (typeof kl === "number" ? [kl] : []));
    await beats.until(() => beats.sketch("kl_nats").count >= kls.length, "every step is measured");
    const steps = beats.sketch("kl_nats");
    t.is(steps.count, kls.length);
    t.true(Math.abs((steps.mean ?? 0) - kls.reduce((sum, kl) => sum + kl, 0) / kls.length) <= 1e-6);
    t.is(beats.sum("updates_applied"), commit?.counters.applied ?? Number.NaN);
    t.is(beats.sum("jobs_update_finished") + beats.sum("jobs_update_failed"), beats.sketch("job_update_ms").count);

    const unknown = [...beats.newest.values()].flatMap(({ values, sketches }) =>
      [...Object.keys(values), ...Object.keys(sketches ?? {})].filter((name) => lookUp(name) === undefined),
    );
    t.deepEqual(unknown, [], "every name is in the catalogue");
    if (process.platform === "linux") {
      // The newest beats: by now nobody grows from one moment to the next.
      for (const { node, told: rss, found } of beats.resident.slice(-4))
        t.true(Math.abs(rss - found) <= 0.1 * found, `${node}: ${rss} for ${found}`);
    }
    await running.stop();
  },
);
