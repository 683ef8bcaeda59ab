// Telemetry speaks when it can and never stands in the way of what it speaks of.

import test from "ava";
import { Counters } from "../../operations/metrics/telemetry.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import { recorded } from "../actors/small-node.js";

const origin = { actor: "small/voter", incarnation: 2 };

test("an event says who, when and what, all items of a moment in one message", (t) => {
  const { bus, telemetry } = recorded(new VirtualClock(7_000));
  telemetry.event("vote", origin, () => [
    { id: "a", learn: true },
    { id: "b", learn: false, field: undefined },
  ]);
  t.deepEqual(bus.events("vote"), [
    {
      kind: "vote",
      node: "node-a",
      ...origin,
      atMs: 7_000,
      items: [
        { id: "a", learn: true },
        { id: "b", learn: false },
      ],
    },
  ]);
});

test("while the connection is down an event is counted as dropped, and its items are not even made", (t) => {
  const { bus, counters, telemetry } = recorded();
  bus.connected = false;
  telemetry.event("vote", origin, () => {
    throw new Error("nobody is there to hear it");
  });
  bus.connected = true;
  t.deepEqual(bus.published, []);
  t.is(counters.get("telemetry_dropped"), 1);
});

test("an event that the connection did not take is counted as dropped", (t) => {
  const { bus, counters, telemetry } = recorded();
  bus.publish = () => false;
  telemetry.event("vote", origin, () => []);
  t.is(counters.get("telemetry_dropped"), 1);
});

test("(S2-56) counters begin at nothing, grow by what is added, and are read as one look", (t) => {
  const counters = new Counters();
  t.is(counters.get("requests"), 0);
  counters.add("requests");
  counters.add("requests", 4);
  counters.add("answered");
  const look = counters.all();
  counters.add("answered");
  t.deepEqual(look, { requests: 5, answered: 1 });
});
