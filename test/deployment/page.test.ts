// docs/deployment.md and what it hands out, held against the program: every verb and flag exists, every file that is copied is there.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test from "ava";
import { entry } from "../cluster/running.js";
import { setting, unitText } from "./systemd.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const read = (name: string): Promise<string> => readFile(join(root, name), "utf8");

interface Typed {
  readonly where: string;
  readonly words: readonly string[];
}

/** What follows the command's name, wherever it stands in the line of a code block. */
function typedIn(where: string, lines: readonly string[]): Typed[] {
  return lines.flatMap((line) => {
    const [, words] = /^(?:sudo -u driftmend )?(?:\/usr\/local\/bin\/)?driftmend (\S.*)$/.exec(line.trim()) ?? [];
    return words === undefined ? [] : [{ where, words: words.split(" ") }];
  });
}

async function everyCommand(): Promise<readonly Typed[]> {
  const page = (await read("docs/deployment.md")).split("\n").filter((line) => line.startsWith("    "));
  const units = await Promise.all(
    ["driftmend.service", "driftmend-node@.service"].map(async (name) =>
      typedIn(name, [setting(await unitText(name), "ExecStart")]),
    ),
  );
  const container = (await read("docs/deploy/Containerfile")).split("\n");
  const lists = container.flatMap((line) => {
    const [, list] = /CMD (\[.*\])$/.exec(line) ?? [];
    const words: readonly string[] = list === undefined ? [] : JSON.parse(list);
    return words[0] === "driftmend" ? [{ where: "Containerfile", words: words.slice(1) }] : [];
  });
  return [...typedIn("docs/deployment.md", page), ...units.flat(), ...lists];
}

/** The verb's help, with its second word where it has one. */
async function helpOf(words: readonly string[]): Promise<string> {
  const [verb = "", second = ""] = words;
  const typed = ["auth", "model", "snapshots"].includes(verb) && /^[a-z]+$/.test(second) ? [verb, second] : [verb];
  const { stdout } = await promisify(execFile)(process.execPath, [entry, ...typed, "--help"]);
  return stdout;
}

test("every verb and every flag of the page, the units and the container file is one that the program has (S1-100)", async (t) => {
  t.timeout(90_000);
  const commands = await everyCommand();
  t.true(commands.length >= 10, `${commands.length} commands were found`);
  t.deepEqual([...new Set(commands.map(({ where }) => where))].sort(), [
    "Containerfile",
    "docs/deployment.md",
    "driftmend-node@.service",
    "driftmend.service",
  ]);
  const helps = new Map<string, Promise<string>>();
  for (const { where, words } of commands) {
    const verb = words.slice(0, 2).join(" ");
    const help = helps.get(verb) ?? helpOf(words);
    helps.set(verb, help);
    for (const flag of words.filter((word) => word.startsWith("--")))
      t.true(new RegExp(`${flag}\\b`).test(await help), `${where}: no ${flag} in driftmend ${words.join(" ")}`);
  }
});

test("what the container file copies is there, and all rooms of the program are among it (S1-101)", async (t) => {
  const lines = (await read("docs/deploy/Containerfile")).split("\n");
  const copied = lines
    .filter((line) => line.startsWith("COPY ") && !line.includes("--from="))
    .flatMap((line) => line.split(" ").slice(1, -1));
  for (const path of copied) t.true(existsSync(join(root, path)), path);
  const { include } = JSON.parse(await read("tsconfig.json")) as { readonly include: readonly string[] };
  for (const room of include.filter((each) => each !== "bench" && each !== "test")) t.true(copied.includes(room), room);
  for (const path of ["package.json", "package-lock.json", ".npmrc", "tsconfig.json"])
    t.true(copied.includes(path), path);
});

test("a container runs as a user without rights, collects dead children, and is stopped by the signal that drains (S1-101)", async (t) => {
  const text = await read("docs/deploy/Containerfile");
  t.regex(text, /^USER driftmend$/m);
  t.regex(text, /^STOPSIGNAL SIGTERM$/m);
  t.regex(text, /^ENTRYPOINT \["\/usr\/bin\/tini", "--"\]$/m);
  t.regex(text, /^HEALTHCHECK .*"driftmend", "health"/m);
  t.is(text.split("\n").filter((line) => line.startsWith("FROM ")).length, 2, "built in one image, run in another");
});

test("what the page tells to copy from docs/deploy is delivered with the package", async (t) => {
  const page = await read("docs/deployment.md");
  const named = Array.from(page.matchAll(/docs\/deploy\/([\w@.-]+)/g), ([, name]) => name ?? "");
  t.true(named.length >= 2);
  for (const name of named) t.true(existsSync(join(root, "docs/deploy", name)), name);
  const { files } = JSON.parse(await read("package.json")) as { readonly files: readonly string[] };
  t.true(files.includes("docs"));
});
