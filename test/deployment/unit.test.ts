// The shipped systemd units: what systemd says of them, and the cluster's unit run as systemd would run it, by its own ExecStart.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import test from "ava";
import { type ClusterContext, contextFile } from "../../transport/access/context.js";
import { timeoutDefaults } from "../../transport/timeouts.js";
import { someDigits, tensorOf } from "../cluster/pictures.js";
import { entry, lookAt } from "../cluster/running.js";
import { InitSocket, installed, milliseconds, setting, unitText } from "./systemd.js";

const units = ["driftmend.service", "driftmend-node@.service"] as const;

let folder = "";
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "driftmend-unit-"));
});
test.after.always(() => rm(folder, { recursive: true, force: true }));

/** Asked before the tests are declared, so that one that cannot run is named as skipped. */
function has(program: string): boolean {
  return (process.env.PATH ?? "").split(delimiter).some((dir) => existsSync(join(dir, program)));
}

const withAnalyze = has("systemd-analyze");
const withNotify = has("systemd-notify") && has("python3");

/** The unit with the command where it really is, in a file of the name that it will have. */
async function placed(name: string, command: string): Promise<string> {
  const file = join(folder, name.replace("@.", "@serving-1."));
  await writeFile(file, (await unitText(name)).replaceAll(installed, command));
  return file;
}

/** What systemd says of a unit; nothing when all is well. */
async function verified(file: string): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)("systemd-analyze", ["verify", "--man=no", file]);
  return `${stdout}${stderr}`;
}

/** The page's commands under "One machine" that look at the cluster, for a cluster that keeps its state elsewhere. */
async function pageCommands(state: string): Promise<readonly (readonly [string, readonly string[]])[]> {
  const page = await readFile(new URL("../../../docs/deployment.md", import.meta.url), "utf8");
  const before = "    sudo -u driftmend driftmend ";
  const found = page
    .split("\n")
    .filter((line) => line.startsWith(before))
    .map((line) => [line, line.slice(before.length).replace("/var/lib/driftmend", state).split(" ")] as const);
  if (found.length < 4) throw new Error("the page does not say how to look at the cluster");
  return found;
}

for (const name of units)
  (withAnalyze ? test.serial : test.serial.skip)(
    `${name} passes systemd-analyze verify without a word (S1-101; needs systemd-analyze)`,
    async (t) => {
      t.timeout(60_000);
      const command = join(folder, "driftmend");
      await writeFile(command, "#!/bin/sh\n");
      await chmod(command, 0o755);
      t.is(await verified(await placed(name, command)), "");
      // The control: what is wrong in a unit is not passed over.
      const broken = await placed(name, command);
      await writeFile(broken, (await readFile(broken, "utf8")).replace("KillMode=mixed", "KillMode=perhaps"));
      t.regex(await verified(broken), /kill mode/);
    },
  );

test("a unit waits longer for the end than the drain may take, and asks for it by the signal that drains (S1-101)", async (t) => {
  const { drain, halt, brokerStop } = timeoutDefaults;
  for (const [name, needed] of [
    [units[0], drain + halt + brokerStop],
    [units[1], drain + halt],
  ] as const) {
    const unit = await unitText(name);
    t.true(milliseconds(setting(unit, "TimeoutStopSec")) > needed, name);
    t.is(setting(unit, "KillSignal"), "SIGTERM");
    t.is(
      setting(unit, "KillMode"),
      "mixed",
      "a signal to every process at once would end the NATS server before the nodes",
    );
    t.is(setting(unit, "NotifyAccess"), "all");
  }
});

(withNotify ? test.serial : test.serial.skip)(
  "the unit's own command becomes ready and feeds its watchdog, the page's commands find it healthy, and at SIGTERM it answers what is in flight (S1-100, S1-101; needs systemd-notify and python3)",
  async (t) => {
    t.timeout(90_000);
    const unit = await unitText(units[0]);
    const [socketPath, state] = [join(folder, "notify"), await mkdtemp(join(folder, "state-"))];
    const command = join(folder, "driftmend-here");
    await writeFile(command, `#!/bin/sh\nexec ${process.execPath} ${entry} "$@"\n`, { mode: 0o755 });
    const socket = await InitSocket.at(socketPath);
    t.teardown(() => socket.close());
    const words = setting(unit, "ExecStart")
      .replace(installed, command)
      .replace(/\$\{STATE_DIRECTORY\}/, state)
      .replace(":7480", ":0")
      .split(" ");
    const child = spawn(words[0] ?? "", words.slice(1), {
      cwd: folder,
      env: { PATH: process.env.PATH, NOTIFY_SOCKET: socketPath, WATCHDOG_USEC: "1000000" },
      stdio: ["ignore", "ignore", "inherit"],
    });
    const ended = once(child, "exit");
    t.teardown(() => child.kill("SIGKILL"));
    await socket.hear("READY=1");
    const context: ClusterContext = JSON.parse(await readFile(contextFile(state), "utf8"));
    const sight = await lookAt(context);
    await socket.hear("WATCHDOG=1");
    const told = (await pageCommands(state)).map(async ([said, verb]) => {
      const { stdout } = await promisify(execFile)(process.execPath, [entry, ...verb]);
      t.not(stdout, "", said);
      if (verb[0] === "health") t.regex(stdout, /^\s*healthy/, "the page leads to a healthy cluster");
    });
    await Promise.all(told);
    const asked = (await someDigits(64)).map(({ ink }) =>
      sight.client.infer("digits", tensorOf(ink), { retries: 0, deadlineMs: 5_000 }),
    );
    await sight.client.bus.flush();
    child.kill("SIGTERM");
    for (const outcome of await Promise.all(asked)) t.is(outcome.kind, "reply", JSON.stringify(outcome));
    const [code] = await ended;
    await sight.close();
    t.is(`${code}`, setting(unit, "SuccessExitStatus"), "a drained end is a success to systemd");
    await socket.hear("STOPPING=1");
  },
);
