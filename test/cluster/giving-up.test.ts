// An actor that crashes again and again in a real node: the node gives up with 70, the root starts the next incarnation, which answers for
// the restarts of the last one.

import { readFile } from "node:fs/promises";
import test from "ava";
import { systemClock } from "../../supervision/clock.js";
import { Heard, nodeOf, nodeReady, type Running, startRunning, strike } from "./running.js";

let running: Running;
const testWithinMs = 120_000;
const strikeEveryMs = 50;

test.before(async () => {
  running = await startRunning();
});

test.after.always(() => running?.stop());

test("a crash loop of the updater ends its node with 70; the next incarnation starts with the budget that is left (S4-67)", async (t) => {
  t.timeout(testWithinMs);
  const heard = await Heard.on(running.operator, running.subjects.event("node_ready"));
  const restarting = await Heard.on(running.operator, running.subjects.event("restarting"));
  const before = await nodeOf(running, "learning-1");
  let isOver = false;
  const crashes = async (): Promise<void> => {
    while (!isOver) {
      // A strike at an actor that is down is refused, and the last one is never answered: its node is gone.
      strike(running, { node: "learning-1", path: "digits-updater", mode: "crash" }).catch(() => undefined);
      await systemClock.delay(strikeEveryMs);
    }
  };
  const struck = crashes();
  await nodeReady(heard, "learning-1", 2);
  isOver = true;
  await struck;
  const next = await nodeOf(running, "learning-1");
  t.not(next.pid, before.pid);
  t.regex(next.lastExit ?? "", /^exit code 70$/);
  const waits = restarting.events
    .filter(({ node }) => node === "learning-1")
    .flatMap(({ items }) => items)
    .filter(({ nodeIncarnation }) => nodeIncarnation === 1);
  t.true(waits.length >= 10, `${waits.length} restarts inside before it gave up`);
  const commandLine = (await readFile(`/proc/${next.pid}/cmdline`, "utf8")).split("\0");
  const spent = JSON.parse(commandLine[commandLine.indexOf("--spent") + 1] ?? "");
  t.deepEqual(Object.keys(spent), ["/"]);
  t.true(spent["/"].length > 10, "one more than it had");
});
