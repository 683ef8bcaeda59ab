// The host of a tree over a real broker: what it says, in which order, and that nobody waits for an actor that gave up.

import test from "ava";
import { type HostedNode, hostNode } from "../../actors/host/host.js";
import type { Desk } from "../../actors/serving/desk.js";
import type { InferenceMessage, VoterMessage } from "../../actors/serving/messages.js";
import { seededRandom } from "../../models/clock.js";
import type { Ref } from "../../supervision/actor/ref.js";
import { systemClock } from "../../supervision/clock.js";
import { silentLogger } from "../../supervision/logger.js";
import type { Bus } from "../../transport/bus/bus.js";
import { parseEvent } from "../../transport/messages/events.js";
import { answersOf } from "../models/small-world.js";
import { actor, generous } from "../supervision/small-tree.js";
import { startCluster } from "../transport/fixture.js";
import { Askers, batchOf, openAt, smallModel } from "./small-node.js";

const cluster = await startCluster();
test.after.always(() => cluster.end());
const { subjects } = cluster;

/** "started small/buffer", "node_ready", ... of one node, in order, and a way to wait for one. */
async function hearEvents(node: string) {
  const bus = await cluster.bus();
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  bus.subscribe(`${subjects.event("x").slice(0, -1)}>`, {}, ({ data }) => {
    const event = parseEvent(data);
    if (event.kind !== "ok" || event.value.node !== node) return;
    lines.push(`${event.value.kind} ${event.value.actor}`);
    for (const wake of waiting) wake();
  });
  await bus.flush();
  const until = async (line: string): Promise<void> => {
    while (!lines.includes(line)) await new Promise<void>((resolve) => waiting.add(resolve));
  };
  return { lines, until };
}

interface Running {
  readonly hosted: HostedNode;
  readonly desk: Desk;
  readonly bus: Bus;
  readonly poisoned: Ref<InferenceMessage | VoterMessage>;
}

/** A node with two quiet actors and one that crashes on every message. */
async function running(node: string, given?: Bus): Promise<Running> {
  const bus = given ?? (await cluster.bus());
  const found: { desk?: Desk; poisoned?: Running["poisoned"] } = {};
  const poisoned = (): void => {
    throw new Error("poison");
  };
  const options = {
    node,
    incarnation: 1,
    pid: 1,
    origin: `${node}-1`,
    roles: ["serving"],
    models: [smallModel()],
    bus,
    subjects,
    clock: systemClock,
    random: seededRandom(1),
    log: silentLogger,
    version: "0.0.0",
    vitals: () => ({}),
  };
  const hosted = await hostNode(options, ({ models }) => {
    const [model] = models;
    if (model !== undefined) found.desk = model.desk;
    const poison = actor<InferenceMessage | VoterMessage>("poison", { receive: poisoned });
    const capturing = {
      ...actor("second"),
      behaviour: (refs: { ref<M>(path: string): Ref<M> }) => {
        found.poisoned = refs.ref("poison");
        return { init: () => undefined, receive: () => undefined };
      },
    };
    return { id: node, strategy: "one_for_one", intensity: generous, children: [actor("first"), capturing, poison] };
  });
  const { desk, poisoned: ref } = found;
  if (desk === undefined || ref === undefined) throw new Error("the tree was not built");
  return { hosted, desk, bus, poisoned: ref };
}

test.serial("a node that is ready can be asked at once: the server has taken every subscription", async (t) => {
  const bus = await cluster.bus();
  const did: string[] = [];
  const [subscribe, flush] = [bus.subscribe.bind(bus), bus.flush.bind(bus)];
  bus.subscribe = (pattern, options, handler) => {
    did.push("subscribed");
    return subscribe(pattern, options, handler);
  };
  bus.flush = async () => {
    const isTaken = await flush();
    did.push("taken");
    return isTaken;
  };
  const { hosted } = await running("n0", bus);
  t.true(did.includes("subscribed"));
  t.is(did.at(-1), "taken");
  await hosted.stop();
});

test.serial("(S2-31) what no actor will handle any more is refused `internal`, each request of it once", async (t) => {
  const { hosted, desk, poisoned } = await running("n1");
  const askers = new Askers();
  poisoned.tell({ kind: "request", request: openAt(desk, askers, "a", { deadlineMs: 10_000 }) });
  await askers.until(1);
  const requests = ["b", "c", "d"].map((id) => openAt(desk, askers, id, { deadlineMs: 10_000 }));
  const batch = batchOf(answersOf(smallModel(), [0, 1, 2], seededRandom(1)), requests);
  poisoned.tell({ kind: "judge", batch, neighbours: undefined, past: [] });
  await askers.until(4);
  t.deepEqual(
    askers.heard,
    ["a", "b", "c", "d"].map((id) => `refused ${id} internal`),
  );
  t.is(desk.size, 0);
  await hosted.stop();
});

test.serial(
  "(S2-45) the actors start in the order of the tree, ready is said after all of them, and leaving comes last",
  async (t) => {
    const { lines, until } = await hearEvents("n2");
    const { hosted } = await running("n2");
    await hosted.stop();
    await until("node_left host");
    const story = lines.filter((line) => /^(started|node_ready|node_left)/.test(line));
    t.deepEqual(story, [
      "started first",
      "started second",
      "started poison",
      "started /",
      "node_ready host",
      "node_left host",
    ]);
  },
);

test.serial("a connection that is closed for good ends the node", async (t) => {
  const { hosted, bus } = await running("n3");
  await bus.close();
  t.true((await hosted.failed) instanceof Error);
  await hosted.stop();
});
