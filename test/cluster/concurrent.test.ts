// One cluster under many requests at once: a real broker, real node processes, and deaths in the middle.

import test from "ava";
import { auditCleanups } from "../../operations/cleanup/cleanup-audit.js";
import { replayModel } from "../../operations/log/replay.js";
import { systemClock } from "../../supervision/clock.js";
import {
  actorOf,
  experiencesIn,
  folder,
  Heard,
  nodeOf,
  nodeReady,
  type Running,
  settledCommit,
  startRunning,
  strike,
} from "./running.js";
import { Traffic } from "./traffic.js";

const testWithinMs = 120_000;
const deadlineMs = 60_000;

let running: Running;
test.before(async () => {
  running = await startRunning();
});
test.after.always(() => running?.stop());

/** Ids of the log that begin so, one for each experience. */
async function idsIn(prefix: string): Promise<readonly string[]> {
  return (await experiencesIn(running)).map(({ id }) => id).filter((id) => id.startsWith(`${prefix}.`));
}

function expectedIds(prefix: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}.${index}`).sort();
}

test.serial("12 jobs at once, again and again: none is lost, none is there twice (S1-91)", async (t) => {
  t.timeout(testWithinMs);
  const traffic = new Traffic(running, { name: "twelve", askers: 12, seed: 91, requests: 360, deadlineMs });
  await traffic.done();
  t.deepEqual(traffic.refused, []);
  t.is(traffic.replies.length, 360);
  t.deepEqual([...(await idsIn("twelve"))].sort(), expectedIds("twelve", 360));
});

test.serial(
  "100 jobs at once, sustained through the death of a writer and of an actor: all answered, each learned from once, crashes equal cleanups (S1-98)",
  async (t) => {
    t.timeout(testWithinMs);
    const requests = 1_500;
    const heard = await Heard.on(running.operator, running.subjects.event("node_ready"));
    const traffic = new Traffic(running, { name: "hundred", askers: 100, seed: 98, requests, deadlineMs });
    await traffic.more(300);
    const learning = await nodeOf(running, "learning-1");
    process.kill(learning.pid, "SIGKILL");
    await traffic.more(200);
    const { node, path } = await actorOf(running, "inference");
    t.like(await strike(running, { node, path, mode: "crash" }), { lost: 0 });
    await traffic.done();
    t.deepEqual(traffic.refused, []);
    t.is(traffic.replies.length, requests);
    t.is(new Set(traffic.replies.map(({ id }) => id)).size, requests, "one answer for each");
    t.deepEqual([...(await idsIn("hundred"))].sort(), expectedIds("hundred", requests));
    await nodeReady(heard, "learning-1", learning.generation + 1);
    heard.stop();
    const commit = await settledCommit(running);
    const { operator: bus, subjects } = running;
    const replayed = await replayModel({ bus, subjects, model: "digits", folder, clock: systemClock });
    t.true(replayed.equal, "the committed parameters are the fold of the log");
    t.true(commit === undefined || replayed.updates > 0);
    const audit = await auditCleanups(bus, subjects, systemClock);
    t.true(audit.holds, JSON.stringify(audit));
    t.true(audit.deaths >= 1);
  },
);
