// The vital figures of this process, held against what the operating system says of it.

import { readFileSync } from "node:fs";
import { readdir, statfs } from "node:fs/promises";
import test from "ava";
import { processVitals } from "../../../operations/metrics/process-vitals.js";
import { systemClock } from "../../../supervision/clock.js";
import { VirtualClock } from "../../../supervision/virtual-clock.js";

const isLinux = process.platform === "linux";
const onLinux = isLinux ? test.serial : test.serial.skip;

/** Ticks of CPU time that this process has used (proc(5), stat: utime and stime), 100 a second. */
function ticks(): number {
  const fields = readFileSync("/proc/self/stat", "utf8").split(") ")[1]?.split(" ") ?? [];
  return Number(fields[11]) + Number(fields[12]);
}

function residentBytes(): number {
  const kilobytes = /VmRSS:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  return Number(kilobytes) * 1024;
}

function workFor(ms: number): void {
  const untilMs = systemClock.monotonicMs() + ms;
  while (systemClock.monotonicMs() < untilMs) Math.sqrt(untilMs);
}

onLinux("(S1-25) memory and CPU are those that /proc tells, within 10 %", (t) => {
  const vitals = processVitals(systemClock);
  workFor(300);
  vitals();
  const [fromTicks, fromMs] = [ticks(), systemClock.monotonicMs()];
  workFor(1_500);
  const told = vitals();
  const pct = ((ticks() - fromTicks) * 10 * 100) / (systemClock.monotonicMs() - fromMs);
  const { cpuPct = 0, rssBytes = 0 } = told;
  t.true(Math.abs(cpuPct - pct) <= 0.1 * pct + 2, `${cpuPct} % for ${pct} %`);
  t.true(Math.abs(rssBytes - residentBytes()) <= 0.1 * residentBytes(), `${rssBytes} for ${residentBytes()}`);
});

onLinux("open files and free space are known from the second look on, and are the system's", async (t) => {
  const vitals = processVitals(systemClock);
  t.false("openFiles" in vitals());
  const { bavail, bsize } = await statfs(process.cwd());
  let told = vitals();
  while (told.openFiles === undefined || told.diskFreeBytes === undefined) {
    await systemClock.delay(5);
    told = vitals();
  }
  const open = (await readdir("/proc/self/fd")).length;
  t.true(Math.abs(told.openFiles - open) <= 5, `${told.openFiles} for ${open}`);
  t.true(Math.abs(told.diskFreeBytes - bavail * bsize) <= 0.1 * bavail * bsize);
});

test.serial("two looks in the same moment tell the same CPU share, and every figure is one", (t) => {
  const vitals = processVitals(new VirtualClock());
  const first = vitals();
  t.is(vitals().cpuPct, first.cpuPct);
  t.true((first.uptimeMs ?? -1) >= 0);
  for (const value of Object.values(first)) t.true(Number.isFinite(value) && value >= 0);
});
