// Turns that begin before the event loop goes on: which ones, how many, and that sockets and timers get their time all the same.

import { createConnection, createServer } from "node:net";
import { setImmediate as eventLoopTurn } from "node:timers/promises";
import test from "ava";
import { Pace, soonMax, soonMs } from "../../supervision/actor/pace.js";
import type { Ref } from "../../supervision/actor/ref.js";
import { systemClock } from "../../supervision/clock.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import { actor, deferred, smallTree } from "./small-tree.js";

function scene(turnTakesMs: number) {
  const clock = new VirtualClock();
  const waiting: (() => void)[] = [];
  const pace = new Pace(clock, (begin) => waiting.push(begin));
  /** How many of `asked` turns begin. */
  const begun = async (asked: number): Promise<number> => {
    let count = 0;
    for (let each = 0; each < asked; each += 1) {
      let passing = Promise.resolve();
      pace.run(() => {
        count += 1;
        passing = clock.advance(turnTakesMs);
      });
      await passing;
    }
    return count;
  };
  return { pace, waiting, begun };
}

test("of one round of the event loop a bounded number of turns begins at once, and the next round has a share of its own", async (t) => {
  const { begun, waiting } = scene(0);
  t.is(await begun(100), soonMax);
  t.is(waiting.length, 1, "the loop is asked once a round");
  t.is(await begun(100), 0);
  for (const begin of waiting.splice(0)) begin();
  t.is(await begun(3), 3);
  t.is(waiting.length, 1);
});

test("turns that take long use their round up by the time they took", (t) => {
  let nowMs = 0;
  const pace = new Pace({ ...systemClock, monotonicMs: () => nowMs }, () => undefined);
  let count = 0;
  const turn = (): void => {
    count += 1;
    nowMs += soonMs / 2;
  };
  while (pace.run(turn)) nowMs += 1_000;
  t.is(count, 2, "what passes between them is not theirs");
});

/** Two actors that tell each other the same ball, `times` over. */
async function players(times: number, played: () => void) {
  let left = times;
  const refs: Ref<string>[] = [];
  const player = (id: string, other: number) =>
    actor<string>(id, {
      receive: (_state, ball, turn) => {
        left -= 1;
        const to = refs[other];
        if (left > 0 && to !== undefined) turn.send(to, ball);
        else turn.onCommit(played);
      },
    });
  const { tree } = await smallTree([player("ping", 1), player("pong", 0)]);
  refs.push(tree.ref("ping"), tree.ref("pong"));
  return { tree, serve: () => refs[0]?.tell("ball") };
}

test("actors that tell each other without end starve no socket and no timer (law 9)", async (t) => {
  const server = createServer((socket) => socket.pipe(socket)).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("no port");
  const socket = createConnection(address.port, "127.0.0.1");
  await new Promise((resolve) => socket.once("connect", resolve));
  const { tree, serve } = await players(Number.POSITIVE_INFINITY, () => undefined);
  serve();
  for (let round = 0; round < 20; round += 1) {
    const echoed = new Promise((resolve) => socket.once("data", resolve));
    socket.write("ball");
    await echoed;
    await systemClock.delay(1);
  }
  await tree.stop();
  socket.destroy();
  server.close();
  t.pass();
});

test("of 10,000 turns in a chain the event loop has its say after every few; control: without a bound, not once", async (t) => {
  const total = 10_000;
  const done = deferred();
  const { tree, serve } = await players(total, done.resolve);
  let rounds = 0;
  const count = (): void => {
    rounds += 1;
    counting = setImmediate(count);
  };
  let counting = setImmediate(count);
  serve();
  await done.promise;
  t.true(rounds >= total / (soonMax + 2) - 1, `${rounds} rounds`);
  await tree.stop();
  const before = rounds;
  let left = total;
  const unbounded = deferred();
  const next = (): void => {
    left -= 1;
    if (left === 0) unbounded.resolve();
    else void Promise.resolve().then(next);
  };
  next();
  await unbounded.promise;
  t.is(rounds, before);
  clearImmediate(counting);
});

test("one message to an idle actor, and what its turn sends, is handled before the event loop goes on", async (t) => {
  const handled: string[] = [];
  let second: Ref<string> | undefined;
  const { tree } = await smallTree([
    actor<string>("first", {
      receive: (_state, message, turn) => {
        handled.push(`first ${message}`);
        if (second !== undefined) turn.send(second, message);
      },
    }),
    actor<string>("second", { receive: (_state, message) => void handled.push(`second ${message}`) }),
  ]);
  second = tree.ref<string>("second");
  await eventLoopTurn();
  let looped = false;
  const watch = setImmediate(() => {
    looped = true;
  });
  tree.ref<string>("first").tell("a");
  t.deepEqual(handled, [], "but not inside of `tell`");
  for (let hop = 0; hop < 20; hop += 1) await Promise.resolve();
  t.deepEqual(handled, ["first a", "second a"]);
  t.false(looped);
  clearImmediate(watch);
  await tree.stop();
});

test("several that are told together wait for the loop, so that a batch is as large as the loop makes it", async (t) => {
  const batches: number[] = [];
  const { tree } = await smallTree([
    {
      id: "batching",
      restart: "permanent",
      behaviour: () => ({
        batchMax: 64,
        init: () => undefined,
        receiveBatch: (_state: unknown, messages: readonly string[]) => void batches.push(messages.length),
      }),
    },
  ]);
  await eventLoopTurn();
  const ref = tree.ref<string>("batching");
  ref.tell("a");
  ref.tell("b");
  for (let hop = 0; hop < 20; hop += 1) await Promise.resolve();
  t.deepEqual(batches, []);
  ref.tell("c");
  for (let round = 0; round < 3; round += 1) await eventLoopTurn();
  t.deepEqual(batches, [3]);
  await tree.stop();
});

test("a turn that was to begin at once belongs to its incarnation: killed before, its message goes to the next one (law 5)", async (t) => {
  const handled: string[] = [];
  const { tree, events } = await smallTree([
    actor<string>("busy", {
      receive: (_state, message, turn) => void handled.push(`${message} ${turn.incarnation}`),
    }),
  ]);
  await eventLoopTurn();
  const told = tree.ref<string>("busy").tell("a");
  const killed = tree.kill("busy", "kill");
  t.is(told, "ok");
  await killed;
  await events.started("busy", 2);
  await eventLoopTurn();
  await eventLoopTurn();
  t.deepEqual(handled, ["a 2"]);
  await tree.stop();
});
