// Several hosts on one machine: a network namespace each, joined by veth cables and one bridge.
//
// Owns: namespaces, cables, the bridge; cutting and mending a cable; taking away what an earlier run left. Does not own: what runs there.
//
// N1. Everything is named after the process that made it, so that a later run knows what a dead one left, and takes that away only.
// N2. A host that is taken away takes every process in it along.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { identify } from "../../transport/process-identity.js";

const run = promisify(execFile);
const namePattern = /^dmh-(\d+)(?:-|$)/;

export interface Host {
  readonly name: string;
  readonly address: string;
  /** Words in front of a command that is to run there. */
  readonly prefix: readonly string[];
}

/** What is missing for hosts of one's own; undefined when nothing is. */
export async function whyNoHosts(): Promise<string | undefined> {
  if (process.platform !== "linux") return "network namespaces are Linux's";
  if (process.getuid?.() !== 0) return "only root makes network namespaces";
  try {
    await run("ip", ["netns", "list"]);
    return undefined;
  } catch (error) {
    return `ip netns does not work here: ${error instanceof Error ? error.message : String(error)}`;
  }
}

export class Lan {
  readonly hosts: readonly Host[];
  readonly #id: string;
  readonly #bridge: string;

  private constructor(id: string, bridge: string, hosts: readonly Host[]) {
    this.#id = id;
    this.#bridge = bridge;
    this.hosts = hosts;
  }

  /** The bridge has an address too, so that this process can reach every host. */
  static async make(names: readonly string[], pid: number = process.pid): Promise<Lan> {
    const id = `dmh-${pid}`;
    // Two runs at once need networks of their own; an interface's name has 15 characters at most.
    const network = `10.213.${1 + (pid % 250)}`;
    const hosts = names.map((name, index) => ({
      name,
      address: `${network}.${index + 1}`,
      prefix: ["ip", "netns", "exec", `${id}-${name}`],
    }));
    const lan = new Lan(id, id, hosts);
    try {
      await ip("link", "add", id, "type", "bridge");
      await ip("addr", "add", `${network}.254/24`, "dev", id);
      await ip("link", "set", id, "up");
      for (const host of hosts) await lan.#plugIn(host);
      return lan;
    } catch (error) {
      await lan.remove();
      throw error;
    }
  }

  /** Nothing gets in or out: nobody is told, connections stand and carry nothing. */
  async cut(name: string): Promise<void> {
    await ip("link", "set", this.#cable(name), "down");
  }

  async mend(name: string): Promise<void> {
    await ip("link", "set", this.#cable(name), "up");
  }

  async remove(): Promise<void> {
    for (const { name } of this.hosts) await removeNamespace(`${this.#id}-${name}`);
    await removeLink(this.#bridge);
  }

  async #plugIn({ name, address }: Host): Promise<void> {
    const space = `${this.#id}-${name}`;
    await ip("netns", "add", space);
    await ip("link", "add", this.#cable(name), "type", "veth", "peer", "name", "eth0", "netns", space);
    await ip("link", "set", this.#cable(name), "master", this.#bridge);
    await ip("link", "set", this.#cable(name), "up");
    const inside = ["netns", "exec", space, "ip"];
    await ip(...inside, "addr", "add", `${address}/24`, "dev", "eth0");
    await ip(...inside, "link", "set", "eth0", "up");
    await ip(...inside, "link", "set", "lo", "up");
  }

  #cable(name: string): string {
    return `${this.#id}-${name}`;
  }
}

/** Takes away the hosts of runs whose process is gone; names of what was taken. */
export async function sweepFormer(): Promise<readonly string[]> {
  const { stdout: spaces } = await run("ip", ["netns", "list"]);
  const { stdout: links } = await run("ip", ["-o", "link", "show", "type", "bridge"]);
  const left = [
    ...spaces.split("\n").map((line) => ({ kind: "namespace" as const, name: line.split(" ")[0] ?? "" })),
    ...links.split("\n").map((line) => ({ kind: "link" as const, name: /^\d+: ([^:@]+)/.exec(line)?.[1] ?? "" })),
  ];
  const taken: string[] = [];
  for (const { kind, name } of left) {
    const pid = Number(namePattern.exec(name)?.[1] ?? 0);
    if (pid === 0 || (await identify(pid)) !== undefined) continue;
    await (kind === "namespace" ? removeNamespace(name) : removeLink(name));
    taken.push(name);
  }
  return taken;
}

async function removeNamespace(space: string): Promise<void> {
  const { stdout } = await run("ip", ["netns", "pids", space]).catch(() => ({ stdout: "" }));
  for (const pid of stdout.split("\n").filter((line) => line !== "")) await run("kill", ["-9", pid]).catch(gone);
  await ip("netns", "del", space).catch(gone);
}

async function removeLink(link: string): Promise<void> {
  await ip("link", "del", link).catch(gone);
}

/** What is to go and is gone already. */
function gone(error: unknown): void {
  if (!(error instanceof Error)) throw error;
}

async function ip(...words: readonly string[]): Promise<void> {
  await run("ip", [...words]);
}
