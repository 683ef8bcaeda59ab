// A whole cluster whose log takes no more: a stream at its bound, a disk that is full. Requests are refused by name, nothing is answered that
// is not logged, and with room it all goes on by itself.

import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { systemClock } from "../../supervision/clock.js";
import { openLog } from "../../transport/log/log.js";
import { startCluster } from "../transport/fixture.js";
import { startOver } from "./over-broker.js";
import { experiencesIn, Heard, nodeOf, startRunning, tasksIn } from "./running.js";
import { Traffic } from "./traffic.js";

const testWithinMs = 240_000;
const named = ["log_unavailable", "overloaded", "deadline", "not_ready", "timeout"];

/** A file system of its own and of that size, for a directory; undefined where the test may not mount one. */
function mounted(t: ExecutionContext, size: string): string | undefined {
  const directory = mkdtempSync(join(tmpdir(), "driftmend-disk-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", directory], { stdio: "ignore" });
  } catch {
    t.log("skipped: this user may not mount a file system");
    return undefined;
  }
  t.teardown(async () => {
    execFileSync("umount", ["-l", directory]);
    await rm(directory, { recursive: true, force: true });
  });
  return directory;
}

/** Takes all but `leftBytes` of the disk, or all of it where somebody else writes too; returns what gives it back. */
async function fill(directory: string, leftBytes: number): Promise<() => Promise<void>> {
  const { bavail, bsize } = await statfs(directory);
  const filler = join(directory, "filler");
  const filling = writeFile(filler, new Uint8Array(Math.max(0, bavail * bsize - leftBytes)));
  await filling.catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOSPC") throw error;
  });
  return () => rm(filler);
}

async function refusedOnce(traffic: Traffic, code: string): Promise<void> {
  while (!traffic.refused.includes(code)) await systemClock.delay(50);
}

test.serial(
  "(S2-15, S2-34) at the log's bound many askers are refused by name, nothing is answered that is not logged, and room ends it",
  async (t) => {
    t.timeout(testWithinMs);
    const own = await startCluster();
    const running = await startOver(own, { logMaxBytes: 128 * 1024 });
    t.teardown(async () => {
      await running.stop();
      await own.end();
    });
    const heard = await Heard.on(running.operator, running.subjects.event("log_backpressure"));
    const flows = await Heard.on(running.operator, running.subjects.event("log_flows"));
    const traffic = new Traffic(running, { name: "bound", askers: 8, seed: 3, deadlineMs: 1_500 });
    const { items } = await heard.find("back-pressure", ({ items: [item] }) => item?.about === "digits-experience");
    t.regex(String(items[0]?.cause), /full/);
    await refusedOnce(traffic, "log_unavailable");
    t.true(
      traffic.refused.every((code) => named.includes(code)),
      traffic.refused.join(" "),
    );
    const log = openLog(await own.bus(), systemClock);
    const stream = running.subjects.stream("experience", "digits");
    const state = await log.state(stream);
    if (state.kind !== "state") {
      t.fail(state.why);
      return;
    }
    t.true(state.state.bytes <= 128 * 1024);
    const before = await experiencesIn(running);
    const repliedBefore = new Set(traffic.replies.map(({ id }) => id));
    t.true(before.length >= repliedBefore.size);
    await log.purgeUpTo(stream, Math.floor(state.state.lastSeq / 2));
    await flows.find("flows again", ({ items: [item] }) => item?.about === "digits-experience");
    await traffic.more(20);
    await traffic.stop();
    const logged = new Set([...before, ...(await experiencesIn(running))].map(({ id }) => id));
    t.deepEqual(
      traffic.replies.map(({ id }) => id).filter((id) => !logged.has(id)),
      [],
    );
    t.is(running.cluster.restarts, 0);
    for (const ear of [heard, flows]) ear.stop();
  },
);

