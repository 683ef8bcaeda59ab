// Substrate: a virtual clock. The ledgers of faults and of schedules.
import test from "ava";
import { RunningSchedules } from "../../operations/faults/running-schedules.js";
import { FaultLedger } from "../../supervision/faults/fault-ledger.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";

const hang = { node: "n1", target: "digits/voter", mode: "hang", forMs: 1_000, by: "operator" } as const;
const kill = { node: "n1", target: "n1", mode: "sigkill", forMs: undefined } as const;

test("a fault that lasts is gone from the ledger with its time, though nobody takes it out", async (t) => {
  const clock = new VirtualClock();
  const ledger = new FaultLedger("n1.1", clock);
  ledger.enter(hang);
  t.like(ledger.active, [{ id: "n1.1.1", target: "digits/voter", mode: "hang", by: "operator" }]);
  const [fault] = ledger.active;
  t.is((fault?.endsAtMs ?? 0) - (fault?.beganAtMs ?? 0), 1_000);
  await clock.advance(999);
  t.is(ledger.active.length, 1);
  await clock.advance(1);
  t.deepEqual(ledger.active, []);
});

test("a kill stands until its target is mended", async (t) => {
  const clock = new VirtualClock();
  const ledger = new FaultLedger("root", clock);
  const entry = ledger.enter(kill);
  await clock.advance(60_000);
  t.like(ledger.active, [{ mode: "sigkill", endsAtMs: null }]);
  entry.leave();
  t.deepEqual(ledger.active, []);
});

test("halting ends what lasts and counts it; a kill cannot be taken back", (t) => {
  const ledger = new FaultLedger("root", new VirtualClock());
  const lasting = ledger.enter(hang);
  const once = ledger.enter(kill);
  t.is(ledger.halt(), 1);
  t.true(lasting.halted.aborted);
  t.false(once.halted.aborted);
  t.is(ledger.active.length, 1);
  t.is(ledger.halt(), 0);
});

test("what was wrong inside a node ends with it, what was done to the whole of it does not", (t) => {
  const ledger = new FaultLedger("root", new VirtualClock());
  ledger.enter(hang);
  ledger.enter(kill);
  ledger.enter({ ...hang, node: "n2" });
  ledger.leaveNode("n1");
  t.deepEqual(
    ledger.active.map(({ node, target }) => `${node} ${target}`),
    ["n1 n1", "n2 digits/voter"],
  );
});

test("a schedule lives as long as its program says so, and not after it was halted", async (t) => {
  const clock = new VirtualClock();
  const schedules = new RunningSchedules(clock);
  t.true(schedules.keep("a", 1_000, "operator"));
  await clock.advance(900);
  t.true(schedules.keep("a", 1_000, "operator"));
  await clock.advance(900);
  t.like(schedules.active, [{ id: "a", by: "operator" }]);
  await clock.advance(100);
  t.deepEqual(schedules.active, []);
  t.true(schedules.keep("b", 1_000, undefined));
  t.is(schedules.halt(), 1);
  t.false(schedules.keep("b", 1_000, undefined));
  t.true(schedules.keep("c", 1_000, undefined));
  schedules.release("c");
  t.is(schedules.halt(), 0);
});

test("a schedule whose program is gone is forgotten with the next word of another, though nobody looks", async (t) => {
  const clock = new VirtualClock();
  const schedules = new RunningSchedules(clock);
  const beganAtMs = clock.nowMs();
  schedules.keep("a", 1_000, undefined);
  await clock.advance(2_000);
  schedules.keep("b", 1_000, undefined);
  schedules.keep("a", 1_000, undefined);
  t.is(schedules.active.find(({ id }) => id === "a")?.beganAtMs, beganAtMs + 2_000, "it is another run");
});
