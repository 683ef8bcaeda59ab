// The watchdog on a clock of its own: silence, sweeps, confirmations, leases that nobody renews. The detector is the real one.

import test from "ava";
import {
  type ReclaimedLease,
  type WatchdogDeps,
  type WatchdogMessage,
  watchdog,
} from "../../actors/operations/watchdog.js";
import type { TensorLook } from "../../operations/cluster/tensor-lease-watch.js";
import { AccrualDetector, accrualDefaults } from "../../supervision/process/accrual-detector.js";
import type { ActorTree } from "../../supervision/tree/system.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import { noLeases } from "../../transport/tensors/segment-leases.js";
import { smallTree } from "../supervision/small-tree.js";
import { recorded } from "./small-node.js";

interface Scene {
  readonly clock: VirtualClock;
  readonly tree: ActorTree;
  readonly around: ReturnType<typeof recorded>;
  readonly swept: string[];
  readonly confirmed: string[];
  readonly declared: string[];
  readonly listeners: () => number;
  hear(message: WatchdogMessage): void;
  /** Items of all events of a kind. */
  items(kind: string): readonly object[];
  /** Lets seconds pass in which these nodes beat. */
  pass(seconds: number, ...beats: readonly WatchdogMessage[]): Promise<void>;
}

async function scene(leases = 2, given: Partial<WatchdogDeps> = {}): Promise<Scene> {
  const clock = new VirtualClock();
  const around = recorded(clock);
  const [swept, confirmed, declared]: [string[], string[], string[]] = [[], [], []];
  const listening = new Set<(message: WatchdogMessage) => boolean>();
  const behaviour = () =>
    watchdog({
      suspectPhi: 8,
      declareAfterMs: 10_000,
      lookEveryMs: 500,
      detector: () => new AccrualDetector(accrualDefaults),
      hears: () => true,
      telemetry: around.telemetry,
      listen: async (tell, signal) => {
        listening.add(tell);
        signal.addEventListener("abort", () => listening.delete(tell));
      },
      declare: async ({ node, incarnation, run }) => {
        declared.push(`${node}/${incarnation}`);
        // As the cleanup stream does: it comes back to whoever follows.
        for (const tell of listening) tell({ kind: "died", node, incarnation, run, by: "watchdog" });
        return true;
      },
      sweep: async ({ node, incarnation }) => {
        swept.push(`${node}/${incarnation}`);
        return leases;
      },
      confirm: async ({ node, incarnation }, count) => {
        confirmed.push(`${node}/${incarnation}: ${count}`);
        return true;
      },
      reclaim: async () => [],
      ...given,
    });
  const { tree } = await smallTree([{ id: "watchdog", restart: "permanent", behaviour }], { deps: { clock } });
  const hear: Scene["hear"] = (message) => {
    for (const tell of listening) tell(message);
  };
  const pass: Scene["pass"] = async (seconds, ...beats) => {
    for (let second = 0; second < seconds; second += 1) {
      for (const each of beats) hear(each);
      await clock.advance(1_000);
    }
  };
  const items: Scene["items"] = (kind) => around.bus.events(kind).flatMap((event) => event.items);
  return { clock, tree, around, swept, confirmed, declared, listeners: () => listening.size, hear, items, pass };
}

const beat = (node: string, incarnation = 1, rooted = true): WatchdogMessage => {
  return { kind: "heartbeat", node, incarnation, run: "r1", rooted };
};
const death = (node: string, incarnation = 1, run = "r1"): WatchdogMessage => {
  return { kind: "died", node, incarnation, run, by: "supervisor" };
};

test("a node is reported silent once, with phi and how long it took, and heard again once (S2-37)", async (t) => {
  const { tree, items, hear, pass } = await scene();
  await pass(20, beat("a"), beat("b"));
  await pass(12, beat("b"));
  const silent = items("node_silent") as { about: string; silentForMs: number; phi: number }[];
  t.deepEqual(
    silent.map(({ about }) => about),
    ["a"],
  );
  t.true((silent[0]?.phi ?? 0) >= 8);
  t.true((silent[0]?.silentForMs ?? 0) > 3_000, "no sooner than the acceptable pause");
  t.true((silent[0]?.silentForMs ?? 0) <= 4_500);
  hear(beat("a", 2));
  hear(beat("a", 2));
  await pass(1);
  t.like(items("node_heard"), [{ about: "a", about_incarnation: 2 }]);
  await tree.stop();
});

test("a node that took its leave is not missed", async (t) => {
  const { tree, items, hear, pass } = await scene();
  await pass(1, beat("a"));
  hear({ kind: "left", node: "a", incarnation: 1 });
  await pass(10);
  t.deepEqual(items("node_silent"), []);
  await tree.stop();
});

