// What must hold of deaths, cleanups and what is left: pure functions from evidence to named violations.
//
// Owns: the pairing of crashes with cleanups, on nodes and on actors; growth after recovery; nothing left at the end.
// Does not own: the log's own promise (invariants.ts).
//
// Actors' events are heard over NATS and can be lost with the broker (evidence.ts E1). `auditActors` therefore passes over what an outage
// touches, and `unjudged` counts it.

import type { CleanupAudit } from "../../operations/cleanup/cleanup-audit.js";
import type { ActorEvent, Death, Evidence, Left, LoggedLink, LoggedTask, Outage, Violation } from "./evidence.js";
import { grouped } from "./evidence.js";

export function repairViolations(evidence: Evidence): Violation[] {
  const { deaths, cleanups, outages, actorEvents, receipts, left, chain, tasks } = evidence;
  return [
    ...cleanupViolations(deaths, cleanups),
    ...auditActors(actorEvents, outages).violations,
    ...messagesLost(receipts),
    ...growthAfterRecovery(deaths, chain, tasks),
    ...nothingLeft(left),
  ];
}

export interface Audit {
  readonly violations: readonly Violation[];
  readonly judged: number;
  /** Pairs that an outage of the broker may have hidden. */
  readonly unjudged: number;
}

/**
 * Each death of a node that the root saw is on the cleanup stream and confirmed there once, before the next incarnation starts: the order
 * of the stream says so, no clock. What the root announced as overdue (the broker was away beyond the bound) is confirmed later, and allowed.
 */
export function cleanupViolations(deaths: readonly Death[], audit: CleanupAudit): Violation[] {
  const died = new Set(deaths.map(keyOf));
  const confirmed = new Set(audit.pairs.map(keyOf));
  const named = (name: string, lives: readonly Life[]) => lives.map((life) => ({ name, about: keyOf(life) }));
  return [
    ...named("crash_without_cleanup", [...deaths.filter((death) => !confirmed.has(keyOf(death)))]),
    ...named("cleanup_repeated", audit.doubled),
    ...named("cleanup_after_start", audit.late),
    ...named("cleanup_without_crash", [...audit.unasked, ...audit.pairs.filter((pair) => !died.has(keyOf(pair)))]),
  ];
}

type Life = Pick<Death, "node" | "incarnation">;

function keyOf({ node, incarnation }: Life): string {
  return `${node}#${incarnation}`;
}

/** Each ended incarnation of an actor gives one `cleanup_confirmed` before the next one starts. */
export function auditActors(events: readonly ActorEvent[], outages: readonly Outage[]): Audit {
  const violations: Violation[] = [];
  let [judged, unjudged] = [0, 0];
  const byActor = grouped(events, ({ node, nodeIncarnation, path }) => `${node}#${nodeIncarnation}/${path}`);
  for (const [actor, heard] of byActor)
    for (const end of heard.filter(({ kind }) => kind === "crashed" || kind === "stopped")) {
      const after = heard.slice(heard.indexOf(end));
      const start = after.find(({ kind, incarnation }) => kind === "started" && incarnation > end.incarnation);
      const mine = after.filter((e) => e.kind === "cleanup_confirmed" && e.incarnation === end.incarnation);
      const about = `${actor}#${end.incarnation}`;
      if (start === undefined) continue;
      if (touched(outages, end.atMs, start.atMs)) {
        unjudged += 1;
        continue;
      }
      judged += 1;
      const [first] = mine;
      if (first === undefined) violations.push({ name: "actor_without_cleanup", about });
      else if (mine.length > 1) violations.push({ name: "actor_cleaned_up_twice", about });
      else if (after.indexOf(first) > after.indexOf(start))
        violations.push({ name: "actor_cleanup_after_start", about });
    }
  return { violations, judged, unjudged };
}

/** An outage as heard here begins a little after it began for a node, and ends before every node is back. */
const outageMarginMs = 1_500;

function touched(outages: readonly Outage[], fromMs: number, toMs: number): boolean {
  return outages.some((outage) => outage.fromMs - outageMarginMs <= toMs && outage.toMs + outageMarginMs >= fromMs);
}

/** No receipt counts a message that is neither handled, queued, in flight nor a dead letter. */
export function messagesLost(receipts: Evidence["receipts"]): Violation[] {
  return receipts.flatMap(({ target, generationBefore, lost }) =>
    lost !== null && lost !== 0 ? [{ name: "message_lost", about: `${lost} of ${target}#${generationBefore}` }] : [],
  );
}

/** The first commit after a recovered death has more updates than the last before it, and comes if there was anything to learn. */
export function growthAfterRecovery(
  deaths: readonly Death[],
  chain: readonly LoggedLink[],
  tasks: readonly LoggedTask[],
): Violation[] {
  return deaths.flatMap(({ node, incarnation, readyAtMs }) => {
    if (readyAtMs === undefined) return [];
    const before = chain.findLast(({ atMs }) => atMs <= readyAtMs)?.updateSeq ?? 0;
    const grew = chain.some(({ atMs, updateSeq }) => atMs > readyAtMs && updateSeq > before);
    const wanted = tasks.some(({ atMs }) => atMs > readyAtMs);
    if (grew || !wanted) return [];
    return [
      { name: "no_growth_after_recovery", about: `${node}#${incarnation} was replaced, update ${before} is the last` },
    ];
  });
}

export function nothingLeft({ leases, processes, files }: Left): Violation[] {
  return [
    ...leases.map((about) => ({ name: "lease_left", about })),
    ...processes.map((about) => ({ name: "process_left", about })),
    ...files.map((about) => ({ name: "file_left", about })),
  ];
}

/** Milliseconds from each death of a writer to the first commit after it that goes on, where there was something to learn meanwhile. */
export function updateDips(deaths: readonly { readonly diedAtMs: number }[], chain: readonly LoggedLink[]): number[] {
  return deaths.flatMap(({ diedAtMs }) => {
    const before = chain.findLast(({ atMs }) => atMs <= diedAtMs)?.updateSeq ?? 0;
    const after = chain.find(({ atMs, updateSeq }) => atMs > diedAtMs && updateSeq > before);
    return after === undefined ? [] : [after.atMs - diedAtMs];
  });
}
