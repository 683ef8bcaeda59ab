// What the updater tells whoever listens about each task: the figures of the step, or the guard that refused it.
import test from "ava";
import { learningRate } from "../../models/learning/rate.js";
import { MemoryStore } from "./memory-store.js";
import { settle, smallModel } from "./small-node.js";
import { committedAll, learn, writingNode } from "./writing-node.js";

/** The fields of the update events of ten tasks, in the order of the log. */
async function reported(model: ReturnType<typeof smallModel>): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const store = new MemoryStore(model);
  learn(model, store, 10);
  const { tree, around } = await writingNode(model, store);
  await committedAll(store);
  await settle();
  const items = around.bus.events("update").flatMap((event) => event.items);
  await tree.stop();
  return items;
}

test("(S2-8, S2-9, S2-44) an applied task is reported with its rate, the loss and its penalty, the norm before and after the clip", async (t) => {
  const model = smallModel({ clipNorm: 0.01, learningRate: { min: 1e-4, max: 0.02 } });
  const { learningRate: limits, clipNorm } = model.manifest.learning;
  const items = (await reported(model)).filter(({ kind }) => kind === "applied");
  t.true(items.length >= 8);
  for (const item of items) {
    const { reward, penalty, loss, gradNorm, clippedNorm, clipped, learningRate: rate } = item;
    t.is(loss, Number(penalty) - Number(reward));
    t.true(Number(rate) >= learningRate(1, limits) && Number(rate) <= learningRate(0, limits));
    t.is(clipped, Number(gradNorm) > clipNorm);
    t.true(Number(clippedNorm) <= clipNorm);
    t.true(Number.isFinite(item.kl) && Number.isFinite(item.anchorGain));
  }
  // The first step starts at the base, where there is no distance to be fined; the later ones do not.
  t.true(Math.abs(Number(items[0]?.penalty)) < 1e-6);
  t.true(items.slice(3).every(({ penalty }) => Number(penalty) > 0));
});

test("(S2-8) a refused task is reported with its guard, the KL that was too much, and the version that stays", async (t) => {
  const klLimit = 1e-7;
  const items = (await reported(smallModel({ klLimit }))).filter(({ kind }) => kind === "refused");
  t.true(items.length > 0);
  for (const item of items) {
    t.like(item, { guard: "kl", version: 0 });
    t.true(Number(item.kl) > klLimit);
    t.true(Number.isFinite(item.penalty));
  }
});
