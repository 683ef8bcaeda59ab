// How often an update may end its writer: the decision alone, instantly.

import test from "ava";
import { begin, hopeless, maxDeliver, passed, takenBack, withCause, withSkip } from "../../operations/log/attempts.js";
import type { Trying } from "../../transport/log/records.js";
import { taskFor } from "../models/small-world.js";

/** Every death finds what the try before it left in the chain; the steps until something is skipped. */
function deaths(): string[] {
  const steps: string[] = [];
  let trying: Trying | undefined;
  for (let death = 0; death < 20; death += 1) {
    const next = begin(trying);
    if (next.kind === "skip") return [...steps, `skip after ${next.tries}`];
    trying = next.trying;
    steps.push(trying.alone > 0 ? `alone ${trying.times}` : `together ${trying.times}`);
  }
  return steps;
}

test("a writer that dies at one position goes on together once, then alone, and skips after three tries alone", (t) => {
  t.deepEqual(deaths(), ["together 1", "alone 1", "alone 2", "alone 3", `skip after ${maxDeliver}`]);
});

test("progress alone is counted down, and the next update's tries begin anew", (t) => {
  t.deepEqual(passed({ times: 3, alone: 32, cause: "x" }, true, false), { times: 1, alone: 31 });
  t.deepEqual(passed({ times: 3, alone: 32 }, false, false), { times: 0, alone: 31 });
  t.is(passed({ times: 1, alone: 1 }, true, false), undefined);
  t.deepEqual(passed({ times: 1, alone: 0 }, true, false), { times: 1, alone: 0 });
  t.is(passed({ times: 1, alone: 0 }, false, false), undefined);
  t.deepEqual(passed({ times: 1, alone: 0 }, false, true), { times: 1, alone: 0 });
  t.is(passed(undefined, true, false), undefined);
});

test("a try that was taken back is not counted", (t) => {
  t.is(takenBack({ times: 1, alone: 0 }), undefined);
  t.deepEqual(takenBack({ times: 3, alone: 9 }), { times: 2, alone: 9 });
  t.deepEqual(begin(takenBack({ times: 3, alone: 9 })), { kind: "try", trying: { times: 3, alone: 9 } });
});

test("the cause of a skip is what the last try said, or that the process ended", (t) => {
  const last = withCause({ times: maxDeliver, alone: 4 }, new Error("it threw"));
  t.like(begin(last), { kind: "skip", cause: "it threw" });
  t.like(begin({ times: maxDeliver, alone: 4 }), { kind: "skip", cause: "the process ended while it was applied" });
  t.is(withCause(last, new Error("x".repeat(9_000))).cause?.length, 500);
});

test("what is hopeless is so by the entry and the bounds of the log alone", (t) => {
  const policy = { model: "small", experienceSeq: 10 };
  const log = { firstSeq: 20, lastSeq: 30 };
  const at = (seq: number, model?: string) =>
    hopeless({ kind: "task", task: taskFor({ seq, index: 0 }, 0.4, model) }, policy, log);
  t.is(at(3), null, "folded already");
  t.regex(at(15) ?? "", /begins at 20/);
  t.is(at(20), null);
  t.is(at(30), null);
  t.regex(at(31) ?? "", /ends at 30/);
  t.regex(at(25, "other") ?? "", /of other/);
});

test("the list of skips is bounded, and says from where on it is whole", (t) => {
  let skipped = withSkip(undefined, 1);
  t.deepEqual(skipped, { seqs: [1], wholeFrom: 0 });
  for (let seq = 2; seq <= 600; seq += 1) skipped = withSkip(skipped, seq);
  t.is(skipped.seqs.length, 512);
  t.is(skipped.seqs[0], 89);
  t.is(skipped.wholeFrom, 88);
});
