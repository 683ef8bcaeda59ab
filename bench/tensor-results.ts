// Large tensors in bench/RESULTS.md.
import type { Spread } from "./statistics.js";
import { spread, table } from "./tables.js";

/** How resident memory went while many transfers were made. */
export interface MemoryCourse {
  /** Bytes, at the first and the last sample. */
  readonly firstBytes: number;
  readonly lastBytes: number;
  /** Theil-Sen, bytes a transfer. */
  readonly slopeBytes: number;
}

/** GB/s, 1 GB = 10^9 bytes. */
export interface TransferRate {
  readonly what: string;
  readonly gbs: Spread;
  readonly aimGbs?: number;
}

export interface TensorTransfers {
  readonly rates: readonly TransferRate[];
  /** Between hosts: in chunks through a server, shared memory off; left out where that was not measured. */
  readonly chunked?: readonly TransferRate[];
  /** Milliseconds of one transfer of 100 MiB, by part. */
  readonly parts: readonly { readonly what: string; readonly ms: Spread }[];
  readonly many: readonly {
    readonly what: string;
    readonly transfers: number;
    readonly seconds: number;
    readonly sender: MemoryCourse;
    readonly receiver: MemoryCourse;
    /** Segment files and receive buffers made over the whole of it. */
    readonly files: number;
    readonly buffers: number;
    readonly refused: number;
  }[];
  /** Leases that live, and files in shared memory, when all is over. */
  readonly left: { readonly leases: number; readonly files: number };
}

export function tensorLines({ rates, chunked = [], parts, many, left }: TensorTransfers): string[] {
  return [
    "## Large tensors between two processes",
    "",
    "On one host, through recycled segments of /dev/shm, checksummed on both sides (`node dist/bench/tensor-transfer.js`). Two copies a transfer:",
    "into the segment and out of it. Floors of the same run: the same bytes copied once within a process, and the same transfer through a new",
    "file each time.",
    "",
    ...rateTable("100 MiB, one host", rates),
    "",
    ...(chunked.length === 0 ? [] : [...rateTable("100 MiB in chunks, through a server on loopback", chunked), ""]),
    ...table(
      ["part of one transfer on one host", "ms", "least - most"],
      parts.map(({ what, ms }) => [what, ...spread(ms, 1)]),
    ),
    "",
    "Resident memory over many transfers, from the fifth part of them on; MB a 1,000 transfers is the median slope between samples (Theil-Sen).",
    "",
    ...table(
      [
        "many transfers",
        "a second",
        "refused",
        "files made",
        "buffers made",
        "sender, MB",
        "MB a 1,000",
        "receiver, MB",
        "MB a 1,000",
      ],
      many.map((each) => [
        each.what,
        (each.transfers / each.seconds).toFixed(0),
        `${each.refused}`,
        `${each.files}`,
        `${each.buffers}`,
        ...memoryCells(each.sender),
        ...memoryCells(each.receiver),
      ]),
    ),
    "",
    `Left when all is over: ${left.leases} leases, ${left.files} files.`,
  ];
}

function rateTable(title: string, rates: readonly TransferRate[]): string[] {
  return table(
    [title, "GB/s", "least - most", "aim"],
    rates.map(({ what, gbs, aimGbs }) => [what, ...spread(gbs, 2), aimGbs === undefined ? "" : `>= ${aimGbs}`]),
  );
}

function memoryCells({ firstBytes, lastBytes, slopeBytes }: MemoryCourse): [string, string] {
  const mb = (bytes: number): string => (bytes / 1e6).toFixed(0);
  const slope = (slopeBytes * 1_000) / 1e6;
  return [`${mb(firstBytes)} -> ${mb(lastBytes)}`, `${slope < 0 ? "" : "+"}${slope.toFixed(3)}`];
}
