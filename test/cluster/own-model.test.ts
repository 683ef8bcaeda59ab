// A model that somebody brought along, through the whole cluster: taken in by the command line, served by `up --model`.

import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { npzOf } from "../../models/numbers/npz.js";
import { argmax, at, softmax } from "../../models/numbers/softmax.js";
import { openAnySession } from "../../models/serving/onnx-session.js";
import { clusteredRows, pictureClassifier } from "../models/small-classifiers.js";
import { type Program, start, typedIn } from "./program.js";
import { lookAt, temporaryStore } from "./running.js";

const shape = [1, 8, 8];
let store = "";
let program: Program | undefined;

test.before(async () => {
  store = await temporaryStore();
});

test.after.always(async () => {
  program?.child.kill("SIGTERM");
  await program?.ended;
  await rm(store, { recursive: true, force: true });
});

test("an own model is served: each answer and its confidence are those of the file that was brought", async (t) => {
  const bytes = pictureClassifier(1);
  const { values, labels } = await clusteredRows(pictureClassifier(), shape);
  await mkdir(join(store, "brought"));
  await writeFile(join(store, "brought", "shapes.onnx"), bytes);
  const arrays = { x: { shape: [150, ...shape], values }, y: { shape: [150], values: labels } };
  await writeFile(join(store, "brought", "clean.npz"), npzOf(arrays));
  const words = ["shapes.onnx", "--labels", "round,square,flat", "--data", "clean.npz", "--out", "model"];
  const init = await typedIn(join(store, "brought"), "model", "init", ...words).ended;
  t.is(init.code, 0, init.stderr);

  program = start(store, "up", "--no-spare", "--model", join(store, "brought", "model"));
  const sight = await lookAt(await program.ready);
  const original = await openAnySession(bytes);
  for (let row = 0; row < 12; row++) {
    const data = values.slice(row * 64, (row + 1) * 64);
    const outcome = await sight.client.infer("shapes", { dt: "<f4", sh: shape, data });
    if (outcome.kind !== "reply") return t.fail(JSON.stringify(outcome));
    const [output] = await original.run(data, [1, ...shape], ["logits"]);
    const shares = softmax(output?.data ?? new Float32Array());
    const index = argmax(shares);
    t.deepEqual(outcome.reply.answer, { index, label: ["round", "square", "flat"][index] ?? "" });
    t.true(Math.abs(outcome.reply.confidence - at(shares, index)) < 1e-3, `${outcome.reply.confidence}`);
  }
  const wrong = await sight.client.infer("shapes", { dt: "<f4", sh: [8, 9], data: new Float32Array(72) });
  t.true(wrong.kind === "refusal" && wrong.refusal.code === "bad_tensor");
  await Promise.all([original.close(), sight.close()]);
});
