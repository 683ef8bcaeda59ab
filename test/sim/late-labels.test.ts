// Late labels on a stream of drifts that come round again, with the shipped model and the production functions.
import { fileURLToPath } from "node:url";
import test from "ava";
import { loadModel } from "../../models/manifest.js";
import { loadDigitPool } from "../../sim/digits.js";
import { measureLateLabels } from "../../sim/late-labels.js";
import { systemClock } from "../../supervision/clock.js";

const whole = await loadModel(fileURLToPath(new URL("../../../models/digits", import.meta.url)));
// The moments and the memory alone: every step of the head would cost more time than all the rest.
const learning = { ...whole.manifest.learning, stages: { moments: true, views: false, head: false, floor: false } };
const model = { ...whole, manifest: { ...whole.manifest, learning } };
const pool = await loadDigitPool();

test("labels for 5 % of the requests, 100 requests late, help by three points and more, and clean accuracy is kept", async (t) => {
  t.timeout(90_000);
  const common = { model, pool, clock: systemClock, family: "geometry", seed: 1, share: 0.05, stretch: 250 } as const;
  const without = await measureLateLabels({ ...common, use: "none" });
  const helped = await measureLateLabels({ ...common, use: "memory" });
  t.true(helped.labels > 100 && helped.labels < 175, `${helped.labels} labels`);
  t.true(helped.drifting >= without.drifting + 0.03, `${without.drifting} to ${helped.drifting}`);
  t.true(helped.after >= without.after - 0.008, `${without.after} to ${helped.after}`);
  const few = { ...common, stretch: 60, share: 0 };
  t.deepEqual(
    await measureLateLabels({ ...few, use: "memory" }),
    await measureLateLabels({ ...few, use: "none" }),
    "where no label comes, nothing is otherwise",
  );
});
