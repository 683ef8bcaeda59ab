// More requests than fit, and runs that take long: real nodes, floods from several producers. Every request ends once, by name, and the
// node goes on speaking.

import { rm } from "node:fs/promises";
import test, { type ExecutionContext } from "ava";
import { clusterSettingsOf, nodeFlagsOf, type SettingOptions } from "../../operations/cluster/cluster-settings.js";
import type { OverflowPolicy } from "../../operations/overflow.js";
import { systemClock } from "../../supervision/clock.js";
import { type ClientOutcome, DriftmendClient } from "../../transport/client.js";
import { parseMetrics } from "../../transport/messages/events.js";
import type { InferenceReply } from "../../transport/messages/wire.js";
import { discovery } from "../../transport/subjects.js";
import { modelTaking } from "../models/slow-model.js";
import { easyDigits, hardDigits, someDigits, tensorOf } from "./pictures.js";
import { busAs, experiencesIn, Heard, nodeOf, type Running, startRunning, statusOf, tasksIn } from "./running.js";

const testWithinMs = 180_000;
const producers = 4;
const each = 150;

let slow = "";
test.before(async (t) => {
  t.timeout(testWithinMs);
  slow = await modelTaking(2_300);
});
test.after.always(() => rm(slow, { recursive: true, force: true }));

async function cluster(
  t: ExecutionContext,
  settings: SettingOptions,
  models: readonly string[] = [],
): Promise<Running> {
  t.timeout(testWithinMs);
  const running = await startRunning({
    settings: { nodeFlags: nodeFlagsOf(settings), context: clusterSettingsOf(settings) },
    ...(models.length === 0 ? {} : { models }),
  });
  t.teardown(() => running.stop());
  return running;
}

interface Ended {
  readonly id: string;
  readonly priority: number;
  readonly outcome: ClientOutcome<InferenceReply>;
}

/** Everything at once, over a connection for each producer, none tried again. */
async function flood({ context }: Running): Promise<Ended[]> {
  const pictures = await someDigits(8);
  const flooding = Array.from({ length: producers }, async (_, producer) => {
    const { cluster, natsUrl, users } = context;
    const client = await DriftmendClient.connect({ ...users.client, cluster, url: natsUrl, clock: systemClock });
    const asked = Array.from({ length: each }, async (_none, index): Promise<Ended> => {
      const [id, priority] = [`p${producer}.${index}`, (index * 7) % 11];
      const { ink } = pictures[index % pictures.length] ?? { ink: new Float32Array(784) };
      const outcome = await client.infer("digits", tensorOf(ink), { id, priority, retries: 0, deadlineMs: 60_000 });
      return { id, priority, outcome };
    });
    const ended = await Promise.all(asked);
    await client.close();
    return ended;
  });
  return (await Promise.all(flooding)).flat();
}

function countBy<T>(all: readonly T[], nameOf: (one: T) => string): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const one of all) counts[nameOf(one)] = (counts[nameOf(one)] ?? 0) + 1;
  return counts;
}

const endOf = ({ outcome }: Ended): string =>
  outcome.kind === "reply" ? "answered" : outcome.kind === "refusal" ? outcome.refusal.code : outcome.why;

const allowed: Readonly<Record<OverflowPolicy, readonly string[]>> = {
  reject: ["answered", "overloaded", "shed"],
  "shed-lowest": ["answered", "shed"],
  "shed-oldest": ["answered", "shed"],
};

for (const overflow of ["reject", "shed-lowest", "shed-oldest"] as const)
  test.serial(
    `(S2-15, S2-34) a flood from several producers under ${overflow}: each request ends once, refusals are counted by code, none is lost`,
    async (t) => {
      const running = await cluster(t, { overflow, openMax: 16 });
      const ended = await flood(running);
      t.is(ended.length, producers * each);
      const counts = countBy(ended, endOf);
      t.log(JSON.stringify(counts));
      t.deepEqual(
        Object.keys(counts).filter((name) => !allowed[overflow].includes(name)),
        [],
      );
      t.true((counts.answered ?? 0) >= 16, "as many as fit are answered");
      t.true((counts.answered ?? 0) < ended.length, "and not all fit");
      for (const { outcome } of ended) if (outcome.kind === "refusal") t.true((outcome.refusal.retryAfterMs ?? 0) > 0);
      const status = await statusOf(running, "serving-1");
      for (const code of ["shed", "overloaded"]) t.is(Number(status[`refused_${code}`] ?? 0), counts[code] ?? 0);
      t.is(Number(status.answered), counts.answered ?? 0);
      const logged = countBy(await experiencesIn(running), ({ id }) => id);
      for (const one of ended) if (endOf(one) === "answered") t.is(logged[one.id], 1, one.id);
      if (overflow === "shed-lowest") assertHighFirst(t, ended);
      if (overflow === "shed-oldest") await assertToldInStats(t, running, counts.shed ?? 0);
    },
  );

