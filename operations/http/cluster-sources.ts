// The answers of the HTTP interface, from the real cluster: the observer's word, the tree, the log, orders over the bus.
//
// Owns: whom each question is put to, and what a silence means. Does not own: the routes, the connection.
//
// S1. Nothing is asked without a bound. What is expensive is asked once at a time, and snapshots no more often than every `restMs`, however
//     many pages are open.
// S2. Nobody who looks sees what a client sent: over NATS that is an operator's to read, and a page of 500 letters would be 85 MB of it.

import type { Clock } from "../../models/clock.js";
import type { Bus } from "../../transport/bus/bus.js";
import { openSnapshots } from "../../transport/log/snapshot.js";
import type { TreeNode } from "../../transport/messages/look-orders.js";
import { encodeDeadLetterOrder, parseDeadLetterReceipt } from "../../transport/messages/operator-orders.js";
import type { Subjects } from "../../transport/subjects.js";
import { type BookEntry, findEntry, pageOf, plainEntry, readBook } from "../dead-letters/dead-letter-book.js";
import { askFault } from "../faults/chaos-client.js";
import { askWholeTree } from "../whole-tree.js";
import type { Learning, LetterReceipt, Letters } from "./answer-shapes.js";
import type { LearningBook } from "./learning-book.js";
import { type FaultOrder, type Found, found, missing, type Sources, unavailable } from "./sources.js";

/** What other parts of the operations node know. */
export type ToldSources = Pick<
  Sources,
  "newest" | "series" | "alerts" | "acknowledge" | "silence" | "traces" | "trace" | "stability" | "stabilityReport"
>;

export interface ClusterDoor {
  readonly bus: Bus;
  readonly subjects: Subjects;
  readonly clock: Clock;
}

const orderMs = 10_000;
/** Snapshots are read whole to be listed. */
const restMs = 5_000;

export function clusterSources(door: ClusterDoor, told: ToldSources, book: LearningBook): Sources {
  const tree = shared(() => wholeTree(door));
  const letters = shared(() => readBook(door.bus, door.clock, door.subjects));
  const snapshots = rested(door.clock, () => snapshotsOfAll(door, book.models));
  return {
    ...told,
    tree,
    learning: async () => found(storyOf(book, await snapshots())),
    deadLetters: async (limit, before) => lettersOf(await letters(), limit, before),
    requeue: (id) => requeue(door, id),
    fault: (order) => fault(door, order),
  };
}

/** One asking at a time: whoever asks while it is under way gets its answer. */
function shared<T>(ask: () => Promise<T>): () => Promise<T> {
  let underWay: Promise<T> | undefined;
  return () => {
    underWay ??= ask().finally(() => {
      underWay = undefined;
    });
    return underWay;
  };
}

/** The answer of the last `restMs`, or a new one; whoever asks meanwhile waits for the same. */
function rested<T>(clock: Clock, ask: () => Promise<T>): () => Promise<T> {
  let last: { readonly answer: Promise<T>; readonly atMs: number } | undefined;
  return () => {
    const nowMs = clock.monotonicMs();
    if (last === undefined || nowMs - last.atMs >= restMs) last = { answer: ask(), atMs: nowMs };
    return last.answer;
  };
}

async function wholeTree(door: ClusterDoor): Promise<Found<TreeNode>> {
  const { tree } = await askWholeTree(door);
  return tree === undefined ? unavailable("no node of the cluster answers") : found(tree);
}

type ListedSnapshots = Learning["models"][number]["snapshots"];

/** By name: which models there are may have changed by the time that this is told of them. */
async function snapshotsOfAll(
  door: ClusterDoor,
  models: readonly string[],
): Promise<ReadonlyMap<string, ListedSnapshots>> {
  return new Map(await Promise.all(models.map(async (model) => [model, await snapshotsOf(door, model)] as const)));
}

async function snapshotsOf({ bus, subjects, clock }: ClusterDoor, model: string): Promise<ListedSnapshots> {
  const at = { stream: subjects.stream("snapshot", model), subject: subjects.snapshots(model) };
  const listing = await openSnapshots(bus, clock, at).list();
  if (listing.kind === "unavailable") return [];
  return listing.snapshots.map(({ seq, place, atMs }) => ({ seq, version: place?.version ?? null, atMs }));
}

function storyOf(book: LearningBook, snapshots: ReadonlyMap<string, ListedSnapshots>): Learning {
  const models = book.models.map((name) => ({ name, ...book.story(name), snapshots: snapshots.get(name) ?? [] }));
  return { v: 1, models };
}

function lettersOf(
  read: Awaited<ReturnType<typeof readBook>>,
  limit: number,
  before: number | undefined,
): Found<Letters> {
  if (read.kind === "unavailable") return unavailable(`the dead letters cannot be read: ${read.why}`);
  const { entries, cursor } = pageOf(read.book, { limit, before });
  return found({ entries: entries.map(withoutBytes), cursor });
}

/** S2. */
function withoutBytes(entry: BookEntry): Letters["entries"][number] {
  const { payload, ...rest } = plainEntry(entry);
  return {
    ...rest,
    payload: payload.kind === "request" ? { kind: payload.kind, byteLength: payload.byteLength } : payload,
  };
}

async function requeue({ bus, subjects, clock }: ClusterDoor, id: string): Promise<Found<LetterReceipt>> {
  const read = await readBook(bus, clock, subjects);
  if (read.kind === "unavailable") return unavailable(`the dead letters cannot be read: ${read.why}`);
  const entry = findEntry(read.book, id);
  if (entry === undefined) return missing("there is no such dead letter; GET /api/queues lists those there are");
  const bytes = encodeDeadLetterOrder({ kind: "requeue", seq: entry.seq });
  const outcome = await bus.request(subjects.deadLetterOrders, bytes, { timeoutMs: orderMs });
  const parsed = outcome.kind === "reply" ? parseDeadLetterReceipt(outcome.data) : undefined;
  if (parsed?.kind !== "ok")
    return unavailable("no node took the order in time; the list shows whether it was carried out");
  if (parsed.value.kind === "reply") return found(parsed.value.reply);
  const { code, message } = parsed.value.refusal;
  return { kind: "declined", code, message };
}

/** Whole nodes are the root's to strike. */
async function fault(door: ClusterDoor, { node, target, mode, forMs }: FaultOrder) {
  const whom = target === node ? "root" : node;
  const answer = await askFault(door, whom, { target, mode, ...(forMs === undefined ? {} : { forMs }) });
  switch (answer.kind) {
    case "reply":
      return found(answer.reply);
    case "refused":
      return { kind: "declined", code: answer.code, message: answer.message } as const;
    case "silent":
      return unavailable(`${whom}: ${answer.message}`);
    default:
      return answer satisfies never;
  }
}
