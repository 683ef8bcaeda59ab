// What nact 7.6.2 does on failure, and what the runtime does instead.
//
// Substrate: real nact, real clock. The negative controls run bare nact; when one of them fails, nact changed and a part of
// the runtime may have become unnecessary. Each pair names one row of the table in ARCHITECTURE.md.

import { setImmediate as eventLoopTurn } from "node:timers/promises";
import test from "ava";
import { dispatch, query, spawn, start, stop } from "nact";
import type { Ref } from "../../supervision/actor/ref.js";
import { actor, deferred, smallTree } from "./small-tree.js";

async function settle(): Promise<void> {
  for (let round = 0; round < 20; round += 1) await eventLoopTurn();
}

test("control: bare nact runs several handlers of one actor at once when it is reset while busy", async (t) => {
  const gate = deferred();
  let running = 0;
  const system = start();
  const work = async (_state: unknown, _message: string) => {
    running += 1;
    await gate.promise;
  };
  const crash = (_state: unknown, _message: string): void => {
    throw new Error("broken");
  };
  const busy = spawn(system, work, "busy");
  const sibling = spawn(system, crash, "sibling", { onCrash: (_message, _error, ctx) => ctx.resetAll });
  for (const message of ["a", "b", "c"]) dispatch(busy, message);
  await settle();
  t.is(running, 1);
  dispatch(sibling, "crash");
  await settle();
  t.is(running, 2, "the first handler has not returned yet");
  gate.resolve();
});

test("at most one turn of an incarnation is under way, however often it is killed", async (t) => {
  const running = new Map<number, number>();
  let most = 0;
  let begun = deferred();
  const { tree, events } = await smallTree([
    actor<string>("busy", {
      receive: async (_state, _message, turn) => {
        const now = (running.get(turn.incarnation) ?? 0) + 1;
        running.set(turn.incarnation, now);
        most = Math.max(most, now);
        begun.resolve();
        await eventLoopTurn();
        running.set(turn.incarnation, now - 1);
      },
    }),
  ]);
  const ref = tree.ref<string>("busy");
  for (let index = 0; index < 50; index += 1) ref.tell("work");
  for (let kill = 1; kill <= 5; kill += 1) {
    await begun.promise;
    await tree.kill("busy", "kill");
    begun = deferred();
    await events.started("busy", kill + 1);
  }
  await tree.stop();
  t.is(most, 1);
});

test("control: bare nact leaves the children of a stopped actor running", async (t) => {
  const heard: string[] = [];
  const parent = spawn(start(), (_state: unknown, _message: string) => undefined, "parent");
  const hear = (_state: unknown, message: string) => void heard.push(message);
  dispatch(spawn(parent, hear, "child"), "sent before the stop");
  stop(parent);
  await settle();
  t.deepEqual(heard, ["sent before the stop"]);
});

test("nothing below a stopped supervisor handles another message", async (t) => {
  const heard: string[] = [];
  const { tree } = await smallTree([
    {
      id: "group",
      strategy: "one_for_one",
      intensity: { restarts: 1, withinMs: 1_000 },
      children: [actor<string>("child", { receive: (_state, message) => void heard.push(message) })],
    },
  ]);
  const ref = tree.ref<string>("group/child");
  ref.tell("before");
  await tree.stop();
  await settle();
  t.deepEqual(heard, []);
  t.is(ref.tell("after"), "dead");
});

test("a handler that throws, a stop that throws and an effect that throws are crashes, never the end of the process", async (t) => {
  const { tree, events } = await smallTree([
    actor<"turn" | "effect">("fragile", {
      receive: (_state, message, turn) => {
        if (message === "turn") throw new Error("in the turn");
        turn.onCommit(() => {
          throw new Error("in the effect");
        });
      },
      stop: async () => {
        throw new Error("in stop");
      },
    }),
  ]);
  const ref = tree.ref<string>("fragile");
  ref.tell("effect");
  await events.started("fragile", 2);
  ref.tell("turn");
  await events.started("fragile", 5);
  t.deepEqual(
    events.all.flatMap((event) => (event.kind === "crashed" ? [event.cause] : [])),
    ["crash in commit: in the effect", ...Array(3).fill("crash in turn: in the turn")],
  );
  await tree.stop();
});

const quick = { initialMs: 1, factor: 2, maxMs: 4, jitter: 0, resetAfterMs: 60_000 };

test("an init that always throws is tried again with a growing backoff until the intensity is used up (S4-67)", async (t) => {
  let inits = 0;
  const started = smallTree(
    [
      actor("stillborn", {
        init: () => {
          inits += 1;
          throw new Error("no model");
        },
      }),
    ],
    { intensity: { restarts: 3, withinMs: 60_000 }, backoff: quick },
  );
  const error = await t.throwsAsync(started, { name: "EscalationError" });
  t.regex(error.message, /more than 3 restarts in 60000 ms; "stillborn" ended with crash in init: no model/);
  t.is(inits, 4);
});

test("control: an ask of bare nact learns nothing of a crash and waits for its timeout", async (t) => {
  const crash = (_state: unknown, _message: string): void => {
    throw new Error("broken");
  };
  const crashing = spawn(start(), crash, "crashing", { onCrash: (_message, _error, ctx) => ctx.resume });
  await t.throwsAsync(
    query(crashing, () => "question", 30),
    { message: "Query Timeout" },
  );
});

test("control: bare nact takes any number of messages, and those to a stopped actor in silence", async (t) => {
  let heard = 0;
  const counting = spawn(start(), (_state: unknown, _message: string) => void heard++, "counting");
  for (let index = 0; index < 20_000; index += 1) dispatch(counting, "x");
  stop(counting);
  dispatch(counting, "x");
  await settle();
  t.is(heard, 0, "20,001 messages were taken and none was handled or reported");
});

test("tell says full at the mailbox's bound and dead after the end (law 9)", async (t) => {
  const gate = deferred();
  const { tree } = await smallTree([actor<string>("bounded", { receive: () => gate.promise }, { mailboxMax: 3 })]);
  const ref = tree.ref<string>("bounded");
  t.deepEqual(
    ["a", "b", "c", "d"].map((message) => ref.tell(message)),
    ["ok", "ok", "ok", "full"],
  );
  gate.resolve();
  await tree.stop();
  t.is(ref.tell("e"), "dead");
});

test("refs are typed by what their actor receives", async (t) => {
  const { tree } = await smallTree([actor("any")]);
  const numbers: Ref<number> = tree.ref<number>("any");
  // @ts-expect-error A ref to an actor of numbers is no ref to an actor of strings.
  const strings: Ref<string> = numbers;
  const either: Ref<number | string> = tree.ref<number | string>("any");
  const narrower: Ref<number> = either;
  t.is(strings.path, narrower.path);
  await tree.stop();
});

test("a token of an ended incarnation does not reach the next one: every incarnation has its own name", async (t) => {
  const heard: number[] = [];
  const { tree, events } = await smallTree([
    actor<number>("named", { receive: (_state, _message, turn) => void heard.push(turn.incarnation) }),
  ]);
  tree.ref<number>("named").tell(1);
  await tree.kill("named", "kill");
  await events.started("named", 2);
  await settle();
  t.deepEqual(heard, [2]);
  await tree.stop();
});
