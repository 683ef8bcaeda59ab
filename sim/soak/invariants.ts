// What must hold of the log after any faults: pure functions from evidence to named violations.
//
// Owns: the promise on requests, experiences, tasks, the chain and the parameters. Does not own: deaths and cleanups
// (repair-invariants.ts), the evidence (evidence.ts).

import type {
  Asked,
  Evidence,
  FoldedStep,
  LoggedLink,
  LoggedRow,
  LoggedTask,
  Parameters,
  Violation,
} from "./evidence.js";
import { grouped, place } from "./evidence.js";
import { repairViolations } from "./repair-invariants.js";

export function violationsIn(evidence: Evidence): Violation[] {
  const { asked, rows, tasks, chain, folded, parameters } = evidence;
  return [
    ...unanswered(asked),
    ...answersWithoutExperience(asked, rows),
    ...repeatedExperiences(rows),
    ...tasksAgainstFlags(rows, tasks),
    ...appliedOnce(tasks, folded),
    ...oneChain(chain),
    ...chainIsTheFold(chain, folded),
    ...everythingCommitted(tasks, chain),
    ...parametersAgree(parameters),
    ...repairViolations(evidence),
  ];
}

/** Every request and every label is answered, or refused by name. */
export function unanswered(asked: readonly Asked[]): Violation[] {
  return asked.flatMap(({ id, what, end }) =>
    end.kind === "failed" ? [{ name: "unanswered", about: `${what} ${id}: ${end.why}` }] : [],
  );
}

/** The experience of each answer stands where the reply says, under its id, as it was replied. */
export function answersWithoutExperience(asked: readonly Asked[], rows: readonly LoggedRow[]): Violation[] {
  const at = new Map(rows.map((row) => [place(row), row]));
  return asked.flatMap(({ id, end }) => {
    if (end.kind !== "answered") return [];
    const row = end.at === null ? undefined : at.get(place(end.at));
    const where = end.at === null ? "nowhere" : place(end.at);
    if (row === undefined) return [{ name: "answered_without_experience", about: `${id} at ${where}` }];
    if (row.id !== id) return [{ name: "answered_without_experience", about: `${id} at ${where}, where ${row.id} is` }];
    if (row.answer !== end.answer || row.confidence !== end.confidence) {
      const [replied, logged] = [`${end.answer} (${end.confidence})`, `${row.answer} (${row.confidence})`];
      return [{ name: "answer_differs", about: `${id} at ${where}: replied ${replied}, logged ${logged}` }];
    }
    return [];
  });
}

/** No request has two experiences, whether its client heard of one or not. */
export function repeatedExperiences(rows: readonly LoggedRow[]): Violation[] {
  return [...grouped(rows, ({ id }) => id)].flatMap(([id, same]) =>
    same.length > 1 ? [{ name: "repeated_experience", about: `${id} at ${same.map(place).join(", ")}` }] : [],
  );
}

/** Each row flagged for learning has exactly one task, and no other row has one. */
export function tasksAgainstFlags(rows: readonly LoggedRow[], tasks: readonly LoggedTask[]): Violation[] {
  const enqueued = grouped(tasks, ({ of }) => place(of));
  const flagged = new Set(rows.filter(({ learn }) => learn).map(place));
  const missing = [...flagged].filter((at) => !enqueued.has(at));
  return [
    ...missing.map((at) => ({ name: "task_missing", about: `experience ${at} asks for an update` })),
    ...[...enqueued].flatMap(([at, same]) => {
      const updates = same.map(({ updateSeq }) => updateSeq).join(", ");
      if (!flagged.has(at)) return [{ name: "task_without_flag", about: `update ${updates} for experience ${at}` }];
      return same.length > 1 ? [{ name: "task_repeated", about: `updates ${updates} for experience ${at}` }] : [];
    }),
  ];
}

