// `npm run fuzz [-- PAYLOADS [SEED]]`: the fuzz of `npm test` for longer. Ten million payloads of a seed of the moment, unless told otherwise;
// exit code 1 and a line for each finding, with the seed and the payload that show it again.

import { systemClock } from "../../supervision/clock.js";
import { watchFuzz } from "./fuzz-watch.js";

const [payloads = 10_000_000, seed = Math.floor(systemClock.nowMs() % 1_000_000_000)] = process.argv
  .slice(2)
  .map((word) => Math.floor(Number(word)));
if (!(Number.isSafeInteger(payloads) && payloads > 0 && Number.isSafeInteger(seed))) {
  process.stderr.write("give a number of payloads and a seed, as in: npm run fuzz -- 1000000 7\n");
  process.exit(2);
}
const startedAtMs = systemClock.monotonicMs();
const { payloads: done, outcomes, faults } = await watchFuzz({ target: "parsers", seed, payloads, batch: 25_000 });
const seconds = (systemClock.monotonicMs() - startedAtMs) / 1_000;
for (const fault of faults) process.stdout.write(`${fault}\n`);
process.stdout.write(`${done} payloads of seed ${seed} in ${seconds.toFixed(1)} s: ${JSON.stringify(outcomes)}\n`);
process.exitCode = faults.length === 0 && done === payloads ? 0 : 1;
