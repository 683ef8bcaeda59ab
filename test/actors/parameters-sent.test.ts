// What the engine is given to compute with: the same object as long as nothing in it changed, for every other one is copied to its thread.

import test from "ava";
import { inference } from "../../actors/serving/inference.js";
import type { BufferMessage, InferenceMessage } from "../../actors/serving/messages.js";
import { type Adapted, sourceAdapted } from "../../models/adaptation/adaptation.js";
import type { Parameters } from "../../models/adaptation/pass.js";
import type { Engine } from "../../models/serving/engine.js";
import { oneLook } from "../../models/serving/looking.js";
import { smallTree } from "../supervision/small-tree.js";
import { Askers, inbox, openAt, quietDesk, settle, smallModel } from "./small-node.js";

/** Answers noughts, and keeps what it was given. */
function watchingEngine(
  seen: Parameters[],
  { width, classes, channels }: Readonly<Record<"width" | "classes" | "channels", number>>,
): Engine {
  return {
    run: async (_input, rows, parameters) => {
      seen.push(parameters);
      return oneLook({
        rows,
        logits: new Float32Array(rows * classes),
        embeddings: new Float32Array(rows * width),
        moments: new Float32Array(rows * 2 * channels),
        density: new Float32Array(rows),
        domains: new Uint8Array(rows),
      });
    },
    close: async () => undefined,
    runsOn: { provider: "cpu" },
    died: new Promise(() => undefined),
  };
}

test("(E3) the memory's word that nothing changed leaves the engine what it has; other columns and another head do not", async (t) => {
  const model = smallModel({ coldStart: 0 });
  const [desk, askers, seen] = [quietDesk(), new Askers(), [] as Parameters[]];
  const first = sourceAdapted(model);
  const buffer = inbox<BufferMessage>((message) => {
    if (message.kind === "introduce") message.reply.answer({ experiences: 9, adapted: first });
  });
  const heads = {
    latest: async () => ({ seq: 0, version: 0, head: model.calibration.head }),
    follow: (_from: number, signal: AbortSignal) =>
      new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve())),
  };
  const openEngine = async () => watchingEngine(seen, model.calibration);
  const { tree } = await smallTree([
    buffer.child("buffer"),
    {
      id: "inference",
      restart: "permanent",
      behaviour: (refs) => inference({ model, desk, buffer: refs.ref("buffer"), heads, origin: "test", openEngine }),
    },
  ]);
  const ref = tree.ref<InferenceMessage>("inference");
  const run = async (...told: readonly InferenceMessage[]): Promise<Parameters | undefined> => {
    for (const message of told) ref.tell(message);
    await settle();
    const runs = seen.length;
    ref.tell({ kind: "request", request: openAt(desk, askers, `r${runs}`) });
    while (seen.length === runs) await settle();
    return seen.at(-1);
  };
  const remembered = (adapted: Adapted) => ({ kind: "remembered", arrived: 1, experiences: 9, adapted }) as const;
  const before = await run();
  t.is(await run(remembered(first)), before);
  t.is(await run(remembered({ ...first }), remembered(first)), before, "the columns count, not what holds them");
  const moved = await run(remembered({ ...first, table: first.table.slice() }));
  t.not(moved, before);
  t.is(await run(remembered({ ...first, table: moved?.table ?? first.table })), moved);
  const head = model.calibration.head.slice();
  const learned = await run({ kind: "committed", served: { version: 1, head } });
  t.not(learned, moved);
  t.is(learned?.head, head);
  t.is(await run(remembered({ ...first, table: moved?.table ?? first.table })), learned, "the head is the chain's");
  await tree.stop();
});
