// The hot spare of a process. Substrate: real processes (obedient-child.ts), the real clock; tests await events and exits.

import test from "ava";
import { systemClock } from "../../supervision/clock.js";
import { startProcesses } from "../../supervision/process/process-root.js";
import type { ProcessEvent, ProcessSpec } from "../../supervision/process/process-spec.js";
import { child, isAlive, observed, untilDead } from "./observed-root.js";

const testWithinMs = 60_000;

function spared(id: string, spec: Partial<ProcessSpec> = {}): ProcessSpec {
  return child(id, "serve", { spare: { args: ["spare"] }, ...spec });
}

function pidIn(event: ProcessEvent): number {
  if (!("pid" in event)) throw new Error(`${event.kind} names no process`);
  return event.pid;
}

test("a warm spare becomes the next generation, after the cleanup; then a new one is kept (S0-39) (S0-43) (S0-44)", async (t) => {
  t.timeout(testWithinMs);
  const echoes: unknown[] = [];
  let heard: () => void = () => undefined;
  const { deps, events, lines, until } = observed({
    onMessage: (_id, _generation, message) => {
      echoes.push(message);
      heard();
    },
  });
  const root = await startProcesses([spared("a")], deps);
  const spare = pidIn(await until("spare_warm", "a", 1));
  t.like(root.tree().children[0], { name: "a", state: "running", spare });
  t.not(root.tree().children[0]?.pid, spare);
  const receipt = await root.kill("a", "sigkill");
  t.like(receipt, { generationBefore: 1, generationAfter: 2 });
  t.like(root.tree().children[0], { pid: spare, generation: 2, restarts: 1, state: "running" });
  t.deepEqual(lines(), [
    ...["spawned a 1", "started a 1", "spare_warm a 1", "crashed a 1", "cleanup_confirmed a 1"],
    ...["restarting a 1", "spawned a 2", "started a 2"],
  ]);
  t.true(events.some((event) => event.kind === "spawned" && event.generation === 2 && event.wasSpare));
  const answered = new Promise<void>((resolve) => {
    heard = resolve;
  });
  root.send("a", { kind: "hello" });
  await answered;
  t.deepEqual(echoes, [{ kind: "echo", generation: "2", message: { kind: "hello" } }], "it knows who it is");
  const next = pidIn(await until("spare_warm", "a", 2));
  t.not(next, spare);
  await root.stop();
  t.deepEqual([spare, next].map(isAlive), [false, false]);
});

test("a dead spare is replaced after a pause, is no crash and counts for nothing (S0-42)", async (t) => {
  t.timeout(testWithinMs);
  const { deps, events, fatals, until } = observed({ intensity: { restarts: 0, withinMs: 600_000 } });
  const root = await startProcesses([spared("a")], deps);
  const first = pidIn(await until("spare_warm", "a", 1));
  events.length = 0;
  process.kill(first, "SIGKILL");
  t.like(await until("spare_lost", "a", 1), { cause: "signal SIGKILL" });
  const second = pidIn(await until("spare_warm", "a", 1));
  t.not(second, first);
  t.deepEqual(fatals, []);
  t.like(root.tree(), { state: "running", intensity: { left: 0 } });
  t.like(root.tree().children[0], { generation: 1, restarts: 0, state: "running", spare: second });
  await root.stop();
});

test("a hung spare is found by its heartbeat, and replaced (S0-41)", async (t) => {
  t.timeout(testWithinMs);
  const { deps, until } = observed();
  const root = await startProcesses([spared("a")], deps);
  process.kill(pidIn(await until("spare_warm", "a", 1)), "SIGSTOP");
  const lost = await until("spare_lost", "a", 1);
  t.regex(lost.kind === "spare_lost" ? lost.cause : "", /^declared dead: no heartbeat for/);
  t.like(root.tree().children[0], { generation: 1, state: "running" });
  await root.stop();
});

test("a spare that is still warming is taken too, and reads who it is when it is warm", async (t) => {
  t.timeout(testWithinMs);
  const { deps, events, until } = observed();
  const root = await startProcesses([child("a", "slow", { spare: { args: ["spare"] } })], deps);
  let spare: number | undefined;
  // It is in the tree from its birth, of which nobody is told.
  while (spare === undefined) {
    await systemClock.delay(20);
    spare = root.tree().children[0]?.spare;
  }
  await root.kill("a", "sigkill");
  await until("started", "a", 2);
  t.like(root.tree().children[0], { pid: spare, generation: 2, state: "running" });
  t.false(events.some(({ kind, generation }) => kind === "spare_warm" && generation === 1));
  await root.stop();
});

test("without a spare at hand the next generation starts as ever", async (t) => {
  t.timeout(testWithinMs);
  const { deps, events, until } = observed();
  const root = await startProcesses([child("a", "brittle", { spare: { args: ["spare"] } })], deps);
  t.like(await until("spare_lost", "a", 1), { cause: "exit code 4" });
  await root.kill("a", "sigkill");
  t.true(events.some((event) => event.kind === "spawned" && event.generation === 2 && !event.wasSpare));
  await root.stop();
});

test("spares end with an orderly stop, with a hard one, and while they rest", async (t) => {
  t.timeout(testWithinMs);
  for (const how of ["orderly", "force"] as const) {
    const { deps, until } = observed();
    const root = await startProcesses([spared("a"), spared("b")], deps);
    const spares = [pidIn(await until("spare_warm", "a", 1)), pidIn(await until("spare_warm", "b", 1))];
    await root.stop(how);
    for (const pid of spares) await untilDead(pid);
    t.deepEqual(spares.map(isAlive), [false, false], how);
  }
  const { deps } = observed();
  const root = await startProcesses([spared("a")], deps);
  await root.stop();
  t.is(root.tree().children[0]?.spare, undefined);
});
