// The leader lease: which node tries to write a model. It only keeps writers from racing; the chain decides who wins (law 3).
//
// Owns: acquire, renew, release and eviction by compare-and-set on one key of the lease bucket.
// Does not own: what the holder does; a holder that lost its lease is stopped by the chain's fence in any case.
//
// E1. Staleness is judged by the observer's own monotonic clock: a revision that did not change for a whole TTL while it was watched.
//     No clock of another machine is believed.
// E2. A holder counts itself out when a TTL has passed since the start of its last successful renewal, whatever the server says later.
// E3. A release is published like any other message, so those who wait see it at once, not at their next look.

import type { Clock } from "../models/clock.js";
import type { Bus } from "./bus.js";
import { encodeMessage } from "./codec.js";
import { inside, number, type Parsed, parse, text, whole } from "./fields.js";
import { lastSubjects, type StoredOutcome, store, storedMessage } from "./jetstream.js";
import { bucketKey, bucketKeys, bucketStream, header } from "./subjects.js";

export interface LeaseOwner {
  readonly node: string;
  readonly incarnation: number;
}

export interface LeaseSettings {
  readonly ttlMs: number;
}
export const leaseDefaults: LeaseSettings = { ttlMs: 1_000 };

/** Why a held lease ended. */
export type LeaseLoss = "released" | "taken" | "expired";

export interface HeldLease {
  readonly owner: LeaseOwner;
  readonly lost: Promise<LeaseLoss>;
  release(): Promise<void>;
}

export type LeaseView =
  | { readonly kind: "held"; readonly owner: LeaseOwner; readonly revision: number }
  | { readonly kind: "free"; readonly revision: number }
  | { readonly kind: "unavailable" };

export interface Lease {
  /** Waits until the lease is ours; undefined when the signal ended the wait. */
  acquire(owner: LeaseOwner, signal: AbortSignal): Promise<HeldLease | undefined>;
  look(): Promise<LeaseView>;
  /** Frees the lease of an owner known to be dead; false when somebody else, or nobody, holds it. */
  evict(owner: LeaseOwner): Promise<boolean>;
}

interface Place {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly stream: string;
  readonly subject: string;
  readonly ttlMs: number;
}

const renewalsPerTtl = 4;

/** The lease `key` of a bucket: usually a model's name. */
export function openLease(
  bus: Bus,
  clock: Clock,
  bucket: string,
  key: string,
  settings: LeaseSettings = leaseDefaults,
): Lease {
  const place: Place = {
    bus,
    clock,
    stream: bucketStream(bucket),
    subject: bucketKey(bucket, key),
    ttlMs: settings.ttlMs,
  };
  return {
    acquire: (owner, signal) => acquire(place, owner, signal),
    look: () => look(place),
    evict: (owner) => evict(place, owner),
  };
}

async function acquire(place: Place, owner: LeaseOwner, signal: AbortSignal): Promise<HeldLease | undefined> {
  const bell = new Bell();
  const subscription = place.bus.subscribe(place.subject, {}, () => bell.ring());
  try {
    let watched = { revision: -1, sinceMs: 0 };
    while (!signal.aborted) {
      const view = await look(place);
      const nowMs = place.clock.monotonicMs();
      if (view.kind === "held" && view.revision !== watched.revision)
        watched = { revision: view.revision, sinceMs: nowMs };
      // Our own earlier try, whose acknowledgement got lost.
      if (view.kind === "held" && isSame(view.owner, owner)) return hold(place, owner, view.revision, nowMs);
      const stale = view.kind === "held" && nowMs - watched.sinceMs >= place.ttlMs;
      if (view.kind === "free" || stale) {
        const held = await take(place, owner, view.revision);
        if (held !== undefined) return held;
      }
      await bell.heardWithin(place.clock, place.ttlMs / renewalsPerTtl, signal);
    }
    return undefined;
  } finally {
    subscription.unsubscribe();
  }
}

async function take(place: Place, owner: LeaseOwner, revision: number): Promise<HeldLease | undefined> {
  const startedAtMs = place.clock.monotonicMs();
  const seq = await write(place, valueFor(owner, 0), revision);
  return seq === undefined ? undefined : hold(place, owner, seq, startedAtMs);
}

/** Renews until the lease is lost or released. */
function hold(place: Place, owner: LeaseOwner, firstRevision: number, startedAtMs: number): HeldLease {
  const released = new AbortController();
  let revision = firstRevision;
  const renewing = async (): Promise<LeaseLoss> => {
    let renewedAtMs = startedAtMs;
    for (let count = 1; ; count += 1) {
      await place.clock.delay(place.ttlMs / renewalsPerTtl, released.signal);
      if (released.signal.aborted) return "released";
      const beganAtMs = place.clock.monotonicMs();
      if (beganAtMs - renewedAtMs >= place.ttlMs) return "expired";
      const outcome = await renew(place, valueFor(owner, count), revision);
      if (outcome === "taken") return "taken";
      if (outcome === undefined) continue;
      revision = outcome;
      renewedAtMs = beganAtMs;
    }
  };
  const lost = renewing();
  return {
    owner,
    lost,
    release: async () => {
      released.abort();
      if ((await lost) === "released") await free(place, revision);
    },
  };
}

