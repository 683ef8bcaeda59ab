// `driftmend soak` as a person runs it: interrupted, it still proves what it saw.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import test from "ava";
import { entry } from "../cluster/running.js";

test.serial("Ctrl-C ends the faults, and the report is as true as that of a full soak (S2-11, S2-46)", async (t) => {
  t.timeout(200_000);
  const directory = await mkdtemp(join(tmpdir(), "driftmend-verb-"));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const [store, report] = [join(directory, "store"), join(directory, "report.json")];
  const child = spawn(process.execPath, [entry, "soak", "--seed", "4", "--store", store, "--report", report], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  t.teardown(() => void child.kill("SIGKILL"));
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    printed += text;
  });
  const ended = once(child, "close");
  const said: string[] = [];
  for await (const line of createInterface({ input: child.stderr })) {
    said.push(line);
    if (/^faults .* [1-9]\d*\/2000 actors/.test(line) && !said.includes("interrupted")) {
      said.push("interrupted");
      child.kill("SIGINT");
    }
  }
  const [code] = await ended;
  t.is(code, 130, said.join("\n"));
  t.regex(printed, /seed 4, interrupted/);
  t.regex(printed, /every invariant holds/);
  const written = JSON.parse(await readFile(report, "utf8"));
  t.true(written.holds && written.interrupted);
  t.true(written.faults.struck.actorKills > 0 && written.faults.struck.actorKills < 2_000);
  t.deepEqual((await readdir(store)).sort(), ["nats", "nodes.log"]);
});
