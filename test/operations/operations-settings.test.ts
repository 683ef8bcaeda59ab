// The operations file with its secrets, as a node goes by it: real files in a folder of their own, a real clock, secrets handed in.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { OperationsFileError } from "../../operations/operations-file-error.js";
import { openOperationsSettings } from "../../operations/operations-settings.js";
import { systemClock as clock } from "../../supervision/clock.js";

const told = "notify:\n  slack: { webhook: 'env:HOOK' }\n";
const elsewhere = "notify:\n  slack: { webhook: 'env:OTHER' }\n";
const address = "http://127.0.0.1:9/hook";

/** Opens the text as a file; `changed` gives what was said of its next version. */
async function open(t: ExecutionContext, text: string, env: Record<string, string>) {
  const folder = await mkdtemp(join(tmpdir(), "driftmend-operations-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, "operations.yaml");
  await writeFile(path, text);
  let hear: (lines: readonly string[]) => void = () => undefined;
  const secrets = { env, readFile: () => "" };
  const settings = await openOperationsSettings({ path, clock, secrets, onChange: (lines) => hear(lines) });
  t.teardown(() => settings.close());
  const change = async (next: string): Promise<readonly string[]> => {
    const heard = new Promise<readonly string[]>((resolve) => {
      hear = resolve;
    });
    await writeFile(path, next);
    return heard;
  };
  return { settings, path, change };
}

test("a secret that is not there ends the start, named with line and column, and what another one holds is not said", async (t) => {
  const refused = await t.throwsAsync(open(t, told, { OTHER: address }), { instanceOf: OperationsFileError });
  t.regex(refused.message, /operations\.yaml:2:\d+: env:HOOK is not set$/);
  t.false(refused.message.includes(address));
});

test("a later version whose secret is not there is told, and the people of the one before are told on (S1-37)", async (t) => {
  const { settings, change } = await open(t, told, { HOOK: address });
  t.is(settings.notify()?.slack?.webhook.href, address);
  const [line = ""] = await change(elsewhere);
  t.regex(line, /:2:\d+: env:OTHER is not set$/);
  t.is(settings.notify()?.slack?.webhook.href, address);
  t.is(settings.rules().rejected, line, "health says it too");
  t.deepEqual(await change(`# mended\n${told}`), []);
  t.is(settings.rules().rejected, null);
});

test("a version that is no YAML leaves rules and people as they are; one without a section tells nobody", async (t) => {
  const { settings, change } = await open(t, told, { HOOK: address });
  const before = settings.rules().rules.length;
  t.true((await change("checks: [")).length > 0);
  t.is(settings.rules().rules.length, before);
  t.is(settings.notify()?.slack?.webhook.href, address);
  t.deepEqual(await change("checks: []\n"), []);
  t.is(settings.notify(), undefined);
});
