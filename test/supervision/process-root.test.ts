// The root and its processes.
//
// Substrate: real child processes (obedient-child.ts), real signals, the real clock; tests await events and exits.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import test from "ava";
import { startProcesses } from "../../supervision/process/process-root.js";
import { backoffDefaults } from "../../supervision/tree/backoff.js";
import { child, childFile, isAlive, observed, parentFile, untilDead } from "./observed-root.js";
import { deferred } from "./small-tree.js";

test("a killed process is replaced by the next generation with a new pid (S0-39) (S0-44)", async (t) => {
  const { deps, fatals } = observed();
  const root = await startProcesses([child("learner", "serve", { role: "learning" }), child("server")], deps);
  const [before, server] = root.tree().children;
  const receipt = await root.kill("learner", "sigkill");
  const [after, serverAfter] = root.tree().children;
  t.like(receipt, { target: "learner", mode: "sigkill", generationBefore: 1, generationAfter: 2, lost: null });
  t.true(receipt.detectMs !== null && receipt.repairMs !== null && receipt.detectMs <= receipt.repairMs);
  t.like(after, { kind: "node", generation: 2, restarts: 1, state: "running", lastExit: "signal SIGKILL" });
  t.not(after?.pid, before?.pid);
  t.is(serverAfter?.pid, server?.pid);
  t.false(isAlive(before?.pid ?? 0));
  t.is(fatals.length, 1);
  t.is(
    fatals[0]?.message,
    "[Supervisor] - Update worker process has terminated unexpectedly. Attempting to restart.",
    "(S0-42)",
  );
  t.is(fatals[0]?.fields.node, "learner");
  await root.stop();
});

test("a planned stop ends processes in reverse order, and is never logged as unexpected (S0-42)", async (t) => {
  const { deps, fatals, lines } = observed();
  const root = await startProcesses([child("a"), child("b")], deps);
  const pids = root.tree().children.map(({ pid }) => pid ?? 0);
  await root.stop();
  t.deepEqual(
    lines().filter((line) => line.startsWith("stopped")),
    ["stopped b 1", "stopped a 1"],
  );
  t.deepEqual(fatals, []);
  t.deepEqual(pids.map(isAlive), [false, false]);
});

test("a process that ignores SIGTERM is killed after its grace", async (t) => {
  const { deps, events } = observed();
  const root = await startProcesses([child("stubborn", "stubborn", { shutdownMs: 50 })], deps);
  await root.stop();
  t.like(events.at(-1), { kind: "stopped", exit: { kind: "signalled", signal: "SIGKILL" } });
});

test("cleanup is confirmed before the next generation starts, and is not awaited for ever (law 6) (S0-43)", async (t) => {
  const cleaned: string[] = [];
  const { deps, lines } = observed({
    beforeRestart: async (id, generation) => {
      cleaned.push(`${id} ${generation}`);
      return { leasesCleaned: 3 };
    },
  });
  const root = await startProcesses([child("a")], deps);
  const receipt = await root.kill("a", "sigterm");
  t.is(receipt.leasesCleaned, 3);
  t.deepEqual(cleaned, ["a 1"]);
  t.deepEqual(lines(), [
    ...["spawned a 1", "started a 1", "crashed a 1", "cleanup_confirmed a 1"],
    ...["restarting a 1", "spawned a 2", "started a 2"],
  ]);
  await root.stop();
});

test("a stopped process that is declared dead is replaced (S0-41)", async (t) => {
  const { deps, events } = observed();
  const root = await startProcesses([child("hung")], deps);
  const fault = root.kill("hung", "sigstop", 60_000);
  root.declareDead("hung", "no heartbeat for 3 s");
  const receipt = await fault;
  t.is(receipt.generationAfter, 2);
  const crashed = events.find(({ kind }) => kind === "crashed");
  t.like(crashed, { cause: "declared dead: no heartbeat for 3 s" });
  await root.stop();
});

test("a stopped process that nobody declares dead goes on after the fault's lease", async (t) => {
  const echoed = deferred<unknown>();
  const { deps } = observed({ onMessage: (_id, _generation, message) => echoed.resolve(message) });
  const root = await startProcesses([child("frozen")], deps);
  const receipt = await root.kill("frozen", "sigstop", 50);
  t.like(receipt, { generationBefore: 1, generationAfter: 1, detectMs: null });
  t.true(root.send("frozen", { kind: "hello" }));
  t.deepEqual(await echoed.promise, { kind: "echo", generation: "1", message: { kind: "hello" } });
  await root.stop();
});

