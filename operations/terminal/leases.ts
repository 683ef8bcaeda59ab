// Large tensors in shared memory, for people: each lease that lives, the oldest first, then where the others went.
import { formatDuration } from "../duration.js";
import { bytes, count, plural, printable } from "../text.js";
import type { Colours } from "./colours.js";
import { renderTable } from "./table.js";

export interface ListedLease {
  readonly owner: string;
  readonly pid: number;
  readonly about: string | null;
  readonly bytes: number;
  /** `abandoned`: its owner is dead and has not been swept yet. */
  readonly state: "created" | "handed_over" | "confirmed" | "abandoned";
  readonly ageMs: number;
  readonly expiresInMs: number;
  readonly file: string;
}

/** The document of `leases --json`. */
export interface LeaseList {
  readonly cluster: string;
  readonly atMs: number;
  /** Of this host. `foreign`: directories in it that are not ours to judge. */
  readonly shm: {
    readonly dir: string;
    readonly directory: "ours" | "foreign" | "missing";
    readonly foreign: number;
    readonly poolBytes: number;
  };
  readonly leases: readonly ListedLease[];
  /** Hosts of operations nodes, as their watchdogs see them. */
  readonly nodes: readonly {
    readonly node: string;
    readonly live: number;
    readonly bytes: number;
    readonly oldestAgeMs: number;
    readonly poolBytes: number;
  }[];
  /** Since the cluster began, as its watchdogs saw it; null while nobody tells. */
  readonly totals: {
    readonly created: number;
    readonly handedOver: number;
    readonly confirmed: number;
    readonly released: number;
    readonly expired: number;
    readonly swept: number;
  } | null;
}

export function renderLeases(list: LeaseList, width: number, colours: Colours): string {
  return [
    ...hereLines(list, width, colours),
    "",
    ...list.nodes.map(({ node, live, bytes: held, oldestAgeMs, poolBytes }) => {
      const oldest = live === 0 ? "" : `, the oldest ${formatDuration(oldestAgeMs)} old`;
      return `  ${colours.title(printable(node))} sees ${plural(live, "lease")} of ${bytes(held)} on its host${oldest}; its pools hold ${bytes(poolBytes)}`;
    }),
    totalsLine(list, colours),
  ].join("\n");
}

function hereLines({ shm, leases }: LeaseList, width: number, colours: Colours): string[] {
  const foreign = shm.foreign === 0 ? "" : `; not judged from here: ${plural(shm.foreign, "owner")}`;
  if (shm.directory === "foreign")
    return [colours.warn(`  the cluster's directory in ${printable(shm.dir)} is another user's, and is not read`)];
  if (leases.length === 0) return [`  no large tensor is leased on this host (${printable(shm.dir)})${foreign}`];
  const rows = leases.map((lease) => [
    { text: `  ${printable(lease.owner)}`, paint: colours.title },
    { text: `${lease.pid}` },
    { text: bytes(lease.bytes) },
    { text: lease.state.replace("_", " "), paint: lease.state === "abandoned" ? colours.bad : colours.accent },
    { text: formatDuration(lease.ageMs) },
    { text: formatDuration(lease.expiresInMs) },
    { text: printable(lease.about ?? ""), paint: colours.quiet },
  ]);
  const right = (title: string) => ({ title, align: "right" as const });
  const columns = [
    { title: "  owner" },
    right("pid"),
    right("bytes"),
    { title: "state" },
    right("age"),
    right("ends in"),
    { title: "for" },
  ];
  return [...renderTable(columns, rows, width, colours.quiet), ...(foreign === "" ? [] : [`  ${foreign.slice(2)}`])];
}

function totalsLine({ totals }: LeaseList, colours: Colours): string {
  if (totals === null) return colours.warn("  nobody tells how many there were: no operations node answers");
  const { created, handedOver, confirmed, released, expired, swept } = totals;
  const bad = (text: string, n: number): string => (n === 0 ? text : colours.warn(text));
  return [
    `  so far ${count(created)} created, ${count(handedOver)} handed over, ${count(confirmed)} confirmed, ${count(released)} released, `,
    bad(`${count(expired)} expired`, expired),
    ", ",
    bad(`${count(swept)} swept`, swept),
  ].join("");
}
