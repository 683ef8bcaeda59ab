// Where the nats-server binary comes from.
//
// Owns: the search, and fetching Debian's package into the user's cache when the user allowed it.
// Does not own: running it (broker.ts).

import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access, mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

/** No server binary. The message is one line that says what to type. */
export class NoServerBinary extends Error {
  override readonly name = "NoServerBinary";
  constructor(detail: string) {
    super(
      `${detail}: install it with "sudo apt install nats-server" (Debian, Ubuntu) or "brew install nats-server" (macOS), ` +
        "name one with --nats-server FILE, or join a running server with --nats URL",
    );
  }
}

export interface ServerSearch {
  /** A file the user named; nothing else is looked at then. */
  readonly explicit?: string | undefined;
  /** Directories as in PATH; this process's own PATH and the usual places when left out. */
  readonly searchPath?: string | undefined;
  readonly cacheDir?: string | undefined;
  /** Leave to fetch the distribution's package into the cache. */
  readonly mayFetch: boolean;
}

const binaryName = "nats-server";
const fetchTimeoutMs = 120_000;
/** Debian and Homebrew put servers here, which is not on every user's PATH. */
const usualDirs = ["/usr/sbin", "/usr/local/sbin", "/usr/local/bin", "/opt/homebrew/bin"];
const run = promisify(execFile);

/** Path of an executable nats-server; throws NoServerBinary. */
export async function findServer(search: ServerSearch): Promise<string> {
  if (search.explicit !== undefined) {
    if (await isExecutable(search.explicit)) return search.explicit;
    throw new NoServerBinary(`${search.explicit} is not an executable nats-server`);
  }
  const cacheDir = search.cacheDir ?? join(homedir(), ".cache", "driftmend");
  const dirs = search.searchPath === undefined ? usualDirs : search.searchPath.split(delimiter);
  const onPath = search.searchPath === undefined ? await fromOwnPath() : undefined;
  if (onPath !== undefined) return onPath;
  for (const dir of [...dirs, cacheDir]) {
    const path = join(dir, binaryName);
    if (await isExecutable(path)) return path;
  }
  if (!search.mayFetch) throw new NoServerBinary("no nats-server found");
  return fetchFromDebian(cacheDir);
}

/** What the binary says of its version, as in "nats-server: v2.9.10"; "" when it says nothing. */
export async function versionOf(binary: string): Promise<string> {
  return run(binary, ["--version"]).then(
    ({ stdout }) => stdout.trim(),
    () => "",
  );
}

/** The shell looks along the PATH it inherits from us. */
async function fromOwnPath(): Promise<string | undefined> {
  return run("sh", ["-c", `command -v ${binaryName}`]).then(
    ({ stdout }) => stdout.trim(),
    () => undefined,
  );
}

/** Debian's package, unpacked without root. Its checksum is verified by apt against the signed index. */
async function fetchFromDebian(cacheDir: string): Promise<string> {
  await mkdir(cacheDir, { recursive: true });
  const work = await mkdtemp(join(cacheDir, "fetch-"));
  try {
    await download(work);
    const archive = (await readdir(work)).find((file) => file.endsWith(".deb"));
    if (archive === undefined)
      throw new NoServerBinary("no nats-server found, and apt-get download brought no package");
    await run("dpkg", ["-x", join(work, archive), work], { timeout: fetchTimeoutMs });
    const target = join(cacheDir, binaryName);
    await rename(join(work, "usr", "sbin", binaryName), target);
    return target;
  } catch (error) {
    if (error instanceof NoServerBinary) throw error;
    const said = error instanceof Error ? error.message.split("\n").at(0) : String(error);
    throw new NoServerBinary(`no nats-server found, and fetching Debian's package failed (${said ?? ""})`);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** With the system's package lists; where there are none yet, with lists of our own, which need no root either. */
async function download(work: string): Promise<void> {
  const at = { cwd: work, timeout: fetchTimeoutMs };
  const withSystemLists = await run("apt-get", ["download", binaryName], at).then(
    () => true,
    () => false,
  );
  if (withSystemLists) return;
  const dirs = { lists: join(work, "lists"), cache: join(work, "cache") };
  await mkdir(join(dirs.lists, "partial"), { recursive: true });
  await mkdir(join(dirs.cache, "archives", "partial"), { recursive: true });
  const own = [
    "-o",
    `Dir::State::lists=${dirs.lists}`,
    "-o",
    `Dir::Cache=${dirs.cache}`,
    "-o",
    "APT::Sandbox::User=root",
  ];
  await run("apt-get", [...own, "update"], at);
  await run("apt-get", [...own, "download", binaryName], at);
}

async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}
