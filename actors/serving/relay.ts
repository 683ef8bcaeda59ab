// The relay: puts the update tasks that the experience log asks for on the update stream (the outbox pattern: the log is the outbox).
//
// Owns: that every row flagged `learn` becomes one update task, also when the node died between the append and the publication, or the
// update stream could not take it for a while. Does not own: which rows are flagged (voter.ts), what a task does (updater.ts).
//
// R1. A task's message id is its experience's position, so a repeated publication is one message; past the stream's duplicate
//     window the updater skips the position itself.
// R2. `init` publishes again what the newest records ask for: a crash between append and publication loses no task.
// R3. A stream that takes no more holds nobody up: the relay notes the first record it owes a task of, drops what it is told meanwhile,
//     asks again after a growing wait, and goes on from that record: what it dropped is in the outbox.

import type { Position, UpdateTask } from "../../models/experience.js";
import type { LoggedExperience } from "../../operations/log/log-fold.js";
import type { Telemetry } from "../../operations/metrics/telemetry.js";
import type { BatchBehaviour, Life, Turn } from "../../supervision/actor/behaviour.js";
import { asError } from "../../supervision/exit-reason.js";
import { type BackoffSettings, nextBackoff } from "../../supervision/tree/backoff.js";
import type { AppendOutcome } from "../../transport/log/log.js";
import { tellWhenRoom } from "../tell-firmly.js";
import { tasksOf } from "./judgement.js";
import type { RelayMessage } from "./messages.js";

/** What is left in the outbox: outlives the incarnations of the relay, not the process. */
export interface Outbox {
  /** The first record whose tasks may not be on the update stream; undefined when it took everything. */
  behindSeq: number | undefined;
  /** Message ids of tasks that were seen on the update stream: they need not be published again. */
  readonly onStream?: ReadonlySet<string>;
}

export interface RelayDeps {
  readonly model: string;
  readonly outbox: Outbox;
  /** The newest records of the experience log, oldest first: those that may have lost their tasks. */
  readonly newestRecords: () => AsyncIterable<LoggedExperience>;
  /** The records from one on, up to the end that the log has when it is asked. */
  readonly recordsFrom: (fromSeq: number) => AsyncIterable<LoggedExperience>;
  readonly publish: (task: UpdateTask, messageId: string) => Promise<AppendOutcome>;
  readonly telemetry: Telemetry;
}

type RelayTold = RelayMessage | { readonly kind: "again"; readonly incarnation: number };

interface State {
  published: number;
  refused: number;
  /** Tries in a row that the stream took nothing of. */
  failures: number;
}

/** How long the stream is left alone before it is asked again. */
const patience: BackoffSettings = { initialMs: 100, factor: 2, maxMs: 2_000, jitter: 0.5, resetAfterMs: 1 };
/** Tasks under way at once. */
const publishMax = 16;

export function relay(deps: RelayDeps): BatchBehaviour<RelayTold, State> {
  return {
    batchMax: publishMax,
    init: (life) => init(deps, life),
    receiveBatch: async (state, messages, turn) => {
      if (messages.some((message) => message.kind === "again" && message.incarnation === turn.incarnation))
        await goOn(deps, state, turn);
      // While it is behind, these are in the outbox like all the others (R3).
      if (deps.outbox.behindSeq !== undefined) return;
      const tasks = messages.flatMap((message) => (message.kind === "tasks" ? message.tasks : []));
      const owedSeq = await publish(deps, state, tasks, turn);
      if (owedSeq !== undefined) fallBehind(deps, state, owedSeq, turn);
    },
    summary: (state) => ({ ...state, behindSeq: deps.outbox.behindSeq ?? null }),
  };
}

async function init(deps: RelayDeps, life: Life<RelayTold>): Promise<State> {
  const state: State = { published: 0, refused: 0, failures: 0 };
  const owedSeq = await empty(deps, state, deps.newestRecords(), undefined);
  if (owedSeq === undefined) deps.outbox.behindSeq = undefined;
  else fallBehind(deps, state, owedSeq, life);
  return state;
}

