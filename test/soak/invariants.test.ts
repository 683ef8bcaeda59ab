// The invariants of a soak: whole evidence gives no violation, and each kind of damage to it gives the violation of that name.

import test from "ava";
import type { CleanupAudit } from "../../operations/cleanup/cleanup-audit.js";
import type { Evidence } from "../../sim/soak/evidence.js";
import { violationsIn } from "../../sim/soak/invariants.js";
import { auditActors, updateDips } from "../../sim/soak/repair-invariants.js";

const answered = (id: string, seq: number, index: number, answer = 3) =>
  ({
    ...{ id, what: "request" as const, tries: 1, tookMs: 4 },
    end: { kind: "answered", at: { seq, index }, answer, confidence: 0.5 },
  }) as const;
const row = (id: string, seq: number, index: number, learn = false) => {
  return { id, seq, index, answer: 3, confidence: 0.5, learn };
};
const link = (seq: number, version: number, updateSeq: number, atMs: number) => {
  const parts = { experienceSeq: updateSeq, checksum: `c${version}`, served: `h${version}`, applied: version };
  return { seq, version, updateSeq, by: "learning-1#1", atMs, ...parts };
};
const actorEvent = (kind: "started" | "crashed" | "cleanup_confirmed", incarnation: number, atMs: number) => {
  return { node: "serving-1", nodeIncarnation: 1, path: "digits/voter", incarnation, kind, atMs };
};
const death = {
  ...{ node: "learning-1", incarnation: 1, cause: "signal SIGKILL" },
  ...{ diedAtMs: 1_000, nextAtMs: 1_050, readyAtMs: 1_400 },
};
const life = { node: "learning-1", incarnation: 1, run: "r" };
const pair = { ...life, cause: "signal SIGKILL", by: "watchdog", leases: 1, tookMs: 20 } as const;
const audit = (change: Partial<CleanupAudit> = {}): CleanupAudit => ({
  ...{ deaths: 1, confirmations: 1, pairs: [pair], missing: [], doubled: [], late: [], overdue: [], unasked: [] },
  ...{ reclaimed: 0, holds: true },
  ...change,
});
const receipt = {
  ...{ target: "digits/voter", mode: "kill", generationBefore: 1, generationAfter: 2, inFlight: 1, redelivered: 1 },
  ...{ refused: 0, lost: 0, leasesCleaned: 0, detectMs: 0, repairMs: 2, cause: null },
};

const whole: Evidence = {
  asked: [
    answered("a", 1, 0),
    answered("b", 1, 1),
    { id: "c", what: "request", tries: 9, tookMs: 900, end: { kind: "refused", code: "deadline" } },
    { id: "a", what: "feedback", tries: 1, tookMs: 5, end: { kind: "labelled" } },
  ],
  // "c" was logged, and its client was refused before it heard: allowed.
  rows: [row("a", 1, 0, true), row("b", 1, 1), row("c", 2, 0, true)],
  tasks: [
    { updateSeq: 1, of: { seq: 1, index: 0 }, atMs: 900 },
    { updateSeq: 2, of: { seq: 2, index: 0 }, atMs: 2_000 },
  ],
  chain: [link(1, 1, 1, 950), link(2, 2, 2, 2_100)],
  folded: [
    { updateSeq: 1, of: { seq: 1, index: 0 }, outcome: "applied", version: 1, served: "h1" },
    { updateSeq: 2, of: { seq: 2, index: 0 }, outcome: "applied", version: 2, served: "h2" },
  ],
  parameters: {
    live: { checksum: "c2", served: "h2", version: 2 },
    replay: { checksum: "c2" },
    undisturbed: { checksum: "c2", served: "h2", version: 2 },
    servedBy: [{ node: "serving-1", version: 2 }],
  },
  deaths: [death],
  cleanups: audit(),
  outages: [],
  actorEvents: [actorEvent("crashed", 1, 500), actorEvent("cleanup_confirmed", 1, 501), actorEvent("started", 2, 502)],
  receipts: [receipt],
  left: { leases: [], processes: [], files: [] },
};

const names = (change: Partial<Evidence>): string[] => [
  ...new Set(violationsIn({ ...whole, ...change }).map(({ name }) => name)),
];

test("whole evidence violates nothing", (t) => {
  t.deepEqual(violationsIn(whole), []);
});

test("a writer's word in the chain, that it begins or tries again, changes nothing and violates nothing", (t) => {
  const [one, two] = whole.chain;
  if (one === undefined || two === undefined) return t.fail();
  const first = { ...link(0, 0, 0, 900), checksum: "source" };
  t.deepEqual(violationsIn({ ...whole, chain: [first, one, { ...one, atMs: 1_000 }, two] }), []);
});