test("each death is swept once and confirmed once, also when there was nothing to sweep, and however often it is heard (S0-34)", async (t) => {
  for (const leases of [0, 2]) {
    const { tree, items, swept, confirmed, hear, pass } = await scene(leases);
    await pass(1, beat("a", 3));
    hear(death("a", 3));
    hear(death("a", 3));
    await pass(10);
    t.deepEqual(swept, ["a/3"]);
    t.deepEqual(confirmed, [`a/3: ${leases}`]);
    t.deepEqual(items("node_silent"), [], "a dead node is not silent too");
    t.like(tree.summary("watchdog"), { cleanups: 1, leasesSwept: leases });
    await tree.stop();
  }
});

test("the death of an old incarnation takes nothing from the new one that was heard already", async (t) => {
  const { tree, items, hear, pass } = await scene();
  await pass(1, beat("a", 2));
  hear(death("a", 1));
  await pass(6);
  t.is(items("node_silent").length, 1, "the new incarnation is still watched");
  await tree.stop();
});

test("the same incarnation in another run is another life", async (t) => {
  const { tree, confirmed, hear, pass } = await scene(0);
  hear(death("a", 1, "r1"));
  hear(death("a", 1, "r2"));
  await pass(1);
  t.deepEqual(confirmed, ["a/1: 0", "a/1: 0"]);
  await tree.stop();
});

test("a late heartbeat of a dead incarnation brings nobody back", async (t) => {
  const { tree, items, hear, pass } = await scene();
  await pass(1, beat("a", 2));
  hear(death("a", 2));
  hear(beat("a", 2));
  hear(beat("a", 1));
  await pass(10);
  t.deepEqual(items("node_silent"), []);
  t.deepEqual(tree.summary("watchdog")?.nodes, {});
  hear(beat("a", 3));
  await pass(1);
  t.deepEqual(Object.keys(tree.summary("watchdog")?.nodes ?? {}), ["a"]);
  await tree.stop();
});

test("a node that nobody restarts is declared dead for its silence, and swept; heard again, it says so once", async (t) => {
  const { tree, items, swept, confirmed, declared, pass } = await scene();
  const alone = beat("a", 1, false);
  await pass(5, alone);
  await pass(8);
  t.is(items("node_silent").length, 1);
  t.deepEqual(declared, [], "silent, and not dead yet");
  await pass(3);
  t.deepEqual(declared, ["a/1"]);
  t.deepEqual([swept, confirmed], [["a/1"], ["a/1: 2"]]);
  t.is(items("node_died").length, 1);
  await pass(3, alone);
  t.like(items("node_heard"), [{ about: "a", about_incarnation: 1, declaredDead: true }]);
  t.is(items("node_heard").length, 1);
  await pass(30);
  t.is(items("node_silent").length, 2);
  t.deepEqual(declared, ["a/1"], "one incarnation dies once");
  await tree.stop();
});

test("a node that has a root is never declared dead: its root sees it end", async (t) => {
  const { tree, declared, pass } = await scene();
  await pass(5, beat("a"));
  await pass(60);
  t.deepEqual(declared, []);
  await tree.stop();
});

test("a death that could not be declared is declared at a later look", async (t) => {
  const outcomes = [false, true];
  const tried: string[] = [];
  const { tree, pass } = await scene(0, {
    declare: async ({ node }) => {
      tried.push(node);
      return outcomes.shift() ?? true;
    },
  });
  await pass(1, beat("a", 1, false));
  await pass(20);
  t.deepEqual(tried, ["a", "a"]);
  await tree.stop();
});

test("while the watchdog hears nothing nobody is silent; then silence counts anew", async (t) => {
  let hears = true;
  const { tree, items, declared, pass } = await scene(0, { hears: () => hears });
  await pass(10, beat("a", 1, false));
  hears = false;
  await pass(60);
  t.deepEqual([items("node_silent"), declared], [[], []]);
  hears = true;
  await pass(2);
  t.deepEqual(items("node_silent"), []);
  await pass(5);
  t.is(items("node_silent").length, 1);
  await tree.stop();
});

test("leases that nobody renews are taken back and counted, with the run they belong to (S2-6, S2-36, S2-38)", async (t) => {
  const found: ReclaimedLease[][] = [
    [],
    [{ key: "digits", node: "old", incarnation: 4, run: "r0", why: "former_run", unchangedMs: 1_200 }],
  ];
  const known: boolean[] = [];
  const { tree, around, items, hear, pass } = await scene(2, {
    reclaim: async (isKnownRun) => {
      known.push(isKnownRun("r1"), isKnownRun("r0"));
      return found.shift() ?? [];
    },
  });
  hear(beat("a"));
  hear(death("b"));
  await pass(3, beat("a"));
  t.deepEqual(known.slice(0, 2), [true, false]);
  const cleanups = items("cleanup") as { about: string; leases: number; why: string; by: string }[];
  t.deepEqual(
    cleanups.map(({ about, leases, why, by }) => `${about} ${leases} ${why} ${by}`),
    ["b 2 died watchdog", "old 1 former_run watchdog"],
  );
  t.is(around.counters.get("watchdog_cleanups"), 2);
  t.is(around.counters.get("leases_reclaimed"), 3);
  await tree.stop();
});

