// What the alerter is given: the bus, the bucket, the lease and the sinks of a real cluster.
//
// Owns: how its messages come and go, who leads. Does not own: what follows (alerter.ts).
//
// A1. One leads: the holder of the lease beside the book. One that could not renew it, because the bucket is away, leads on until it sees
//     somebody else's lease: better two that tell than none. The book's revision decides who may write in any case.
// A2. The next incarnation of a node takes the lease of the one before it at once: that one is dead (law 6).

import type { Clock } from "../../models/clock.js";
import { type SavedAlerts, savedAlertsSchema } from "../../operations/alerts/alert-record.js";
import { type AlertEvent, alertingKinds } from "../../operations/alerts/alert-rules.js";
import { deliver } from "../../operations/alerts/notify/delivery.js";
import { type Notify, notifyDefaults } from "../../operations/alerts/notify/notify-settings.js";
import type { Sink } from "../../operations/alerts/notify/sink.js";
import { sinksOf } from "../../operations/alerts/notify/sinks.js";
import { Breakers } from "../../operations/faults/breakers.js";
import { within } from "../../supervision/deadline.js";
import type { Incoming } from "../../transport/bus/bus.js";
import { refuse } from "../../transport/bus/refusing.js";
import { type AlertBucket, openAlertBucket, type WrittenDocument } from "../../transport/log/alert-bucket.js";
import type { HeldLease, LeaseOwner } from "../../transport/log/lease.js";
import { encodeAlertReceipt, parseAlertOrder } from "../../transport/messages/alert-orders.js";
import { encodeMessage } from "../../transport/messages/codec.js";
import { encodeAlert, parseEvent } from "../../transport/messages/events.js";
import { userOfInbox } from "../../transport/subjects.js";
import type { AlertAnswer, AlerterDeps, AlerterQuestion, Leadership } from "../operations/alerter-messages.js";
import { ownerOf } from "./model-wiring.js";
import type { Surroundings } from "./surroundings.js";

/** Every period, in one literal. */
const timing = { lookMs: 1_000, againMs: 1_000 } as const;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function wireAlerter(around: Surroundings): AlerterDeps {
  const { bus, logBus = bus, subjects, clock, identity, telemetry } = around;
  const bucket = openAlertBucket(logBus, clock, subjects, around.replicas);
  const origin = { actor: "alerter", incarnation: identity.incarnation };
  const breakers = new Breakers({ clock, telemetry, origin });
  return {
    lookEveryMs: timing.lookMs,
    cluster: subjects.cluster,
    origin: identity.origin,
    telemetry,
    listen: (tell) => listen(around, tell),
    publish: ({ name, severity, about, message, count, value, threshold }, state) => {
      const text = `${about}: ${message}${count > 1 ? ` (${count} times)` : ""}`;
      const figures = { value: value ?? undefined, threshold: threshold ?? undefined };
      const notice = { name, severity, state, node: identity.node, atMs: clock.nowMs(), message: text, ...figures };
      bus.publish(subjects.alert(severity, name), encodeAlert(notice));
    },
    lead: (tell, signal) => lead({ bucket, clock, releaseMs: bus.timeouts.halt }, ownerOf(identity), tell, signal),
    attend: (tell) => attend(around, tell),
    write: (saved, revision) => write(bucket, saved, revision),
    sinks: sinksFrom(around),
    grouping: () => (around.operations?.notify() ?? notifyDefaults).grouping,
    deliver: (sink, notification, sender) => deliver(sink, notification, { breakers, clock }, sender),
  };
}

/** The sinks of the settings as they are now: made anew when these were read anew. */
function sinksFrom({ operations, clock, subjects, bus }: Surroundings): () => readonly Sink[] {
  let of: Notify | undefined;
  let sinks: readonly Sink[] = [];
  return () => {
    const now = operations?.notify();
    if (now !== of) sinks = sinksOf(now, { clock, cluster: subjects.cluster, timeoutMs: bus.timeouts.notify });
    of = now;
    return sinks;
  };
}

function listen({ bus, subjects }: Surroundings, tell: (event: AlertEvent) => void): () => void {
  const subscriptions = alertingKinds.map((kind) =>
    bus.subscribe(subjects.event(kind), {}, (message) => {
      const parsed = parseEvent(message.data);
      if (parsed.kind !== "ok") return;
      const { node, actor, items } = parsed.value;
      for (const item of items)
        tell({ kind, about: String(item.about ?? `${node}/${actor}`), detail: String(item.cause ?? "") });
    }),
  );
  return () => {
    for (const subscription of subscriptions) subscription.unsubscribe();
  };
}

interface Place {
  readonly bucket: AlertBucket;
  readonly clock: Clock;
  /** At the end the lease is given back within this, or left to its time to live. */
  readonly releaseMs: number;
}

