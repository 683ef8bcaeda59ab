// The alerter on a clock of its own, with a bucket and sinks in memory: who is told what, how often, and what survives its death.

import test from "ava";
import { savedAlertsSchema } from "../../operations/alerts/alert-record.js";
import { failing, passing } from "../operations/alerts/reports.js";
import { type Given, type Scene, scene, World } from "./alerter-world.js";

const minuteMs = 60_000;
const hourMs = 3_600_000;

test("an alert is published when it fires and when its event ends it; repetitions only count", async (t) => {
  const { clock, tree, published, hear } = await scene();
  for (let i = 0; i < 3; i += 1) hear("node_died", "a");
  await clock.advance(10);
  hear("node_ready", "a");
  hear("node_ready", "a");
  await clock.advance(10);
  t.deepEqual(published, ["node_died:a fired 1", "node_died:a resolved 3"]);
  t.like(tree.summary("alerter"), { fired: 1, resolved: 1, leads: true });
  await tree.stop();
});

test("an alert that no event ends is over after its quiet time, counted from the newest repetition", async (t) => {
  const { clock, tree, published, hear } = await scene();
  hear("crashed", "a/voter");
  await clock.advance(40_000);
  hear("crashed", "a/voter");
  await clock.advance(40_000);
  t.deepEqual(published, ["actor_crashed:a/voter fired 1"]);
  await clock.advance(22_000);
  t.deepEqual(published.at(-1), "actor_crashed:a/voter resolved 2");
  await tree.stop();
});

test("each alert is one message when it begins and one when it is over, after the time for others to come along (S0-16)", async (t) => {
  const world = new World();
  const { clock, tree, hear } = await scene({ world });
  for (let i = 0; i < 30; i += 1) hear("node_died", "a");
  await clock.advance(4_000);
  t.is(world.sent.length, 0);
  await clock.advance(2_500);
  t.is(world.sent.length, 1);
  await clock.advance(5 * minuteMs);
  hear("node_ready", "a");
  await clock.advance(2 * hourMs);
  t.deepEqual(
    world.sent.map(({ notification }) => notification.subject),
    ["critical node_died: a", "resolved: critical node_died: a"],
  );
  await tree.stop();
});

test("a quiet system sends nothing: an hour of passing checks, and of informational ones (S1-35, S1-36)", async (t) => {
  const world = new World();
  const { clock, tree, report, list } = await scene({ world });
  const info = [failing("pool_capacity", { severity: "info" }), failing("queue_depth", { severity: "info" })];
  for (let second = 0; second < 3_600; second += 60) {
    report([passing("update_rate_stalled"), ...info]);
    await clock.advance(minuteMs);
  }
  t.deepEqual(world.sent, []);
  const { alerts } = await list();
  t.deepEqual(
    alerts.map(({ name, severity, intent }) => ({ name, severity, intent })),
    [
      { name: "pool_capacity", severity: "info", intent: null },
      { name: "queue_depth", severity: "info", intent: null },
    ],
  );
  await tree.stop();
});

test("a storm is one message: the worst first, bounded, with a count of the rest", async (t) => {
  const world = new World();
  const { clock, tree, hear } = await scene({ world });
  for (let i = 0; i < 35; i += 1) hear("permission_violation", `s${i}`);
  hear("node_died", "serving-1");
  await clock.advance(7_000);
  t.is(world.sent.length, 1);
  const [lines = []] = world.lines();
  t.regex(lines[0] ?? "", /^critical node_died: serving-1: why/);
  t.regex(lines.at(-1) ?? "", /^and 16 more firing/);
  t.is(world.sent[0]?.notification.subject, "critical node_died: serving-1 (+35 more)");
  t.true(lines.length <= 41);
  await clock.advance(10_000);
  hear("node_died", "serving-2");
  await clock.advance(40_000);
  t.is(world.sent.length, 1, "the next one waits for its interval");
  await clock.advance(15_000);
  t.deepEqual(world.lines()[1]?.filter((line) => line.startsWith("critical")).length, 1);
  t.regex(world.lines()[1]?.at(-1) ?? "", /^36 more, told before, still firing/);
  await tree.stop();
});