/** $SRV.STATS, which standard tools show, counts the refusals and keeps the text of the last one. */
async function assertToldInStats(t: ExecutionContext, { client }: Running, shed: number): Promise<void> {
  const replies = await client.bus.requestMany(discovery.stats, new Uint8Array(), { waitMs: 5_000 });
  const told = replies.map(({ data }) => JSON.parse(new TextDecoder().decode(data)));
  const [endpoint] = told.find(({ metadata }) => metadata.node === "serving-1").endpoints;
  t.is(endpoint.num_errors, shed);
  t.regex(endpoint.last_error, /^shed: 16 requests are open on this node; this one was open the longest$/);
}

/** Not a matter of chance: the low ones can only stay where there was room for everybody. */
function assertHighFirst(t: ExecutionContext, ended: readonly Ended[]): void {
  const share = (of: (priority: number) => boolean): number => {
    const these = ended.filter(({ priority }) => of(priority));
    return these.filter((one) => endOf(one) === "answered").length / these.length;
  };
  const [high, low] = [share((priority) => priority >= 8), share((priority) => priority <= 2)];
  t.log(`answered: ${(high * 100).toFixed(0)} % of priority 8 to 10, ${(low * 100).toFixed(0)} % of 0 to 2`);
  t.true(high > low);
}

test.serial("(S2-50) heartbeats keep their period while a run of two seconds and more is under way", async (t) => {
  const running = await cluster(t, {}, [slow]);
  const beatsAtMs: number[] = [];
  const bus = await busAs(running.context, "telemetry");
  bus.subscribe(running.subjects.metrics("serving-1"), {}, ({ data }) => {
    const parsed = parseMetrics(data);
    if (parsed.kind === "ok") beatsAtMs.push(parsed.value.atMs);
  });
  await bus.flush();
  const [picture] = await easyDigits(1);
  const runsMs: number[] = [];
  for (let run = 0; run < 3; run += 1) {
    const beganAtMs = systemClock.monotonicMs();
    const outcome = await running.client.infer("digits", tensorOf(picture?.ink ?? new Float32Array(784)), {
      retries: 0,
      deadlineMs: 60_000,
      id: `slow-${run}`,
    });
    t.is(outcome.kind, "reply", JSON.stringify(outcome));
    runsMs.push(systemClock.monotonicMs() - beganAtMs);
  }
  const gapsMs = beatsAtMs.slice(1).map((atMs, index) => atMs - (beatsAtMs[index] ?? 0));
  const off = gapsMs.map((gap) => Math.abs(gap - 1_000));
  t.log(
    `runs of ${runsMs.map(Math.round).join(", ")} ms; beats off their period by ${off.map(Math.round).join(", ")} ms`,
  );
  // On a thread that computes, no beat would come before the end of a run.
  t.true(Math.min(...runsMs) >= 1_500, "the runs are longer than the period of the beats");
  t.true(gapsMs.length >= 4);
  t.true(Math.max(...gapsMs) < Math.min(...runsMs), `${gapsMs}`);
  await bus.close();
});

test.serial("(S2-16) for one trace id the task on the log and the confirmation of it can both be seen", async (t) => {
  const running = await cluster(t, {});
  const { length: coldStart } = await Promise.all(
    (await easyDigits(100)).map(({ ink }, index) =>
      running.client.infer("digits", tensorOf(ink), { id: `cold-${index}`, deadlineMs: 60_000 }),
    ),
  );
  t.is(coldStart, 100);
  const updates = await Heard.on(running.operator, running.subjects.event("update"));
  const asked = await Promise.all(
    (await hardDigits(8)).map(({ ink }, index) =>
      running.client.infer("digits", tensorOf(ink), { id: `unsure-${index}`, deadlineMs: 60_000 }),
    ),
  );
  const traces = asked.flatMap((outcome) => (outcome.kind === "reply" ? [outcome.reply.traceId] : []));
  const confirmed = await updates.find("the confirmation", ({ items }) =>
    items.some(({ traceId }) => traces.includes(String(traceId))),
  );
  const item = confirmed.items.find(({ traceId }) => traces.includes(String(traceId)));
  t.is(confirmed.node, "learning-1");
  const tasks = (await tasksIn(running)).filter(({ traceId }) => traceId === item?.traceId);
  t.is(tasks.length, 1, "one job on its way to the worker");
  t.regex(String(item?.kind ?? item?.outcome), /applied|refused/);
  updates.stop();
});

test.serial("(S2-54) a run over its time is a crash of its actor with that cause, and the node lives on", async (t) => {
  const running = await cluster(t, { timeout: { inference: 400 } }, [slow]);
  const crashes = await Heard.on(running.operator, running.subjects.event("crashed"));
  const before = await nodeOf(running, "serving-1");
  const [picture] = await easyDigits(1);
  const outcome = await running.client.infer("digits", tensorOf(picture?.ink ?? new Float32Array(784)), {
    retries: 0,
    deadlineMs: 5_000,
  });
  t.not(outcome.kind, "reply");
  const crash = await crashes.find("the crash", ({ actor }) => actor.endsWith("inference"));
  t.regex(String(crash.items[0]?.cause), /engine thread says nothing and counts as hung/);
  const after = await nodeOf(running, "serving-1");
  t.is(after.pid, before.pid);
  crashes.stop();
});