const damages: readonly (readonly [string, string, Partial<Evidence>])[] = [
  [
    "a request without an end",
    "unanswered",
    { asked: [{ id: "a", what: "request", tries: 9, tookMs: 9, end: { kind: "failed", why: "timeout" } }] },
  ],
  ["an answer whose row is not there", "answered_without_experience", { asked: [answered("a", 7, 0)] }],
  ["an answer whose row is another's", "answered_without_experience", { asked: [answered("a", 1, 1)] }],
  ["an answer other than the logged one", "answer_differs", { asked: [answered("a", 1, 0, 4)] }],
  ["a request with two rows", "repeated_experience", { rows: [...whole.rows, row("a", 3, 0)] }],
  ["a flag without a task (S0-47)", "task_missing", { rows: [...whole.rows, row("d", 3, 0, true)] }],
  [
    "a task that no flag asked for",
    "task_without_flag",
    { rows: [row("a", 1, 0, true), row("b", 1, 1), row("c", 2, 0)] },
  ],
  [
    "a task enqueued twice (S0-47)",
    "task_repeated",
    { tasks: [...whole.tasks, { updateSeq: 3, of: { seq: 2, index: 0 }, atMs: 2_001 }] },
  ],
  [
    "an experience learned from twice (S0-47)",
    "applied_twice",
    {
      folded: [
        ...whole.folded,
        { updateSeq: 3, of: { seq: 1, index: 0 }, outcome: "applied", version: 3, served: "h3" },
      ],
    },
  ],
  ["a task that the fold never took", "never_applied", { folded: whole.folded.slice(0, 1) }],
  ["a commit that goes back", "two_histories", { chain: [...whole.chain, link(3, 1, 1, 2_200)] }],
  [
    "another commit at the same place",
    "two_histories",
    { chain: [...whole.chain, { ...link(3, 2, 2, 2_200), checksum: "other" }] },
  ],
  ["versions that fall", "updates_decrease", { chain: [link(1, 3, 1, 950), link(2, 2, 2, 2_100)] }],
  [
    "a version that is not the count of accepted steps",
    "version_differs",
    { chain: [link(1, 1, 1, 950), link(2, 3, 2, 2_100)] },
  ],
  [
    "a commit with another head than the fold's",
    "commit_differs",
    { chain: [link(1, 1, 1, 950), { ...link(2, 2, 2, 2_100), served: "other" }] },
  ],
  [
    "a commit at a place where no update is",
    "commit_without_update",
    { chain: [link(1, 1, 1, 950), link(2, 2, 9, 2_100)] },
  ],
  ["an update behind the end of the chain", "not_committed", { chain: [link(1, 1, 1, 950)] }],
  [
    "a replay with other parameters",
    "parameters_differ",
    { parameters: { ...whole.parameters, replay: { checksum: "c3" } } },
  ],
  [
    "a node that serves an old version",
    "parameters_differ",
    { parameters: { ...whole.parameters, servedBy: [{ node: "serving-1", version: 1 }] } },
  ],
  ["a death that nobody cleaned up (S0-34)", "crash_without_cleanup", { cleanups: audit({ pairs: [] }) }],
  ["a cleanup after the start (S0-43)", "cleanup_after_start", { cleanups: audit({ late: [life] }) }],
  [
    "a cleanup of somebody who lives",
    "cleanup_without_crash",
    { cleanups: audit({ unasked: [{ ...life, incarnation: 2 }] }) },
  ],
  [
    "a cleanup of a death that the root did not see",
    "cleanup_without_crash",
    { cleanups: audit({ pairs: [pair, { ...pair, incarnation: 2 }] }) },
  ],
  ["a cleanup that is confirmed twice (S0-34)", "cleanup_repeated", { cleanups: audit({ doubled: [life] }) }],
  [
    "an actor's end without cleanup",
    "actor_without_cleanup",
    { actorEvents: [actorEvent("crashed", 1, 1), actorEvent("started", 2, 2)] },
  ],
  [
    "an actor cleaned up twice",
    "actor_cleaned_up_twice",
    { actorEvents: [...whole.actorEvents, actorEvent("cleanup_confirmed", 1, 503)] },
  ],
  [
    "an actor cleaned up after its next start",
    "actor_cleanup_after_start",
    { actorEvents: [actorEvent("crashed", 1, 1), actorEvent("started", 2, 2), actorEvent("cleanup_confirmed", 1, 3)] },
  ],
  ["a receipt with a lost message", "message_lost", { receipts: [{ ...receipt, lost: 1 }] }],
  [
    "no growth after a recovery (S0-46)",
    "no_growth_after_recovery",
    { chain: [link(1, 1, 1, 950)], tasks: [{ updateSeq: 2, of: { seq: 2, index: 0 }, atMs: 2_000 }] },
  ],
  ["a lease at the end", "lease_left", { left: { ...whole.left, leases: ["digits"] } }],
  ["a process at the end", "process_left", { left: { ...whole.left, processes: ["process 7"] } }],
  ["a file at the end", "file_left", { left: { ...whole.left, files: ["context.json"] } }],
];

for (const [what, name, change] of damages)
  test(`${what} is reported as ${name}`, (t) => {
    t.true(names(change).includes(name), names(change).join(", "));
  });

test("what an outage of the broker may have hidden is not judged, and is counted", (t) => {
  const outages = [{ fromMs: 900, toMs: 1_200 }];
  const events = [actorEvent("crashed", 1, 1_000), actorEvent("started", 2, 1_001)];
  t.deepEqual(auditActors(events, outages), { violations: [], judged: 0, unjudged: 1 });
});

test("a dip lasts from the death to the next commit (S0-45)", (t) => {
  t.deepEqual(updateDips([death], whole.chain), [1_100]);
  t.deepEqual(updateDips([{ diedAtMs: 9_000 }], whole.chain), []);
});
