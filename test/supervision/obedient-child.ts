// A child process for the tests of the root: ready at once, ends with its parent, and does what its arguments and messages say.
//
//   BEHAVIOUR GENERATION    GENERATION "spare" waits to be told which generation it is

import { systemClock } from "../../supervision/clock.js";
import { awaitActivation, reportReady, watchParent } from "../../supervision/process/parent-watch.js";

const [behaviour = "serve", argument = "0"] = process.argv.slice(2);
let generation = argument;
const ended = new AbortController();

watchParent(() => process.exit(0));
process.on("SIGTERM", () => {
  ended.abort();
  if (behaviour !== "stubborn") process.exit(0);
});

/** Holds the thread, as a handler that computes without an end does. */
function block(forMs: number): void {
  const untilMs = performance.now() + forMs;
  while (performance.now() < untilMs);
}

const listen = (message: { readonly kind: string; readonly forMs?: number }) => {
  if (message.kind === "hang") block(Number.POSITIVE_INFINITY);
  if (message.kind === "exit") process.exit(3);
  if (message.kind === "pause") block(message.forMs ?? 0);
  process.send?.({ kind: "echo", generation, message });
};

const slowStartMs = 3_000;

if (argument === "spare") {
  if (behaviour === "brittle") process.exit(4);
  if (behaviour === "slow") await systemClock.delay(slowStartMs);
  const activation = await awaitActivation(ended.signal);
  generation = `${activation?.generation}`;
}
process.on("message", listen);
if (behaviour === "line") process.stdout.write("listening\n");
else if (behaviour === "crash") process.exit(3);
else if (behaviour !== "silent") reportReady();
