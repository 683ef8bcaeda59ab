// Substrate: a virtual clock, and a list instead of the init system's socket.
import test from "ava";
import { silentLogger } from "../../supervision/logger.js";
import { feedEveryMs, initSystemOf } from "../../supervision/process/init-system.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";

function heardBy(environment: Record<string, string>, refuse: (words: readonly string[]) => boolean = () => false) {
  const clock = new VirtualClock();
  const heard: string[] = [];
  const send = async (words: readonly string[]): Promise<void> => {
    if (refuse(words)) throw new Error("no socket");
    heard.push(words[0] ?? "");
  };
  const parts = { clock, log: silentLogger, pid: 7, sendWithinMs: 1_000 };
  return { clock, heard, initSystem: initSystemOf(environment, parts, send) };
}

test("without a socket in the environment nobody is told anything", async (t) => {
  const { initSystem, heard, clock } = heardBy({ WATCHDOG_USEC: "3000000" });
  initSystem.ready("serving");
  await initSystem.stopping();
  await clock.advance(10_000);
  t.deepEqual(heard, []);
});

test("ready and stopping are said once each, in that order, and a watchdog is fed three times in its period (S1-101)", async (t) => {
  const { initSystem, heard, clock } = heardBy({
    NOTIFY_SOCKET: "/run/x",
    WATCHDOG_USEC: "3000000",
    WATCHDOG_PID: "7",
  });
  initSystem.ready("serving");
  await clock.advance(3_000);
  await initSystem.stopping();
  t.is(heard[0], "READY=1");
  t.is(heard.at(-1), "STOPPING=1");
  const feeds = heard.filter((word) => word === "WATCHDOG=1").length;
  t.true(feeds >= 3 && feeds <= 4, `${feeds}`);
  t.is(heard.length, feeds + 2);
});

test("a watchdog of another process is not fed, and one word that is not taken keeps no later one back", async (t) => {
  t.is(feedEveryMs({ WATCHDOG_USEC: "3000000", WATCHDOG_PID: "8" }, 7), undefined);
  t.is(feedEveryMs({ WATCHDOG_USEC: "3000000" }, 7), 1_000);
  t.is(feedEveryMs({}, 7), undefined);
  t.is(feedEveryMs({ WATCHDOG_USEC: "nonsense" }, 7), undefined);
  const { initSystem, heard } = heardBy({ NOTIFY_SOCKET: "/run/x" }, ([word]) => word === "READY=1");
  initSystem.ready("serving");
  await initSystem.stopping();
  t.deepEqual(heard, ["STOPPING=1"]);
});
