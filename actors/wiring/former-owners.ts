// What processes that are dead left in shared memory, swept when a node starts: also what a former run of the cluster left.
//
// Owns: that it is swept before the node is ready, and told. Does not own: the sweep (transport/tensors/segment-sweep.ts), the looks while
// the node runs (watchdog.ts).

import { sweptLeases } from "../../operations/cluster/tensor-lease-watch.js";
import type { Telemetry } from "../../operations/metrics/telemetry.js";
import { sharedMemoryDir, sharedMemoryOff } from "../../transport/tensors/segment-place.js";
import { sweepSegments } from "../../transport/tensors/segment-sweep.js";
import type { HostOptions } from "../host-options.js";

/** Where a node watches over shared memory, by its flag; nowhere where it is off. */
export function sharedMemoryOf(flag = sharedMemoryDir): Pick<HostOptions, "shm"> {
  return flag === sharedMemoryOff ? {} : { shm: flag };
}

export async function sweepFormerOwners(
  { shm, subjects, clock, node, incarnation }: Pick<HostOptions, "shm" | "subjects" | "clock" | "node" | "incarnation">,
  telemetry: Telemetry,
): Promise<void> {
  if (shm === undefined) return;
  const { swept } = await sweepSegments(shm, subjects.cluster, clock.nowMs());
  telemetry.counters.add("tensor_leases_swept", sweptLeases(swept));
  const left = swept.filter(({ record, files }) => record.leases.length > 0 || files > 0);
  if (left.length === 0) return;
  telemetry.event("cleanup", { actor: "host", incarnation }, () =>
    left.map(({ record: { owner, pid, leases }, files, bytes }) => {
      return { about: owner, pid, leases: leases.length, files, bytes, why: "tensor_owner_died", by: node };
    }),
  );
}
