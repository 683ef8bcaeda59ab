// The cleanup stream: deaths, cleanups, starts of node incarnations, and leases that were reclaimed, as records in one order.
//
// Owns: the id under which each record is stored once, the bound of its tries. Does not own: the bytes (transport/messages/events.ts), who is dead.
//
// C1. A record of one kind about one life of a node is stored once, whoever wrote it and however often: the first one counts.
// C2. A record is tried for as long as a broker may take to come back, and no longer.

import type { Clock } from "../../models/clock.js";
import type { Bus } from "../../transport/bus/bus.js";
import type { Unavailable } from "../../transport/log/jetstream.js";
import { type Log, openLog } from "../../transport/log/log.js";
import { type CleanupRecord, encodeCleanup, type NodeLife, parseCleanup } from "../../transport/messages/events.js";
import type { Subjects } from "../../transport/subjects.js";

export interface LoggedCleanup {
  readonly seq: number;
  /** Undefined for a message that nobody of us wrote. */
  readonly record: CleanupRecord | undefined;
  /** Records behind this one when it was sent. */
  readonly pending: number;
}

export type WriteOutcome =
  /** `first`: this record is the one that is stored, and not an earlier one of another author. */
  { readonly kind: "written"; readonly seq: number; readonly first: boolean } | Unavailable;

/** A broker that is started again answers within seconds, also with a large log. */
const patience = { tryMs: 250, deadlineMs: 60_000, pauseMs: 25 } as const;
export const cleanupWriteMaxMs = patience.deadlineMs;

export class CleanupLog {
  readonly #log: Log;
  readonly #subjects: Subjects;

  constructor(bus: Bus, subjects: Subjects, clock: Clock) {
    this.#log = openLog(bus, clock, { settings: patience });
    this.#subjects = subjects;
  }

  async write(record: CleanupRecord): Promise<WriteOutcome> {
    const outcome = await this.#log.append(this.#subjects.cleanup(record.node), encodeCleanup(record), idOf(record));
    if (outcome.kind === "unavailable") return outcome;
    const { seq, duplicate } = outcome;
    return { kind: "written", seq, first: !duplicate || (await this.#authorOf(seq)) === record.author };
  }

  async *follow(fromSeq: number, signal: AbortSignal): AsyncGenerator<LoggedCleanup> {
    for await (const { seq, bytes, pending } of this.#log.follow(this.#subjects.cleanupStream, { fromSeq, signal })) {
      const parsed = parseCleanup(bytes);
      yield { seq, pending, record: parsed.kind === "ok" ? parsed.value : undefined };
    }
  }

  /** How many records there are now. */
  async count(): Promise<{ readonly kind: "count"; readonly records: number } | Unavailable> {
    const outcome = await this.#log.state(this.#subjects.cleanupStream);
    return outcome.kind === "state" ? { kind: "count", records: outcome.state.messages } : outcome;
  }

  /** An acknowledgement that got lost makes our own second try a duplicate of the first. */
  async #authorOf(seq: number): Promise<string | undefined> {
    const outcome = await this.#log.get(this.#subjects.cleanupStream, seq);
    const parsed = outcome.kind === "found" ? parseCleanup(outcome.message.bytes) : undefined;
    return parsed?.kind === "ok" ? parsed.value.author : undefined;
  }
}

/** One life of one node, as a key. */
export function lifeKey({ node, incarnation, run }: NodeLife): string {
  return `${node}.${incarnation}.${run}`;
}

function idOf(record: CleanupRecord): string {
  switch (record.kind) {
    case "cleanup_confirmed":
      return `cleanup.${lifeKey(record)}`;
    case "died":
    case "cleanup_overdue":
    case "started":
      return `${record.kind}.${lifeKey(record)}`;
    case "reclaimed":
      return `reclaimed.${record.key}.${record.atMs}.${lifeKey(record)}`;
    default:
      return record satisfies never;
  }
}
