// The spam filter on the mails that came later, in the order in which they came: the source, and following its input with and without a floor:
// `node dist/bench/mail.js --model DIR [--seed 1 --corpus DIR]`, one JSON document on stdout.
//
// Owns: the measures. Does not own: the adaptation (models/adaptation/adaptation.ts, through models/adoption/rehearsal.ts), the mails.
//
// What the rehearsal switched off is on here: the question is whether it was right to do so.
//
// V1. Every answer is scored before anything is learned from it, and no label is ever shown to the model.
import { parseArgs } from "node:util";
import { sourceParameters } from "../models/adaptation/adaptation.js";
import { graphOf } from "../models/adaptation/pass.js";
import { answersInOrder } from "../models/adoption/rehearsal.js";
import { earlyUntilMs, type Mail, readMails } from "../models/mail/corpus.js";
import { featuresOf } from "../models/mail/features.js";
import { loadModel } from "../models/manifest.js";
import { argmax } from "../models/numbers/softmax.js";
import { openAdaptableSession } from "../models/serving/onnx-session.js";
import { worstWindow } from "../sim/evaluation/measures.js";

/** Whether each answered rightly. */
interface Scored {
  readonly mail: Mail;
  readonly source: boolean;
  readonly following: boolean;
  readonly floored: boolean;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      model: { type: "string", default: "spam-filter/model" },
      seed: { type: "string", default: "1" },
      corpus: { type: "string" },
    },
  });
  const model = await loadModel(values.model);
  const { manifest, modelBytes } = model;
  const later = (await readMails(values.corpus)).filter(({ arrivedAtMs }) => arrivedAtMs >= earlyUntilMs);
  const session = await openAdaptableSession(modelBytes, graphOf(model));
  const inputs = later.map(({ text }) => featuresOf(text));
  const answersWith = async (floor: boolean): Promise<readonly number[]> => {
    const learning = { ...manifest.learning, stages: { moments: true, views: false, head: false, floor } };
    const subject = { ...model, manifest: { ...manifest, learning } };
    const answers: number[] = [];
    for await (const answer of answersInOrder(session, subject, inputs, Number(values.seed))) answers.push(answer);
    return answers;
  };
  const [following, floored] = [await answersWith(false), await answersWith(true)];
  const atSource = sourceParameters(model);
  const scored: Scored[] = [];
  for (const [i, mail] of later.entries()) {
    const truth = Number(mail.isSpam);
    const source = argmax((await session.run(inputs[i] ?? new Float32Array(), 1, atSource)).logits);
    scored.push({
      mail,
      source: source === truth,
      following: following[i] === truth,
      floored: floored[i] === truth,
    });
  }
  await session.close();
  const parts = (keyOf: (mail: Mail) => string) =>
    Object.fromEntries(
      [...new Set(scored.map(({ mail }) => keyOf(mail)))].sort().map((key) => {
        return [key, accuracyOf(scored.filter(({ mail }) => keyOf(mail) === key))];
      }),
    );
  const marks = (who: "source" | "following" | "floored") => Uint8Array.from(scored, (each) => Number(each[who]));
  const report = {
    v: 1,
    model: values.model,
    stages: manifest.learning.stages,
    clean: manifest.sourceAccuracy,
    later: accuracyOf(scored),
    worstWindow: {
      following: worstWindow(marks("following"), marks("source"))?.difference ?? null,
      floored: worstWindow(marks("floored"), marks("source"))?.difference ?? null,
    },
    byMonth: parts(({ arrivedAtMs }) => new Date(arrivedAtMs).toISOString().slice(0, 7)),
    byGroup: parts(({ group }) => group),
  };
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
}

function accuracyOf(scored: readonly Scored[]) {
  const share = (who: "source" | "following" | "floored") =>
    Number((scored.filter((each) => each[who]).length / scored.length).toFixed(4));
  return {
    mails: scored.length,
    spam: scored.filter(({ mail }) => mail.isSpam).length,
    source: share("source"),
    following: share("following"),
    floored: share("floored"),
  };
}

await main();
