// The watch over an embedded broker: it comes back after a death, but not for ever.

import test from "ava";
import { superviseBroker } from "../../operations/broker/broker-watch.js";
import { silentLogger } from "../../supervision/logger.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import type { Broker, BrokerExit } from "../../transport/server/broker.js";

const crashed: BrokerExit = { code: 1, signal: null, lastWords: "" };
const killed: BrokerExit = { code: 137, signal: null, lastWords: "" };

/** A broker whose deaths are a test's to decide. */
class FakeBroker implements Broker {
  readonly url = "nats://127.0.0.1:1";
  readonly monitorUrl = "http://127.0.0.1:2";
  readonly logFile = "/nowhere/server.log";
  pid = 1;
  alive = true;
  starts = 0;
  /** Awaited by each restart. */
  starting: () => Promise<void> = async () => undefined;
  readonly #listeners = new Set<(exit: BrokerExit) => void>();

  onExit(listener: (exit: BrokerExit) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async restart(): Promise<void> {
    await this.starting();
    this.starts += 1;
    this.alive = true;
  }

  kills = 0;

  kill(): void {
    if (!this.alive) return;
    this.kills += 1;
    this.die(killed);
  }

  stop = async (): Promise<void> => undefined;
  hasRoom = async (): Promise<boolean> => true;
  pulse = async (): Promise<"well"> => "well";

  die(exit: BrokerExit = crashed): void {
    this.alive = false;
    for (const listener of this.#listeners) listener(exit);
  }
}

function scene() {
  const clock = new VirtualClock();
  const broker = new FakeBroker();
  const watch = superviseBroker(broker, { clock, random: () => 1, log: silentLogger });
  const back = async (): Promise<void> => {
    const { starts } = broker;
    for (let step = 0; step < 60 && broker.starts === starts; step += 1) await clock.advance(100);
  };
  return { clock, broker, watch, back };
}

test("a broker that dies is started again at once, and later after a growing wait", async (t) => {
  const { clock, broker, watch } = scene();
  broker.die();
  t.false(watch.alive);
  await clock.advance(0);
  t.is(broker.starts, 1);
  t.is(watch.restarts, 1);
  const waits: number[] = [];
  for (let death = 2; death <= 6; death += 1) {
    broker.die();
    const diedAtMs = clock.monotonicMs();
    while (broker.starts < death) await clock.advance(5);
    waits.push(clock.monotonicMs() - diedAtMs);
  }
  t.deepEqual(waits, [5, 10, 20, 40, 80]);
});

test("a broker that somebody killed is started again at once, however often, as long as the budget lasts", async (t) => {
  const { clock, broker } = scene();
  for (let death = 1; death <= 10; death += 1) {
    broker.die(killed);
    await clock.advance(0);
    t.is(broker.starts, death);
  }
});

test("a broker that ran for long is healthy again: its next death costs no wait", async (t) => {
  const { clock, broker, back } = scene();
  for (let death = 0; death < 5; death += 1) {
    broker.die();
    await back();
  }
  await clock.advance(10_000);
  broker.die();
  await clock.advance(0);
  t.is(broker.starts, 6);
});

test("the 21st death within a minute is given up, and says so", async (t) => {
  const { clock, broker, watch, back } = scene();
  for (let death = 0; death < 20; death += 1) {
    broker.die();
    await back();
  }
  t.is(broker.starts, 20);
  t.true(clock.monotonicMs() < 60_000);
  broker.die();
  t.regex((await watch.failed).message, /more than 20 times/);
  await clock.advance(60_000);
  t.is(broker.starts, 20, "and it is not started again");
});

test("a broker that does not come back is a failure, with its cause", async (t) => {
  const { clock, broker, watch } = scene();
  broker.starting = () => Promise.reject(new Error("the store is busy"));
  broker.die();
  await clock.advance(0);
  t.is((await watch.failed).message, "the store is busy");
});

test("a watch that was released starts nothing, also when a restart was due", async (t) => {
  const { clock, broker, watch } = scene();
  broker.die();
  await clock.advance(0);
  broker.die();
  watch.release();
  await clock.advance(10_000);
  t.is(broker.starts, 1);
  broker.die();
  await clock.advance(10_000);
  t.is(broker.starts, 1);
});

test("a strike kills the server and is over when the broker is back", async (t) => {
  const { clock, broker, watch } = scene();
  const struck = watch.strike();
  t.false(broker.alive);
  await clock.advance(100);
  const { detectMs, repairMs } = await struck;
  t.true(0 <= detectMs && detectMs <= repairMs && repairMs <= 100);
  t.true(broker.alive);
  t.is(watch.restarts, 1);
  t.is(watch.lastExit, "signal SIGKILL");
});

test("a strike at a broker that is dead already kills nobody: its process id may be another's by now", async (t) => {
  const { clock, broker, watch } = scene();
  broker.die();
  const struck = watch.strike();
  t.is(broker.kills, 0);
  await clock.advance(100);
  t.true((await struck).detectMs >= 0);
  t.is(watch.restarts, 1);
});

test("somebody else's server is not watched and cannot be struck", async (t) => {
  const watch = superviseBroker(undefined, { clock: new VirtualClock(), random: () => 0, log: silentLogger });
  t.like(watch, { pid: undefined, alive: true, restarts: 0 });
  await t.throwsAsync(watch.strike(), { message: /somebody else/ });
});
