// Which silence is a death, and which is the listener's own. Substrate: a virtual clock.

import test from "ava";
import { AccrualDetector } from "../../supervision/process/accrual-detector.js";
import { type Beating, HeartbeatWatch, heartbeat, watchSettings } from "../../supervision/process/heartbeat-watch.js";
import { beatMs } from "../../supervision/process/parent-watch.js";
import { waitedForCpuMs } from "../../supervision/process/run-queue.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";

/** Time that can be taken away from whoever waits on it, as a stopped process loses it. */
class SleepyClock extends VirtualClock {
  #sleptMs = 0;

  override monotonicMs(): number {
    return super.monotonicMs() + this.#sleptMs;
  }

  sleep(ms: number): void {
    this.#sleptMs += ms;
  }
}

function scene() {
  const clock = new SleepyClock();
  const deaths: { readonly name: string; readonly why: string; readonly silentMs: number; readonly atMs: number }[] =
    [];
  const beating = new Map<string, Beating>();
  const watch = new HeartbeatWatch(clock, () => beating.values());
  void watch.run();
  const process = (name: string) => {
    const pulse = new AccrualDetector(heartbeat);
    const declareDead = (why: string, silentMs: number): void => {
      deaths.push({ name, why, silentMs, atMs: clock.monotonicMs() });
      beating.delete(name);
    };
    let starvedMs = 0;
    beating.set(name, { pulse, declareDead, starvedMs: () => starvedMs });
    let isSilent = false;
    const beat = (): void => {
      if (!isSilent) pulse.heard(clock.monotonicMs());
      clock.after(beatMs, beat);
    };
    return {
      beginToBeat: beat,
      fallSilent: () => {
        isSilent = true;
      },
      starve: (ms: number) => {
        starvedMs = ms;
      },
      wake: () => {
        isSilent = false;
        pulse.heard(clock.monotonicMs());
      },
    };
  };
  return { clock, deaths, watch, process };
}

test("a process that falls silent is declared dead within 5 s, with its silence and phi; the others are not (S0-41) (S2-37)", async (t) => {
  const { clock, deaths, watch, process } = scene();
  const [hung, well] = [process("hung"), process("well")];
  for (const each of [hung, well]) each.beginToBeat();
  await clock.advance(20_000);
  hung.fallSilent();
  await clock.advance(60_000);
  watch.stop();
  t.is(deaths.length, 1);
  const [death] = deaths;
  t.is(death?.name, "hung");
  t.regex(death?.why ?? "", /^no heartbeat for \d+ ms \(phi \d+\.\d\)$/);
  t.true((death?.silentMs ?? 0) > 3_500 && (death?.silentMs ?? 0) <= 5_000, `${death?.silentMs}`);
});

test("a pause of 1.5 s is not a death, however often it comes (S0-41)", async (t) => {
  const { clock, deaths, watch, process } = scene();
  const slow = process("slow");
  slow.beginToBeat();
  for (let pause = 0; pause < 20; pause += 1) {
    await clock.advance(5_000);
    slow.fallSilent();
    await clock.advance(1_500);
    slow.wake();
  }
  watch.stop();
  t.deepEqual(deaths, []);
});

test("a listener that slept itself holds its sleep against nobody, and finds a silence that goes on (S0-41)", async (t) => {
  const { clock, deaths, watch, process } = scene();
  const [hung, well] = [process("hung"), process("well")];
  for (const each of [hung, well]) each.beginToBeat();
  await clock.advance(10_000);
  hung.fallSilent();
  clock.sleep(600_000);
  await clock.advance(watchSettings.lookMs);
  t.deepEqual(deaths, [], "ten minutes of its own sleep");
  await clock.advance(6_000);
  watch.stop();
  t.deepEqual(
    deaths.map(({ name }) => name),
    ["hung"],
  );
});

test("control: without the excuse, a listener that slept declares everybody dead", (t) => {
  const pulse = new AccrualDetector(heartbeat);
  for (let beat = 0; beat < 10; beat += 1) pulse.heard(beat * beatMs);
  t.true(pulse.suspicion(9 * beatMs + 600_000) >= watchSettings.threshold);
});

test("a process that never beat is never suspected", async (t) => {
  const { clock, deaths, watch, process } = scene();
  process("foreign");
  await clock.advance(600_000);
  watch.stop();
  t.deepEqual(deaths, []);
});

test("a process that waits for a processor is not taken for a hung one, but not excused for ever (S0-41)", async (t) => {
  const { clock, deaths, watch, process } = scene();
  const [starved, hung, hopeless] = [process("starved"), process("hung"), process("hopeless")];
  for (const each of [starved, hung, hopeless]) each.beginToBeat();
  await clock.advance(10_000);
  for (const each of [starved, hung, hopeless]) each.fallSilent();
  starved.starve(9_000);
  hung.starve(100);
  hopeless.starve(3_600_000);
  await clock.advance(10_000);
  const names = () => deaths.map(({ name }) => name);
  t.deepEqual(names(), ["hung"]);
  starved.starve(0);
  starved.wake();
  await clock.advance(40_000);
  watch.stop();
  t.true(names().includes("hopeless"));
});

test("how long a process waited for a processor is read from the system, and of one that is gone nothing is known", (t) => {
  const waited = waitedForCpuMs(process.pid);
  t.true(waited === undefined || waited >= 0);
  t.is(waitedForCpuMs(2 ** 30), undefined);
});
