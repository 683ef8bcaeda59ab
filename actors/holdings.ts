// What the actors of a node hold of the cluster: leases, by the actor that acquired them.
//
// Owns: that an ended incarnation holds none of them when its next one starts (law 6). Does not own: one lease (transport/log/lease.ts),
// when an incarnation ends (supervision/).
//
// H1. An acquisition under way at the end is waited for, then let go: it may succeed after nobody wants it any more.
// H2. What the behaviour let go itself counts as cleaned too: `release` says how many leases ended with their holder.

import type { HeldLease, Lease, LeaseOwner } from "../transport/log/lease.js";

interface Holding {
  readonly lease: Lease;
  readonly owner: LeaseOwner;
  readonly settled: Promise<HeldLease | undefined>;
}

export class Holdings {
  readonly #byHolder = new Map<string, Holding[]>();

  /** `holder` is the actor's path. Undefined when the signal ended the wait. */
  acquire(holder: string, lease: Lease, owner: LeaseOwner, signal: AbortSignal): Promise<HeldLease | undefined> {
    const settled = lease.acquire(owner, signal);
    const holdings = this.#byHolder.get(holder) ?? [];
    holdings.push({ lease, owner, settled });
    this.#byHolder.set(holder, holdings);
    return settled;
  }

  /** Lets go of everything an ended incarnation held; resolves to how many leases that were. */
  async release(holder: string): Promise<number> {
    const holdings = this.#byHolder.get(holder);
    if (holdings === undefined) return 0;
    this.#byHolder.delete(holder);
    const released = await Promise.all(holdings.map(letGo));
    return released.filter((was) => was).length;
  }
}

async function letGo({ lease, owner, settled }: Holding): Promise<boolean> {
  const held = await settled;
  // The acknowledgement of a last try may have been lost: then the lease is ours without anybody knowing.
  if (held === undefined) return (await lease.evict(owner)).kind === "evicted";
  await held.release();
  return (await held.lost) === "released";
}
