// `driftmend leases`: the large tensors in shared memory, and what became of those before.
//
// Owns: what is asked of whom. Leases of this host are read from their owners' records, clients' included; hosts with an operations node
// tell their figures, and all of them together the totals. Does not own: records and sweeps (transport/tensors/segment-sweep.ts), figures.

import { sharedMemoryDir, sharedMemoryOff } from "../../transport/tensors/segment-place.js";
import { type SeenOwner, type SeenOwners, seeOwners } from "../../transport/tensors/segment-sweep.js";
import { askReport } from "../ask-report.js";
import { done, type Outcome } from "../cluster/outcome.js";
import type { ClusterMetrics } from "../metrics/cluster-metrics.js";
import { type LeaseList, type ListedLease, renderLeases } from "../terminal/leases.js";
import type { Terminal } from "../terminal/terminal.js";
import { type ClusterOptions, withCluster } from "./cluster.js";

export interface LeasesOptions extends ClusterOptions {
  readonly shm?: string;
}

export async function leases(options: LeasesOptions, terminal: Terminal): Promise<Outcome> {
  const dir = options.shm ?? sharedMemoryDir;
  return withCluster(options, "telemetry", terminal, async (client) => {
    const { cluster } = client.subjects;
    const seen = dir === sharedMemoryOff ? nothing : await seeOwners(dir, cluster);
    const figures = await askReport(client, "metrics");
    const metrics = figures.kind === "report" ? figures.report : undefined;
    const list = leaseList(cluster, dir, seen, metrics, terminal.clock.nowMs());
    terminal.print(terminal.json ? JSON.stringify(list) : renderLeases(list, terminal.width, terminal.colours));
    return done;
  });
}

const nothing: SeenOwners = { directory: "missing", owners: [], foreign: 0 };

export function leaseList(
  cluster: string,
  dir: string,
  { directory, owners, foreign }: SeenOwners,
  metrics: ClusterMetrics | undefined,
  atMs: number,
): LeaseList {
  return {
    cluster,
    atMs,
    shm: {
      dir,
      directory,
      foreign,
      poolBytes: owners.reduce((sum, { record: { pool } }) => sum + pool.leasedBytes + pool.spareBytes, 0),
    },
    leases: owners.flatMap((owner) => listed(owner, atMs)).sort((a, b) => b.ageMs - a.ageMs),
    nodes: (metrics?.nodes ?? []).flatMap(({ node, state, tensorLeases }) =>
      tensorLeases === undefined || state === "left" ? [] : [{ node, ...tensorLeases }],
    ),
    totals: metrics === undefined ? null : totalsOf(metrics.counters),
  };
}

function listed({ status, record: { owner, pid, leases: held } }: SeenOwner, atMs: number): ListedLease[] {
  return held.map(({ file, bytes, about, state, createdAtMs, expiresAtMs }) => ({
    owner,
    pid,
    about,
    bytes,
    state: status === "dead" ? "abandoned" : state,
    ageMs: Math.max(0, Math.round(atMs - createdAtMs)),
    expiresInMs: Math.max(0, Math.round(expiresAtMs - atMs)),
    file,
  }));
}

function totalsOf(counters: ClusterMetrics["counters"]): NonNullable<LeaseList["totals"]> {
  const of = (what: string): number => counters[`tensor_leases_${what}`] ?? 0;
  return {
    created: of("created"),
    handedOver: of("handed_over"),
    confirmed: of("confirmed"),
    released: of("released"),
    expired: of("expired"),
    swept: of("swept"),
  };
}
