// A million payloads made of good messages, over every parse function of transport/, in a thread that is watched. What a parser does with
// them is the least that a stranger may count on: it answers, by name, at once, and keeps nothing. `npm run fuzz` goes on from here.

import test from "ava";
import { goodMessages, parsersOf } from "./fuzz-messages.js";
import { watchFuzz } from "./fuzz-watch.js";

const seeds = [1, 2_000_001, 4_000_001, 6_000_001];
const payloads = 250_000;
const batch = 12_500;
/** Not taken before those who carry tensors by reference do. */
const notYet = ["bad_tensor"];

test("every parser of a message has a good one to begin with, and takes it", async (t) => {
  const parsers = await parsersOf();
  t.true(Object.keys(parsers).length >= 34, Object.keys(parsers).join(" "));
  for (const [name, messages] of Object.entries(goodMessages))
    for (const [index, bytes] of messages.entries()) {
      const result: unknown = parsers[name]?.(bytes);
      const { kind, code, counts } = (result ?? {}) as { kind?: string; code?: string; counts?: unknown };
      t.true(
        kind === "ok" || counts !== undefined || notYet.includes(code ?? ""),
        `${name} ${index}: ${JSON.stringify(result)}`,
      );
    }
});

for (const seed of seeds)
  test.serial(
    `${payloads} payloads of seed ${seed}: every one is taken or refused by name, and nothing is kept`,
    async (t) => {
      t.timeout(300_000);
      const { payloads: done, outcomes, faults } = await watchFuzz({ target: "parsers", seed, payloads, batch });
      t.deepEqual(faults, []);
      t.is(done, payloads);
      const { refused = 0, taken = 0 } = outcomes;
      t.true(
        refused > payloads / 2 && taken > payloads / 50,
        `the payloads reach both sides: ${JSON.stringify(outcomes)}`,
      );
    },
  );

test.serial("a decoder without the walk before it fails the same fuzz", async (t) => {
  t.timeout(300_000);
  const { faults } = await watchFuzz({ target: "unscanned", seed: 1, payloads: 4 * batch, batch });
  t.not(faults.length, 0);
  t.log(faults[0]?.slice(0, 160));
});

test.serial("the watch sees a parser that hangs, and one that keeps what it was given", async (t) => {
  t.timeout(300_000);
  const hanging = await watchFuzz({ target: "hanging", seed: 1, payloads, batch }, 3_000);
  t.regex(hanging.faults.join(), /^hangs: /);
  const hoarding = await watchFuzz({ target: "hoarding", seed: 1, payloads, batch });
  t.regex(hoarding.faults.join(), /grows: |allocated/);
});
