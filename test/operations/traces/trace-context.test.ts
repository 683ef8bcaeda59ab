// Trace context: what of a caller's header is taken, which span is whose, what is traced.

import test from "ava";
import {
  formatTraceparent,
  isTraced,
  parseTraceparent,
  requestSpanId,
  traceAll,
  traceNothing,
  tracePolicyOf,
  updateSpanId,
} from "../../../operations/traces/trace-context.js";

const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
const parentSpanId = "00f067aa0ba902b7";

test("(S1-60, S1-61) a caller's traceparent gives trace, parent and flag", (t) => {
  t.deepEqual(parseTraceparent(`00-${traceId}-${parentSpanId}-01`), { traceId, parentSpanId, sampled: true });
  t.deepEqual(parseTraceparent(`00-${traceId}-${parentSpanId}-00`), { traceId, parentSpanId, sampled: false });
  t.true(parseTraceparent(`00-${traceId}-${parentSpanId}-ff`)?.sampled, "flags beside the known one are passed by");
});

test("(S1-60) a later version is read as far as it is known, with whatever follows", (t) => {
  t.is(parseTraceparent(`01-${traceId}-${parentSpanId}-01`)?.traceId, traceId);
  t.is(parseTraceparent(`cc-${traceId}-${parentSpanId}-01-what-the-future-holds`)?.traceId, traceId);
});

const ignored: readonly (readonly [string, string])[] = [
  ["an empty header", ""],
  ["version ff", `ff-${traceId}-${parentSpanId}-01`],
  ["version 00 with more behind it", `00-${traceId}-${parentSpanId}-01-more`],
  ["a trace id of zeros", `00-${"0".repeat(32)}-${parentSpanId}-01`],
  ["a parent id of zeros", `00-${traceId}-${"0".repeat(16)}-01`],
  ["capital letters", `00-${traceId.toUpperCase()}-${parentSpanId}-01`],
  ["a trace id that is too short", `00-${traceId.slice(1)}-${parentSpanId}-01`],
  ["a parent id that is too long", `00-${traceId}-${parentSpanId}0-01`],
  ["a version of one digit", `0-${traceId}-${parentSpanId}-01`],
  ["no flags", `00-${traceId}-${parentSpanId}`],
  ["something behind the version that no dash parts from it", `01-${traceId}-${parentSpanId}-01.more`],
];
for (const [what, header] of ignored)
  test(`(S1-60) ignored as the specification says: ${what}`, (t) => {
    t.is(parseTraceparent(header), undefined);
  });

test("what is written is read back", (t) => {
  for (const sampled of [true, false]) {
    const context = { traceId, parentSpanId, sampled };
    t.deepEqual(parseTraceparent(formatTraceparent(context)), context);
  }
});

test("a span id follows from what the span is about: alike everywhere, different for everything else", (t) => {
  const ids = [
    requestSpanId(traceId, "a"),
    requestSpanId(traceId, "b"),
    requestSpanId(traceId.replace("4", "5"), "a"),
    updateSpanId(traceId, { seq: 1, index: 2 }),
    updateSpanId(traceId, { seq: 12, index: 0 }),
  ];
  t.is(new Set(ids).size, ids.length);
  for (const id of ids) t.regex(id, /^[0-9a-f]{16}$/);
  t.true(ids.indexOf(requestSpanId(traceId, "a")) === 0);
});

test("(S1-70) off traces nothing, errors only what failed, and the caller's flag counts where there is a caller", (t) => {
  const errors = tracePolicyOf("errors") ?? traceNothing;
  t.false(isTraced(traceNothing, traceId, true, true));
  t.false(isTraced(errors, traceId, undefined, false));
  t.true(isTraced(errors, traceId, undefined, true));
  t.true(isTraced(traceAll, traceId, undefined, false));
  t.false(isTraced(traceAll, traceId, false, true), "the caller does not want it");
  t.true(isTraced({ ratio: 1e-9, only: "all" }, traceId, true, false), "the caller wants it");
});

test("a ratio is decided by the trace id: alike on every node, and as many as it says", (t) => {
  const policy = { ratio: 0.25, only: "all" } as const;
  const ids = Array.from({ length: 4_000 }, (_, n) =>
    (Math.imul(n, 0x9e3779b1) >>> 0).toString(16).padStart(8, "0").padStart(32, "a"),
  );
  const traced = ids.filter((id) => isTraced(policy, id, undefined, false));
  t.true(Math.abs(traced.length / ids.length - 0.25) < 0.1, `${traced.length} of ${ids.length}`);
  t.deepEqual(
    traced,
    ids.filter((id) => isTraced(policy, id, undefined, true)),
  );
});

test("--trace takes off, errors, all and a part of one; nothing else", (t) => {
  t.deepEqual(tracePolicyOf("off"), traceNothing);
  t.deepEqual(tracePolicyOf("all"), traceAll);
  t.deepEqual(tracePolicyOf("0.1"), { ratio: 0.1, only: "all" });
  t.deepEqual(tracePolicyOf(".5"), { ratio: 0.5, only: "all" });
  t.deepEqual(tracePolicyOf("1"), traceAll);
  for (const word of ["", "on", "2", "-1", "1.5", "NaN", "0x1", "10%"]) t.is(tracePolicyOf(word), undefined, word);
});
