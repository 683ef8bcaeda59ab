// The relay: puts the update tasks that the experience log asks for on the update stream (the outbox pattern: the log is the outbox).
//
// Owns: that every row flagged `learn` becomes one update task, also when the node died between the append and the publication.
// Does not own: which rows are flagged (voter.ts), what a task does (updater.ts).
//
// R1. A task's message id is its experience's position, so a repeated publication is one message; past the stream's duplicate
//     window the updater skips the position itself.
// R2. `init` publishes again what the newest records ask for: a crash between append and publication loses no task.

import type { Position, UpdateTask } from "../models/experience.js";
import type { LoggedExperience } from "../operations/log-fold.js";
import type { Telemetry } from "../operations/telemetry.js";
import type { BatchBehaviour, Turn } from "../supervision/behaviour.js";
import type { AppendOutcome } from "../transport/log.js";
import { tasksOf } from "./judgement.js";
import type { RelayMessage } from "./messages.js";

export interface RelayDeps {
  /** The newest records of the experience log, oldest first: those that may have lost their tasks. */
  readonly newestRecords: () => AsyncIterable<LoggedExperience>;
  readonly publish: (task: UpdateTask, messageId: string) => Promise<AppendOutcome>;
  readonly telemetry: Telemetry;
}

interface State {
  published: number;
  refused: number;
}

export function relay(deps: RelayDeps): BatchBehaviour<RelayMessage, State> {
  return {
    batchMax: 16,
    init: () => reconcile(deps),
    receiveBatch: async (state, messages, turn) => {
      const tasks = messages.flatMap((message) => message.tasks);
      await publish(deps, state, tasks, turn);
    },
    summary: (state) => ({ ...state }),
  };
}

async function reconcile(deps: RelayDeps): Promise<State> {
  const state: State = { published: 0, refused: 0 };
  for await (const { seq, record } of deps.newestRecords())
    if (record?.kind === "answers") await publish(deps, state, tasksOf(record, seq), undefined);
  return state;
}

async function publish(
  deps: RelayDeps,
  state: State,
  tasks: readonly UpdateTask[],
  turn: Turn<RelayMessage> | undefined,
): Promise<void> {
  const outcomes = await Promise.all(tasks.map((task) => deps.publish(task, messageId(task.experience))));
  const refused = tasks.filter((_, index) => outcomes[index]?.kind === "unavailable");
  state.published += tasks.length - refused.length;
  state.refused += refused.length;
  if (turn === undefined || tasks.length === 0) return;
  turn.onCommit(() => {
    const origin = { actor: turn.path, incarnation: turn.incarnation };
    deps.telemetry.counters.add("updates_enqueued", tasks.length - refused.length);
    deps.telemetry.event("update_enqueued", origin, () =>
      tasks.map((task) => ({ traceId: task.traceId, seq: task.experience.seq, index: task.experience.index })),
    );
    if (refused.length > 0)
      deps.telemetry.event("update_refused", origin, () =>
        refused.map((task) => ({ traceId: task.traceId, guard: "log_unavailable" })),
      );
  });
}

function messageId(at: Position): string {
  return `${at.seq}.${at.index}`;
}
