// The end of what a root has started, without a root.

import test from "ava";
import { Endings } from "../../operations/cluster/endings.js";

test("what was started last ends first, and one that fails to end leaves neither the nodes nor the broker running", async (t) => {
  const ended: string[] = [];
  const endings = new Endings();
  for (const name of ["broker", "nodes", "pulse", "context"])
    endings.push(async () => {
      ended.push(name);
      if (name === "pulse" || name === "context") throw new Error(`${name} cannot be ended`);
    });
  await t.throwsAsync(endings.endAll(new AbortController().signal), { message: "context cannot be ended" });
  t.deepEqual(ended, ["context", "pulse", "nodes", "broker"]);
});

test("each is ended once, and told whether patience is over", async (t) => {
  const over = new AbortController();
  const told: boolean[] = [];
  const endings = new Endings();
  endings.push(async (signal) => void told.push(signal.aborted));
  over.abort();
  await endings.endAll(over.signal);
  await endings.endAll(over.signal);
  t.deepEqual(told, [true]);
});
