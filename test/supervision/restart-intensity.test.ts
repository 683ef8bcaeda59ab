// Substrate: pure functions; properties by fast-check.

import test from "ava";
import fc from "fast-check";
import { type RestartHistory, recordRestart, restartsLeft } from "../../supervision/tree/restart-intensity.js";

const twoInAThousand = { restarts: 2, withinMs: 1_000 };

test("one restart more than allowed within the window is too many (S4-67)", (t) => {
  let history: RestartHistory = [];
  const verdicts = [0, 400, 800].map((atMs) => {
    const verdict = recordRestart(history, atMs, twoInAThousand);
    history = verdict.history;
    return verdict.kind;
  });
  t.deepEqual(verdicts, ["allowed", "allowed", "exceeded"]);
});

test("restarts that left the window are forgotten", (t) => {
  const verdict = recordRestart([0, 10], 1_010, twoInAThousand);
  t.deepEqual(verdict, { kind: "allowed", history: [1_010] });
  t.is(restartsLeft([0, 600], 1_200, twoInAThousand), 1);
});

test("an intensity of no restarts allows none", (t) => {
  t.is(recordRestart([], 0, { restarts: 0, withinMs: 1_000 }).kind, "exceeded");
});

test("restarts spaced wider than window / allowed never exceed, whatever their number", (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10 }), fc.integer({ min: 1, max: 200 }), (restarts, count) => {
      const intensity = { restarts, withinMs: 1_000 };
      const spacingMs = 1_000 / restarts;
      let history: RestartHistory = [];
      for (let i = 0; i < count; i += 1) {
        const verdict = recordRestart(history, i * (spacingMs + 1e-6), intensity);
        if (verdict.kind === "exceeded") return false;
        history = verdict.history;
      }
      return history.length <= restarts;
    }),
  );
  t.pass();
});