test("what fires on is told again every four hours, until somebody acknowledges it; its end is told all the same", async (t) => {
  const world = new World();
  const { clock, tree, report, order } = await scene({ world, lookEveryMs: minuteMs });
  const stalled = [failing("update_rate_stalled")];
  const goOn = async (hours: number): Promise<void> => {
    for (let minute = 0; minute < hours * 60; minute += 10) {
      report(stalled);
      await clock.advance(10 * minuteMs);
    }
  };
  await goOn(9);
  t.is(world.sent.length, 3);
  t.regex(world.lines()[1]?.[0] ?? "", /firing for 4 h 0[0-2] m/);
  const answer = order({ kind: "ack", fingerprint: "update_rate_stalled:digits", note: "on it" });
  await clock.advance(1);
  t.like(await answer, { kind: "done", receipt: { firing: 1 } });
  await goOn(20);
  t.is(world.sent.length, 3);
  report([passing("update_rate_stalled")]);
  await clock.advance(hourMs);
  t.deepEqual(
    world.sent.slice(3).map(({ notification }) => notification.subject),
    ["resolved: warning update_rate_stalled: digits"],
  );
  await tree.stop();
});

test("silenced, nothing is told; the silence ends by itself, and what still fires is told then", async (t) => {
  const world = new World();
  const { clock, tree, report, order } = await scene({ world });
  const answer = order({ kind: "silence", matches: "knn_failing", forMs: hourMs, note: "" });
  await clock.advance(1);
  t.like(await answer, { kind: "done", receipt: { firing: 0, untilMs: clock.nowMs() - 1 + hourMs } });
  for (const about of ["m1", "m2"])
    report([failing("knn_failing", { about: "m1" }), failing("knn_failing", { about })]);
  await clock.advance(59 * minuteMs);
  report([failing("knn_failing", { about: "m1" })]);
  t.deepEqual(world.sent, []);
  await clock.advance(2 * minuteMs);
  t.deepEqual(
    world.sent.map(({ notification }) => notification.subject),
    ["warning knn_failing: m1"],
    "what ended while it was silent is not told",
  );
  await tree.stop();
});

test("what another alert explains is not told; it is told when the cause is gone and it is not", async (t) => {
  const world = new World();
  const { clock, tree, hear, report } = await scene({ world });
  hear("log_backpressure", "broker");
  report([failing("update_rate_stalled"), failing("queue_growing")]);
  await clock.advance(7_000);
  t.is(world.sent[0]?.notification.subject, "critical log_backpressure: broker");
  hear("log_flows", "broker");
  await clock.advance(90_000);
  t.deepEqual(
    world.lines()[1]?.map((line) => line.split(":")[0]),
    [
      "warning update_rate_stalled",
      "  -> driftmend tree shows the updater; driftmend chaos ls whether a fault holds it",
    ]
      .concat(["warning queue_growing", "  -> add nodes of the role that falls behind (up --serving N), or send less"])
      .concat("resolved"),
  );
  await tree.stop();
});

test("an alert that is over before anybody was told is not told", async (t) => {
  const world = new World();
  const { clock, tree, hear } = await scene({ world });
  hear("node_died", "a");
  await clock.advance(2_000);
  hear("node_ready", "a");
  await clock.advance(hourMs);
  t.deepEqual(world.sent, []);
  await tree.stop();
});

test("a sink that is down holds nobody else up and is told once it is back; its breaker keeps it from being asked all the time", async (t) => {
  const world = new World();
  world.answers.set("slack", () => ({ kind: "busy", said: "HTTP 503" }));
  const { clock, tree, report, events } = await scene({ world, sinks: ["slack", "mail"] });
  report([failing("update_rate_stalled")]);
  await clock.advance(20 * minuteMs);
  t.is(world.lines("mail").length, 1);
  const asked = world.steps.filter((step) => step === "busy slack").length;
  t.true(asked >= 5 && asked <= 12, `${asked} tries in 20 minutes`);
  t.true(events.includes("breaker_opened") && events.includes("notify_failed"));
  world.answers.delete("slack");
  await clock.advance(20 * minuteMs);
  t.is(world.lines("slack").length, 1);
  await tree.stop();
});

test("what fires is kept before it is told, and that it was told after", async (t) => {
  const world = new World();
  const { clock, tree, hear } = await scene({ world });
  hear("node_died", "a");
  await clock.advance(7_000);
  t.deepEqual(world.steps, ["kept", "taken slack", "kept"]);
  await tree.stop();
});

