// `driftmend doctor`: can a cluster run on this machine, or on a server that somebody else keeps, and if not, what to type.
//
// Owns: looking this machine's facts up. Does not own: what they mean (doctor-checks.ts), a server's (doctor-server.ts).
//
// H1. A library that cannot load breaks only its own line: each is imported by itself, and what it said is shown.
import { execFile } from "node:child_process";
import { readFile, statfs } from "node:fs/promises";
import { availableParallelism, platform } from "node:os";
import { dirname, resolve } from "node:path";
import { promisify } from "node:util";
import type { Clock } from "../../models/clock.js";
import { defaultStore } from "../../transport/access/context.js";
import type { Role } from "../../transport/access/credentials.js";
import { findServer, NoServerBinary } from "../../transport/server/server-binary.js";
import { knownHoles } from "../../transport/server/server-holes.js";
import { sharedMemoryDir } from "../../transport/tensors/segment-place.js";
import { done, type Outcome } from "../cluster/outcome.js";
import type { Colours } from "../terminal/colours.js";
import type { Terminal } from "../terminal/terminal.js";
import { padRight, widthOf, wrap } from "../text.js";
import { type ClusterOptions, withConnection } from "./cluster.js";
import {
  type Check,
  checkClock,
  checkDisk,
  checkLearner,
  checkLibrary,
  checkNode,
  checkServer,
  checkSharedMemory,
} from "./doctor-checks.js";
import { serverChecks } from "./doctor-server.js";
import { checkListening } from "./server-checks.js";

export interface DoctorOptions extends ClusterOptions {
  readonly store?: string;
  readonly natsServer?: string;
  /** Where a server of our own is to listen. */
  readonly listen?: string;
  /** Of the user that is given with --nats. */
  readonly role?: Role;
  readonly replicas?: number;
  readonly monitor?: string;
  readonly acceptKnownHoles?: boolean;
  /** The PATH variable's value, from the command line's environment. */
  readonly searchPath: string;
}

const versionTimeoutMs = 5_000;
const clockWaitMs = 100;

export async function doctor(options: DoctorOptions, terminal: Terminal): Promise<Outcome> {
  if (options.nats === undefined && options.context === undefined) {
    for (const flag of ["role", "replicas", "monitor"] as const)
      if (options[flag] !== undefined)
        return { kind: "usage", message: `--${flag} goes with --nats`, next: `add --nats URL, or leave --${flag} out` };
    return judged([], machine(options, terminal, [() => lookAtOwnServer(options)]), terminal);
  }
  const { nats: url, role, replicas, monitor, acceptKnownHoles } = options;
  // A context file is an operator's.
  const user = options.user ?? (options.context === undefined ? undefined : "operator");
  // Trying rights is trying what may be denied.
  return withConnection(options, "operator", terminal, async ({ bus, subjects }) => {
    const wishes = { url, user, role, replicas, monitor, acceptKnownHoles };
    const found = await serverChecks(bus, subjects, wishes, terminal.clock);
    return judged(found, machine(options, terminal), terminal);
  });
}

type Look = () => Promise<Check>;

/** What any machine needs that nodes run on; `server` where the machine is to have one of its own. */
function machine(options: DoctorOptions, terminal: Terminal, server: readonly Look[] = []): readonly Look[] {
  const loads = async (library: string, does: string, load: () => Promise<unknown>): Promise<Check> =>
    checkLibrary(library, does, await failureOf(load));
  return [
    async () => checkNode(process.version, `${platform()} ${process.arch}`, availableParallelism()),
    ...server,
    lookForLearner,
    lookForServing,
    () => loads("hnswlib-node", "recalls experiences", () => import("../../models/memory/memory-index.js")),
    async () => checkSharedMemory(await spaceOf(sharedMemoryDir)),
    () => lookAtClock(terminal.clock),
    () => lookAtStore(resolve(options.store ?? defaultStore)),
  ];
}

async function judged(found: readonly Check[], looks: readonly Look[], terminal: Terminal): Promise<Outcome> {
  const checks: Check[] = [...found];
  for (const look of looks) {
    if (terminal.interrupted.aborted) return { kind: "interrupted" };
    checks.push(await look());
  }
  const missing = checks.filter(({ status }) => status === "missing");
  const ok = missing.length === 0;
  terminal.print(
    terminal.json ? JSON.stringify({ ok, checks }) : renderChecks(checks, terminal.width, terminal.colours),
  );
  if (ok) return done;
  return {
    kind: "failed",
    message: `missing: ${missing.map(({ name }) => name).join(", ")}`,
    next: missing.map(({ next }) => next ?? "").join("; "),
  };
}

