import test from "ava";
import fc from "fast-check";
import { formatDuration, parseDuration } from "../../operations/duration.js";

for (const [text, ms] of [
  ["250ms", 250],
  ["90s", 90_000],
  ["2m", 120_000],
  ["8h", 28_800_000],
  ["1.5h", 5_400_000],
  ["1d", 86_400_000],
] as const)
  test(`${text} is ${ms} ms`, (t) => {
    t.deepEqual(parseDuration(text), { kind: "ok", ms });
  });

for (const text of [
  "banana",
  "",
  "90",
  "s",
  "-5s",
  "5 s",
  "1h30m",
  "0s",
  "0.1ms",
  "25d",
  "1e3s",
  "999999999999h",
  "NaNs",
  "٣s",
])
  test(`"${text}" is refused in words that show it`, (t) => {
    const parsed = parseDuration(text);
    t.is(parsed.kind, "refused");
    if (parsed.kind === "refused") t.true(parsed.message.includes(`"${text}"`));
  });

test("whatever is typed, the result is a whole number of milliseconds a timer can hold, or a refusal", (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^\d{1,13}(\.\d{1,7})?(ms|s|m|h|d)$/)), (text) => {
      const parsed = parseDuration(text);
      return parsed.kind === "refused" || (Number.isInteger(parsed.ms) && parsed.ms >= 1 && parsed.ms < 2 ** 31);
    }),
  );
  t.pass();
});

test("durations are written for people", (t) => {
  t.deepEqual([0, 480, 4_200, 59_949, 59_951, 125_000, 3_599_600, 28_800_000].map(formatDuration), [
    "0 ms",
    "480 ms",
    "4.2 s",
    "59.9 s",
    "1 m 00 s",
    "2 m 05 s",
    "1 h 00 m",
    "8 h 00 m",
  ]);
});
