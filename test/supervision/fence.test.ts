// What an ended incarnation tells through the refs it held (law 5). Substrate: real trees.

import test from "ava";
import type { Ref, TellOutcome } from "../../supervision/actor/ref.js";
import { actor, deferred, smallTree } from "./small-tree.js";

test("a ref that an ended incarnation kept carries nothing, to others or to itself; the next one's does (law 5)", async (t) => {
  const got: string[] = [];
  const heard = deferred();
  const held: { readonly other: Ref<string>; readonly self: Ref<string> }[] = [];
  const sink = actor<string>("sink", {
    receive: (_state, message) => {
      got.push(message);
      if (message === "last") heard.resolve();
    },
  });
  const teller = actor<string>("teller", { receive: (_state, message) => void got.push(`to itself: ${message}`) });
  const { tree } = await smallTree([
    sink,
    {
      ...teller,
      behaviour: (refs) => ({
        init: ({ self }) => {
          held.push({ other: refs.ref<string>("sink"), self });
        },
        receive: (_state: unknown, message: string) => void got.push(`to itself: ${message}`),
      }),
    },
  ]);
  await tree.kill("teller", "kill");
  const [old, present] = held;
  t.is(old?.other.tell("from the dead"), "dead");
  t.is(old?.self.tell("from the dead"), "dead");
  t.is(present?.self.tell("alive"), "ok");
  t.is(present?.other.tell("first"), "ok");
  t.is(tree.ref<string>("sink").tell("last"), "ok", "a ref from outside belongs to no incarnation");
  await heard.promise;
  await tree.stop();
  t.deepEqual([...got].sort(), ["first", "last", "to itself: alive"]);
});

test("`stop` may still hand on what the incarnation holds", async (t) => {
  const handedOn = deferred<string>();
  const outcomes: TellOutcome[] = [];
  const sink = actor<string>("sink", { receive: (_state, message) => handedOn.resolve(message) });
  const { tree } = await smallTree([
    sink,
    {
      id: "teller",
      restart: "permanent",
      behaviour: (refs) => ({
        init: () => undefined,
        receive: () => undefined,
        stop: () => void outcomes.push(refs.ref<string>("sink").tell("handed on")),
      }),
    },
  ]);
  await tree.kill("teller", "crash");
  t.is(await handedOn.promise, "handed on");
  t.deepEqual(outcomes, ["ok"]);
  await tree.stop();
});