/** Until the signal: waits for the lease, reads what is kept, leads, and gives the lease back. */
async function lead(
  place: Place,
  owner: LeaseOwner,
  tell: (word: Leadership) => void,
  signal: AbortSignal,
): Promise<void> {
  const { bucket, clock } = place;
  await until(clock, signal, async () => (await bucket.ensure()).kind === "ready");
  await takeFromPredecessor(bucket, owner);
  while (!signal.aborted) {
    const held = await bucket.lease.acquire(owner, signal);
    const kept = held === undefined ? undefined : await readKept(bucket, clock, signal);
    if (held === undefined || kept === undefined) {
      await giveBack(place, held);
      return;
    }
    tell({ kind: "lead", ...kept });
    await holdOn(place, owner, held, signal);
    tell({ kind: "follow" });
  }
}

/** Resolves when somebody else leads, or at the signal once the lease is given back. */
async function holdOn(place: Place, owner: LeaseOwner, first: HeldLease, signal: AbortSignal): Promise<void> {
  const { bucket, clock } = place;
  let held: HeldLease | undefined = first;
  while (!signal.aborted) {
    if (held !== undefined) {
      const lost = await Promise.race([held.lost, aborted(signal)]);
      if (lost === "taken") return;
      if (lost === "aborted") return giveBack(place, held);
      held = undefined;
    }
    await clock.delay(timing.againMs, signal);
    const view = await bucket.lease.look();
    if (view.kind === "unavailable") {
      // A broker that came back without its store.
      if (view.why === "no_stream") await bucket.ensure();
      continue;
    }
    if (view.kind === "held" && !isSame(view.owner, owner)) return;
    held = await bucket.lease.acquire(owner, signal);
  }
  await giveBack(place, held);
}

async function giveBack({ clock, releaseMs }: Place, held: HeldLease | undefined): Promise<void> {
  if (held !== undefined) await within(clock, releaseMs, held.release());
}

async function takeFromPredecessor({ lease }: AlertBucket, owner: LeaseOwner): Promise<void> {
  const view = await lease.look();
  if (view.kind !== "held") return;
  const { node, run, incarnation } = view.owner;
  const isPredecessor = node === owner.node && run === owner.run && incarnation < owner.incarnation;
  if (isPredecessor) await lease.reclaim(view.revision);
}

/** Undefined: the signal came first. What cannot be read as alerts is nothing to go by, and is written over. */
async function readKept(
  bucket: AlertBucket,
  clock: Clock,
  signal: AbortSignal,
): Promise<{ readonly saved: SavedAlerts | undefined; readonly revision: number } | undefined> {
  while (!signal.aborted) {
    const found = await bucket.read();
    if (found.kind === "none") return { saved: undefined, revision: 0 };
    if (found.kind === "found") return { saved: savedIn(found.bytes), revision: found.revision };
    await clock.delay(timing.againMs, signal);
  }
  return undefined;
}

/** A write whose acknowledgement was lost is in the bucket under our name: the next one takes its place. */
async function write(bucket: AlertBucket, saved: SavedAlerts, revision: number): Promise<WrittenDocument> {
  const bytes = encoder.encode(JSON.stringify(saved));
  const outcome = await bucket.write(bytes, revision);
  if (outcome.kind !== "overtaken") return outcome;
  const found = await bucket.read();
  if (found.kind === "unavailable") return found;
  if (found.kind === "none") return bucket.write(bytes, 0);
  if (savedIn(found.bytes)?.by === saved.by) return bucket.write(bytes, found.revision);
  return outcome;
}

function savedIn(bytes: Uint8Array): SavedAlerts | undefined {
  try {
    return savedAlertsSchema.safeParse(JSON.parse(decoder.decode(bytes))).data;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function attend({ bus, subjects }: Surroundings, tell: (question: AlerterQuestion) => void): () => void {
  const orders = bus.subscribe(subjects.alertOrders, {}, (message) => {
    const parsed = parseAlertOrder(message.data);
    if (parsed.kind === "refused") return refuse(message, parsed);
    const order = parsed.value;
    const said = "by" in order ? order.by : undefined;
    const by = said ?? userOfInbox(message.replyTo) ?? "somebody";
    tell({ kind: "order", order, by, answer: (answer) => respond(message, answer) });
  });
  const lists = bus.subscribe(subjects.report("alerts"), {}, (message) => {
    tell({ kind: "list", answer: (list) => message.respond(encodeMessage({ v: 1, report: list })) });
  });
  return () => {
    orders.unsubscribe();
    lists.unsubscribe();
  };
}

function respond(message: Incoming, answer: AlertAnswer): void {
  if (answer.kind === "done") message.respond(encodeAlertReceipt(answer.receipt));
  else {
    const { kind: _, ...refusal } = answer;
    refuse(message, refusal);
  }
}

async function until(clock: Clock, signal: AbortSignal, done: () => Promise<boolean>): Promise<void> {
  while (!(signal.aborted || (await done()))) await clock.delay(timing.againMs, signal);
}

function aborted(signal: AbortSignal): Promise<"aborted"> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve("aborted");
    else signal.addEventListener("abort", () => resolve("aborted"), { once: true });
  });
}

function isSame(one: LeaseOwner, other: LeaseOwner): boolean {
  return one.node === other.node && one.incarnation === other.incarnation && one.run === other.run;
}
