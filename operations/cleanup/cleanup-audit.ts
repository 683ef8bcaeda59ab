// crashes == cleanups, joined by node, incarnation and run, from the cleanup stream alone (law 6).
//
// Owns: the join, and what is a violation. Does not own: the records (cleanup-log.ts).
//
// A1. The stream's order decides, not anybody's clock: a confirmation behind the start of the next incarnation is late.
// A2. A late one is a violation unless the root said before it that the bound had passed (`overdue`): a restart is never blocked for ever.

import type { Clock } from "../../models/clock.js";
import type { Bus } from "../../transport/bus/bus.js";
import type { Cleaner, CleanupRecord, NodeLife } from "../../transport/messages/events.js";
import type { Subjects } from "../../transport/subjects.js";
import { CleanupLog, lifeKey } from "./cleanup-log.js";

export interface CleanupPair extends NodeLife {
  readonly cause: string;
  readonly by: Cleaner;
  readonly leases: number;
  /** From the death to its confirmation, by the clocks of those who wrote them. */
  readonly tookMs: number;
}

export interface CleanupAudit {
  readonly deaths: number;
  /** Stored records, doubled ones included. */
  readonly confirmations: number;
  readonly pairs: readonly CleanupPair[];
  /** Died and never confirmed. */
  readonly missing: readonly NodeLife[];
  /** Confirmed more than once. */
  readonly doubled: readonly NodeLife[];
  /** Confirmed after the next incarnation had started, and nobody had said so. */
  readonly late: readonly NodeLife[];
  /** The bound had passed, and the root said so before it went on. */
  readonly overdue: readonly NodeLife[];
  /** Confirmed and never died: their deaths are older than what the stream keeps, or somebody is wrong. */
  readonly unasked: readonly NodeLife[];
  /** Leases taken back from nobody in particular: stale, or of a former run. */
  readonly reclaimed: number;
  /** Every death has exactly one confirmation, in time or announced as overdue. */
  readonly holds: boolean;
}

export interface SequencedCleanup {
  readonly seq: number;
  readonly record: CleanupRecord;
}

const tries = 40;
const pauseMs = 250;

/** Reads the stream up to its end of now. Throws when the broker stays away. */
export async function auditCleanups(bus: Bus, subjects: Subjects, clock: Clock): Promise<CleanupAudit> {
  const log = new CleanupLog(bus, subjects, clock);
  const found: SequencedCleanup[] = [];
  if ((await recordsIn(log, clock)) > 0) {
    const reading = new AbortController();
    for await (const { seq, record, pending } of log.follow(1, reading.signal)) {
      if (record !== undefined) found.push({ seq, record });
      if (pending === 0) break;
    }
    reading.abort();
  }
  return auditOf(found);
}

async function recordsIn(log: CleanupLog, clock: Clock): Promise<number> {
  for (let tried = 1; ; tried += 1) {
    const outcome = await log.count();
    if (outcome.kind === "count") return outcome.records;
    if (tried === tries) throw new Error(`the cleanup stream cannot be read: ${outcome.why}`);
    await clock.delay(pauseMs);
  }
}

interface Story {
  readonly life: NodeLife;
  died?: Extract<CleanupRecord, { kind: "died" }>;
  readonly confirmed: {
    readonly seq: number;
    readonly record: Extract<CleanupRecord, { kind: "cleanup_confirmed" }>;
  }[];
  startedSeq?: number;
  isOverdue: boolean;
}

/** The verdict over records in the order of the stream. */
export function auditOf(records: readonly SequencedCleanup[]): CleanupAudit {
  const stories = tell(records);
  const all = [...stories.values()];
  const dead = all.filter(({ died }) => died !== undefined);
  const lives = (wanted: (story: Story) => boolean) => all.filter(wanted).map(({ life }) => life);
  const missing = lives(({ died, confirmed }) => died !== undefined && confirmed.length === 0);
  const doubled = lives(({ confirmed }) => confirmed.length > 1);
  const late = lives((story) => !story.isOverdue && isLate(story, stories));
  return {
    deaths: dead.length,
    confirmations: all.reduce((sum, { confirmed }) => sum + confirmed.length, 0),
    pairs: dead.flatMap(pairOf),
    missing,
    doubled,
    late,
    overdue: lives(({ isOverdue }) => isOverdue),
    unasked: lives(({ died, confirmed }) => died === undefined && confirmed.length > 0),
    reclaimed: records.filter(({ record }) => record.kind === "reclaimed").length,
    holds: missing.length + doubled.length + late.length === 0,
  };
}

function tell(records: readonly SequencedCleanup[]): ReadonlyMap<string, Story> {
  const stories = new Map<string, Story>();
  for (const { seq, record } of records) {
    if (record.kind === "reclaimed") continue;
    const { node, incarnation, run } = record;
    const key = lifeKey(record);
    const story = stories.get(key) ?? { life: { node, incarnation, run }, confirmed: [], isOverdue: false };
    stories.set(key, story);
    switch (record.kind) {
      case "died":
        story.died ??= record;
        break;
      case "cleanup_confirmed":
        story.confirmed.push({ seq, record });
        break;
      case "cleanup_overdue":
        story.isOverdue = true;
        break;
      case "started":
        story.startedSeq ??= seq;
        break;
      default:
        record satisfies never;
    }
  }
  return stories;
}

function isLate({ life, confirmed }: Story, stories: ReadonlyMap<string, Story>): boolean {
  const nextSeq = stories.get(lifeKey({ ...life, incarnation: life.incarnation + 1 }))?.startedSeq;
  const [first] = confirmed;
  return nextSeq !== undefined && first !== undefined && first.seq > nextSeq;
}

function pairOf({ life, died, confirmed: [first] }: Story): readonly CleanupPair[] {
  if (died === undefined || first === undefined) return [];
  const { by, leases, atMs } = first.record;
  return [{ ...life, cause: died.cause, by, leases, tookMs: atMs - died.atMs }];
}
