// The wait for streams, on a clock of its own: who is waited for, and what is said when there is no use.

import test from "ava";
import { streamsReady } from "../../operations/cluster/ready-streams.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import type { Unavailable } from "../../transport/log/jetstream.js";
import { timeoutDefaults } from "../../transport/timeouts.js";

function scene(why: (tries: number) => Unavailable["why"] | undefined) {
  const clock = new VirtualClock();
  const state = { tries: 0 };
  const ensure = async () => {
    state.tries += 1;
    const missing = why(state.tries);
    return missing === undefined ? ({ kind: "ready" } as const) : ({ kind: "unavailable", why: missing } as const);
  };
  const ready = streamsReady(ensure, { bus: { timeouts: timeoutDefaults }, clock, replicas: 3 });
  return { clock, state, ready };
}

test("servers that elect their leader are waited for, by a root as by a node", async (t) => {
  const { clock, state, ready } = scene((tries) => (tries < 20 ? "no_leader" : undefined));
  await clock.advance(10_000);
  await ready;
  t.is(state.tries, 20);
});

test("what waiting does not mend is said at once, with the flag it is about", async (t) => {
  const { state, ready } = scene(() => "not_clustered");
  await t.throwsAsync(ready, { name: "StreamsError", message: /--replicas 3 needs 3 nats-servers in one cluster/ });
  t.is(state.tries, 1);
});

test("the wait ends with the timeout election, and what is missing then is named", async (t) => {
  const { clock, ready } = scene(() => "too_few_servers");
  const failed = t.throwsAsync(ready, { name: "StreamsError", message: /fewer than 3 servers/ });
  await clock.advance(timeoutDefaults.election + 1_000);
  await failed;
});
