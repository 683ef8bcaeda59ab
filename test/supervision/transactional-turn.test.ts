// A turn leaves whole or not at all, and no accepted message is lost by it.
//
// Substrate: a real tree on the real clock, killed from its own event loop between turns and within them; what happens
// when is decided by seeds. The negative control takes redelivery away and must lose messages.

import { setImmediate as eventLoopTurn } from "node:timers/promises";
import test from "ava";
import { seededRandom } from "../../models/clock.js";
import { Mailbox } from "../../supervision/actor/mailbox.js";
import type { Ref } from "../../supervision/actor/ref.js";
import { systemClock } from "../../supervision/clock.js";
import type { ActorTree } from "../../supervision/tree/system.js";
import { actor, deferred, type EventLog, smallTree } from "./small-tree.js";

const messages = 5_000;
const killEveryMs = 2;

interface Pipeline {
  readonly tree: ActorTree;
  readonly events: EventLog;
  /** How often each message arrived at the end. */
  readonly arrivals: Uint8Array;
  readonly allArrived: Promise<void>;
}

/** worker (asynchronous, killed) -> sink (never killed). */
async function pipeline(seed: number): Promise<Pipeline> {
  const random = seededRandom(seed);
  const arrivals = new Uint8Array(messages);
  const all = deferred();
  let different = 0;
  const { tree, events } = await smallTree([
    actor<number>("sink", {
      receive: (_state, message) => {
        if (arrivals[message] === 0) different += 1;
        arrivals[message] = (arrivals[message] ?? 0) + 1;
        if (different === messages) all.resolve();
      },
    }),
    {
      id: "worker",
      restart: "permanent",
      behaviour: (refs) => ({
        init: (): Ref<number> => refs.ref<number>("sink"),
        receive: async (sink: Ref<number>, message: number, turn) => {
          turn.send(sink, message);
          if (random() < 0.9) await eventLoopTurn();
        },
      }),
    },
  ]);
  return { tree, events, arrivals, allArrived: all.promise };
}

/** Kills the worker again and again until `over`; what was lost by the receipts' account, and how many kills it took. */
async function killUntil(
  over: () => boolean,
  tree: ActorTree,
): Promise<{ kills: number; lost: number; redelivered: number }> {
  let [kills, lost, redelivered] = [0, 0, 0];
  while (!over()) {
    await systemClock.delay(killEveryMs);
    const receipt = await tree.kill("worker", "kill");
    kills += 1;
    lost += receipt.lost ?? Number.NaN;
    redelivered += receipt.redelivered ?? Number.NaN;
  }
  return { kills, lost, redelivered };
}

for (const seed of [7, 8, 9]) {
  test.serial(
    `an actor killed every few milliseconds loses none of 5,000 messages and sends none twice, seed ${seed}`,
    async (t) => {
      const { tree, arrivals, allArrived } = await pipeline(seed);
      let isOver = false;
      void allArrived.then(() => {
        isOver = true;
      });
      const worker = tree.ref<number>("worker");
      for (let message = 0; message < messages; message += 1) t.is(worker.tell(message), "ok");
      const { kills, lost, redelivered } = await killUntil(() => isOver, tree);
      await allArrived;
      t.is(lost, 0);
      t.true(kills > 3 && redelivered > 0, `${kills} kills met ${redelivered} messages in flight`);
      t.log(`${kills} kills, ${redelivered} messages redelivered`);
      t.true(arrivals.every((count) => count === 1));
      await tree.stop();
    },
  );
}

test.serial("control: if a discarded turn's messages count as handled, the same kills lose messages", async (t) => {
  const giveBack = Mailbox.prototype.giveBack;
  Mailbox.prototype.giveBack = function (this: Mailbox) {
    this.commit();
    return [];
  };
  t.teardown(() => {
    Mailbox.prototype.giveBack = giveBack;
  });
  const { tree, arrivals } = await pipeline(7);
  const worker = tree.ref<number>("worker");
  for (let message = 0; message < messages; message += 1) worker.tell(message);
  const { kills } = await killUntil(() => depthOf(tree, "worker") + depthOf(tree, "sink") === 0, tree);
  const lost = arrivals.filter((count) => count === 0).length;
  t.true(lost > 0, `${kills} kills lost ${lost} messages`);
  await tree.stop();
});

function depthOf(tree: ActorTree, name: string): number {
  return tree.tree().children.find((child) => child.name === name)?.mailbox?.depth ?? 0;
}

test("a turn that crashes sends nothing and runs no effect; its redelivery does both once", async (t) => {
  const sent: string[] = [];
  const done = deferred();
  let deliveries = 0;
  const { tree } = await smallTree([
    actor<string>("sink", {
      receive: (_state, message) => {
        sent.push(message);
        done.resolve();
      },
    }),
    {
      id: "once",
      restart: "permanent",
      behaviour: (refs) => ({
        init: () => undefined,
        receive: (_state, message: string, turn) => {
          turn.send(refs.ref<string>("sink"), `sent ${message}`);
          turn.onCommit(() => sent.push(`effect ${message}`));
          deliveries += 1;
          if (deliveries === 1) throw new Error("first delivery");
        },
      }),
    },
  ]);
  tree.ref<string>("once").tell("a");
  await done.promise;
  t.deepEqual(sent, ["effect a", "sent a"]);
  await tree.stop();
});

