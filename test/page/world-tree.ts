// The supervision tree of a cluster that never was, at any incarnation, and the receipt of a fault in it.

import type { ChaosReceiptBody } from "../../operations/http/answer-shapes.js";
import type { TreeNode } from "../../transport/messages/look-orders.js";

const running = { state: "running", restarts: 0, generation: 1 } as const;

/** By path. */
type Generations = Readonly<Record<string, number>>;

export function treeAt(generations: Generations): TreeNode {
  const broker: TreeNode = {
    ...born(generations, "nats-server"),
    name: "nats-server",
    kind: "actor",
    pid: 41_201,
    children: [],
  };
  return {
    ...running,
    name: "driftmend",
    kind: "root",
    pid: 41_200,
    strategy: "one_for_one",
    children: [
      broker,
      node(generations, "serving-1", 41_210, 8, servingParts),
      node(generations, "serving-2", 41_288, 8, servingParts),
      node(generations, "learning-1", 44_102, 5, { "digits-updater": 44, beacon: 0 }),
      node(generations, "operations-1", 41_214, 10, { watchdog: 0, alerter: 0, observer: 0, web: 0 }),
    ],
  };
}

/** Messages that wait in each actor; or a supervisor with its actors. */
type Parts = Readonly<Record<string, number | Readonly<Record<string, number>>>>;

const servingParts: Parts = { digits: { buffer: 12, voter: 3, inference: 480, relay: 0 }, beacon: 0 };

function node(generations: Generations, name: string, pid: number, left: number, parts: Parts): TreeNode {
  return {
    ...born(generations, name),
    name,
    kind: "node",
    pid,
    ...(name.startsWith("serving") ? { spare: 41_400 } : {}),
    strategy: "one_for_one",
    intensity: { restarts: 10, withinMs: 60_000, left },
    children: partsOf(generations, name, parts),
  };
}

function partsOf(generations: Generations, above: string, parts: Parts): TreeNode[] {
  return Object.entries(parts).map(([name, part]): TreeNode => {
    const path = `${above}/${name}`;
    const life = born(generations, path);
    if (typeof part === "number")
      return { ...life, name, kind: "actor", mailbox: { depth: part, capacity: 1_024 }, children: [] };
    const intensity = { restarts: 10, withinMs: 60_000, left: 9 };
    return {
      ...life,
      name,
      kind: "supervisor",
      strategy: "rest_for_one",
      intensity,
      children: partsOf(generations, path, part),
    };
  });
}

function born(generations: Generations, path: string) {
  const generation = generations[path] ?? 1;
  const exit = generation > 1 ? { lastExit: "killed: chaos kill" } : {};
  return { ...running, generation, restarts: generation - 1, ...exit };
}

export function receiptFor(target: string, mode: string, before: number): ChaosReceiptBody {
  return {
    target,
    mode,
    generationBefore: before,
    generationAfter: before + 1,
    inFlight: 2,
    redelivered: 2,
    refused: 0,
    lost: 0,
    leasesCleaned: 1,
    detectMs: 0.42,
    repairMs: 11.3,
    cause: "killed: chaos kill",
  };
}
