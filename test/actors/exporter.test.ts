// The exporter in a real supervision tree: spans it hears of reach the collector, and its end sends what waits.

import test from "ava";
import { exporter } from "../../actors/operations/exporter.js";
import { Counters } from "../../operations/metrics/telemetry.js";
import { OtlpSink, type Post } from "../../operations/traces/otlp.js";
import { systemClock } from "../../supervision/clock.js";
import type { TelemetryEvent } from "../../transport/messages/events.js";
import { eventsTold, jobOf } from "../operations/traces/traced-jobs.js";
import { deferred, smallTree } from "../supervision/small-tree.js";

async function scene(everyMs: number) {
  const posted = deferred();
  const bodies: string[] = [];
  let told: (event: TelemetryEvent) => void = () => undefined;
  let listening = 0;
  const post: Post = async (_url, body) => {
    bodies.push(body);
    posted.resolve();
    return { status: 200, retryAfterMs: undefined };
  };
  const counters = new Counters();
  const url = "http://127.0.0.1:4318/v1/traces";
  const sink = (): OtlpSink => new OtlpSink({ url, cluster: "c", version: "1", clock: systemClock, post, counters });
  const listen = (take: (event: TelemetryEvent) => void): (() => void) => {
    told = take;
    listening += 1;
    return () => {
      listening -= 1;
    };
  };
  const { tree } = await smallTree([
    { id: "exporter", restart: "permanent", behaviour: () => exporter({ sink, everyMs, clock: systemClock, listen }) },
  ]);
  return { tree, bodies, posted, counters, tell: (event: TelemetryEvent) => told(event), listeners: () => listening };
}

test("spans that are heard are sent at the next look, and counted", async (t) => {
  const { tree, bodies, posted, counters, tell } = await scene(5);
  for (const event of await eventsTold([jobOf()])) tell(event);
  await posted.promise;
  await tree.stop();
  t.is(bodies.length, 1);
  t.regex(bodies[0] ?? "", /"name":"infer\.model"/);
  t.true(counters.get("otlp_exported") > 5);
});

test("an end in order sends what waits, and listens no more", async (t) => {
  const { tree, bodies, tell, listeners } = await scene(3_600_000);
  for (const event of await eventsTold([jobOf()])) tell(event);
  t.is(bodies.length, 0);
  await tree.stop();
  t.is(bodies.length, 1);
  t.is(listeners(), 0);
});

test("the next incarnation listens once, and goes on", async (t) => {
  const { tree, posted, tell, listeners } = await scene(5);
  await tree.kill("exporter", "kill");
  t.is(listeners(), 1);
  for (const event of await eventsTold([jobOf()])) tell(event);
  await posted.promise;
  t.deepEqual(tree.summary("exporter") !== undefined, true);
  await tree.stop();
});
