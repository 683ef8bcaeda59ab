// An actor that always crashes, end to end: its subtree gives up, its node exits 70, its root restarts the node, gives up too, stops all
// and says why. Substrate: real processes (crashing-node.ts, obedient-child.ts).

import { closeSync, openSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";
import { startProcesses } from "../../supervision/process/process-root.js";
import type { ProcessSpec } from "../../supervision/process/process-spec.js";
import { child, isAlive, observed } from "./observed-root.js";

const crashingNode = fileURLToPath(new URL("./crashing-node.js", import.meta.url));
const rootBudget = 2;
/** Per level of the node. */
const nodeBudget = 2;

async function escalated(handsOn: boolean) {
  const folder = await mkdtemp(join(tmpdir(), "driftmend-escalation-"));
  const output = openSync(join(folder, "said"), "a", 0o600);
  const doomed: ProcessSpec = {
    ...child("doomed", "unused", { role: "learning" }),
    args: [crashingNode],
    output,
    spawnArgs: (generation, spent) => ({ args: [`${generation}`, JSON.stringify(handsOn ? spent : {})] }),
  };
  const seen = observed({ intensity: { restarts: rootBudget, withinMs: 600_000 } });
  const root = await startProcesses([child("healthy"), doomed], seen.deps);
  const pids = root.tree().children.map(({ pid }) => pid ?? 0);
  const error = await root.failed;
  closeSync(output);
  const starts = (await readFile(join(folder, "said"), "utf8")).trim().split("\n");
  await rm(folder, { recursive: true });
  return { ...seen, root, error, pids, starts };
}

test("an actor's crash loop ends its subtree, then its node with 70, then its root, each level with its own budget (S4-67)", async (t) => {
  t.timeout(60_000);
  const { error, events, fatals, pids, root, starts } = await escalated(true);
  t.regex(error.message, /supervisor "root" gave up: more than 2 restarts in 600000 ms; "doomed": exit code 70/);
  const crashes = events.flatMap((event) => (event.kind === "crashed" ? [event.cause] : []));
  t.deepEqual(crashes, ["exit code 70", "exit code 70", "exit code 70"]);
  t.is(starts.length, 1 + nodeBudget + nodeBudget + rootBudget, starts.join());
  t.true(events.some(({ kind, id }) => kind === "escalated" && id === "doomed"));
  t.true(
    events.some(({ kind, id }) => kind === "stopped" && id === "healthy"),
    "the root stops all",
  );
  t.deepEqual(pids.map(isAlive), [false, false]);
  t.is(root.tree().state, "stopped");
  t.deepEqual(
    fatals.map(({ message, fields }) => `${fields.node} ${message.split(". ").at(-1)}`),
    ["doomed Attempting to restart.", "doomed Attempting to restart.", "doomed Restarted too often; giving up."],
    "(S0-42) once per unexpected exit, and none for the planned stop of the others",
  );
});

test("control: nodes that hand nothing on spend their whole budget again in every incarnation", async (t) => {
  t.timeout(60_000);
  const { starts } = await escalated(false);
  t.is(starts.length, (1 + rootBudget) * (1 + nodeBudget + nodeBudget));
});
