// The lock file, which decides what is installed and run on other people's machines.

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import test from "ava";

interface Locked {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: boolean;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly hasInstallScript?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
}

const root = new URL("../../../", import.meta.url);

async function json<T>(name: string): Promise<T> {
  return JSON.parse(await readFile(fileURLToPath(new URL(name, root)), "utf8")) as T;
}

const { packages } = await json<{ readonly packages: Readonly<Record<string, Locked>> }>("package-lock.json");
const { allowScripts, dependencies } = await json<{
  readonly allowScripts: Readonly<Record<string, boolean>>;
  readonly dependencies: Readonly<Record<string, string>>;
}>("package.json");
const installed = Object.entries(packages).filter(([path]) => path !== "");

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
}

test("every package has a checksum, and none comes from anywhere but the registry", (t) => {
  t.true(installed.length > 100);
  for (const [path, { integrity = "", resolved = "https://registry.npmjs.org/", link }] of installed) {
    t.regex(integrity, /^sha512-[A-Za-z0-9+/]{86}==$/, path);
    t.true(resolved.startsWith("https://registry.npmjs.org/"), `${path}: ${resolved}`);
    t.falsy(link, path);
  }
});

test("no dependency is asked for by address: git, http and files are not versions", (t) => {
  for (const [path, { dependencies: wanted = {} }] of Object.entries(packages))
    for (const [name, range] of Object.entries(wanted))
      t.notRegex(range, /^(git|https?|file|link|github)[:+]/, `${path}: ${name}`);
});

test("what the program itself depends on is pinned to one version each", (t) => {
  for (const [name, version] of Object.entries(dependencies)) t.regex(version, /^\d+\.\d+\.\d+$/, name);
});

test("a library that is delivered runs a script while it is installed only where that was decided", (t) => {
  for (const [path, { hasInstallScript, dev }] of installed)
    if (hasInstallScript === true && dev !== true) t.true(Object.hasOwn(allowScripts, nameOf(path)), path);
  const run = Object.entries(allowScripts).filter(([, allowed]) => allowed);
  t.deepEqual(
    run.map(([name]) => name),
    ["hnswlib-node", "msgpackr-extract"],
  );
});

test("what a library imports without asking for it is there without the tools of development too", (t) => {
  // @tensorflow/tfjs imports long and does not say so; it finds the one at the top.
  const { dev, version } = packages["node_modules/long"] ?? {};
  t.truthy(version, "a dependency on long brings it to the top");
  t.falsy(dev, "an installation with --omit=dev has no long: TensorFlow.js would not load");
});
