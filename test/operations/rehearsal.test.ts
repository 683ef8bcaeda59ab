// A rehearsal of recovery does the real work, and leaves nothing behind: neither in what is folded later nor in the log.

import test from "ava";
import { seededRandom } from "../../models/clock.js";
import { type Learner, openLearner } from "../../models/learning/learner.js";
import { applyTask, checksum, foldExperience, sourcePolicy } from "../../models/policy/policy.js";
import { recoverForNothing, rehearseRecovery } from "../../operations/log/rehearsal.js";
import { MemoryStore } from "../actors/memory-store.js";
import { smallModel } from "../actors/small-node.js";
import { committedAll, learn, writingNode } from "../actors/writing-node.js";
import { answersOf, taskFor } from "../models/small-world.js";
import { wrapped } from "../writer/wrapped-store.js";

const learner = await openLearner("wasm");
const model = smallModel();

/** A policy after one step, from a log that follows from a seed. */
async function learned(): Promise<string> {
  const policy = sourcePolicy(model);
  const random = seededRandom(9);
  for (let seq = 1; seq <= 3; seq += 1)
    foldExperience(policy, seq, answersOf(model, [0, 1, 2, 0, 1, 2], random), model);
  await applyTask(policy, 1, taskFor({ seq: 3, index: 0 }), learner, model);
  return checksum(policy);
}

/** A learner that counts its gradients. */
function counting(onGradient: (count: number) => void): Learner {
  let gradients = 0;
  const headGradient: Learner["headGradient"] = (head, batch) => {
    gradients += 1;
    onGradient(gradients);
    return learner.headGradient(head, batch);
  };
  return { ...learner, headGradient };
}

test("what is learned after a rehearsal is what is learned without it, bit for bit (law 4)", async (t) => {
  const before = await learned();
  await rehearseRecovery(learner, model);
  t.is(await learned(), before);
});

test("a rehearsal computes a step for every task, and ends when it is not needed any more", async (t) => {
  let all = 0;
  const whole = counting((count) => {
    all = count;
  });
  await rehearseRecovery(whole, model);
  t.true(all > 60 && all <= 64, `${all}: a task that is refused before any arithmetic warms nothing up`);
  const over = new AbortController();
  let some = 0;
  const cut = counting((count) => {
    some = count;
    if (count === 3) over.abort();
  });
  await rehearseRecovery(cut, model, over.signal);
  t.is(some, 3);
});

test("a recovery for nothing folds the real log up to the end of its chain, and writes nothing (law 3)", async (t) => {
  const store = new MemoryStore(model);
  learn(model, store, 12);
  const { tree } = await writingNode(model, store);
  await committedAll(store);
  await tree.stop();
  const links = store.chain.lastSeq;
  const writes: string[] = [];
  const refuse = (what: string) => async (): Promise<never> => {
    writes.push(what);
    throw new Error(`a rehearsal wrote: ${what}`);
  };
  const guarded = wrapped(store, {
    commit: refuse("commit"),
    saveSnapshot: refuse("snapshot"),
    truncate: refuse("truncation"),
    enqueue: refuse("update"),
  });
  let steps = 0;
  const counted = counting((count) => {
    steps = count;
  });
  t.is(await recoverForNothing({ learner: counted, model, store: guarded, nowMs: () => 0 }), "recovered");
  t.true(steps > 0, "it did the work");
  t.deepEqual(writes, []);
  t.is(store.chain.lastSeq, links);
});

test("a log that gives other bits than its chain is no matter for a rehearsal: it is told, and nothing ends", async (t) => {
  const store = new MemoryStore(model);
  learn(model, store, 4);
  const { tree } = await writingNode(model, store);
  await committedAll(store);
  await tree.stop();
  const last = store.chain.entries.at(-1);
  if (last === undefined) return t.fail("nothing was committed");
  store.chain.append("damaged", { ...last, checksum: "0".repeat(64) });
  const outcome = await recoverForNothing({ learner, model, store, nowMs: () => 0 });
  t.regex(outcome instanceof Error ? outcome.message : outcome, /is not what was committed/);
});

test("a recovery for nothing that waits for the log ends when it is not needed any more", async (t) => {
  const store = new MemoryStore(model);
  learn(model, store, 4);
  const { tree } = await writingNode(model, store);
  await committedAll(store);
  await tree.stop();
  const over = new AbortController();
  let asked: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => {
    asked = resolve;
  });
  const silent = wrapped(store, {
    async *updates(_fromSeq, signal) {
      asked();
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      yield* [];
    },
  });
  const outcome = recoverForNothing({ learner, model, store: silent, nowMs: () => 0 }, over.signal);
  await begun;
  over.abort();
  t.true((await outcome) instanceof Error);
});
