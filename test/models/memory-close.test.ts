// Threads with native code that are closed in the middle of it. Each stress runs in a process of its own: what is tested for is an
// abort of the whole process.
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test from "ava";

const run = promisify(execFile);
const program = fileURLToPath(new URL("./closing-threads.js", import.meta.url));

test("a memory that is closed while it inserts takes nothing else with it", async (t) => {
  const { stdout } = await run(process.execPath, [program, "memory", "12"]);
  t.is(stdout, "closed 12\n");
});

test("an engine that is closed while it runs takes nothing else with it", async (t) => {
  const { stdout } = await run(process.execPath, [program, "engine", "12"]);
  t.is(stdout, "closed 12\n");
});

test("a thread that does not answer is terminated after its patience, and not before", async (t) => {
  const { stdout } = await run(process.execPath, [program, "deaf", "1"]);
  t.is(stdout, "closed 1\n");
});
