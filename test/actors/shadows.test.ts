// Shadow answers: which requests get one, when it is asked for, and where nothing need be run for it.

import test from "ava";
import { Shadows, sourceAnswerOf } from "../../actors/serving/shadows.js";
import { sourceParameters } from "../../models/adaptation/adaptation.js";
import { graphOf } from "../../models/adaptation/pass.js";
import { argmax } from "../../models/numbers/softmax.js";
import { oneLook } from "../../models/serving/looking.js";
import { openAdaptableSession } from "../../models/serving/onnx-session.js";
import { firstDigits } from "../models/digits-model.js";
import { anythingElse, digits, headFor, input, runs, scene, unadapted, watchedEngine } from "./inference-scene.js";
import { recorded, settle, subjects } from "./small-node.js";

/** Ids of which the first has a shadow and the second has none. */
function shadowedAndNot(shadows: Shadows): readonly [string, string] {
  const ids = Array.from({ length: 200 }, (_, n) => `id-${n}`);
  const [one, other] = [ids.find((id) => shadows.wants(id)), ids.find((id) => !shadows.wants(id))];
  if (one === undefined || other === undefined) throw new Error("of 200 ids all or none have a shadow");
  return [one, other];
}

const moved = { kind: "remembered", arrived: 1, experiences: 1, adapted: anythingElse } as const;

test("one request in sixteen is told of what the source says, once its batch is through and nobody waits", async (t) => {
  const wrong = { seq: 1, version: 1, head: headFor(7) };
  const { tree, tell, ask, buffer, around, shadows } = await scene({ latest: () => wrong });
  const [chosen, other] = shadowedAndNot(shadows);
  ask(chosen, other);
  const [run] = await runs(buffer, 2);
  await settle();
  t.is(around.bus.events("shadow").length, 0, "its batch is still on its way");
  tell(moved);
  await around.bus.until(subjects.event("shadow"));
  const items = around.bus.events("shadow").flatMap((event) => event.items);
  t.deepEqual(
    items.map(({ id, adapted }) => ({ id, adapted })),
    [{ id: chosen, adapted: 7 }],
  );
  const { labels } = await firstDigits(1);
  t.is(items[0]?.source, labels[0], "the source model reads the digit");
  t.is(shadows.sourceAnswer(chosen), labels[0]);
  t.is(shadows.sourceAnswer(other), undefined);
  t.is(run?.requests.length, 2);
  t.like(tree.summary("inference"), { runs: 1, rows: 2 }, "a shadow is no run of anybody's request");
  await tree.stop();
});

test("a shadow is run only where the source's answer is not at hand: not at home, not where no domain is known", async (t) => {
  const away = { ...unadapted, limits: unadapted.limits.map((limit, domain) => (domain === 1 ? 1e9 : limit)) };
  for (const [adapted, expected] of [
    [unadapted, 1],
    [away, 2],
  ] as const) {
    const { given, openEngine } = watchedEngine();
    const { tree, tell, ask, buffer, around, shadows } = await scene({ adapted, openEngine });
    const [chosen] = shadowedAndNot(shadows);
    ask(chosen);
    await runs(buffer, 1);
    await settle();
    tell({ kind: "remembered", arrived: 1, experiences: 1, adapted });
    await around.bus.until(subjects.event("shadow"));
    t.is(given.length, expected);
    t.is(shadows.sourceAnswer(chosen), (await firstDigits(1)).labels[0]);
    await tree.stop();
  }
});

test("the source's answer that is at hand is the one it gives in a run, where one look was all and it normalises as the source", async (t) => {
  const graph = await openAdaptableSession(digits.modelBytes, graphOf(digits));
  const source = sourceParameters(digits);
  const { logits } = await graph.run(input, 12, source);
  const otherHead = { ...source, head: headFor(7) };
  const found = oneLook(await graph.run(input, 12, otherHead));
  for (let row = 0; row < 12; row++) {
    t.is(sourceAnswerOf(found, row, digits), argmax(logits.slice(row * 10, (row + 1) * 10)));
    t.is(argmax(found.logits.slice(row * 10, (row + 1) * 10)), 7, "which is not what was answered");
    for (const domain of [2, 16])
      t.is(sourceAnswerOf({ ...found, domains: new Uint8Array(12).fill(domain) }, row, digits), undefined);
    const bySource = { ...found, domains: new Uint8Array(12).fill(2), bySource: new Uint8Array(12).fill(1) };
    t.is(sourceAnswerOf(bySource, row, digits), argmax(logits.slice(row * 10, (row + 1) * 10)));
    t.is(sourceAnswerOf({ ...found, looks: { ...found.looks, rows: Uint16Array.of(row) } }, row, digits), undefined);
  }
  await graph.close();
});

test("a request that is queued goes before the shadow of an earlier one", async (t) => {
  const { tree, tell, ask, buffer, around, shadows } = await scene();
  const [chosen, other] = shadowedAndNot(shadows);
  ask(chosen);
  await runs(buffer, 1);
  await settle();
  tell(moved);
  ask(other);
  await runs(buffer, 2);
  await settle();
  t.is(around.bus.events("shadow").length, 0);
  tell(moved);
  await around.bus.until(subjects.event("shadow"));
  t.is(around.bus.events("shadow")[0]?.items[0]?.id, chosen);
  await tree.stop();
});

test("which requests have a shadow follows from their ids: about one in sixteen, also of ids in a row", (t) => {
  const { telemetry } = recorded();
  const [one, other] = [new Shadows(telemetry), new Shadows(telemetry)];
  const ids = Array.from({ length: 8_000 }, (_, n) => `client-7.${n}`);
  const chosen = ids.filter((id) => one.wants(id));
  t.true(chosen.length > 400 && chosen.length < 600, `${chosen.length} of 8,000`);
  for (let from = 0; from < 8_000; from += 1_000)
    t.true(ids.slice(from, from + 1_000).filter((id) => one.wants(id)).length > 30);
  t.deepEqual(
    chosen,
    ids.filter((id) => other.wants(id)),
  );
});
