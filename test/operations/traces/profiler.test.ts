// A CPU profile of this process, ordered over the bus: taken on demand, fetched piece by piece, one at a time.

import test from "ava";
import { answerProfileOrders } from "../../../operations/traces/profiler.js";
import { systemClock } from "../../../supervision/clock.js";
import {
  encodeProfileOrder,
  type ProfileOrder,
  type ProfileTaken,
  parseProfilePiece,
  parseProfileTaken,
} from "../../../transport/messages/profile-orders.js";
import { RecordingBus, subjects } from "../../actors/small-node.js";

function scene() {
  const bus = new RecordingBus();
  const stop = answerProfileOrders({ bus, subjects, node: "n1", clock: systemClock, origin: "n1-0123456789ab" });
  let answers = 0;
  const order = async (what: ProfileOrder): Promise<Uint8Array> => {
    bus.deliver(subjects.order("n1", "profile"), encodeProfileOrder(what));
    answers += 1;
    await bus.until("reply", answers);
    return bus.published.filter(({ subject }) => subject === "reply")[answers - 1]?.data ?? new Uint8Array();
  };
  return { bus, stop, order };
}

function takenIn(bytes: Uint8Array): ProfileTaken {
  const parsed = parseProfileTaken(bytes);
  if (parsed.kind !== "ok" || parsed.value.kind !== "reply") throw new Error(JSON.stringify(parsed));
  return parsed.value.reply;
}

function refusalIn(bytes: Uint8Array): string {
  const parsed = parseProfileTaken(bytes);
  return parsed.kind === "ok" && parsed.value.kind === "refusal" ? parsed.value.refusal.code : "none";
}

test.serial("(S1-70) a profile is taken on demand and fetched in pieces that together are a .cpuprofile", async (t) => {
  const { order, stop } = scene();
  const taken = takenIn(await order({ kind: "take", forMs: 50 }));
  t.is(taken.node, "n1");
  const parts: Uint8Array[] = [];
  for (let index = 0; index < taken.pieces; index += 1) {
    const parsed = parseProfilePiece(await order({ kind: "piece", id: taken.id, index }));
    if (parsed.kind === "ok" && parsed.value.kind === "reply") parts.push(parsed.value.reply);
  }
  stop();
  const whole = Buffer.concat(parts);
  t.is(whole.byteLength, taken.bytes);
  const profile: Record<string, unknown> = JSON.parse(whole.toString());
  for (const field of ["nodes", "startTime", "endTime", "samples", "timeDeltas"]) t.true(field in profile, field);
});

test.serial("one profile at a time; another order meanwhile is refused by name", async (t) => {
  const { bus, order, stop } = scene();
  bus.deliver(subjects.order("n1", "profile"), encodeProfileOrder({ kind: "take", forMs: 100 }));
  t.is(refusalIn(await order({ kind: "take", forMs: 10 })), "overloaded");
  await bus.until("reply", 2);
  stop();
  t.pass();
});

test.serial("a piece of a profile that is not here, and an order that is none, are refused by name", async (t) => {
  const { bus, order, stop } = scene();
  t.is(refusalIn(await order({ kind: "piece", id: "elsewhere", index: 0 })), "bad_request");
  bus.deliver(subjects.order("n1", "profile"), new Uint8Array([1, 2, 3]));
  await bus.until("reply", 2);
  t.is(refusalIn(bus.published[1]?.data ?? new Uint8Array()), "bad_request");
  stop();
  t.false(bus.deliver(subjects.order("n1", "profile"), encodeProfileOrder({ kind: "take", forMs: 1 })));
});