test("a crash loop backs off, stops at the intensity and stops everything (S4-67)", async (t) => {
  const { deps, events, fatals } = observed({ intensity: { restarts: 2, withinMs: 60_000 } });
  const starting = startProcesses([child("healthy"), child("looping", "crash")], deps);
  const error = await t.throwsAsync(starting, { name: "EscalationError" });
  t.regex(error.message, /more than 2 restarts in 60000 ms; "looping": exit code 3/);
  t.is(fatals.filter(({ message }) => message.endsWith("Attempting to restart.")).length, 2);
  t.is(fatals.filter(({ message }) => message.endsWith("giving up.")).length, 1);
  t.true(events.some(({ kind, id }) => kind === "stopped" && id === "healthy"));
});

test("a process that is not ready in time, and a command that does not exist, are crashes", async (t) => {
  const none = { intensity: { restarts: 0, withinMs: 60_000 } };
  await t.throwsAsync(startProcesses([child("silent", "silent", { readyMs: 100 })], observed(none).deps), {
    message: /declared dead: not ready within 100 ms/,
  });
  const missing = child("missing", "serve", { command: "/no/such/command" });
  await t.throwsAsync(startProcesses([missing], observed(none).deps), { message: /could not be started: .*ENOENT/ });
});

test("readiness may be a line of stdout, and processes may be added and removed later", async (t) => {
  const { deps } = observed();
  const root = await startProcesses([child("line", "line", { readyLine: "listening" })], deps);
  await root.add(child("second"));
  t.deepEqual(
    root.tree().children.map(({ name, state }) => `${name} ${state}`),
    ["line running", "second running"],
  );
  await root.remove("line");
  t.deepEqual(
    root.tree().children.map(({ name }) => name),
    ["second"],
  );
  await root.stop();
});

test("a second, hard stop cuts the grace short: children before their parent, nothing left (S2-47)", async (t) => {
  const { deps, events } = observed();
  const root = await startProcesses([child("a", "stubborn", { shutdownMs: 600_000 }), child("b", "stubborn")], deps);
  const pids = root.tree().children.map(({ pid }) => pid ?? 0);
  const orderly = root.stop();
  t.deepEqual(pids.map(isAlive), [true, true]);
  await root.stop("force");
  await orderly;
  t.deepEqual(pids.map(isAlive), [false, false]);
  t.is(root.tree().state, "stopped");
  for (const event of events.slice(-2))
    t.like(event, { kind: "stopped", exit: { kind: "signalled", signal: "SIGKILL" } });
});

test("a hard stop does not wait for a cleanup that never ends", async (t) => {
  const { deps, until } = observed({ beforeRestart: () => new Promise(() => undefined) });
  const root = await startProcesses([child("a")], deps);
  process.kill(root.tree().children[0]?.pid ?? 0, "SIGKILL");
  await until("crashed", "a", 1);
  await root.stop("force");
  t.is(root.tree().state, "stopped");
});

test("a process killed from outside restarts at once, however often; one that fails backs off (S4-67)", async (t) => {
  const { deps, events, until } = observed({ backoff: { ...backoffDefaults, initialMs: 2, jitter: 0 } });
  const root = await startProcesses([child("a")], deps);
  for (let generation = 1; generation <= 3; generation += 1) {
    await root.kill("a", "sigkill");
    await until("started", "a", generation + 1);
  }
  for (let generation = 4; generation <= 6; generation += 1) {
    root.send("a", { kind: "exit" });
    await until("started", "a", generation + 1);
  }
  t.deepEqual(
    events.flatMap((event) => (event.kind === "restarting" ? [event.backoffMs] : [])),
    [0, 0, 0, 0, 2, 4],
  );
  await root.stop();
});

test("children do not outlive a root that is killed", async (t) => {
  const root = spawn(process.execPath, [parentFile, childFile], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(createInterface({ input: root.stdout }), "line")) as [string];
  const pid = Number(line);
  t.true(isAlive(pid));
  root.kill("SIGKILL");
  await untilDead(pid);
  t.false(isAlive(pid));
});
