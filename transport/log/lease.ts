// The leader lease: which node tries to write a model. It only keeps writers from racing; the chain decides who wins (law 3).
//
// Owns: acquire, renew, release and eviction by compare-and-set on one key of the lease bucket.
// Does not own: what the holder does; a holder that lost its lease is stopped by the chain's fence in any case. Many leases together
// (lease-sweep.ts).
//
// E1. Staleness is judged by the observer's own monotonic clock: a revision that did not change for a whole TTL while it was watched.
//     No clock of another machine is believed.
// E2. A holder counts itself out when a TTL has passed since the start of its last successful renewal, whatever the server says later.
// E3. A release is published like any other message, so those who wait see it at once, not at their next look. What rings them may
//     arrive before the server shows what was written, so a look that finds nothing new is repeated shortly after.
// E4. A lease names its owner's run: incarnations are counted anew when a cluster is started again.

import type { Clock } from "../../models/clock.js";
import type { Bus } from "../bus/bus.js";
import { encodeMessage } from "../messages/codec.js";
import { inside, number, optional, type Parsed, parse, text, whole } from "../messages/fields.js";
import { bucketKey, bucketStream, header } from "../subjects.js";
import { type Stored, type StoredOutcome, store, storedMessage, type Unavailable } from "./jetstream.js";

export interface LeaseOwner {
  readonly node: string;
  readonly incarnation: number;
  /** The run that counts the incarnations. An eviction that leaves it out means any run. */
  readonly run?: string;
}

export interface LeaseSettings {
  readonly ttlMs: number;
}

/** Why a held lease ended. */
export type LeaseLoss = "released" | "taken" | "expired";

export interface HeldLease {
  readonly owner: LeaseOwner;
  readonly lost: Promise<LeaseLoss>;
  release(): Promise<void>;
}

export type LeaseView =
  | { readonly kind: "held"; readonly owner: LeaseOwner; readonly revision: number; readonly ttlMs: number }
  | { readonly kind: "free"; readonly revision: number }
  | Unavailable;

/** `not_held`: somebody else holds it, or nobody does. */
export type EvictOutcome = { readonly kind: "evicted" | "not_held" } | Unavailable;

export interface Lease {
  /** Waits until the lease is ours; undefined when the signal ended the wait. */
  acquire(owner: LeaseOwner, signal: AbortSignal): Promise<HeldLease | undefined>;
  look(): Promise<LeaseView>;
  /** Frees the lease of an owner known to be dead. */
  evict(owner: LeaseOwner): Promise<EvictOutcome>;
  /** Frees the lease as it was seen; `not_held` when its holder has renewed it since. */
  reclaim(revision: number): Promise<EvictOutcome>;
}

interface Place {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly stream: string;
  readonly subject: string;
  readonly ttlMs: number;
}

const renewalsPerTtl = 4;
/** After a ring that shows nothing new: pauses before the next looks. */
const lookAgainMs: readonly number[] = [1, 2, 4, 8, 16];
/** A holder's last renewal may be on its way while it is evicted. */
const evictTries = 3;

/** The lease `key` of a bucket: usually a model's name. */
export function openLease(
  bus: Bus,
  clock: Clock,
  bucket: string,
  key: string,
  settings: LeaseSettings = { ttlMs: bus.timeouts.lease },
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
    reclaim: (revision) => free(place, revision),
  };
}

async function acquire(place: Place, owner: LeaseOwner, signal: AbortSignal): Promise<HeldLease | undefined> {
  const bell = new Bell();
  const subscription = place.bus.subscribe(place.subject, {}, () => bell.ring());
  try {
    let watched = { revision: -1, sinceMs: 0 };
    let looksAgain = lookAgainMs.length;
    while (!signal.aborted) {
      const view = await look(place);
      const nowMs = place.clock.monotonicMs();
      if (view.kind === "held" && view.revision !== watched.revision) {
        watched = { revision: view.revision, sinceMs: nowMs };
        looksAgain = lookAgainMs.length;
      }
      // Our own earlier try, whose acknowledgement got lost.
      if (view.kind === "held" && isSame(view.owner, owner)) return hold(place, owner, view.revision, nowMs);
      const stale = view.kind === "held" && nowMs - watched.sinceMs >= place.ttlMs;
      if (view.kind === "free" || stale) {
        const held = await take(place, owner, view.revision);
        if (held !== undefined) return held;
      }
      const waitMs = lookAgainMs[looksAgain] ?? place.ttlMs / renewalsPerTtl;
      looksAgain = (await bell.heardWithin(place.clock, waitMs, signal)) ? 0 : looksAgain + 1;
    }
    return undefined;
  } finally {
    subscription.unsubscribe();
  }
}

