// Runs the four controls, each alone and for minutes, and a healthy run of the same cluster before them:
//   node dist/test/sim/stability/controls.js [--minutes 8] [--rate 200] [healthy leak stuck truncation cleanup]
// Ends with 1 when a control does not fail the assertion that is meant for it, or the healthy run fails any.

import { parseArgs } from "node:util";
import { failedIn, type Plant, plants, runControl } from "./controlled.js";

/** Each alone must fail this. */
const meant: Readonly<Record<Plant, string>> = {
  leak: "memory_stable",
  stuck: "update_queue_bounded",
  truncation: "log_truncated",
  cleanup: "crashes_cleaned_up",
};
/** Filled and cut back within minutes. */
const logMaxBytes = 64 * 1024 * 1024;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: "string", default: "8" },
    rate: { type: "string", default: "200" },
    seed: { type: "string", default: "1" },
  },
});
const known = ["healthy", ...plants] as const;
const wanted = known.filter((name) => positionals.length === 0 || positionals.includes(name));
let wrong = 0;
for (const name of wanted) {
  process.stdout.write(`${name} ... `);
  const outcome = await runControl({
    plants: name === "healthy" ? [] : [name],
    durationMs: Number(values.minutes) * 60_000,
    rate: Number(values.rate),
    seed: Number(values.seed),
    // A few crashes; with a leak in the serving node they do not matter.
    ...{ graceMs: 30_000, crashProbability: 0.02, logMaxBytes },
  });
  const failed = failedIn(outcome);
  const isRight = name === "healthy" ? failed.length === 0 : failed.includes(meant[name]);
  if (!isRight) wrong += 1;
  process.stdout.write(
    `${isRight ? "as it should" : "WRONG"}: ${failed.length === 0 ? "nothing failed" : failed.join(", ")}\n`,
  );
  for (const { name: assertion, passed, measured, allowed } of outcome.assertions)
    if (passed === false || assertion === (name === "healthy" ? "memory_stable" : meant[name]))
      process.stdout.write(`    ${assertion}: ${measured}; allowed: ${allowed}\n`);
}
process.exit(wrong === 0 ? 0 : 1);
