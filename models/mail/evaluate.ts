// The spam filter on the mails that came later, in the order in which they came, with and without adaptation:
// `node dist/models/mail/evaluate.js --model DIR [--seed 1 --corpus DIR --oracle]`, one JSON document on stdout.
//
// Owns: the measures. Does not own: the adaptation (models/moments.ts, through models/rehearsal.ts), the mails.
//
// V1. Every answer is scored before anything is learned from it, and no label is ever shown to the model; but with --oracle the
//     true label chooses the ring of moments: what is lost to wrong answers, and what not.
import { parseArgs } from "node:util";
import { loadModel } from "../manifest.js";
import { chooseSlot, momentDistance, sourceNormalisation } from "../moments.js";
import { openAdaptableSession } from "../onnx-session.js";
import { answersInOrder, type SlotChoice } from "../rehearsal.js";
import { argmax } from "../softmax.js";
import { earlyUntilMs, type Mail, readMails } from "./corpus.js";
import { featuresOf } from "./features.js";

interface Scored {
  readonly mail: Mail;
  readonly source: boolean;
  readonly adapting: boolean;
}

const windowMails = 200;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      model: { type: "string", default: "spam-filter/model" },
      seed: { type: "string", default: "1" },
      corpus: { type: "string" },
      oracle: { type: "boolean", default: false },
    },
  });
  const { manifest, calibration, modelBytes } = await loadModel(values.model);
  const { name: inputName, shape } = manifest.input;
  const later = (await readMails(values.corpus)).filter(({ arrivedAtMs }) => arrivedAtMs >= earlyUntilMs);
  const session = await openAdaptableSession(modelBytes, { ...calibration, inputName, shape });
  const inputs = later.map(({ text }) => featuresOf(text));
  const atSource = { ...sourceNormalisation(calibration), head: calibration.head };
  const scored: Scored[] = [];
  let near = 0;
  const slotOf: SlotChoice = (row, index, random) => {
    if (momentDistance(calibration, row.moments) < calibration.momentDistance99) near += 1;
    return values.oracle ? Number(later[index]?.isSpam) : chooseSlot(calibration, row, random);
  };
  for await (const adapting of answersInOrder(session, calibration, inputs, Number(values.seed), slotOf)) {
    const [mail, input] = [later[scored.length], inputs[scored.length]];
    if (mail === undefined || input === undefined) break;
    const source = argmax((await session.run(input, 1, atSource)).logits);
    scored.push({ mail, source: source === Number(mail.isSpam), adapting: adapting === Number(mail.isSpam) });
  }
  await session.close();
  const parts = (keyOf: (mail: Mail) => string) =>
    Object.fromEntries(
      [...new Set(scored.map(({ mail }) => keyOf(mail)))].sort().map((key) => {
        return [key, accuracyOf(scored.filter(({ mail }) => keyOf(mail) === key))];
      }),
    );
  const report = {
    v: 1,
    model: values.model,
    stages: manifest.learning.stages,
    clean: manifest.sourceAccuracy,
    later: accuracyOf(scored),
    /** Share of the later mails that look as near to the source's moments as 99 of 100 clean ones. */
    near: near / scored.length,
    worstWindow: worstWindow(scored),
    byMonth: parts(({ arrivedAtMs }) => new Date(arrivedAtMs).toISOString().slice(0, 7)),
    byGroup: parts(({ group }) => group),
  };
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
}

function accuracyOf(scored: readonly Scored[]) {
  const share = (who: "source" | "adapting") =>
    Number((scored.filter((each) => each[who]).length / scored.length).toFixed(4));
  return {
    mails: scored.length,
    spam: scored.filter(({ mail }) => mail.isSpam).length,
    source: share("source"),
    adapting: share("adapting"),
  };
}

/** Lowest (adapting - source) accuracy over any 200 mails in a row. */
function worstWindow(scored: readonly Scored[]): number {
  const gains = scored.map(({ source, adapting }) => Number(adapting) - Number(source));
  let worst = Number.POSITIVE_INFINITY;
  for (let end = windowMails; end <= gains.length; end++)
    worst = Math.min(worst, gains.slice(end - windowMails, end).reduce((sum, gain) => sum + gain, 0) / windowMails);
  return worst;
}

await main();
