// What a machine must have to run a cluster, judged one by one from facts that were looked up before.
//
// Owns: what is required, what is only better to have, and what to type when it is missing.
// Does not own: finding the facts (doctor.ts).
import { tensorBytesMax } from "../../transport/tensors/bounds.js";
import { reserveBytes } from "../../transport/tensors/segment-pool.js";
import { bytes, cut, printable } from "../text.js";

/** ok; warning: it runs, but not as well or not as safely; missing: nothing runs without it. */
export interface Check {
  readonly name: string;
  readonly status: "ok" | "warning" | "missing";
  readonly detail: string;
  /** What to type; absent when all is well. */
  readonly next?: string;
}

const nodeLeast: Version = [20, 19, 0];
/** Below this nats-server has two known holes in its authorisation, which matter as soon as others can connect. */
const serverSafe: Version = [2, 11, 16];
const diskNeeded = 100 * 1024 ** 2;
const diskComfortable = 1024 ** 3;
const sharedMemoryComfortable = 64 * 1024 ** 2;
/** For the largest tensor, beside what is left for others. */
const sharedMemoryWanted = tensorBytesMax + reserveBytes;
const clockDriftMaxMs = 50;

type Version = readonly [number, number, number];

/** "v20.19.1", "2.9.10-beta" -> numbers; undefined for anything else. */
export function parseVersion(text: string): Version | undefined {
  const match = /^v?(\d+)\.(\d+)\.(\d+)/.exec(text);
  return match === null ? undefined : [Number(match[1]), Number(match[2]), Number(match[3])];
}

export function isAtLeast(version: Version, least: Version): boolean {
  for (const place of [0, 1, 2] as const) if (version[place] !== least[place]) return version[place] > least[place];
  return true;
}

export function checkNode(version: string, platform: string, cores: number): Check {
  const parsed = parseVersion(version);
  const detail = `${version} on ${platform}, ${cores} cores`;
  if (parsed !== undefined && isAtLeast(parsed, nodeLeast)) return { name: "node", status: "ok", detail };
  return { name: "node", status: "missing", detail, next: `install Node ${nodeLeast.join(".")} or newer` };
}

/** `found` is undefined when there is no server; `version` is what it says of itself. */
export function checkServer(
  found: { readonly path: string; readonly version: string } | undefined,
  install: string,
): Check {
  const name = "nats-server";
  if (found === undefined) return { name, status: "missing", detail: "not found", next: install };
  const version = parseVersion(found.version);
  const detail = `${printable(found.version)} at ${printable(found.path)}`;
  if (version === undefined)
    return { name, status: "warning", detail: `${detail}: it does not say its version`, next: "nats-server --version" };
  if (isAtLeast(version, serverSafe)) return { name, status: "ok", detail };
  return {
    name,
    status: "warning",
    detail: `${detail}: fine on this machine; below ${serverSafe.join(".")} it has known authorisation holes`,
    next: `listen beyond 127.0.0.1 only with nats-server ${serverSafe.join(".")} or newer`,
  };
}

export interface BackendTried {
  readonly backend: string;
  readonly available: boolean;
  readonly why: string;
}

/** `chosen` is the backend that learns; `tried` in the order of preference. */
export function checkLearner(chosen: string | undefined, tried: readonly BackendTried[]): Check {
  const others = tried
    .filter(({ backend }) => backend !== chosen)
    .map(({ backend, why }) => `${backend}: ${firstLine(why)}`);
  const why = tried.find(({ backend }) => backend === chosen)?.why;
  const reasons = [...(why === undefined || why === "" ? [] : [firstLine(why)]), ...others].join("; ");
  const name = "tensorflow.js";
  if (chosen === undefined) return { name, status: "missing", detail: `no backend runs (${reasons})`, next: "npm ci" };
  return { name, status: "ok", detail: reasons === "" ? chosen : `${chosen} (${reasons})` };
}

/** `failure` is what loading it said, undefined when it loaded. */
export function checkLibrary(name: string, does: string, failure: string | undefined): Check {
  if (failure === undefined) return { name, status: "ok", detail: `loads (${does})` };
  return { name, status: "missing", detail: `does not load: ${firstLine(failure)}`, next: `npm rebuild ${name}` };
}

/** Of /dev/shm, undefined where there is none. What does not fit goes in chunks: slower, and never refused for that. */
export function checkSharedMemory(
  found: { readonly freeBytes: number; readonly totalBytes: number } | undefined,
): Check {
  const name = "/dev/shm";
  if (found === undefined)
    return {
      name,
      status: "warning",
      detail: "not here: large tensors go through the connection",
      next: "nothing to do for pictures of the digits' size",
    };
  const { freeBytes, totalBytes } = found;
  const larger =
    totalBytes >= sharedMemoryWanted ? "" : `; tensors of ${bytes(tensorBytesMax)}, the largest, go in chunks`;
  const detail = `${bytes(freeBytes)} of ${bytes(totalBytes)} free${larger}`;
  if (freeBytes >= sharedMemoryComfortable) return { name, status: "ok", detail };
  return {
    name,
    status: "warning",
    detail: `only ${detail}`,
    next: "in a container: docker run --shm-size=512m; its pages count against the container's memory limit",
  };
}

/** How far the wall clock and the monotonic clock went apart over a short wait. */
export function checkClock(nowMs: number, apartMs: number): Check {
  const name = "clock";
  const detail = new Date(nowMs).toISOString();
  if (nowMs < Date.UTC(2025, 0))
    return {
      name,
      status: "warning",
      detail: `${detail} is in the past`,
      next: "set the clock: timedatectl set-ntp true",
    };
  if (Math.abs(apartMs) <= clockDriftMaxMs) return { name, status: "ok", detail };
  return {
    name,
    status: "warning",
    detail: `${detail}, but it jumps (${Math.round(apartMs)} ms)`,
    next: "timedatectl status",
  };
}

/** Free space where the log is going to be. */
export function checkDisk(store: string, freeBytes: number | undefined): Check {
  const name = "store";
  const where = printable(store);
  if (freeBytes === undefined)
    return {
      name,
      status: "missing",
      detail: `${where} cannot be looked at`,
      next: "give a folder you may write to: --store DIR",
    };
  const detail = `${bytes(freeBytes)} free at ${where}`;
  if (freeBytes >= diskComfortable) return { name, status: "ok", detail };
  return {
    name,
    status: freeBytes < diskNeeded ? "missing" : "warning",
    detail,
    next: "free some space, or give another folder: --store DIR",
  };
}

function firstLine(text: string): string {
  return cut(printable(text.split("\n", 1)[0] ?? ""), 160);
}