test("counters equal the events, and a confirmation that came second counts for nobody (S2-58)", async (t) => {
  const { tree, around, items, hear, pass } = await scene(1, {
    confirm: async ({ incarnation }) => incarnation % 3 > 0,
  });
  for (let incarnation = 1; incarnation <= 12; incarnation += 1) hear(death("a", incarnation));
  await pass(1);
  t.is(items("cleanup").length, 8);
  t.is(around.counters.get("watchdog_cleanups"), 8);
  t.is(around.counters.get("leases_reclaimed"), 8);
  await tree.stop();
});

test("what it remembers of nodes, living or dead, is bounded", async (t) => {
  const { tree, hear, pass } = await scene(0);
  for (let node = 0; node < 3_000; node += 1) {
    hear(beat(`n${node}`));
    hear(death(`d${node}`));
  }
  await pass(10);
  const names = Object.keys(tree.summary("watchdog")?.nodes ?? {});
  t.is(names.length, 1_024);
  t.true(names.includes("n2999"));
  await tree.stop();
});

test("a restarted watchdog listens once, and looks on (S2-30)", async (t) => {
  const { clock, tree, items, listeners, pass } = await scene();
  const killed = tree.kill("watchdog", "kill");
  await clock.advance(100);
  await killed;
  t.is(listeners(), 1);
  await pass(1, beat("a"));
  await pass(6);
  t.is(items("node_silent").length, 1);
  await tree.stop();
  t.is(listeners(), 0);
});

test("an owner of tensor leases that died, and leases that nobody confirmed, are one cleanup each, also while the broker is away (S2-21, S2-58)", async (t) => {
  const lease = {
    file: "7-1/f",
    bytes: 1_500,
    about: null,
    state: "handed_over",
    createdAtMs: 0,
    expiresAtMs: 1,
  } as const;
  const pool = { leased: 2, spare: 0, leasedBytes: 3_000, spareBytes: 0, made: 2 };
  const record = {
    v: 1,
    pid: 7,
    started: "1",
    namespaces: "",
    owner: "client-a",
    atMs: 0,
    leases: [lease, lease],
    totals: noLeases,
    pool,
  } as const;
  const swept = { name: "7-1", record: { ...record, leases: [...record.leases] }, files: 2, bytes: 3_000 };
  const nothing: TensorLook = {
    ...{ live: 0, liveBytes: 0, oldestAgeMs: null, poolBytes: 0, grown: noLeases },
    ...{ expired: [], swept: [] },
  };
  const looks: TensorLook[] = [
    { ...nothing, live: 3, liveBytes: 900, oldestAgeMs: 40, poolBytes: 4_000, grown: { ...noLeases, created: 3 } },
    { ...nothing, swept: [swept, { ...swept, name: "8-1", record: { ...swept.record, leases: [] }, files: 0 }] },
    { ...nothing, grown: { ...noLeases, expired: 1 }, expired: [{ owner: "client-b", pid: 9, leases: 1 }] },
  ];
  const look = async () => looks.shift() ?? nothing;
  const { clock, tree, around, items, pass } = await scene(0, { hears: () => false, tensors: { look } });
  await clock.advance(500);
  t.deepEqual(
    ["tensor_leases", "tensor_lease_bytes", "tensor_pool_bytes", "tensor_lease_oldest_ms"].map((name) =>
      around.counters.get(name),
    ),
    [3, 900, 4_000, 40],
  );
  await pass(5);
  t.like(items("cleanup"), [
    { about: "client-a", leases: 2, files: 2, bytes: 3_000, why: "tensor_owner_died", by: "watchdog" },
    { about: "client-b", leases: 1, why: "tensor_lease_expired", by: "watchdog" },
  ]);
  t.is(items("cleanup").length, 2, "an owner that died and left nothing is no cleanup");
  t.is(around.counters.get("watchdog_cleanups"), 2);
  t.is(around.counters.get("leases_reclaimed"), 3);
  t.deepEqual(
    ["created", "expired", "swept"].map((what) => around.counters.get(`tensor_leases_${what}`)),
    [3, 1, 2],
  );
  t.is(around.counters.get("tensor_leases"), 0, "zero after idle");
  await tree.stop();
});
