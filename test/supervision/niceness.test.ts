// Standing back when processors are short. Substrate: real processes that wait for their input's end, and what Linux says of them.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { constants, getPriority } from "node:os";
import test from "ava";
import { systemClock } from "../../supervision/clock.js";
import { lowerPriority, sessionIn } from "../../supervision/process/niceness.js";
import { until } from "../until.js";

const { PRIORITY_BELOW_NORMAL: low, PRIORITY_NORMAL: normal } = constants.priority;
const onLinux = process.platform === "linux" ? test : test.skip;
const withGroups = existsSync("/proc/self/autogroup") ? test : test.skip;

/** A process with threads that lives until it is killed. */
async function idler(detached: boolean): Promise<ChildProcess & { readonly pid: number }> {
  const child = spawn(process.execPath, ["-e", "console.log(1); process.stdin.resume()"], {
    detached,
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  const { pid } = child;
  if (pid === undefined) throw new Error("it was not started");
  return Object.assign(child, { pid });
}

async function ended(child: ChildProcess): Promise<void> {
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

function groupNiceOf(pid: number): number {
  return Number(/nice (-?\d+)/.exec(readFileSync(`/proc/${pid}/autogroup`, "utf8"))?.[1]);
}

onLinux("all threads of a process stand back, those it had already among them (law 7)", async (t) => {
  const child = await idler(true);
  t.teardown(() => ended(child));
  const threads = readdirSync(`/proc/${child.pid}/task`).map(Number);
  t.true(threads.length > 1);
  t.true(threads.every((thread) => getPriority(thread) === getPriority()));
  lowerPriority(child.pid, low, systemClock);
  t.true(threads.every((thread) => getPriority(thread) === low));
});

withGroups(
  "whoever leads a session stands back with its group, within which alone its nice value would count (law 7)",
  async (t) => {
    const child = await idler(true);
    t.teardown(() => ended(child));
    t.is(groupNiceOf(child.pid), normal);
    lowerPriority(child.pid, low, systemClock);
    await until("the group has its nice value", 30_000, () => groupNiceOf(child.pid) > normal);
    t.true(groupNiceOf(child.pid) < low, "a group stands back less than a thread");
  },
);

withGroups("whoever shares its session leaves the others in it alone", async (t) => {
  const before = groupNiceOf(process.pid);
  const child = await idler(false);
  t.teardown(() => ended(child));
  lowerPriority(child.pid, low, systemClock);
  t.is(getPriority(child.pid), low);
  t.is(groupNiceOf(process.pid), before);
});

test("a process that is gone is left alone", async (t) => {
  const child = await idler(true);
  await ended(child);
  t.notThrows(() => lowerPriority(child.pid, low, systemClock));
});

test("the session is told from a name with blanks and brackets in it", (t) => {
  t.is(sessionIn("17 (a) b (c)) S 1 17 16 0 -1"), 16);
  t.is(sessionIn(""), undefined);
});
