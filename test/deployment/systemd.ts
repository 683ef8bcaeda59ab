// The units of docs/deploy as a test reads them, and the socket of an init system.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../supervision/clock.js";

const folder = fileURLToPath(new URL("../../../docs/deploy/", import.meta.url));
/** Where the page says that the command is. */
export const installed = "/usr/local/bin/driftmend";
const withinMs = 60_000;

export function unitText(name: string): Promise<string> {
  return readFile(`${folder}${name}`, "utf8");
}

/** The value of one line of a unit. */
export function setting(unit: string, name: string): string {
  const line = unit.split("\n").find((each) => each.startsWith(`${name}=`));
  if (line === undefined) throw new Error(`no ${name}= in the unit`);
  return line.slice(name.length + 1);
}

/** "30" or "2min" as milliseconds, as far as our units use it. */
export function milliseconds(value: string): number {
  if (!/^\d+$/.test(value)) throw new Error(`"${value}": give plain seconds`);
  return Number(value) * 1_000;
}

const listener = `
import select, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("listening", flush=True)
while True:
    # Ends with whoever holds the other end of its standard input: a launcher in between may not hand a signal on.
    if sys.stdin in select.select([s, sys.stdin], [], [])[0]:
        break
    data, fds, _, _ = socket.recv_fds(s, 4096, 1)
    for line in data.decode().splitlines():
        print(line, flush=True)
    for fd in fds:
        socket.close(fd)
`;

/** What a unit says to its init system, word by word. */
export class InitSocket {
  readonly words: string[] = [];
  readonly #child: ChildProcess;
  readonly #waiting = new Set<() => void>();

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async at(path: string): Promise<InitSocket> {
    const child = spawn("python3", ["-c", listener, path], { stdio: ["pipe", "pipe", "inherit"] });
    const socket = new InitSocket(child);
    createInterface({ input: child.stdout }).on("line", (line) => {
      socket.words.push(line);
      for (const look of socket.#waiting) look();
    });
    await socket.hear("listening");
    return socket;
  }

  /** Resolves when this word has come; rejects when it does not. */
  async hear(word: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const cancel = systemClock.after(withinMs, () => reject(new Error(`no ${word}: ${this.words.join(" ")}`)));
      const look = (): void => {
        if (!this.words.includes(word)) return;
        cancel();
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }

  async close(): Promise<void> {
    const gone = once(this.#child, "exit");
    this.#child.stdin?.end();
    await gone;
  }
}
