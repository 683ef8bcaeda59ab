// Substrate: none. A schedule follows from its seed.
import test from "ava";
import { spread } from "../../operations/faults/fault-run.js";
import {
  candidatesIn,
  type Draw,
  drawn,
  faultSchedule,
  type ScheduleSettings,
  strikableKinds,
  targetKinds,
} from "../../operations/faults/fault-schedule.js";
import type { TreeNode } from "../../transport/messages/look-orders.js";

const usual: ScheduleSettings = { probability: 0.01, seed: 7, targets: targetKinds };

function draws(settings: ScheduleSettings, iterations: number): Draw[] {
  const schedule = faultSchedule(settings);
  return Array.from({ length: iterations }, () => schedule.next().value).filter((draw) => draw !== undefined);
}

test("10,000 iterations with probability 0.01 strike the same each run, within 3 sigma of 100 (S0-26)", (t) => {
  const sigma = Math.sqrt(10_000 * 0.01 * 0.99);
  for (const seed of [1, 2, 3, 7, 42, 2_026]) {
    const first = draws({ ...usual, seed }, 10_000);
    t.deepEqual(draws({ ...usual, seed }, 10_000), first);
    t.true(Math.abs(first.length - 100) <= 3 * sigma, `seed ${seed}: ${first.length}`);
  }
  t.notDeepEqual(draws({ ...usual, seed: 8 }, 10_000), draws(usual, 10_000));
});

test("probability 0 never strikes, probability 1 always does (S0-26)", (t) => {
  t.is(draws({ ...usual, probability: 0 }, 1_000).length, 0);
  t.is(draws({ ...usual, probability: 1 }, 1_000).length, 1_000);
});

test("an iteration's draw does not depend on which modes and how many strikes were before it", (t) => {
  const all = new Map(draws({ ...usual, probability: 1 }, 500).map((draw) => [draw.iteration, draw]));
  for (const draw of draws({ ...usual, probability: 0.05 }, 500)) t.deepEqual(all.get(draw.iteration), draw);
});

test("actors are killed and crashed, nodes killed and seldom stopped, the broker killed, and each kind has its turn", (t) => {
  const found = new Map<string, number>();
  for (const { kind, mode } of draws({ ...usual, probability: 1 }, 10_000))
    found.set(`${kind} ${mode}`, (found.get(`${kind} ${mode}`) ?? 0) + 1);
  t.deepEqual([...found.keys()].sort(), [
    "actors crash",
    "actors kill",
    "broker sigkill",
    "nodes sigkill",
    "nodes sigstop",
  ]);
  t.true((found.get("nodes sigstop") ?? 0) < (found.get("nodes sigkill") ?? 0) / 4);
});

test("chosen modes leave only the kinds that take them", (t) => {
  t.deepEqual(strikableKinds({ targets: targetKinds, modes: ["hang", "sigkill"] }), ["actors", "nodes", "broker"]);
  t.deepEqual(strikableKinds({ targets: targetKinds, modes: ["sigstop"] }), ["nodes"]);
  t.deepEqual(strikableKinds({ targets: ["broker"], modes: ["hang"] }), []);
  for (const { kind, mode } of draws({ ...usual, probability: 1, modes: ["slow"] }, 50))
    t.is(`${kind} ${mode}`, "actors slow");
});

const leaf = (name: string, kind: TreeNode["kind"], children: readonly TreeNode[] = []): TreeNode => ({
  ...{ name, kind, children },
  generation: 1,
  state: "running",
  restarts: 0,
});

test("candidates are all actors, nodes and the broker, sorted; a draw takes its share of its kind", (t) => {
  const tree = leaf("root", "root", [
    leaf("nats-server", "actor"),
    leaf("serving-1", "node", [leaf("digits", "supervisor", [leaf("voter", "actor")]), leaf("beacon", "actor")]),
    leaf("learning-1", "node", [leaf("digits-updater", "actor")]),
  ]);
  const candidates = candidatesIn(tree);
  t.deepEqual(
    candidates.map(({ kind, name, node, target }) => [kind, name, node, target]),
    [
      ["nodes", "learning-1", "root", "learning-1"],
      ["actors", "learning-1/digits-updater", "learning-1", "digits-updater"],
      ["broker", "nats-server", "root", "nats-server"],
      ["nodes", "serving-1", "root", "serving-1"],
      ["actors", "serving-1/beacon", "serving-1", "beacon"],
      ["actors", "serving-1/digits/voter", "serving-1", "digits/voter"],
    ],
  );
  const at = (kind: Draw["kind"], pick: number) => drawn({ iteration: 0, mode: "kill", kind, pick }, candidates)?.name;
  t.deepEqual(
    [at("actors", 0), at("actors", 0.34), at("actors", 0.999)],
    ["learning-1/digits-updater", "serving-1/beacon", "serving-1/digits/voter"],
  );
  t.is(at("broker", 0.7), "nats-server");
  t.is(drawn({ iteration: 0, mode: "sigkill", kind: "broker", pick: 0.5 }, []), undefined);
});

test("a spread is of what was measured, and of nothing it is nothing", (t) => {
  t.deepEqual(spread([null, 3, 1, 2]), { p50: 2, p95: 3 });
  t.deepEqual(spread([null]), { p50: null, p95: null });
});
