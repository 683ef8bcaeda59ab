// The alerter on a clock of its own: each alert once when it begins, once when it is over.

import test from "ava";
import { alerter } from "../../actors/alerter.js";
import type { Alert, AlertEvent } from "../../operations/alert-rules.js";
import type { ActorTree } from "../../supervision/system.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import { smallTree } from "../supervision/small-tree.js";

interface Scene {
  readonly clock: VirtualClock;
  readonly tree: ActorTree;
  readonly published: Alert[];
  hear(kind: string, about: string): void;
}

async function scene(): Promise<Scene> {
  const clock = new VirtualClock(1_000_000);
  const published: Alert[] = [];
  const listening = new Set<(event: AlertEvent) => void>();
  const behaviour = () =>
    alerter({
      lookEveryMs: 1_000,
      listen: (tell) => {
        listening.add(tell);
        return () => listening.delete(tell);
      },
      publish: (alert) => published.push(alert),
    });
  const { tree } = await smallTree([{ id: "alerter", restart: "permanent", behaviour }], { deps: { clock } });
  const hear: Scene["hear"] = (kind, about) => {
    for (const tell of listening) tell({ kind, about, detail: "why" });
  };
  return { clock, tree, published, hear };
}

test("an alert is published when it fires and when its event ends it; repetitions only count", async (t) => {
  const { clock, tree, published, hear } = await scene();
  for (let i = 0; i < 3; i += 1) hear("node_died", "a");
  await clock.advance(10);
  hear("node_ready", "a");
  hear("node_ready", "a");
  await clock.advance(10);
  t.deepEqual(
    published.map(({ name, state, about, count }) => ({ name, state, about, count })),
    [
      { name: "node_died", state: "fired", about: "a", count: 1 },
      { name: "node_died", state: "resolved", about: "a", count: 3 },
    ],
  );
  t.like(tree.summary("alerter"), { fired: 1, resolved: 1 });
  await tree.stop();
});

test("an alert that no event ends is over after its quiet time, counted from the newest repetition", async (t) => {
  const { clock, tree, published, hear } = await scene();
  hear("crashed", "a/voter");
  await clock.advance(40_000);
  hear("crashed", "a/voter");
  await clock.advance(40_000);
  t.deepEqual(
    published.map(({ state }) => state),
    ["fired"],
  );
  await clock.advance(22_000);
  t.deepEqual(
    published.map(({ state }) => state),
    ["fired", "resolved"],
  );
  await tree.stop();
});