/** The new revision, "taken" when the key is no longer as we left it, undefined when nobody answered. */
async function renew(place: Place, value: Uint8Array, revision: number): Promise<number | "taken" | undefined> {
  const seq = await write(place, value, revision);
  if (seq !== undefined) return seq;
  // Refused or unanswered: the key itself tells whether our write landed, an earlier state stands, or somebody else wrote.
  const current = await stored(place);
  if (current.kind === "unavailable") return undefined;
  if (current.kind === "none") return "taken";
  if (current.message.seq === revision) return undefined;
  return Buffer.compare(current.message.bytes, value) === 0 ? current.message.seq : "taken";
}

async function evict(place: Place, owner: LeaseOwner): Promise<boolean> {
  const view = await look(place);
  if (view.kind !== "held" || view.owner.node !== owner.node || view.owner.incarnation !== owner.incarnation)
    return false;
  return free(place, view.revision);
}

function isSame(one: LeaseOwner, other: LeaseOwner): boolean {
  return one.node === other.node && one.incarnation === other.incarnation;
}

/** Frees every lease of a bucket that a dead owner still holds; the number of them. */
export async function evictAll(bus: Bus, clock: Clock, bucket: string, owner: LeaseOwner): Promise<number> {
  const keys = await lastSubjects(bus, bucketStream(bucket), bucketKeys(bucket));
  const evictions = keys.map((subject) => {
    return evict({ bus, clock, stream: bucketStream(bucket), subject, ttlMs: leaseDefaults.ttlMs }, owner);
  });
  return (await Promise.all(evictions)).filter((evicted) => evicted).length;
}

async function free(place: Place, revision: number): Promise<boolean> {
  const outcome = await store(place.bus, place.subject, new Uint8Array(), {
    timeoutMs: place.ttlMs,
    expectedLastSequence: revision,
    headers: { [header.keyOperation]: "DEL" },
  });
  return outcome.kind === "stored";
}

async function look(place: Place): Promise<LeaseView> {
  const current = await stored(place);
  if (current.kind === "unavailable") return { kind: "unavailable" };
  if (current.kind === "none") return { kind: "free", revision: 0 };
  const { message } = current;
  if (message.headers.get(header.keyOperation) !== undefined) return { kind: "free", revision: message.seq };
  const owner = ownerIn(message.bytes);
  // A value nobody of us wrote: treated as held by a stranger, so it goes stale like any other.
  if (owner.kind === "refused") return { kind: "held", owner: { node: "", incarnation: 0 }, revision: message.seq };
  return { kind: "held", owner: owner.value, revision: message.seq };
}

function stored(place: Place): Promise<StoredOutcome> {
  return storedMessage(place.bus, place.stream, { last_by_subj: place.subject });
}

/** The new revision, or undefined when it was refused or nobody answered. */
async function write(place: Place, value: Uint8Array, revision: number): Promise<number | undefined> {
  const outcome = await store(place.bus, place.subject, value, {
    timeoutMs: place.ttlMs / renewalsPerTtl,
    expectedLastSequence: revision,
  });
  return outcome.kind === "stored" ? outcome.seq : undefined;
}

/** The renewal count makes every value of an owner different, so that a lost acknowledgement can be resolved by comparing bytes. */
function valueFor(owner: LeaseOwner, renewals: number): Uint8Array {
  return encodeMessage({ v: 1, owner: { node: owner.node, incarnation: owner.incarnation }, renewals });
}

function ownerIn(bytes: Uint8Array): Parsed<LeaseOwner> {
  return parse(bytes, (fields) => {
    number(0, Number.MAX_SAFE_INTEGER)(fields, "renewals");
    return inside(fields, "owner", (inner, prefix) => ({
      node: text(64)(inner, `${prefix}node`),
      incarnation: whole(0)(inner, `${prefix}incarnation`),
    }));
  });
}

/** Lets one waiter sleep until somebody rings or time passes. */
class Bell {
  #rung = false;
  #wake: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  async heardWithin(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
    if (this.#rung) {
      this.#rung = false;
      return;
    }
    const done = new AbortController();
    const stop = (): void => done.abort();
    signal.addEventListener("abort", stop, { once: true });
    this.#wake = stop;
    if (!signal.aborted) await clock.delay(ms, done.signal);
    signal.removeEventListener("abort", stop);
    this.#wake = undefined;
    this.#rung = false;
  }
}
