// Processes that hang: alive for the operating system, and of no use. Substrate: real processes, real signals, the real clock.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import test from "ava";
import { systemClock } from "../../supervision/clock.js";
import { startProcesses } from "../../supervision/process/process-root.js";
import { child, childFile, isAlive, observed, parentFile, untilDead } from "./observed-root.js";

/** A hung process is found after some seconds, and a busy machine takes its time. */
const testWithinMs = 120_000;

test("a stopped process is declared dead, killed and replaced, with one fatal line that says why (S0-41) (S0-42) (S2-37)", async (t) => {
  t.timeout(testWithinMs);
  const { deps, fatals, until } = observed();
  const root = await startProcesses([child("stopped", "serve", { role: "learning" }), child("well")], deps);
  const [before, well] = root.tree().children;
  const receipt = await root.kill("stopped", "sigstop", 600_000);
  t.like(receipt, { mode: "sigstop", generationBefore: 1, generationAfter: 2 });
  const crashed = await until("crashed", "stopped", 1);
  if (crashed.kind !== "crashed") return t.fail();
  t.regex(crashed.cause, /^declared dead: no heartbeat for \d+ ms \(phi \d+\.\d\)$/);
  t.true((crashed.detectMs ?? 0) > 2_000, `${crashed.detectMs}`);
  t.false(isAlive(before?.pid ?? 0));
  t.is(root.tree().children[1]?.pid, well?.pid, "who beats is left alone");
  t.is(fatals.length, 1);
  t.is(fatals[0]?.message, "[Supervisor] - Update worker process has terminated unexpectedly. Attempting to restart.");
  t.like(fatals[0]?.fields, { node: "stopped", incarnation: 1, cause: crashed.cause });
  await root.stop();
  t.is(fatals.length, 1);
});

test("a process whose event loop is blocked for ever is declared dead and replaced (S0-41)", async (t) => {
  t.timeout(testWithinMs);
  const { deps, until } = observed();
  const root = await startProcesses([child("blocked")], deps);
  root.send("blocked", { kind: "hang" });
  const crashed = await until("crashed", "blocked", 1);
  t.like(crashed, { exit: { kind: "declared_dead" } });
  await until("started", "blocked", 2);
  t.is(root.tree().children[0]?.state, "running");
  await root.stop();
});

test("a process that pauses for 1.5 s, as a long garbage collection does, and one stopped for a second go on (S0-41)", async (t) => {
  t.timeout(testWithinMs);
  let echoes = 0;
  let heard: () => void = () => undefined;
  const { deps, lines } = observed({
    onMessage: () => {
      echoes += 1;
      heard();
    },
  });
  const root = await startProcesses([child("slow"), child("frozen")], deps);
  const healed = root.kill("frozen", "sigstop", 1_000);
  for (let pause = 1; pause <= 2; pause += 1) {
    const answered = new Promise<void>((resolve) => {
      heard = resolve;
    });
    root.send("slow", { kind: "pause", forMs: 1_500 });
    await answered;
  }
  t.like(await healed, { generationBefore: 1, generationAfter: 1, detectMs: null });
  t.is(echoes, 2);
  t.false(lines().some((line) => line.startsWith("crashed")));
  await root.stop();
});

test("a root that was stopped itself for longer than it would wait for a heartbeat kills nobody when it goes on (S0-41)", async (t) => {
  t.timeout(testWithinMs);
  const root = spawn(process.execPath, [parentFile, childFile], { stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface({ input: root.stdout });
  const [line] = (await once(lines, "line")) as [string];
  const pid = Number(line);
  const said: string[] = [];
  lines.on("line", (more) => said.push(more));
  // Heard a few times, so that it is judged by its beat.
  await systemClock.delay(2_500);
  root.kill("SIGSTOP");
  await systemClock.delay(8_000);
  root.kill("SIGCONT");
  await systemClock.delay(3_000);
  t.deepEqual(said, [], "no event of a crash");
  t.true(isAlive(pid));
  root.kill("SIGKILL");
  await untilDead(pid);
});
