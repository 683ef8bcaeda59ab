// What is left when a cluster has ended: leases in the store, processes in the table, files beside the log.
//
// Owns: the looking. Does not own: the judgement (repair-invariants.ts), the cluster's end.
//
// A1. The leases are read by a broker of our own on the same store, started after everybody has left: it sees what was written to disk.
// A2. A process is found by its pid and start time, and by its process group: every child of the cluster leads a group, so what it
//     started and left behind is found too.

import { readdir, readFile } from "node:fs/promises";
import type { Clock } from "../../models/clock.js";
import { identityOf, makeCredentials } from "../../transport/access/credentials.js";
import { connectBus } from "../../transport/bus/bus.js";
import { lastSubjects, storedMessage } from "../../transport/log/jetstream.js";
import { isAlive, isMissing, type ProcessIdentity } from "../../transport/process-identity.js";
import { startBroker } from "../../transport/server/broker.js";
import { findServer } from "../../transport/server/server-binary.js";
import { bucketKeys, bucketStream, header, subjectsOf } from "../../transport/subjects.js";
import type { Left } from "./evidence.js";

export interface AftermathDeps {
  readonly cluster: string;
  readonly store: string;
  readonly searchPath: string;
  readonly processes: readonly ProcessIdentity[];
  readonly clock: Clock;
}

/** The log, and the log lines of the nodes: nothing else may stay in a store. */
const belongs = new Set(["nats", "nodes.log"]);
/** A killed process needs a moment until the system has taken it off its table. */
const goneWithinMs = 5_000;

export async function lookAround(deps: AftermathDeps): Promise<Left> {
  const processes = await survivors(deps);
  const files = (await readdir(deps.store)).filter((name) => !belongs.has(name));
  return { processes, files, leases: await leasesIn(deps) };
}

async function survivors({ processes, clock }: AftermathDeps): Promise<string[]> {
  const untilMs = clock.monotonicMs() + goneWithinMs;
  for (;;) {
    const alive = await Promise.all(processes.map(isAlive));
    const left = [
      ...processes.filter((_, index) => alive[index]).map(({ pid }) => `process ${pid}`),
      ...(await groupMembers(new Set(processes.map(({ pid }) => pid)))),
    ];
    if (left.length === 0 || clock.monotonicMs() >= untilMs) return left;
    await clock.delay(50);
  }
}

/** Processes of groups that a process of the cluster led. Elsewhere than on Linux the pids alone are looked at. */
async function groupMembers(leaders: ReadonlySet<number>): Promise<string[]> {
  if (process.platform !== "linux") return [];
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(pids.map(groupOf));
  return pids.flatMap((pid, index) => {
    const group = found[index];
    return group !== undefined && leaders.has(group) ? [`process ${pid} of group ${group}`] : [];
  });
}

/** Field 5 of a process's stat; undefined when it is gone or only waits to be collected. */
async function groupOf(pid: string): Promise<number | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : Number(fields[2]);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Keys of the lease bucket whose newest value is not a deletion. */
async function leasesIn({ cluster, store, searchPath, clock }: AftermathDeps): Promise<string[]> {
  const subjects = subjectsOf(cluster);
  const credentials = makeCredentials();
  const binary = await findServer({ searchPath, mayFetch: false });
  const broker = await startBroker({ binary, store, subjects, credentials, clock });
  try {
    const bus = await connectBus({ url: broker.url, ...identityOf(credentials.node), name: "aftermath", clock });
    const stream = bucketStream(subjects.leaseBucket);
    const found = await lastSubjects(bus, stream, bucketKeys(subjects.leaseBucket));
    const held: string[] = found.kind === "subjects" ? [] : ["the bucket cannot be read"];
    for (const key of found.kind === "subjects" ? found.subjects : []) {
      const newest = await storedMessage(bus, stream, { last_by_subj: key });
      if (newest.kind === "unavailable") held.push(`${key} cannot be read`);
      else if (newest.kind !== "none" && newest.message.headers.get(header.keyOperation) === undefined) held.push(key);
    }
    await bus.close();
    return held;
  } finally {
    await broker.stop();
  }
}
