// The bucket of the alerts: one document of what fires and who was told, written by whoever holds the lease beside it.
//
// Owns: the bucket's limits, reading and replacing the document, the lease's place. Does not own: the document's shape
// (operations/alerts/alert-record.ts), who leads and when it is written (actors/wiring/alerter-wiring.ts).
//
// B1. The document is replaced as it was read or written last: whoever wrote after somebody else is refused (law 3). Among several servers
//     two that write at the same moment may both be let in (chain.ts, C1); the later one stands, and the other is refused at its next write.

import type { Clock } from "../../models/clock.js";
import type { Bus } from "../bus/bus.js";
import { bucketKey, bucketStream, type Subjects } from "../subjects.js";
import { ensureStream, store, storedMessage, type Unavailable } from "./jetstream.js";
import { type Lease, openLease } from "./lease.js";
import { alertsMaxBytes, bucketInFiles, streamLimits } from "./streams.js";

export type ReadDocument =
  | { readonly kind: "found"; readonly bytes: Uint8Array; readonly revision: number }
  | { readonly kind: "none" }
  | Unavailable;

export type WrittenDocument =
  | { readonly kind: "written"; readonly revision: number }
  /** Somebody else wrote, or an earlier write of ours whose acknowledgement was lost. */
  | { readonly kind: "overtaken" }
  | Unavailable;

export interface AlertBucket {
  ensure(): Promise<{ readonly kind: "ready" } | Unavailable>;
  read(): Promise<ReadDocument>;
  /** `revision` 0: there is none yet. */
  write(bytes: Uint8Array, revision: number): Promise<WrittenDocument>;
  readonly lease: Lease;
}

const keys = { document: "state", lease: "leader" } as const;
/** Nobody waits for the next leader as a request waits for the next writer, so its renewals are few. */
const leaseTtlMs = 5_000;

export function openAlertBucket(
  bus: Bus,
  clock: Clock,
  { alertBucket }: Subjects,
  replicas: number = streamLimits.replicas,
): AlertBucket {
  const stream = bucketStream(alertBucket);
  const subject = bucketKey(alertBucket, keys.document);
  return {
    ensure: () => ensureStream(bus, bucketInFiles(alertBucket, alertsMaxBytes, replicas)),
    read: async () => {
      const found = await storedMessage(bus, stream, { last_by_subj: subject });
      if (found.kind !== "found") return found;
      return { kind: "found", bytes: found.message.bytes, revision: found.message.seq };
    },
    write: async (bytes, revision) => {
      const timeoutMs = bus.timeouts.jetstream;
      const outcome = await store(bus, subject, bytes, { timeoutMs, expectedLastSequence: revision });
      if (outcome.kind === "wrong_sequence") return { kind: "overtaken" };
      return outcome.kind === "stored" ? { kind: "written", revision: outcome.seq } : outcome;
    },
    lease: openLease(bus, clock, alertBucket, keys.lease, { ttlMs: leaseTtlMs }),
  };
}
