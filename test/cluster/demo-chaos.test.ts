// The demo that kills its own learning process, seen in the process table, and the one that does not.

import { rm } from "node:fs/promises";
import test, { type ExecutionContext } from "ava";
import { identify, isAlive } from "../../transport/process-identity.js";
import { run, start } from "./program.js";
import { Heard, lookAt, nodeOf, nodeReady, temporaryStore } from "./running.js";

async function newStore(t: ExecutionContext): Promise<string> {
  t.timeout(180_000);
  const store = await temporaryStore();
  t.teardown(() => rm(store, { recursive: true, force: true }));
  return store;
}

test.serial(
  "demo --chaos kills the update worker: its pid is gone, a new one comes, the report lists it (S0-25, S0-27)",
  async (t) => {
    const program = start(
      await newStore(t),
      ...["demo", "--json", "--requests", "420", "--rate", "60", "--seed", "3"],
      ...["--enable-chaos-testing", "--worker-crash-probability", "0.05"],
    );
    const sight = await lookAt(await program.ready);
    const ready = await Heard.on(sight.operator, sight.subjects.event("node_ready"));
    const first = await nodeOf(sight, "learning-1");
    const identity = await identify(first.pid);
    await nodeReady(ready, "learning-1", first.generation + 1);
    const second = await nodeOf(sight, "learning-1");
    t.false(identity !== undefined && (await isAlive(identity)), "the killed process is gone");
    t.not(second.pid, first.pid);
    await sight.close();
    const { code, stdout, stderr } = await program.ended;
    t.is(code, 0, stderr);
    const { chaos, restarts, replay, answered, requests } = JSON.parse(stdout);
    t.true(chaos.count > 0);
    t.is(chaos.kills.length, chaos.count);
    const kill = chaos.kills.find(({ pid }: { readonly pid: number }) => pid === first.pid);
    t.like(kill, { pid: first.pid, signal: "SIGKILL" });
    t.false(Number.isNaN(Date.parse(kill.at)));
    t.true(restarts >= chaos.count);
    t.true(replay.equal);
    t.is(answered, requests);
  },
);

test.serial("demo without --chaos kills nothing (S0-25)", async (t) => {
  const { code, stdout, stderr } = await run(await newStore(t), "demo", "--json", "--requests", "200", "--seed", "3");
  t.is(code, 0, stderr);
  const { chaos } = JSON.parse(stdout);
  t.deepEqual(chaos, { kills: [], count: 0 });
});