test("a turn's effects come first: what they publish is written before anybody is told, and before what is for afterwards; a crash has none of it", async (t) => {
  const order: string[] = [];
  const [told, over] = [deferred(), deferred()];
  let deliveries = 0;
  const { tree } = await smallTree([
    actor<string>("sink", {
      receive: () => {
        order.push("told");
        told.resolve();
      },
    }),
    {
      id: "once",
      restart: "permanent",
      behaviour: (refs) => ({
        init: () => undefined,
        receive: (_state, _message: string, turn) => {
          deliveries += 1;
          turn.afterwards(() => {
            order.push(`afterwards ${deliveries}`);
            over.resolve();
          });
          turn.send(refs.ref<string>("sink"), "a");
          // As the client library of the bus writes.
          turn.onCommit(() => queueMicrotask(() => order.push("written")));
          if (deliveries === 1) throw new Error("first delivery");
        },
      }),
    },
  ]);
  tree.ref<string>("once").tell("a");
  await Promise.all([told.promise, over.promise]);
  t.is(order[0], "written");
  t.deepEqual(order.slice(1).sort(), ["afterwards 2", "told"]);
  await tree.stop();
});

test("an effect that throws keeps nobody from being told, nor what is for afterwards, which may throw too: the incarnation has crashed", async (t) => {
  const [told, over] = [deferred(), deferred()];
  const { tree, events } = await smallTree([
    actor<string>("sink", { receive: () => told.resolve() }),
    {
      id: "clumsy",
      restart: "permanent",
      behaviour: (refs) => ({
        init: () => undefined,
        receive: (_state, message: string, turn) => {
          turn.send(refs.ref<string>("sink"), message);
          if (message === "effect") {
            turn.onCommit(() => {
              throw new Error("the effect");
            });
            turn.afterwards(over.resolve);
          } else
            turn.afterwards(() => {
              throw new Error("the rest");
            });
        },
      }),
    },
  ]);
  tree.ref<string>("clumsy").tell("effect");
  await Promise.all([told.promise, over.promise, events.started("clumsy", 2)]);
  tree.ref<string>("clumsy").tell("afterwards");
  await events.started("clumsy", 3);
  const causes = events.all.flatMap((event) => (event.kind === "crashed" ? [event.cause] : []));
  t.deepEqual(
    causes.map((cause) => /the \w+/.exec(cause)?.[0]),
    ["the effect", "the rest"],
  );
  await tree.stop();
});

test("what an ended incarnation still does is void: its late sends never leave (law 5)", async (t) => {
  const gate = deferred();
  const begun = deferred();
  const late = deferred();
  const sent: number[] = [];
  const { tree, events } = await smallTree([
    actor<number>("sink", { receive: (_state, message) => void sent.push(message) }),
    {
      id: "slow",
      restart: "permanent",
      behaviour: (refs) => ({
        init: () => undefined,
        receive: async (_state, _message: string, turn) => {
          if (turn.incarnation === 1) {
            begun.resolve();
            await gate.promise;
          }
          turn.send(refs.ref<number>("sink"), turn.incarnation);
          if (turn.incarnation === 1) late.resolve();
        },
      }),
    },
  ]);
  tree.ref<string>("slow").tell("a");
  await begun.promise;
  const receipt = await tree.kill("slow", "kill");
  await events.started("slow", 2);
  gate.resolve();
  await late.promise;
  for (let round = 0; round < 5; round += 1) await eventLoopTurn();
  t.deepEqual(sent, [2]);
  t.like(receipt, { generationBefore: 1, generationAfter: 2, inFlight: 1, redelivered: 1, lost: 0 });
  await tree.stop();
});

test("kills do not count against a message; maxDeliver crashes make it a dead letter with its cause", async (t) => {
  const letters: string[] = [];
  const buried = deferred();
  const begun: (() => void)[] = [];
  let mode: "wait" | "crash" = "wait";
  const { tree } = await smallTree([
    actor<string>(
      "poisoned",
      {
        receive: async () => {
          begun.shift()?.();
          if (mode === "crash") throw new Error("poison");
          await new Promise(() => undefined);
        },
      },
      { maxDeliver: 2 },
    ),
  ]);
  tree.onDeadLetter(({ to, message, reason, cause, deliveries }) => {
    letters.push(`${to} ${message} ${reason} ${deliveries}: ${cause}`);
    buried.resolve();
  });
  const first = deferred();
  begun.push(first.resolve);
  tree.ref<string>("poisoned").tell("a");
  await first.promise;
  for (let kill = 0; kill < 5; kill += 1) {
    const again = deferred();
    begun.push(again.resolve);
    if (kill === 4) mode = "crash";
    await tree.kill("poisoned", "kill");
    await again.promise;
  }
  await buried.promise;
  t.deepEqual(letters, ["poisoned a crashed 2: crash in turn: poison"]);
  await tree.stop();
});

test("a handler that did not wait for its own work is told so", async (t) => {
  const used = deferred<unknown>();
  const { tree } = await smallTree([
    actor<string>("hasty", {
      receive: (_state, _message, turn) => {
        setImmediate(() => {
          try {
            turn.onCommit(() => undefined);
          } catch (error) {
            used.resolve(error);
          }
        });
      },
    }),
  ]);
  tree.ref<string>("hasty").tell("a");
  t.regex(String(await used.promise), /onCommit after the turn of "hasty" committed/);
  await tree.stop();
});