test.serial(
  "(S2-15) the update stream at its bound: requests are answered all the same, and with room every task that the log asks for is there",
  async (t) => {
    t.timeout(testWithinMs);
    const own = await startCluster();
    const running = await startOver(own, { logMaxBytes: 16 * 1024 * 1024 });
    t.teardown(async () => {
      await running.stop();
      await own.end();
    });
    const log = openLog(await own.bus(), systemClock);
    const stream = running.subjects.stream("update", "digits");
    // Nobody reads this message; it only takes the stream's room.
    const ballast = await log.append(running.subjects.updates("digits"), new Uint8Array(2 * 1024 * 1024), "ballast");
    t.is(ballast.kind, "appended");
    const heard = await Heard.on(running.operator, running.subjects.event("log_backpressure"));
    const flows = await Heard.on(running.operator, running.subjects.event("log_flows"));
    const traffic = new Traffic(running, { name: "update", askers: 4, seed: 5 });
    await heard.find("the relay is held up", ({ items: [item] }) => item?.about === "digits-update");
    await traffic.more(20);
    await traffic.stop();
    t.deepEqual(traffic.refused, []);
    t.is((await log.purgeUpTo(stream, 1)).kind, "purged");
    await flows.find("the relay goes on", ({ items: [item] }) => item?.about === "digits-update");
    const wanted = (await experiencesIn(running))
      .filter(({ record, index }) => record.learn[index] === 1)
      .map(({ seq, index }) => `${seq}.${index}`);
    const found = (await tasksIn(running)).map(({ experience }) => `${experience.seq}.${experience.index}`);
    t.true(wanted.length > 0);
    t.deepEqual([...found].sort(), [...wanted].sort(), "each once");
    for (const ear of [heard, flows]) ear.stop();
  },
);

test.serial(
  "(S2-15) a full disk is survived: named refusals, then all goes on by itself, and what was answered is there",
  async (t) => {
    t.timeout(testWithinMs);
    const disk = mounted(t, "48m");
    if (disk === undefined) {
      t.pass();
      return;
    }
    const running = await startRunning({ logStore: disk });
    t.teardown(running.stop);
    const nodes = ["serving-1", "learning-1", "operations-1"];
    const before = await Promise.all(nodes.map((name) => nodeOf(running, name)));
    const traffic = new Traffic(running, { name: "disk", askers: 4, seed: 7, deadlineMs: 4_000 });
    await traffic.more(200);
    const makeRoom = await fill(disk, 128 * 1024);
    await refusedOnce(traffic, "log_unavailable");
    // Long enough for the root to find out, and to find that a restart would not help yet.
    await systemClock.delay(10_000);
    t.is(running.cluster.restarts, 0, "nothing is killed while the disk is full");
    await makeRoom();
    await traffic.more(200);
    await traffic.stop();
    t.true(
      traffic.refused.every((code) => named.includes(code)),
      [...new Set(traffic.refused)].join(" "),
    );
    const logged = (await experiencesIn(running)).map(({ id }) => id);
    const isLogged = new Set(logged);
    t.deepEqual(
      traffic.replies.map(({ id }) => id).filter((id) => !isLogged.has(id)),
      [],
    );
    const after = await Promise.all(nodes.map((name) => nodeOf(running, name)));
    t.deepEqual(
      after.map(({ pid }) => pid),
      before.map(({ pid }) => pid),
      "no node had to die for it",
    );
    t.is(running.cluster.restarts, 1, "the broker's");
  },
);

test.serial(
  "a broker that dies while the disk is full waits for room, and has its whole log when it comes back",
  async (t) => {
    t.timeout(testWithinMs);
    const disk = mounted(t, "24m");
    if (disk === undefined) {
      t.pass();
      return;
    }
    const own = await startCluster({ store: disk });
    t.teardown(own.end);
    const running = await startOver(own);
    t.teardown(running.stop);
    const traffic = new Traffic(running, { name: "dead", askers: 2, seed: 9, requests: 50 });
    await traffic.done();
    const makeRoom = await fill(disk, 0);
    const back = own.killAndRestart();
    const early = await Promise.race([back.then(() => "back"), systemClock.delay(3_000).then(() => "waiting")]);
    t.is(early, "waiting");
    await makeRoom();
    await back;
    t.is((await experiencesIn(running)).length, 50);
  },
);