/** One paragraph a check: what there is, and below it what to type. Nothing is cut, for it may have to be typed. */
export function renderChecks(checks: readonly Check[], width: number, colours: Colours): string {
  const paint = { ok: colours.good, warning: colours.warn, missing: colours.bad } as const;
  const nameWidth = checks.reduce((widest, { name }) => Math.max(widest, widthOf(name)), 0);
  const statusWidth = "missing".length;
  const indent = " ".repeat(2 + statusWidth + 2 + nameWidth + 2);
  const room = Math.max(30, width - indent.length);
  const lines = checks.flatMap(({ name, status, detail, next }) => {
    const [first = "", ...more] = wrap(detail, room);
    const head = `  ${paint[status](padRight(status, statusWidth))}  ${padRight(name, nameWidth)}  ${first}`;
    const hint = next === undefined ? [] : wrap(`-> ${next}`, room).map((line) => indent + colours.accent(line));
    return [head, ...more.map((line) => indent + line), ...hint];
  });
  return lines.join("\n");
}

/** The server that `up` would start here. */
async function lookAtOwnServer({ natsServer, searchPath, listen, acceptKnownHoles }: DoctorOptions): Promise<Check> {
  try {
    const path = await findServer({ explicit: natsServer, searchPath, mayFetch: false });
    const { stdout } = await promisify(execFile)(path, ["--version"], { timeout: versionTimeoutMs });
    const version = stdout.trim().replace(/^nats-server:\s*/, "");
    const own = checkServer({ path, version }, "");
    if (listen === undefined) return own;
    const accepted = acceptKnownHoles ?? false;
    return { ...checkListening({ hosts: [listen], version, holes: knownHoles(version), accepted }), name: own.name };
  } catch (error) {
    if (error instanceof NoServerBinary) return checkServer(undefined, error.message);
    if (error instanceof Error && "cmd" in error)
      return checkServer(undefined, `it does not run: ${error.message.split("\n", 1)[0]}`);
    throw error;
  }
}

async function lookForLearner(): Promise<Check> {
  try {
    const { LearnerError, openLearner } = await import("../../models/learning/learner.js");
    try {
      const learner = await openLearner();
      learner.close();
      return checkLearner(learner.backend, learner.tried);
    } catch (error) {
      if (error instanceof LearnerError) return checkLearner(undefined, error.tried);
      throw error;
    }
  } catch (error) {
    return checkLearner(undefined, [{ backend: "@tensorflow/tfjs", available: false, why: String(error) }]);
  }
}

/** Where models would compute, tried with the source graph of the digits, which comes with the package. */
async function lookForServing(): Promise<Check> {
  let does = "serves models on cpu, and on cuda with --ep cuda";
  const failure = await failureOf(async () => {
    const { whyNoCuda } = await import("../../models/serving/onnx-session.js");
    const why = await whyNoCuda(await readFile(new URL("../../../models/digits/source.onnx", import.meta.url)));
    if (why !== undefined) does = `serves models on cpu; cuda: ${why}`;
  });
  return checkLibrary("onnxruntime-node", does, failure);
}

async function failureOf(load: () => Promise<unknown>): Promise<string | undefined> {
  return load().then(
    () => undefined,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
}

async function spaceOf(path: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number } | undefined> {
  return statfs(path).then(
    ({ bavail, blocks, bsize }) => ({ freeBytes: bavail * bsize, totalBytes: blocks * bsize }),
    () => undefined,
  );
}

/** The store need not exist yet: its nearest parent that does is on the same disk. */
async function lookAtStore(store: string): Promise<Check> {
  for (let folder = store; ; folder = dirname(folder)) {
    const space = await spaceOf(folder);
    if (space !== undefined || dirname(folder) === folder) return checkDisk(store, space?.freeBytes);
  }
}

async function lookAtClock(clock: Clock): Promise<Check> {
  const [wall, steady] = [clock.nowMs(), clock.monotonicMs()];
  await clock.delay(clockWaitMs);
  return checkClock(clock.nowMs(), clock.nowMs() - wall - (clock.monotonicMs() - steady));
}