/** Asks the stream again, beginning with the first record it owes a task of. */
async function goOn(deps: RelayDeps, state: State, turn: Turn<RelayTold>): Promise<void> {
  const fromSeq = deps.outbox.behindSeq;
  if (fromSeq === undefined) return;
  const publishedBefore = state.published;
  const owedSeq = await empty(deps, state, deps.recordsFrom(fromSeq), turn);
  if (state.published > publishedBefore) state.failures = 0;
  if (owedSeq !== undefined) return fallBehind(deps, state, owedSeq, turn);
  deps.outbox.behindSeq = undefined;
  state.failures = 0;
  // At once, like `log_backpressure`: what the same turn publishes next may be refused, and the later word is what holds.
  report(deps, turn, "log_flows", "the update stream takes tasks again");
}

/** Publishes what the records ask for, in order. Returns the record at which the stream took no more. */
async function empty(
  deps: RelayDeps,
  state: State,
  records: AsyncIterable<LoggedExperience>,
  turn: Turn<RelayTold> | undefined,
): Promise<number | undefined> {
  for await (const { seq, record } of records) {
    if (record?.kind !== "answers") continue;
    const due = tasksOf(record, seq).filter(({ experience }) => !deps.outbox.onStream?.has(messageId(experience)));
    const owedSeq = await publish(deps, state, due, turn);
    if (owedSeq !== undefined) return owedSeq;
  }
  return undefined;
}

/** Returns the first record whose task was not taken. */
async function publish(
  deps: RelayDeps,
  state: State,
  tasks: readonly UpdateTask[],
  turn: Turn<RelayTold> | undefined,
): Promise<number | undefined> {
  if (tasks.length === 0) return undefined;
  const outcomes = await Promise.all(tasks.map((task) => deps.publish(task, messageId(task.experience))));
  const refused = tasks.filter((_, index) => outcomes[index]?.kind === "unavailable");
  state.published += tasks.length - refused.length;
  state.refused += refused.length;
  turn?.onCommit(() => {
    deps.telemetry.counters.add("updates_enqueued", tasks.length - refused.length);
    deps.telemetry.event("update_enqueued", { actor: turn.path, incarnation: turn.incarnation }, () =>
      tasks
        .filter((task) => !refused.includes(task))
        .map((task) => ({ traceId: task.traceId, seq: task.experience.seq, index: task.experience.index })),
    );
  });
  return refused.length === 0 ? undefined : Math.min(...refused.map((task) => task.experience.seq));
}

function fallBehind(deps: RelayDeps, state: State, owedSeq: number, life: Life<RelayTold>): void {
  const isNews = deps.outbox.behindSeq === undefined;
  deps.outbox.behindSeq = owedSeq;
  const { failures, delayMs } = nextBackoff(Math.max(1, state.failures), 0, patience, life.random);
  state.failures = failures;
  if (isNews) report(deps, life, "log_backpressure", "the update stream takes no more tasks");
  askAgain(life, delayMs).catch((error) => life.fail(asError(error)));
}

/** A message that found the mailbox full would be the last one, so it waits for room. */
async function askAgain(life: Life<RelayTold>, delayMs: number): Promise<void> {
  await life.clock.delay(delayMs, life.signal);
  await tellWhenRoom(life, { kind: "again", incarnation: life.incarnation });
}

function report({ telemetry, model }: RelayDeps, life: Life<RelayTold>, kind: string, cause: string): void {
  telemetry.event(kind, { actor: life.path, incarnation: life.incarnation }, () => [
    { about: `${model}-update`, cause },
  ]);
}

/** Of the task of an experience. */
export function messageId(at: Position): string {
  return `${at.seq}.${at.index}`;
}
