// Many leases of a bucket together: those of a dead owner, and those that nobody renews any more.
//
// Owns: the sweep of an owner, the watch over all keys. Does not own: one lease (lease.ts), who is dead (actors/operations/watchdog.ts), who is told.
//
// L1. A lease is reclaimed as it was seen: a renewal in between keeps it.
// L2. Age is the watcher's own: how long it has seen the same revision, by its monotonic clock, of a key whose holder promised to renew it
//     within its TTL. After a TTL a standby takes over by itself; what is reclaimed here is twice as old, so that its holder, however
//     starved, has counted itself out (lease.ts, E2) and no renewal is under way.

import type { Clock } from "../../models/clock.js";
import type { Bus } from "../bus/bus.js";
import { bucketKeys, bucketStream } from "../subjects.js";
import { lastSubjects, type SubjectsOutcome, type Unavailable } from "./jetstream.js";
import { type LeaseOwner, type LeaseView, openLease } from "./lease.js";

export type SweepOutcome = { readonly kind: "swept"; readonly leases: number } | Unavailable;

export interface KeyLook {
  readonly key: string;
  readonly view: LeaseView;
}

export type LooksOutcome = { readonly kind: "looks"; readonly looks: readonly KeyLook[] } | Unavailable;

export interface Patience {
  /** Tries again for this long while the broker is away; not at all when left out. */
  readonly forMs?: number;
  readonly signal?: AbortSignal;
}

const pauseMs = 50;
/** So many TTLs after its last renewal was seen a lease is nobody's any more. */
export const staleAfterTtls = 2;

/** Frees every lease of a bucket that a dead owner still holds. */
export async function evictAll(
  bus: Bus,
  clock: Clock,
  bucket: string,
  owner: LeaseOwner,
  { forMs = 0, signal }: Patience = {},
): Promise<SweepOutcome> {
  const untilMs = clock.monotonicMs() + forMs;
  let leases = 0;
  for (;;) {
    const outcome = await sweepOnce(bus, clock, bucket, owner);
    leases += outcome.leases;
    if (outcome.missed === undefined) return { kind: "swept", leases };
    if (clock.monotonicMs() >= untilMs || outcome.missed.why === "closed" || signal?.aborted === true)
      return outcome.missed;
    await clock.delay(pauseMs, signal);
  }
}

async function sweepOnce(bus: Bus, clock: Clock, bucket: string, owner: LeaseOwner) {
  const found = await keysOf(bus, bucket);
  if (found.kind === "unavailable") return { leases: 0, missed: found };
  const outcomes = await Promise.all(found.subjects.map((key) => openLease(bus, clock, bucket, key).evict(owner)));
  return {
    leases: outcomes.filter(({ kind }) => kind === "evicted").length,
    missed: outcomes.find((outcome) => outcome.kind === "unavailable"),
  };
}

/** A look at each key of a bucket that was ever written. */
export async function looksAt(bus: Bus, clock: Clock, bucket: string): Promise<LooksOutcome> {
  const found = await keysOf(bus, bucket);
  if (found.kind === "unavailable") return found;
  const look = async (key: string): Promise<KeyLook> => ({
    key,
    view: await openLease(bus, clock, bucket, key).look(),
  });
  return { kind: "looks", looks: await Promise.all(found.subjects.map(look)) };
}

/** The keys of a bucket that were ever written, in place of the subjects. */
async function keysOf(bus: Bus, bucket: string): Promise<SubjectsOutcome> {
  const all = bucketKeys(bucket);
  const found = await lastSubjects(bus, bucketStream(bucket), all);
  if (found.kind === "unavailable") return found;
  return { kind: "subjects", subjects: found.subjects.map((subject) => subject.slice(all.length - 1)) };
}

export interface Reclaimed {
  readonly key: string;
  readonly owner: LeaseOwner;
  readonly revision: number;
  /** How long it was seen unchanged. */
  readonly unchangedMs: number;
}

type Held = Extract<LeaseView, { kind: "held" }>;

interface HeldKey {
  readonly key: string;
  readonly view: Held;
}

/** Since when each key has been seen held at the revision that it has, by the watcher's monotonic clock: no more keys than are held. */
export type Sightings = ReadonlyMap<string, { readonly revision: number; readonly sinceMs: number }>;

export function heldAmong(looks: readonly KeyLook[]): readonly HeldKey[] {
  return looks.flatMap(({ key, view }) => (view.kind === "held" ? [{ key, view }] : []));
}

export function sightings(before: Sightings, held: readonly HeldKey[], nowMs: number): Sightings {
  return new Map(
    held.map(({ key, view: { revision } }) => {
      const known = before.get(key);
      return [key, known?.revision === revision ? known : { revision, sinceMs: nowMs }];
    }),
  );
}

/** Looks at a bucket again and again, and reclaims what has gone stale between its looks. */
export class LeaseWatch {
  readonly #bus: Bus;
  readonly #clock: Clock;
  readonly #bucket: string;
  #seen: Sightings = new Map();

  constructor(bus: Bus, clock: Clock, bucket: string) {
    this.#bus = bus;
    this.#clock = clock;
    this.#bucket = bucket;
  }

  /** One look. What `wanted` takes is reclaimed once it is stale, or at once when its holder is known to be gone. */
  async reclaim(
    wanted: (owner: LeaseOwner) => "stale" | "at_once" | "never" = () => "stale",
  ): Promise<readonly Reclaimed[]> {
    const found = await looksAt(this.#bus, this.#clock, this.#bucket);
    // Nothing was seen, so nothing is known to be unchanged until later.
    if (found.kind === "unavailable") return [];
    const held = heldAmong(found.looks);
    const nowMs = this.#clock.monotonicMs();
    this.#seen = sightings(this.#seen, held, nowMs);
    const reclaimed = await Promise.all(
      held.map(({ key, view }) => this.#reclaimOne(key, view, nowMs, wanted(view.owner))),
    );
    return reclaimed.filter((each) => each !== undefined);
  }

  async #reclaimOne(
    key: string,
    { owner, revision, ttlMs }: Held,
    nowMs: number,
    when: "stale" | "at_once" | "never",
  ): Promise<Reclaimed | undefined> {
    const unchangedMs = nowMs - (this.#seen.get(key)?.sinceMs ?? nowMs);
    if (when === "never" || (when === "stale" && unchangedMs < staleAfterTtls * ttlMs)) return undefined;
    const outcome = await openLease(this.#bus, this.#clock, this.#bucket, key).reclaim(revision);
    return outcome.kind === "evicted" ? { key, owner, revision, unchangedMs } : undefined;
  }
}
