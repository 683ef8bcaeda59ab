// The doctor as a process of its own, before servers that only say their version.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";

const entry = fileURLToPath(new URL("../../cli.js", import.meta.url));

let folder = "";
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "driftmend-doctor-"));
});
test.after.always(() => rm(folder, { recursive: true, force: true }));

async function doctor(version: string, ...words: readonly string[]) {
  const server = join(folder, version);
  await writeFile(server, `#!/bin/sh\necho "nats-server: v${version}"\n`, { mode: 0o755 });
  const all = [entry, "doctor", "--json", "--nats-server", server, "--store", folder, ...words];
  const child = spawn(process.execPath, all, { stdio: ["ignore", "pipe", "ignore"] });
  let stdout = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => {
    stdout += part;
  });
  const [code] = await once(child, "close");
  const { checks } = JSON.parse(stdout) as { readonly checks: readonly { name: string; status: string }[] };
  return { code, status: checks.find(({ name }) => name === "nats-server")?.status };
}

test("a server with known holes is missing where it would listen beyond loopback, and one without them is not", async (t) => {
  t.timeout(120_000);
  const [open, sound] = await Promise.all([
    doctor("2.9.10", "--listen", "0.0.0.0"),
    doctor("2.14.3", "--listen", "0.0.0.0"),
  ]);
  t.deepEqual(open, { code: 1, status: "missing" });
  t.is(sound.status, "ok");
});
