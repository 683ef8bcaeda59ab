// The broker's pulse on a clock of its own: who is deaf, and when it may be killed for it.

import test from "ava";
import { feelPulse } from "../../operations/broker/broker-pulse.js";
import { silentLogger } from "../../supervision/logger.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";

type Pulse = "well" | "deaf" | "silent";

function scene() {
  const clock = new VirtualClock();
  const state = { pulse: "well" as Pulse, hasRoom: true, kills: 0 };
  const events: string[] = [];
  const ending = new AbortController();
  const felt = feelPulse(
    {
      broker: {
        pulse: async () => state.pulse,
        hasRoom: async () => state.hasRoom,
        kill: () => {
          state.kills += 1;
          state.pulse = "silent";
        },
      },
      clock,
      log: silentLogger,
      telemetry: { event: (kind, _origin, items) => events.push(`${kind} ${items()[0]?.cause}`) },
    },
    ending.signal,
  );
  const end = async (): Promise<void> => {
    ending.abort();
    await felt;
  };
  return { clock, state, events, end };
}

test("(S2-15) a deaf broker is killed once there is room on its disk, and not before", async (t) => {
  const { clock, state, events, end } = scene();
  Object.assign(state, { pulse: "deaf", hasRoom: false });
  await clock.advance(30_000);
  t.is(state.kills, 0);
  t.deepEqual(events, ["log_backpressure the disk is full"]);
  state.hasRoom = true;
  await clock.advance(2_000);
  t.is(state.kills, 1);
  state.pulse = "well";
  await clock.advance(2_000);
  t.deepEqual(events, ["log_backpressure the disk is full", "log_flows JetStream answers again"]);
  await end();
});

test("a broker that is stopped, dead or slow for a moment is left alone", async (t) => {
  const { clock, state, events, end } = scene();
  state.pulse = "silent";
  await clock.advance(60_000);
  for (let time = 0; time < 5; time += 1) {
    state.pulse = "deaf";
    await clock.advance(1_500);
    state.pulse = "well";
    await clock.advance(1_500);
  }
  t.is(state.kills, 0);
  t.deepEqual(events, []);
  await end();
});

test("what comes after a deaf broker is heard as patiently: a moment's deafness of it is no reason to kill it too", async (t) => {
  const { clock, state, events, end } = scene();
  state.pulse = "deaf";
  await clock.advance(3_500);
  t.is(state.kills, 1);
  state.pulse = "deaf";
  await clock.advance(1_500);
  t.is(state.kills, 1);
  state.pulse = "well";
  await clock.advance(1_000);
  t.deepEqual(events, ["log_backpressure JetStream does not answer", "log_flows JetStream answers again"]);
  await end();
});
