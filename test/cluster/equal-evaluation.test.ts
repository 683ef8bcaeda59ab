// The cluster answers as the evaluation does: the same requests in the same order, through a broker, worker threads, a log and two nodes,
// against the same fold in one process. Steps of the head are off: when one lands between two requests is the learning node's affair; everything
// else that adapts is on. Between two requests the test waits until every serving node has folded the one before.
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { loadModel } from "../../models/manifest.js";
import { loadDigitPool } from "../../sim/digits.js";
import { requestId, stages } from "../../sim/evaluation/methods/driftmend.js";
import { digitStream } from "../../sim/evaluation/streams.js";
import { systemClock } from "../../supervision/clock.js";
import { map } from "../../transport/messages/fields.js";
import { tensorOf } from "./pictures.js";
import { folder, type Running, startRunning, statusOf } from "./running.js";

const on = { moments: true, views: true, head: false, floor: true };
const seed = 9;
const requests = 220;
const coldStart = 20;

/** The digits with these stages, in a folder of their own. */
async function folderWithout(): Promise<string> {
  const own = await mkdtemp(join(tmpdir(), "driftmend-model-"));
  await cp(folder, own, { recursive: true });
  const file = join(own, "manifest.json");
  const manifest = JSON.parse(await readFile(file, "utf8"));
  await writeFile(file, JSON.stringify({ ...manifest, learning: { stages: on, coldStart } }));
  return own;
}

async function foldedUpTo(running: Running, node: string, seq: number): Promise<void> {
  for (;;) {
    const actors = map(await statusOf(running, node), "actors");
    const { lastSeq } = map(actors, "digits/buffer");
    if (Number(lastSeq) >= seq) return;
  }
}

test("served answers equal the evaluation's, on one serving node and on two (S2-7)", async (t) => {
  t.timeout(120_000);
  const own = await folderWithout();
  const model = await loadModel(own);
  const pool = await loadDigitPool();
  // Stretches short enough for several drifts, the first of them one that only views mend.
  const stream = digitStream(pool, { variant: "iid", seed, requests, segment: [90, 100] });
  const evaluate = async (stagesOn: typeof on): Promise<readonly number[]> => {
    const method = await stages("served", "", stagesOn, 1).open({ model, seed, clock: systemClock });
    const answers: number[] = [];
    for (const { input } of stream.requests) answers.push(...(await method.answer([input])));
    await method.close();
    return answers;
  };
  const evaluated = await evaluate(on);
  t.notDeepEqual(await evaluate({ ...on, views: false }), evaluated, "the stream tells stages apart");
  let looked = 0;
  for (const serving of [1, 2]) {
    const running = await startRunning({ models: [own], serving });
    try {
      const served: number[] = [];
      const answeredBy = new Set<string>();
      const nodes = Array.from({ length: serving }, (_, i) => `serving-${i + 1}`);
      for (const [n, { input }] of stream.requests.entries()) {
        const outcome = await running.client.infer("digits", tensorOf(input), {
          id: requestId(seed, n),
          explain: true,
        });
        if (outcome.kind !== "reply") throw new Error(`request ${n}: ${JSON.stringify(outcome)}`);
        const { answer, experience, explain, node } = outcome.reply;
        served.push(answer.index);
        answeredBy.add(node);
        if ((explain?.looks.length ?? 0) > 2) looked += 1;
        for (const each of nodes) await foldedUpTo(running, each, experience?.seq ?? 0);
      }
      t.deepEqual(served, evaluated, `${serving} serving nodes`);
      t.is(answeredBy.size, serving, "every node took part");
    } finally {
      await running.stop();
    }
  }
  t.true(looked > 20, `${looked} requests were looked at through views`);
  await rm(own, { recursive: true });
});
