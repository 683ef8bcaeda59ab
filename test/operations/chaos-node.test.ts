// Substrate: a real nats-server and a small tree of actors: what one node answers on its chaos subject, with and without a root.
import test from "ava";
import { takeNodeFaults } from "../../operations/cluster/node-faults.js";
import { askFault, type ChaosDoor, haltChaos, keepSchedule, listChaos } from "../../operations/faults/chaos-client.js";
import { Counters, Telemetry } from "../../operations/metrics/telemetry.js";
import { systemClock } from "../../supervision/clock.js";
import type { Bus } from "../../transport/bus/bus.js";
import { type ChaosOrder, encodeGranted, parseChaosOrder } from "../../transport/messages/chaos-orders.js";
import { encodeRefusal } from "../../transport/messages/wire.js";
import { actor, type EventLog, smallTree } from "../supervision/small-tree.js";
import { type Cluster, startCluster } from "../transport/fixture.js";

let cluster: Cluster;
let door: ChaosDoor;
let nodes: Bus;

test.before(async () => {
  cluster = await startCluster();
  nodes = await cluster.bus("node");
  door = { bus: await cluster.bus("operator"), subjects: cluster.subjects };
});
test.after.always(() => cluster.end());

/** A node with one actor "a". */
async function nodeNamed(node: string): Promise<EventLog> {
  const { tree, events } = await smallTree([actor("a")]);
  const { subjects } = cluster;
  const telemetry = new Telemetry(nodes, subjects, node, new Counters(), systemClock);
  takeNodeFaults({ bus: nodes, subjects, node, incarnation: 1, tree, clock: systemClock, telemetry });
  await nodes.flush();
  return events;
}

const began = (events: EventLog) => events.until(({ kind }) => kind === "chaos_began");
const lasting = { target: "a", mode: "hang", forMs: 600_000 } as const;

test.serial("where no root takes claims a fault that lasts is done, listed with its asker, and halted", async (t) => {
  const events = await nodeNamed("free-1");
  const asked = askFault(door, "free-1", lasting);
  await began(events);
  const { faults, silent } = await listChaos(door, ["root", "free-1"]);
  t.like(faults, [{ id: "free-1.1.1", node: "free-1", target: "a", mode: "hang", by: "operator" }]);
  t.deepEqual(silent, [], "a root that is not there is not silent");
  t.like(await askFault(door, "free-1", { target: "a", mode: "kill" }), { kind: "refused", code: "already_faulted" });
  t.like(await haltChaos(door, ["free-1"]), { faults: 1, silent: [] });
  t.like(await asked, { kind: "reply", reply: { generationAfter: 1, cause: null, lost: 0 } });
  t.deepEqual((await listChaos(door, ["free-1"])).faults, []);
});

test.serial(
  "a second fault of one target is done when it is forced, and ends with the incarnation it was for",
  async (t) => {
    const events = await nodeNamed("forced-1");
    const hang = askFault(door, "forced-1", lasting);
    await began(events);
    const kill = await askFault(door, "forced-1", { target: "a", mode: "kill", force: true });
    t.like(kill, { kind: "reply", reply: { generationAfter: 2, cause: "killed: chaos kill" } });
    t.like(await hang, { kind: "reply", reply: { generationBefore: 1, cause: "killed: chaos kill" } });
    t.deepEqual((await listChaos(door, ["forced-1"])).faults, []);
  },
);

test.serial("a root is asked before a fault that lasts, told when it is over, and its no is the answer", async (t) => {
  const heard: ChaosOrder[] = [];
  let says: "yes" | "no" = "yes";
  const root = nodes.subscribe(cluster.subjects.chaos("root"), {}, (message) => {
    const order = parseChaosOrder(message.data);
    if (order.kind !== "ok") return;
    heard.push(order.value);
    if (says === "yes") message.respond(encodeGranted());
    else message.respond(encodeRefusal({ code: "under_minimum", message: "no" }).bytes);
  });
  await nodeNamed("rooted-1");
  t.like(await askFault(door, "rooted-1", { target: "a", mode: "kill" }), { kind: "reply" });
  t.deepEqual(heard, [], "a kill is over before a pool could miss it");
  t.like(await askFault(door, "rooted-1", { target: "a", mode: "slow", forMs: 20 }), { kind: "reply" });
  t.like(heard[0], { kind: "claim", node: "rooted-1", target: "a", mode: "slow", forMs: 20, by: "operator" });
  says = "no";
  t.like(await askFault(door, "rooted-1", lasting), { kind: "refused", code: "under_minimum" });
  await nodes.flush();
  t.deepEqual(
    heard.map(({ kind }) => kind),
    ["claim", "release", "claim", "release"],
  );
  root.unsubscribe();
});

test.serial("a root that does not answer stops a fault that lasts, unless it is forced", async (t) => {
  const root = nodes.subscribe(cluster.subjects.chaos("root"), {}, () => undefined);
  await nodeNamed("lonely-1");
  t.like(await askFault(door, "lonely-1", lasting), { kind: "refused", code: "not_ready" });
  t.like(await askFault(door, "lonely-1", { ...lasting, forMs: 20, force: true }), { kind: "reply" });
  root.unsubscribe();
});

test.serial("what a node cannot do, and whom it does not know, is refused by name", async (t) => {
  await nodeNamed("plain-1");
  t.like(await askFault(door, "plain-1", { target: "plain-1", mode: "sigkill" }), {
    kind: "refused",
    code: "bad_request",
  });
  t.like(await askFault(door, "plain-1", { target: "nobody", mode: "kill" }), { kind: "refused", code: "bad_request" });
  t.like(await askFault(door, "elsewhere", { target: "a", mode: "kill" }), { kind: "silent", why: "no_responders" });
  t.true(await keepSchedule(door, "s", 1_000), "a schedule goes on where nobody keeps schedules");
});