async function take(place: Place, owner: LeaseOwner, revision: number): Promise<HeldLease | undefined> {
  const startedAtMs = place.clock.monotonicMs();
  const seq = await write(place, valueFor(place, owner, 0), revision);
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
      const outcome = await renew(place, valueFor(place, owner, count), revision);
      if (outcome === "taken") return "taken";
      if (outcome === undefined) continue;
      revision = outcome;
      renewedAtMs = beganAtMs;
    }
  };
  const lost = renewing();
  const letGo = async (): Promise<void> => {
    released.abort();
    // An expired one may still stand in the bucket under our name; the revision we name keeps us from freeing somebody else's.
    if ((await lost) !== "taken") await free(place, revision);
  };
  let letting: Promise<void> | undefined;
  return {
    owner,
    lost,
    release: () => {
      letting ??= letGo();
      return letting;
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
  // Of several servers a new leader may still show an earlier state.
  if (current.message.seq <= revision) return undefined;
  return isOurs(current.message, value, place) ? current.message.seq : "taken";
}

/** This renewal, or an earlier one of the same owner whose acknowledgement came too late: servers that elect a leader take seconds. */
function isOurs({ bytes }: Stored, value: Uint8Array, { ttlMs }: Place): boolean {
  const [found, wanted] = [valueIn(bytes, ttlMs), valueIn(value, ttlMs)];
  return found.kind === "ok" && wanted.kind === "ok" && isSame(found.value.owner, wanted.value.owner);
}

async function evict(place: Place, owner: LeaseOwner): Promise<EvictOutcome> {
  for (let tries = 1; ; tries += 1) {
    const view = await look(place);
    if (view.kind === "unavailable") return view;
    if (view.kind === "free" || !owns(owner, view.owner)) return { kind: "not_held" };
    const outcome = await free(place, view.revision);
    if (outcome.kind !== "not_held" || tries === evictTries) return outcome;
  }
}

/** Whether `found` is what `owner` means; without a run it means any. */
function owns(owner: LeaseOwner, found: LeaseOwner): boolean {
  const { node, incarnation, run = found.run } = owner;
  return node === found.node && incarnation === found.incarnation && run === found.run;
}

function isSame(one: LeaseOwner, other: LeaseOwner): boolean {
  return one.node === other.node && one.incarnation === other.incarnation && one.run === other.run;
}

async function free(place: Place, revision: number): Promise<EvictOutcome> {
  const outcome = await store(place.bus, place.subject, new Uint8Array(), {
    timeoutMs: place.ttlMs,
    expectedLastSequence: revision,
    headers: { [header.keyOperation]: "DEL" },
  });
  if (outcome.kind === "unavailable") return outcome;
  return { kind: outcome.kind === "stored" ? "evicted" : "not_held" };
}

async function look(place: Place): Promise<LeaseView> {
  const current = await stored(place);
  if (current.kind === "unavailable") return current;
  if (current.kind === "none") return { kind: "free", revision: 0 };
  const { message } = current;
  if (message.headers.get(header.keyOperation) !== undefined) return { kind: "free", revision: message.seq };
  const read = valueIn(message.bytes, place.ttlMs);
  // A value nobody of us wrote: treated as held by a stranger, so it goes stale like any other.
  const stranger = { owner: { node: "", incarnation: 0 }, ttlMs: place.ttlMs };
  return { kind: "held", revision: message.seq, ...(read.kind === "ok" ? read.value : stranger) };
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

function valueFor({ ttlMs }: Place, { node, incarnation, run }: LeaseOwner, renewals: number): Uint8Array {
  return encodeMessage({ v: 1, owner: { node, incarnation, ...(run === undefined ? {} : { run }) }, renewals, ttlMs });
}

/** A value of an older version names no TTL: `ttlMs` is taken for it. */
function valueIn(bytes: Uint8Array, ttlMs: number): Parsed<{ readonly owner: LeaseOwner; readonly ttlMs: number }> {
  return parse(bytes, (fields) => {
    number(0, Number.MAX_SAFE_INTEGER)(fields, "renewals");
    const promisedMs = optional(fields, "ttlMs", number(0, Number.MAX_SAFE_INTEGER)) ?? ttlMs;
    const owner = inside(fields, "owner", (inner, prefix) => {
      const run = optional(inner, `${prefix}run`, text(64));
      return {
        node: text(64)(inner, `${prefix}node`),
        incarnation: whole(0)(inner, `${prefix}incarnation`),
        ...(run === undefined ? {} : { run }),
      };
    });
    return { owner, ttlMs: promisedMs };
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

  /** True when it was rung, since the last time it was asked. */
  async heardWithin(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
    if (this.#rung) {
      this.#rung = false;
      return true;
    }
    const done = new AbortController();
    const stop = (): void => done.abort();
    signal.addEventListener("abort", stop, { once: true });
    this.#wake = stop;
    if (!signal.aborted) await clock.delay(ms, done.signal);
    signal.removeEventListener("abort", stop);
    this.#wake = undefined;
    const wasRung = this.#rung;
    this.#rung = false;
    return wasRung;
  }
}
