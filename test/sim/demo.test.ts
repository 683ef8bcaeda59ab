import test from "ava";
import { segmentOf } from "../../sim/demo.js";

test("a run with a limit shows all ten drifts, each long enough to be adapted to", (t) => {
  t.deepEqual(segmentOf(2_000), [150, 267]);
  t.deepEqual(segmentOf(100), [150, 250]);
});

test("a run of 4,500 or more, and one without a limit, has the segments of the evaluation", (t) => {
  for (const requests of [4_500, 100_000, undefined]) t.deepEqual(segmentOf(requests), [300, 600]);
});
