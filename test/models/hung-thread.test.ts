// A run that stays in native code longer than it may: real ONNX Runtime, real threads, one core's worth of matrix products.

import { rm } from "node:fs/promises";
import test from "ava";
import { sourceParameters } from "../../models/adaptation/adaptation.js";
import { loadModel } from "../../models/manifest.js";
import { startMemory } from "../../models/memory/memory.js";
import { EngineError, startEngine } from "../../models/serving/engine.js";
import { StuckThreads } from "../../models/threads/thread-silence.js";
import { systemClock } from "../../supervision/clock.js";
import { modelTaking } from "./slow-model.js";

const folders: string[] = [];
test.after.always(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

test("a memory whose thread does not answer when it starts is left behind and counted, until it ends by itself", async (t) => {
  const stuck = new StuckThreads();
  const stay = systemClock.after(110_000, () => undefined);
  const starting = startMemory({ width: 4, capacity: 10 }, systemClock, { startMs: 60_000, answerMs: 0, stuck });
  await t.throwsAsync(starting, { message: /counts as hung/ });
  t.is(stuck.count, 1);
  while (stuck.count > 0) await systemClock.delay(20);
  stay();
});

test("(S2-54) a run over its time fails as died, nobody waits for its thread, and the thread ends by itself when it comes back", async (t) => {
  t.timeout(120_000);
  const folder = await modelTaking(3_000);
  folders.push(folder);
  const model = await loadModel(folder);
  const stuck = new StuckThreads();
  const engine = await startEngine(model, systemClock, { startMs: 60_000, answerMs: 300, stuck });
  // The process of this test must outlive the thread, which no longer keeps it.
  const stay = systemClock.after(110_000, () => undefined);
  const parameters = sourceParameters(model);
  const beganAtMs = systemClock.monotonicMs();
  const error = await t.throwsAsync(engine.run(new Float32Array(784), 1, parameters, new Uint32Array(1)), {
    instanceOf: EngineError,
  });
  const failedAfterMs = systemClock.monotonicMs() - beganAtMs;
  t.is(error.code, "died");
  t.is((await engine.died).message, error.message);
  await engine.close();
  const closedAfterMs = systemClock.monotonicMs() - beganAtMs;
  t.true(failedAfterMs >= 290, `${failedAfterMs}`);
  t.is(stuck.count, 1, "the thread is still in its run: nobody waited for it");
  while (stuck.count > 0) await systemClock.delay(20);
  stay();
  const over = systemClock.monotonicMs() - beganAtMs;
  t.log(
    `failed after ${failedAfterMs.toFixed(0)}, closed after ${closedAfterMs.toFixed(0)}, gone after ${over.toFixed(0)} ms`,
  );
});
