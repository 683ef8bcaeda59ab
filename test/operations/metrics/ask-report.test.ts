// A report as an answer: what fits is given, what does not is named.

import test from "ava";
import { readReport } from "../../../operations/ask-report.js";
import { encodeMessage } from "../../../transport/messages/codec.js";
import { freshAggregate, startMs } from "./nodes-telling.js";

test("figures come out of the answer as they went in (S0-28)", (t) => {
  const metrics = freshAggregate().view(startMs);
  const read = readReport("metrics", encodeMessage({ v: 1, report: metrics }));
  t.deepEqual(read, { kind: "report", report: metrics });
});

test("an answer that is none says what is wrong with it, and where", (t) => {
  const why = (bytes: Uint8Array): string => {
    const read = readReport("metrics", bytes);
    return read.kind === "unavailable" ? `${read.why}: ${read.message}` : "report";
  };
  t.is(why(encodeMessage({ v: 1, report: null })), "early: the operations node has no figures yet");
  t.is(why(encodeMessage({ v: 2, report: null })), "garbled: the answer is of another version");
  t.regex(why(new Uint8Array([193])), /^garbled: /);
  const { vitals: _, ...rest } = freshAggregate().view(startMs);
  t.regex(why(encodeMessage({ v: 1, report: rest })), /^garbled: metrics\.vitals: /);
});
