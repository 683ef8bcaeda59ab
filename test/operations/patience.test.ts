// How long an orderly end is waited for.

import test from "ava";
import { drainWithin, patience } from "../../operations/cluster/patience.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";

const never = new Promise<void>(() => undefined);

test("(S2-11) what is finished within the grace time has drained", async (t) => {
  const clock = new VirtualClock();
  const ending = drainWithin(clock.delay(99), patience(clock, 100, undefined));
  await clock.advance(100);
  t.is(await ending, "drained");
});

test("(S2-11) the grace time ends the wait, and so does whoever insists", async (t) => {
  const clock = new VirtualClock();
  const late = drainWithin(never, patience(clock, 100, undefined));
  await clock.advance(100);
  t.is(await late, "forced");
  const insisted = new AbortController();
  const cut = drainWithin(never, patience(clock, 100, insisted.signal));
  insisted.abort();
  t.is(await cut, "forced");
  t.is(await drainWithin(never, patience(clock, 100, insisted.signal)), "forced", "insisted on before it began");
});

test("a drain that fails after it was cut short is not an unhandled failure, and one that fails in time is the caller's", async (t) => {
  const clock = new VirtualClock();
  const insisted = new AbortController();
  let fail: (error: Error) => void = () => undefined;
  const drain = new Promise<void>((_, reject) => {
    fail = reject;
  });
  const cut = drainWithin(drain, patience(clock, 100, insisted.signal));
  insisted.abort();
  t.is(await cut, "forced");
  fail(new Error("too late to matter"));
  await t.throwsAsync(drainWithin(Promise.reject(new Error("in time")), patience(clock, 100, undefined)));
});
