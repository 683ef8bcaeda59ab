// What a node says when it was told to compute where it cannot: an engine that fell back, and an actor that is restarted.

import test from "ava";
import { inference } from "../../actors/serving/inference.js";
import type { BufferMessage } from "../../actors/serving/messages.js";
import { ProviderWish } from "../../actors/serving/provider-wish.js";
import { sourceAdapted } from "../../models/adaptation/adaptation.js";
import { loadModel } from "../../models/manifest.js";
import { type Engine, startEngine } from "../../models/serving/engine.js";
import type { RunsOn } from "../../models/serving/execution-provider.js";
import { loggerTo } from "../../supervision/logger.js";
import { digitsFolder } from "../models/digits-model.js";
import { smallTree } from "../supervision/small-tree.js";
import { inbox, quietDesk } from "./small-node.js";

const model = await loadModel(digitsFolder);
const fellBack: RunsOn = { provider: "cpu", fellBack: "no GPU" };

function recordingLog() {
  const lines: { readonly level: string; readonly message: string; readonly [name: string]: unknown }[] = [];
  const log = loggerTo({
    wants: () => true,
    take: (level, message, fields) => void lines.push({ ...fields, level, message }),
  });
  return { log, warned: () => lines.filter(({ level }) => level === "warn") };
}

const runningOn =
  (runsOn: RunsOn): typeof startEngine =>
  async () => {
    const run = () => Promise.reject(new Error("nobody asks"));
    return { runsOn, died: new Promise(() => undefined), run, close: async () => undefined };
  };

/** An inference actor; its engines end when they are told to. */
async function scene(open: typeof startEngine, wishOf: () => ProviderWish) {
  const { log, warned } = recordingLog();
  const wanted: (string | undefined)[] = [];
  const ends: ((error: Error) => void)[] = [];
  const openEngine: typeof startEngine = async (...given): Promise<Engine> => {
    wanted.push(given[3]);
    const engine = await open(...given);
    return {
      runsOn: engine.runsOn,
      run: (...asked) => engine.run(...asked),
      close: () => engine.close(),
      died: new Promise((resolve) => ends.push(resolve)),
    };
  };
  const buffer = inbox<BufferMessage>((message) => {
    if (message.kind === "introduce") message.reply.answer({ experiences: 0, adapted: sourceAdapted(model) });
  });
  const heads = {
    latest: async () => ({ seq: 0, version: 0, head: model.calibration.head }),
    follow: (_from: number, signal: AbortSignal) =>
      new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve())),
  };
  const desk = quietDesk();
  const { tree, events } = await smallTree(
    [
      buffer.child("buffer"),
      {
        id: "inference",
        restart: "permanent",
        behaviour: (refs) =>
          inference({ model, desk, buffer: refs.ref("buffer"), heads, origin: "test", wish: wishOf(), openEngine }),
      },
    ],
    { deps: { log } },
  );
  const restart = async (to: number): Promise<void> => {
    ends.at(-1)?.(new Error("the engine's thread ended"));
    await events.started("inference", to);
  };
  return { tree, warned, wanted, restart };
}

test("(S2-18) a model that fell back to the CPU is told of in one warning, however often its actor is restarted", async (t) => {
  const wish = new ProviderWish("cuda");
  const { tree, warned, wanted, restart } = await scene(runningOn(fellBack), () => wish);
  await restart(2);
  await restart(3);
  t.deepEqual(wanted, ["cuda", "cuda", "cuda"], "each incarnation tries again");
  const [line, ...more] = warned().filter(({ why }) => why === "no GPU");
  t.like(line, {
    message: "cuda is not available: the model runs on cpu",
    model: model.manifest.name,
    provider: "cpu",
  });
  t.deepEqual(more, []);
  t.like(tree.summary("inference"), { provider: "cpu" });
  await tree.stop();
});

test("(S2-18) negative control: where every incarnation wishes anew, each of them warns", async (t) => {
  const { tree, warned, restart } = await scene(runningOn(fellBack), () => new ProviderWish("cuda"));
  await restart(2);
  await restart(3);
  t.is(warned().filter(({ why }) => why === "no GPU").length, 3);
  await tree.stop();
});

test("(S2-18) each model that fell back is told of", (t) => {
  const { log, warned } = recordingLog();
  const wish = new ProviderWish("cuda");
  for (const name of ["digits", "mail", "digits"]) wish.tell(name, fellBack, log);
  t.deepEqual(
    warned().map(({ model: name }) => name),
    ["digits", "mail"],
  );
});

test("(S2-18) where cuda runs nothing is warned of, and the summary says so", async (t) => {
  const wish = new ProviderWish("cuda");
  const { tree, warned } = await scene(runningOn({ provider: "cuda" }), () => wish);
  t.deepEqual(warned(), []);
  t.like(tree.summary("inference"), { provider: "cuda" });
  await tree.stop();
});

test("(S2-18) the real engine on this machine: told cuda, it serves, and a node without a GPU says so once", async (t) => {
  const wish = new ProviderWish("cuda");
  const { tree, warned, restart } = await scene(startEngine, () => wish);
  await restart(2);
  const provider = tree.summary("inference")?.provider;
  const said = warned().filter(({ message }) => message === "cuda is not available: the model runs on cpu");
  t.true(provider === "cuda" ? said.length === 0 : provider === "cpu" && said.length === 1, JSON.stringify(said));
  for (const { why } of said) t.regex(String(why), /\w+ \w+/);
  await tree.stop();
});
