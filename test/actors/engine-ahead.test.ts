// The engine that opens beside the fold: begun with its supervisor, taken once, and never left behind.

import test from "ava";
import { EngineAhead } from "../../actors/serving/engine-ahead.js";
import type { Engine } from "../../models/serving/engine.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import { deferred, smallTree } from "../supervision/small-tree.js";
import { smallModel } from "./small-node.js";

/** Opens when told to; notes what was closed. */
function openings() {
  const opened: { resolve(engine: Engine): void; reject(error: Error): void }[] = [];
  const closed: number[] = [];
  const engineOf = (place: number): Engine => ({
    run: () => Promise.reject(new Error("nothing runs here")),
    close: async () => void closed.push(place),
    runsOn: { provider: "cpu" },
    died: new Promise(() => undefined),
  });
  const open = (): Promise<Engine> => new Promise((resolve, reject) => opened.push({ resolve, reject }));
  return { open, opened, closed, engineOf };
}

test("what was begun is taken once; whoever comes later opens an engine of his own", async (t) => {
  const { open, opened, engineOf } = openings();
  const ahead = new EngineAhead(open, new VirtualClock(), 1_000);
  ahead.begin();
  ahead.begin();
  t.is(opened.length, 1);
  const [first, second] = [ahead.take(), ahead.take()];
  t.is(opened.length, 2);
  const engines = [engineOf(0), engineOf(1)] as const;
  opened[0]?.resolve(engines[0]);
  opened[1]?.resolve(engines[1]);
  t.is(await first, engines[0]);
  t.is(await second, engines[1]);
});

test("an opening that fails is heard of by who takes it, and the next one opens anew", async (t) => {
  const { open, opened, engineOf } = openings();
  const ahead = new EngineAhead(open, new VirtualClock(), 1_000);
  ahead.begin();
  opened[0]?.reject(new Error("no such graph"));
  await t.throwsAsync(ahead.take(), { message: "no such graph" });
  const again = ahead.take();
  const engine = engineOf(1);
  opened[1]?.resolve(engine);
  t.is(await again, engine);
});

test("what nobody took is closed at the end, also when it opens later than the end waits for it", async (t) => {
  const { open, opened, closed, engineOf } = openings();
  const clock = new VirtualClock();
  const ahead = new EngineAhead(open, clock, 1_000);
  await ahead.end();
  ahead.begin();
  opened[0]?.resolve(engineOf(0));
  await ahead.end();
  t.deepEqual(closed, [0]);
  ahead.begin();
  const ended = ahead.end();
  await clock.advance(1_000);
  await ended;
  t.deepEqual(closed, [0], "it is not open yet");
  const late = engineOf(1);
  opened[1]?.resolve(late);
  await clock.advance(0);
  t.deepEqual(closed, [0, 1]);
  const { length } = opened;
  ahead.begin();
  const taken = ahead.take();
  opened[length]?.resolve(engineOf(2));
  await taken;
  await ahead.end();
  t.deepEqual(closed, [0, 1], "what was taken is its taker's");
});

test("a supervisor begins it beside its first child, and anew with each start of its own; it ends behind the last child", async (t) => {
  const steps: string[] = [];
  const begun = deferred<void>();
  const ahead = {
    begin: (): void => {
      steps.push("begin");
      begun.resolve();
    },
    end: async (): Promise<void> => void steps.push("end"),
  };
  const child = (id: string, init: () => Promise<void>) => ({
    id,
    restart: "permanent" as const,
    behaviour: () => ({
      init,
      receive: () => undefined,
      stop: () => void steps.push(`${id} stopped`),
    }),
  });
  const model = smallModel().manifest.name;
  const { tree, events } = await smallTree([
    {
      id: model,
      strategy: "one_for_one",
      intensity: { restarts: 0, withinMs: 1_000 },
      ahead,
      children: [
        // Begun behind its ready, it would wait for ever.
        child("buffer", () => begun.promise),
        child("inference", async () => void steps.push("inference starts")),
      ],
    },
  ]);
  t.deepEqual(steps.splice(0), ["begin", "inference starts"]);
  await tree.kill(`${model}/buffer`, "kill");
  await events.started(model, 2);
  t.deepEqual(steps.splice(0).slice(-4), ["inference stopped", "end", "begin", "inference starts"]);
  await tree.stop();
  t.deepEqual(steps, ["inference stopped", "buffer stopped", "end"]);
});
