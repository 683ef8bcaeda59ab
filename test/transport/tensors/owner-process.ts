// A process of its own for crash tests: it owns leases, or reads one again and again, until it is killed.
//
//   node owner-process.js own  <cluster> <leases> <bytes>    tells its references
//   node owner-process.js read <cluster> <reference as JSON>   tells when it has begun; it never confirms

import { systemClock } from "../../../supervision/clock.js";
import { openSegments, type SegmentRef } from "../../../transport/tensors/segments.js";
import { timeoutDefaults } from "../../../transport/timeouts.js";
import { bytesOf, shm } from "./shared-memory.js";

const [, , what, cluster = "", given = "", bytes = "0"] = process.argv;

const opened = await openSegments({
  cluster,
  dir: shm,
  clock: systemClock,
  timeouts: timeoutDefaults,
  owner: `child-${what}`,
});
if (opened.kind !== "open") throw new Error(opened.why);

if (what === "own") {
  const refs: SegmentRef[] = [];
  for (let at = 0; at < Number(given); at += 1) {
    const outcome = await opened.lease(bytesOf(Number(bytes), at));
    if (outcome.kind === "leased") refs.push(outcome.lease.ref);
  }
  process.send?.(refs);
  // The record follows the leases a moment later; nothing else keeps this process.
  await new Promise(() => systemClock.after(60_000, () => undefined));
} else {
  const ref = JSON.parse(given) as SegmentRef;
  process.send?.("began");
  for (;;) await opened.read(ref);
}
