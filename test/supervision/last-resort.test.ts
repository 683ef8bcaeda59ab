// A process that wants to end and cannot is ended from outside.

import { spawn } from "node:child_process";
import { once } from "node:events";
import test from "ava";

const module = new URL("../../supervision/process/last-resort.js", import.meta.url).href;

async function ended(source: string): Promise<readonly unknown[]> {
  const child = spawn(process.execPath, ["--input-type=module", "-e", source], { stdio: "ignore" });
  return once(child, "exit");
}

test("a process that does not get to its end is killed when its time is over, even with its thread in a loop", async (t) => {
  const source = `import { killSelfAfter } from ${JSON.stringify(module)}; killSelfAfter(200); for (;;);`;
  t.deepEqual(await ended(source), [null, "SIGKILL"]);
});

test("one that ends before keeps its own exit code", async (t) => {
  const source = `import { killSelfAfter } from ${JSON.stringify(module)}; killSelfAfter(60000); process.exitCode = 70;`;
  t.deepEqual(await ended(source), [70, null]);
});
