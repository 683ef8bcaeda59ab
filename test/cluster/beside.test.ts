// One model beside another on the same nodes: a graph that computes for long, and then a log that takes no more, hold up nobody but those who
// ask for that model. The control asks the slow model the same question about itself.

import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { modelTaking } from "../models/slow-model.js";
import { easyDigits, type Picture, tensorOf } from "./pictures.js";
import { folder, Heard, nodeOf, type Running, startRunning } from "./running.js";

const testWithinMs = 180_000;
/** Of a core, for one run. Long beside a few answers of a model that takes a millisecond each, on a busy machine too. */
const slowRunMs = 400;
const several = 6;
let slow = "";
let running: Running;
let pictures: readonly Picture[];

test.before(async (t) => {
  t.timeout(testWithinMs);
  slow = await modelTaking(slowRunMs);
  const file = join(slow, "manifest.json");
  await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, "utf8")), name: "slow" }));
  pictures = await easyDigits(several);
  running = await startRunning({ models: [folder, slow], logMaxBytes: 128 * 1024 });
});

test.after.always(async () => {
  await running?.stop();
  await rm(slow, { recursive: true, force: true });
});

let asked = 0;
/** Answered at the first try, or what was said instead. */
async function answer(model: string, index = 0, deadlineMs = 60_000): Promise<string> {
  asked += 1;
  const ink = pictures[index % several]?.ink ?? new Float32Array(784);
  const outcome = await running.client.infer(model, tensorOf(ink), {
    ...{ id: `beside.${model}.${asked}`, deadlineMs, retries: 0 },
  });
  if (outcome.kind === "reply") return "answered";
  return outcome.kind === "refusal" ? outcome.refusal.code : outcome.why;
}

/** Rows enough for records that a log of this size takes a few of. */
function many(model: string): Promise<string[]> {
  return Promise.all(Array.from({ length: 64 }, (_, index) => answer(model, index, 20_000)));
}

/** Asks a model one after the other while a run of the slow one is under way: how many were answered before it was, and what was said. */
async function besideARun(model: string) {
  let isOpen = true;
  const run = answer("slow").then((said) => {
    isOpen = false;
    return said;
  });
  await running.client.bus.flush();
  const said: string[] = [];
  let before = 0;
  for (let index = 0; index < several && isOpen; index += 1) {
    said.push(await answer(model, index));
    if (isOpen) before += 1;
  }
  return { before, said: new Set([...said, await run]) };
}

test.serial("a slow graph holds up no answer of the model beside it", async (t) => {
  t.timeout(testWithinMs);
  t.is(await answer("digits"), "answered", "it is warm");
  t.deepEqual(await besideARun("digits"), { before: several, said: new Set(["answered"]) });
});

test.serial("the control: who asks for the slow model itself waits behind its run", async (t) => {
  t.timeout(testWithinMs);
  const { before, said } = await besideARun("slow");
  t.deepEqual(said, new Set(["answered"]));
  t.true(before < several, `${before}`);
});

test.serial(
  "a model whose log is full refuses by name, and the one beside it answers and learns on, on the same nodes",
  async (t) => {
    t.timeout(testWithinMs);
    const before = await Promise.all(["serving-1", "learning-1"].map((name) => nodeOf(running, name)));
    const heard = await Heard.on(running.operator, running.subjects.event("log_backpressure"));
    const refused = new Set<string>();
    // A run takes as long for many rows as for one, so the log fills by batches.
    while (!refused.has("log_unavailable")) {
      const said = await many("slow");
      for (const each of said) if (each !== "answered") refused.add(each);
    }
    const { items } = await heard.find("back-pressure", ({ items: [item] }) => item?.about === "slow-experience");
    t.regex(String(items[0]?.cause), /full/);
    const asking = many("slow");
    const said = [];
    for (let index = 0; index < several; index += 1) said.push(await answer("digits", index));
    t.deepEqual(new Set(said), new Set(["answered"]));
    t.true((await asking).includes("log_unavailable"), "the room that is left is for a few rows");
    t.false(heard.events.some(({ items: [item] }) => item?.about === "digits-experience"));
    const after = await Promise.all(["serving-1", "learning-1"].map((name) => nodeOf(running, name)));
    t.deepEqual(
      after.map(({ pid }) => pid),
      before.map(({ pid }) => pid),
    );
    heard.stop();
  },
);