test("with the bucket away people are told all the same, once, and all of it is kept when it is back", async (t) => {
  const world = new World();
  world.isAway = true;
  const { clock, tree, hear, order } = await scene({ world });
  hear("log_backpressure", "broker");
  await clock.advance(2 * minuteMs);
  t.is(world.sent.length, 1);
  t.is(world.document, undefined);
  const answer = order({ kind: "silence", matches: "log_backpressure", forMs: hourMs, note: "" });
  await clock.advance(5_000);
  t.like(await answer, { kind: "refused", code: "log_unavailable" });
  world.isAway = false;
  await clock.advance(3_000);
  const saved = savedAlertsSchema.parse(JSON.parse(world.document ?? "{}"));
  t.like(saved.alerts[0], { fingerprint: "log_backpressure:broker", told: [{ sink: "slack" }] });
  await tree.stop();
});

/** One alerter tells of an alert and is gone at once, as by kill -9: its clock stands still. Another begins where the bucket is. */
async function dieAndFollow(given: Given): Promise<{ readonly world: World; readonly next: Scene }> {
  const world = new World();
  const first = await scene({ ...given, forgets: false, world });
  first.hear("node_died", "a");
  await first.clock.advance(7_000);
  const next = await scene({ ...given, world, startMs: first.clock.nowMs() + 1_000 });
  return { world, next };
}

test("after kill -9 the next one neither repeats what was said nor forgets to say that it is over", async (t) => {
  const { world, next } = await dieAndFollow({});
  next.hear("node_died", "a");
  await next.clock.advance(3 * minuteMs);
  t.is(world.sent.length, 1);
  t.deepEqual(next.published, [], "nor is it published again");
  next.hear("node_ready", "a");
  await next.clock.advance(3 * minuteMs);
  t.deepEqual(
    world.sent.map(({ notification }) => notification.subject),
    ["critical node_died: a", "resolved: critical node_died: a"],
  );
  await next.tree.stop();
});

test("the control: an alerter that does not read what was kept says it twice", async (t) => {
  const { world, next } = await dieAndFollow({ forgets: true });
  next.hear("node_died", "a");
  await next.clock.advance(3 * minuteMs);
  t.is(world.sent.length, 2);
  await next.tree.stop();
});

test("a kill between the sink's word and its keeping says it again, under the same id", async (t) => {
  const world = new World();
  const first = await scene({ world });
  first.hear("node_died", "a");
  await first.clock.advance(3_000);
  const { document, revision } = world;
  await first.clock.advance(4_000);
  Object.assign(world, { document, revision });
  const next = await scene({ world, startMs: first.clock.nowMs() });
  await next.clock.advance(10_000);
  t.is(world.sent.length, 2);
  t.is(world.sent[0]?.notification.id, world.sent[1]?.notification.id);
  await next.tree.stop();
});

test("one that follows says nothing and keeps nothing", async (t) => {
  const world = new World();
  const { clock, tree, hear, published } = await scene({ world, follows: true });
  hear("node_died", "a");
  await clock.advance(minuteMs);
  t.deepEqual([published, world.steps], [[], []]);
  t.like(tree.summary("alerter") ?? {}, { leads: false, firing: ["node_died:a"] });
  await tree.stop();
});

test("a leader whose document somebody else wrote ends, and its next incarnation goes on from what is there", async (t) => {
  const world = new World();
  const { clock, tree, hear, published } = await scene({ world });
  hear("node_died", "a");
  await clock.advance(10);
  world.revision += 1;
  hear("node_died", "b");
  await clock.advance(minuteMs);
  t.is(tree.summary("alerter")?.leads, true);
  t.deepEqual(published.slice(0, 2), ["node_died:a fired 1", "node_died:b fired 1"]);
  hear("node_died", "c");
  await clock.advance(minuteMs);
  t.deepEqual(published.at(-1), "node_died:c fired 1");
  await tree.stop();
});

test("a test asks every sink once and says what each answered", async (t) => {
  const world = new World();
  world.answers.set("mail", () => ({ kind: "refused", said: "535 no" }));
  const { clock, tree, order } = await scene({ world, sinks: ["slack", "mail"] });
  const answer = order({ kind: "test" });
  await clock.advance(1);
  t.like(await answer, {
    kind: "done",
    receipt: {
      sinks: [
        { name: "slack", ok: true, said: "ok" },
        { name: "mail", ok: false, said: "535 no" },
      ],
    },
  });
  t.deepEqual(world.steps, ["taken slack", "refused mail"]);
  await tree.stop();
});
