// The watchdog on a clock of its own: silence, sweeps, confirmations.

import test from "ava";
import { type WatchdogMessage, watchdog } from "../../actors/watchdog.js";
import type { ActorTree } from "../../supervision/system.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import { smallTree } from "../supervision/small-tree.js";
import { recorded } from "./small-node.js";

interface Scene {
  readonly clock: VirtualClock;
  readonly tree: ActorTree;
  readonly around: ReturnType<typeof recorded>;
  readonly swept: string[];
  readonly confirmed: string[];
  readonly listeners: () => number;
  hear(message: WatchdogMessage): void;
}

async function scene(leases = 2): Promise<Scene> {
  const clock = new VirtualClock();
  const around = recorded(clock);
  const swept: string[] = [];
  const confirmed: string[] = [];
  const listening = new Set<(message: WatchdogMessage) => void>();
  const behaviour = () =>
    watchdog({
      silentAfterMs: 4_000,
      lookEveryMs: 1_000,
      telemetry: around.telemetry,
      listen: (tell) => {
        listening.add(tell);
        return () => listening.delete(tell);
      },
      sweep: async (node, incarnation) => {
        swept.push(`${node}/${incarnation}`);
        return leases;
      },
      confirm: async (node, incarnation, count) => {
        confirmed.push(`${node}/${incarnation}: ${count}`);
      },
    });
  const { tree } = await smallTree([{ id: "watchdog", restart: "permanent", behaviour }], { deps: { clock } });
  const hear: Scene["hear"] = (message) => {
    for (const tell of listening) tell(message);
  };
  return { clock, tree, around, swept, confirmed, listeners: () => listening.size, hear };
}

const beat = (node: string, incarnation = 1): WatchdogMessage => ({ kind: "heartbeat", node, incarnation });

test("a node is reported silent once, and heard again once", async (t) => {
  const { clock, tree, around, hear } = await scene();
  hear(beat("a"));
  hear(beat("b"));
  for (let second = 0; second < 10; second += 1) {
    hear(beat("b"));
    await clock.advance(1_000);
  }
  const silent = around.bus.events("node_silent").flatMap(({ items }) => items);
  t.is(silent.length, 1);
  t.is(silent[0]?.about, "a");
  t.true(Number(silent[0]?.silentForMs) >= 4_000);
  hear(beat("a", 2));
  hear(beat("a", 2));
  await clock.advance(1_000);
  t.deepEqual(
    around.bus.events("node_heard").flatMap(({ items }) => items),
    [{ about: "a", about_incarnation: 2 }],
  );
  await tree.stop();
});

test("a node that took its leave is not missed", async (t) => {
  const { clock, tree, around, hear } = await scene();
  hear(beat("a"));
  await clock.advance(500);
  hear({ kind: "left", node: "a" });
  await clock.advance(10_000);
  t.deepEqual(around.bus.events("node_silent"), []);
  await tree.stop();
});

test("each death is swept once and confirmed once, also when there was nothing to sweep", async (t) => {
  for (const leases of [0, 2]) {
    const { clock, tree, around, swept, confirmed, hear } = await scene(leases);
    hear(beat("a", 3));
    hear({ kind: "died", node: "a", incarnation: 3 });
    await clock.advance(10_000);
    t.deepEqual(swept, ["a/3"]);
    t.deepEqual(confirmed, [`a/3: ${leases}`]);
    t.deepEqual(around.bus.events("node_silent"), [], "a dead node is not silent too");
    t.like(tree.summary("watchdog"), { cleanups: 1, leasesSwept: leases });
    await tree.stop();
  }
});

test("the death of an old incarnation takes nothing from the new one that was heard already", async (t) => {
  const { clock, tree, around, hear } = await scene();
  hear(beat("a", 2));
  hear({ kind: "died", node: "a", incarnation: 1 });
  await clock.advance(6_000);
  t.is(around.bus.events("node_silent").length, 1, "the new incarnation is still watched");
  await tree.stop();
});

test("a restarted watchdog listens once, and looks on", async (t) => {
  const { clock, tree, around, listeners, hear } = await scene();
  const killed = tree.kill("watchdog", "kill");
  await clock.advance(100);
  await killed;
  t.is(listeners(), 1);
  hear(beat("a"));
  await clock.advance(6_000);
  t.is(around.bus.events("node_silent").length, 1);
  await tree.stop();
  t.is(listeners(), 0);
});
