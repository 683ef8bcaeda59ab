// Request and reply: one outcome for every ask, as soon as it is certain.

import test from "ava";
import { AskError, ask, type ReplyTo } from "../../supervision/actor/ask.js";
import type { Ref } from "../../supervision/actor/ref.js";
import { systemClock } from "../../supervision/clock.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import { actor, deferred, smallTree } from "./small-tree.js";

interface Question {
  readonly kind: "question";
  readonly text: string;
  readonly reply: ReplyTo<string>;
}

const patient = { clock: systemClock, deadlineMs: 60_000 };
const question = (text: string) => (reply: ReplyTo<string>) => ({ kind: "question" as const, text, reply });

async function failureOf(asked: Promise<unknown>): Promise<string> {
  return asked.then(
    () => "answered",
    (error: unknown) => (error instanceof AskError ? error.failure.kind : "another error"),
  );
}

test("an ask resolves with the answer, and ids count up", async (t) => {
  const ids: number[] = [];
  const { tree } = await smallTree([
    actor<Question>("echo", {
      receive: (_state, { text, reply }, turn) => {
        ids.push(reply.id);
        turn.onCommit(() => reply.answer(text));
      },
    }),
  ]);
  const echo = tree.ref<Question>("echo");
  t.deepEqual(await Promise.all(["a", "b", "c"].map((text) => ask(echo, question(text), patient))), ["a", "b", "c"]);
  const [first = 0] = ids;
  t.deepEqual(ids, [first, first + 1, first + 2]);
  await tree.stop();
});

test("an ask fails at once with the cause when the target crashes on it, and is not delivered again", async (t) => {
  let deliveries = 0;
  const { tree, events } = await smallTree([
    actor<Question>("crashing", {
      receive: () => {
        deliveries += 1;
        throw new Error("no such thing");
      },
    }),
  ]);
  const error = await t.throwsAsync(ask(tree.ref<Question>("crashing"), question("a"), patient), {
    instanceOf: AskError,
  });
  t.is(error.message, 'ask of "crashing" failed: it crashed: no such thing');
  await events.started("crashing", 2);
  t.is(deliveries, 1);
  await tree.stop();
});

test("an ask survives a kill of its target: the next incarnation answers", async (t) => {
  const begun = deferred();
  const { tree } = await smallTree([
    actor<Question>("killed", {
      receive: async (_state, { reply }, turn) => {
        begun.resolve();
        if (turn.incarnation === 1) await new Promise(() => undefined);
        turn.onCommit(() => reply.answer(`incarnation ${turn.incarnation}`));
      },
    }),
  ]);
  const asked = ask(tree.ref<Question>("killed"), question("a"), patient);
  await begun.promise;
  await tree.kill("killed", "kill");
  t.is(await asked, "incarnation 2");
  await tree.stop();
});

test("an ask of a full or dead actor, or one whose asker ends, fails at once", async (t) => {
  const gate = deferred();
  const { tree } = await smallTree([actor<Question>("stuck", { receive: () => gate.promise }, { mailboxMax: 1 })]);
  const stuck = tree.ref<Question>("stuck");
  const asker = new AbortController();
  const abandoned = failureOf(ask(stuck, question("a"), { ...patient, signal: asker.signal }));
  t.is(await failureOf(ask(stuck, question("b"), patient)), "full");
  asker.abort();
  t.is(await abandoned, "abandoned");
  gate.resolve();
  await tree.stop();
  t.is(await failureOf(ask(stuck, question("c"), patient)), "dead");
});

test("asks still queued when their actor ends for good fail as dead", async (t) => {
  const { tree } = await smallTree([
    actor<Question>("ending", { receive: (_state, _message, turn) => turn.exit() }, { restart: "transient" }),
  ]);
  const ending = tree.ref<Question>("ending");
  const outcomes = ["a", "b"].map((text) => failureOf(ask(ending, question(text), { ...patient, deadlineMs: 1_000 })));
  t.is(await outcomes[1], "dead");
  await tree.stop();
});

test("an ask fails at its deadline, and a later answer is ignored", async (t) => {
  const clock = new VirtualClock();
  const replies: ReplyTo<string>[] = [];
  const silent: Ref<Question> = {
    path: (await smallTree([actor("any")])).tree.ref("any").path,
    tell: ({ reply }) => {
      replies.push(reply);
      return "ok";
    },
  };
  const outcome = failureOf(ask(silent, question("a"), { clock, deadlineMs: 50 }));
  await clock.advance(50);
  t.is(await outcome, "deadline");
  t.is(replies[0]?.deadlineAtMs, 50);
  t.notThrows(() => replies[0]?.answer("too late"));
});

test("asks of equal patience end in order at their own deadlines, and none leaves a timer behind", async (t) => {
  let timers = 0;
  class CountingClock extends VirtualClock {
    override after(ms: number, run: () => void): () => void {
      timers += 1;
      const cancel = super.after(ms, () => {
        timers -= 1;
        run();
      });
      return () => {
        timers -= 1;
        cancel();
      };
    }
  }
  const clock = new CountingClock();
  const replies: ReplyTo<string>[] = [];
  const { tree } = await smallTree([actor("any")]);
  const silent: Ref<Question> = {
    path: tree.ref("any").path,
    tell: ({ reply }) => {
      replies.push(reply);
      return "ok";
    },
  };
  const ended: string[] = [];
  const begin = (name: string): void => {
    void failureOf(ask(silent, question(name), { clock, deadlineMs: 50 })).then((kind) =>
      ended.push(`${name} ${kind}`),
    );
  };
  begin("a");
  await clock.advance(20);
  begin("b");
  begin("c");
  t.is(timers, 1);
  replies[1]?.answer("in time");
  await clock.advance(30);
  t.deepEqual(ended, ["b answered", "a deadline"]);
  await clock.advance(19);
  t.is(ended.length, 2);
  await clock.advance(1);
  t.deepEqual(ended, ["b answered", "a deadline", "c deadline"]);
  t.is(timers, 0);
  await tree.stop();
});
