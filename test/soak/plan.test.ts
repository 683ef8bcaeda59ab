// The plan of a soak: pure, so each rule is looked at alone.

import test from "ava";
import { type Fault, pace, planFaults, targetsIn } from "../../sim/soak/plan.js";
import type { TreeNode } from "../../transport/messages/look-orders.js";

const leaf = { generation: 1, state: "running", restarts: 0, children: [] } as const;
const actors = (...names: string[]): TreeNode[] => names.map((name) => ({ ...leaf, name, kind: "actor" }));
const node = (name: string, children: readonly TreeNode[]): TreeNode => ({ ...leaf, name, kind: "node", children });
const digits: TreeNode = { ...leaf, name: "digits", kind: "supervisor", children: actors("voter", "buffer") };
const root: TreeNode = {
  ...leaf,
  name: "root",
  kind: "root",
  children: [
    ...actors("nats-server"),
    node("serving-1", [...actors("beacon", "intake"), digits]),
    node("learning-1", actors("beacon", "digits-updater")),
  ],
};
const full = { actorKills: 2_000, nodeKills: 100, stops: 10, brokerKills: 10 };
const small = { actorKills: 90, nodeKills: 6, stops: 4, brokerKills: 2 };
const targets = targetsIn(root);

test("targets are the actors of all nodes with their supervisors; the broker is none of them", (t) => {
  t.deepEqual(
    targets.map(({ node: of, path, supervisor }) => `${of} ${supervisor} ${path}`),
    [
      "learning-1  beacon",
      "learning-1  digits-updater",
      "serving-1  beacon",
      "serving-1 digits digits/buffer",
      "serving-1 digits digits/voter",
      "serving-1  intake",
    ],
  );
});

test("the same seed gives the same schedule, another seed another one (S0-26)", (t) => {
  t.deepEqual(planFaults(full, targets, 7), planFaults(full, targets, 7));
  t.notDeepEqual(planFaults(full, targets, 7).faults, planFaults(full, targets, 8).faults);
});

test("a plan has as many faults of each kind as were asked for, over every actor and node, in the order of time", (t) => {
  const { faults } = planFaults(full, targets, 7);
  const of = (kind: Fault["kind"]): Fault[] => faults.filter((fault) => fault.kind === kind);
  t.deepEqual([of("actor").length, of("node").length, of("stop").length, of("broker").length], [2_000, 100, 10, 10]);
  t.is(new Set(of("actor").map((f) => (f.kind === "actor" ? `${f.node}/${f.path}` : ""))).size, targets.length);
  const modes = new Set(of("actor").map((f) => (f.kind === "actor" ? f.mode : "")));
  t.deepEqual([...modes].sort(), ["crash", "kill"]);
  t.deepEqual(
    faults.map(({ atMs }) => atMs),
    faults.map(({ atMs }) => atMs).toSorted((a, b) => a - b),
  );
});

test("no fault at all is asked for where none was wanted", (t) => {
  const { faults, durationMs } = planFaults({ actorKills: 0, nodeKills: 0, stops: 0, brokerKills: 0 }, targets, 1);
  t.deepEqual(faults, []);
  t.is(durationMs, 0);
});

test("every other stop freezes a writer for longer than its lease of a second, the others are short", (t) => {
  const stops = planFaults(small, targets, 3).faults.flatMap((fault) => (fault.kind === "stop" ? [fault] : []));
  t.deepEqual(
    stops.map(({ forMs }) => forMs > 1_000),
    [true, false, true, false],
  );
  t.true(stops.filter(({ forMs }) => forMs > 1_000).every(({ node: of }) => of === "learning-1"));
});

test("no supervisor is asked for more than ten restarts in ten seconds, and no root for more than twenty in a minute", (t) => {
  const { faults, durationMs } = planFaults(full, targets, 11);
  for (const lane of new Set(faults.map((fault) => fault.lane))) {
    const times = faults.filter((fault) => fault.lane === lane).map(({ atMs }) => atMs);
    const [windowMs, most] = lane === "nodes" ? [60_000, 20] : [10_000, 10];
    const busiest = Math.max(...times.map((from) => times.filter((at) => at >= from && at < from + windowMs).length));
    t.true(busiest <= most, `${lane}: ${busiest}`);
  }
  t.true(durationMs <= 2_000 * pace.actorMs, "bounded");
});
