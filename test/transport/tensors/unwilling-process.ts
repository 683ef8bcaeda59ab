// A process whose system lets it write less than it leases: it tells what became of one lease, and of a tensor that goes all the same.
//
//   node unwilling-process.js <directory of shared memory> <cluster> <bytes>

import { systemClock } from "../../../supervision/clock.js";
import { openSegments } from "../../../transport/tensors/segments.js";
import { timeoutDefaults } from "../../../transport/timeouts.js";
import { scene, settled } from "./scene.js";
import { bytesOf } from "./shared-memory.js";

const [, , dir = "", cluster = "", length = "0"] = process.argv;

export interface Told {
  /** Why there are no segments, or "open". */
  readonly opened: string;
  readonly leased?: unknown;
  readonly left?: unknown;
  /** The tensor came whole, and by which way. */
  readonly whole: boolean;
  readonly by: string;
}

const bytes = bytesOf(Number(length));
const opened = await openSegments({
  ...{ cluster, dir, clock: systemClock, timeouts: timeoutDefaults, owner: "unwilling" },
});
let about = {};
if (opened.kind === "open") {
  const outcome = await opened.lease(bytes);
  const left = [opened.leases().length, opened.figures().leased, opened.figures().spare];
  about = { leased: outcome.kind === "leased" ? "leased" : outcome, left };
}

const { sender, fetch, clock } = scene(opened.kind === "open" ? opened : undefined);
const offer = await sender.offer(bytes, { expiresAtMs: 60_000, about: "a test" });
const fetched = await settled(fetch(offer.ref), clock);
offer.release();
const whole = fetched.kind === "fetched" && Buffer.compare(fetched.held.bytes, bytes) === 0;
const by = fetched.kind === "fetched" ? fetched.by : fetched.code;
if (opened.kind === "open") await opened.close();
process.send?.({ opened: opened.kind === "open" ? "open" : opened.why, ...about, whole, by } satisfies Told);
