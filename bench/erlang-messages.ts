// Erlang's own messages, for comparison: bench/erlang/messages.erl in a node with one scheduler, ordered round by round.
//
// Owns: compiling it, the process, its end. Does not own: the order of rounds (interleave.ts), what is compared (actor-messages.ts).
import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const source = fileURLToPath(new URL("../../bench/erlang/messages.erl", import.meta.url));

export interface Erlang {
  readonly kind: "erlang";
  /** As `erlang:system_info(otp_release)` says it. */
  readonly release: string;
  /** Resolves when the node has done it. */
  work(what: "flood" | "ask", count: number): Promise<void>;
  stop(): Promise<void>;
}
export type ErlangFound = Erlang | { readonly kind: "absent"; readonly why: string };

export async function startErlang(): Promise<ErlangFound> {
  const folder = await mkdtemp(join(tmpdir(), "driftmend-erlang-"));
  const end = (): Promise<void> => rm(folder, { recursive: true, force: true });
  const run = promisify(execFile);
  try {
    const eval_ = 'io:format("~s", [erlang:system_info(otp_release)]), halt().';
    const { stdout: release } = await run("erl", ["-noshell", "-eval", eval_]);
    await run("erlc", ["-o", folder, source]);
    return { kind: "erlang", release, ...started(folder, end) };
  } catch (error) {
    await end();
    if (error instanceof Error && "code" in error && error.code === "ENOENT")
      return { kind: "absent", why: "erl and erlc are not installed (Debian: erlang-base)" };
    throw error;
  }
}

function started(folder: string, end: () => Promise<void>): Pick<Erlang, "work" | "stop"> {
  const words = ["+S", "1:1", "-noshell", "-pa", folder, "-s", "messages", "main"];
  const child = spawn("erl", words, {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, ERL_CRASH_DUMP: "/dev/null" },
  });
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const waiting: ((line: string) => void)[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => waiting.shift()?.(line));
  return {
    work: async (what, count) => {
      const answered = new Promise<string>((resolve) => waiting.push(resolve));
      child.stdin.write(`${what} ${count}\n`);
      const line = await Promise.race([answered, gone]);
      if (!/^\d+$/.test(line ?? "")) throw new Error(`erl answered "${line ?? "nothing"}" to ${what} ${count}`);
    },
    // It ends by itself at the end of its input, and so also with this process.
    stop: async () => {
      child.stdin.end();
      await gone;
      await end();
    },
  };
}
