// Words to the init system that started this process (systemd's sd_notify): it serves, it ends, it is alive.
//
// Owns: when such a word is wanted, and sending it. Does not own: what ready means (operations/cluster/up.ts, node.ts), what the init system does.
//
// N1. Nobody waits for a word, and none that could not be sent ends anything: it is logged.
// N2. Words are sent one after the other, in the order in which they were said.
// N3. The watchdog is fed from the event loop of this process and by nothing else: a loop that stands still falls silent.
//
// The protocol is a datagram on a Unix socket, which Node cannot send; `systemd-notify` can, and waits until it was taken. A unit has to
// allow it (NotifyAccess=all), for it is another process.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { Clock } from "../../models/clock.js";
import type { Logger } from "../logger.js";

export interface InitSystem {
  ready(status: string): void;
  /** Resolves when the word was taken: what follows may end this process. */
  stopping(): Promise<void>;
}

/** What the init system says in the environment of a process that it started. */
export interface InitSystemEnvironment {
  readonly PATH?: string | undefined;
  /** Where words are wanted; absent when they are not. */
  readonly NOTIFY_SOCKET?: string | undefined;
  /** Microseconds within which it wants to hear of a process that lives, and which process. */
  readonly WATCHDOG_USEC?: string | undefined;
  readonly WATCHDOG_PID?: string | undefined;
}

export type SendWords = (words: readonly string[]) => Promise<void>;

const program = "systemd-notify";
/** Feeds within the time of the watchdog: one may be late. */
const feedsPerPeriod = 3;

const nobody: InitSystem = { ready: () => undefined, stopping: async () => undefined };

export function initSystemOf(
  environment: InitSystemEnvironment,
  { clock, log, pid, sendWithinMs }: { clock: Clock; log: Logger; pid: number; sendWithinMs: number },
  send: SendWords = sendBy(environment, sendWithinMs),
): InitSystem {
  const { NOTIFY_SOCKET: socket = "" } = environment;
  if (socket === "") return nobody;
  const everyMs = feedEveryMs(environment, pid);
  let last = Promise.resolve();
  const say = (...words: readonly string[]): Promise<void> => {
    last = last
      .then(() => send(words))
      .catch((error: Error) => log.warn("the init system was not told", { words, error }));
    return last;
  };
  const feed = async (ms: number): Promise<void> => {
    for (;;) {
      await say("WATCHDOG=1");
      await clock.delay(ms);
    }
  };
  return {
    ready: (status) => {
      void say("READY=1", `STATUS=${status}`);
      if (everyMs !== undefined) void feed(everyMs);
    },
    // Fed on while it drains: how long that may take is the init system's own affair. The process's end ends it.
    stopping: () => say("STOPPING=1", "STATUS=draining"),
  };
}

/** Undefined where nobody watches, or watches another process. */
export function feedEveryMs(environment: InitSystemEnvironment, pid: number): number | undefined {
  const { WATCHDOG_USEC: period = "", WATCHDOG_PID: watched = `${pid}` } = environment;
  const us = Number(period);
  return period !== "" && us > 0 && Number(watched) === pid ? us / 1_000 / feedsPerPeriod : undefined;
}

function sendBy({ PATH = "", NOTIFY_SOCKET = "" }: InitSystemEnvironment, timeout: number): SendWords {
  return async (words) => {
    await promisify(execFile)(program, words, { env: { PATH, NOTIFY_SOCKET }, timeout });
  };
}