/** Each task was taken up once by the fold: applied or refused by a guardrail, and never a second time for the same experience. */
export function appliedOnce(tasks: readonly LoggedTask[], folded: readonly FoldedStep[]): Violation[] {
  const taken = folded.filter(({ outcome }) => outcome === "applied" || outcome === "refused");
  const byPlace = grouped(taken, ({ of }) => (of === null ? "mark" : place(of)));
  const twice = [...byPlace].flatMap(([at, steps]) =>
    steps.length > 1
      ? [{ name: "applied_twice", about: `experience ${at} by updates ${steps.map((s) => s.updateSeq).join(", ")}` }]
      : [],
  );
  const never = tasks.filter(({ of }) => !byPlace.has(place(of)));
  return [...twice, ...never.map(({ updateSeq }) => ({ name: "never_applied", about: `update ${updateSeq}` }))];
}

/**
 * Commits form one chain: each goes on from the one before, in updates, experiences and versions. One that stays where the last was is a
 * writer's word (it begins, or counts a try) and changes no bit.
 */
export function oneChain(chain: readonly LoggedLink[]): Violation[] {
  return chain.flatMap((link, index) => {
    const before = chain[index - 1];
    if (before === undefined) return [];
    const about = `commit ${link.seq} by ${link.by} (version ${link.version}, update ${link.updateSeq}) after commit ${before.seq} by ${before.by} (version ${before.version}, update ${before.updateSeq})`;
    const isWord = link.updateSeq === before.updateSeq && link.checksum === before.checksum;
    if (link.updateSeq <= before.updateSeq && !isWord) return [{ name: "two_histories", about }];
    const stepsBack = link.version < before.version || link.experienceSeq < before.experienceSeq;
    return stepsBack || link.applied < before.applied ? [{ name: "updates_decrease", about }] : [];
  });
}

/** Every commit is the undisturbed fold at its position: as many accepted steps, and the same head bit for bit. */
export function chainIsTheFold(chain: readonly LoggedLink[], folded: readonly FoldedStep[]): Violation[] {
  const at = new Map(folded.map((step) => [step.updateSeq, step]));
  return chain.flatMap((link) => {
    // A writer's first word, before anything was learned.
    if (link.updateSeq === 0 && link.version === 0) return [];
    const step = at.get(link.updateSeq);
    const about = `commit ${link.seq} by ${link.by} at update ${link.updateSeq}`;
    if (step === undefined) return [{ name: "commit_without_update", about }];
    if (step.version !== link.version)
      return [{ name: "version_differs", about: `${about}: version ${link.version}, the fold has ${step.version}` }];
    return step.served === link.served ? [] : [{ name: "commit_differs", about }];
  });
}

/** The end of the chain covers the end of the update stream. */
export function everythingCommitted(tasks: readonly LoggedTask[], chain: readonly LoggedLink[]): Violation[] {
  const covered = chain.at(-1)?.updateSeq ?? 0;
  return tasks.flatMap(({ updateSeq }) =>
    updateSeq > covered ? [{ name: "not_committed", about: `update ${updateSeq}, the chain ends at ${covered}` }] : [],
  );
}

/** What the cluster committed and serves, what the replay says, and what an undisturbed run gives: equal bit for bit. */
export function parametersAgree({ live, replay, undisturbed, servedBy }: Parameters): Violation[] {
  const name = "parameters_differ";
  const pairs = [
    ["replay", replay.checksum, "checksum", live.checksum],
    ["undisturbed run", undisturbed.checksum, "checksum", live.checksum],
    ["undisturbed run", undisturbed.served, "served head", live.served],
    ["undisturbed run", `${undisturbed.version}`, "version", `${live.version}`],
    ...servedBy.map(({ node, version }) => [node, `${version}`, "served version", `${live.version}`] as const),
  ] as const;
  return pairs.flatMap(([who, found, what, committed]) =>
    found === committed ? [] : [{ name, about: `${what}: committed ${committed}, ${who} ${found}` }],
  );
}
