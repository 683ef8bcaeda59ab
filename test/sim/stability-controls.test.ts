// Negative control with real processes: a consumer that is stuck and cleanups that nobody makes fail a stability run by name, and nothing else
// is blamed.
//
// Substrate: a composed cluster (test/soak/composed.ts) whose writer takes up no update and whose root neither tells of deaths nor cleans up.
// Leaks and logs need minutes to be seen: test/sim/stability/controls.ts runs all four, each alone.

import test from "ava";
import { failedIn, runControl } from "./stability/controlled.js";

test.serial(
  "a stuck consumer and a suppressed cleanup fail the assertions that name them (S0-31, S0-34, S0-46)",
  async (t) => {
    t.timeout(120_000);
    const outcome = await runControl({
      ...{
        plants: ["stuck", "cleanup"],
        durationMs: 10_000,
        rate: 60,
        graceMs: 2_000,
        crashProbability: 0.2,
        seed: 10,
      },
      // Ten seconds of tasks are few.
      ...{ limits: { queueFloor: 5, repairMs: 2_000 }, settleMs: 500 },
    });
    const { facts, assertions } = outcome;
    t.log(assertions.map(({ name, passed, measured }) => `${name} ${passed}: ${measured}`).join("\n"));
    t.true(facts.crashes.length > 0);
    // Whether answers come in time is a matter of the machine.
    const blamed = failedIn(outcome).filter((name) => name !== "answered_in_time");
    t.deepEqual(blamed, ["crashes_cleaned_up", "update_queue_bounded", "updates_grow"]);
    const cleaned = assertions.find(({ name }) => name === "crashes_cleaned_up");
    t.deepEqual(
      cleaned?.about,
      facts.crashes.map(({ node, incarnation }) => `${node} #${incarnation}: no confirmation`),
    );
  },
);
