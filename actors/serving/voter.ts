// The voter: turns a run of the model and its neighbours into answers, writes them to the log, and only then lets the replies go.
//
// Owns: the order "append, then reply" (law 2), the judgement of each row, what is worth learning from.
// Does not own: the formulas (models/memory/vote.ts, gate.ts, priority.ts), the bytes (transport/log/records.ts), the update stream (relay.ts).
//
// V1. One log record per micro-batch, under the batch's id: a redelivered batch is appended once, however often it is judged.
// V2. No reply leaves before its experience is acknowledged. When the log cannot take it, the requests are refused `log_unavailable`.
//     What the log does not take is back-pressure: it is told in its first and its last moment, as an event.
// V3. The reply waits for nobody's learning: update tasks leave with the commit of the turn, by another actor. Nor for the fold of its own
//     record, nor for meters and telemetry: they come behind it.

import type { ExperienceBatch, UpdateTask } from "../../models/experience.js";
import type { Model } from "../../models/manifest.js";
import type { InferMeter } from "../../operations/metrics/infer-meter.js";
import type { Telemetry } from "../../operations/metrics/telemetry.js";
import { begin, end } from "../../operations/timings/batch-timings.js";
import { formatTraceparent, requestSpanId } from "../../operations/traces/trace-context.js";
import type { Behaviour, Turn } from "../../supervision/actor/behaviour.js";
import type { Ref } from "../../supervision/actor/ref.js";
import type { AppendOutcome, Patience } from "../../transport/log/log.js";
import type { Desk, OpenRequest } from "./desk.js";
import { answerOf, type Judgement, judge, pastAnswerOf, tasksOf } from "./judgement.js";
import type { BufferMessage, RelayMessage, VoterMessage } from "./messages.js";
import { countSights } from "./sight.js";

export interface VoterDeps {
  readonly model: Model;
  readonly node: string;
  readonly nodeIncarnation: number;
  readonly desk: Desk;
  readonly buffer: Ref<BufferMessage>;
  readonly relay: Ref<RelayMessage>;
  readonly append: (batchId: string, record: ExperienceBatch, patience?: Patience) => Promise<AppendOutcome>;
  readonly telemetry: Telemetry;
  readonly meter?: InferMeter;
}

interface State {
  /** The log took no experience the last time. */
  held: boolean;
  /** Appends in a row that the log did not take. */
  refused: number;
  records: number;
  answers: number;
  tasks: number;
}

/**
 * A log that did not take the last record is asked once only for the next, so that the batches behind it hear `log_unavailable` while
 * their callers still listen. Every so often it is asked as long as at first: it may only be slow.
 */
const patientEvery = 4;

export function voter(deps: VoterDeps): Behaviour<VoterMessage, State> {
  return {
    init: () => ({ held: false, refused: 0, records: 0, answers: 0, tasks: 0 }),
    receive: (state, message, turn) => receive(deps, state, message, turn),
    summary: (state) => ({
      model: deps.model.manifest.name,
      strategy: deps.model.manifest.learning.strategy,
      gate: deps.model.manifest.learning.gate,
      ...state,
    }),
  };
}

async function receive(deps: VoterDeps, state: State, message: VoterMessage, turn: Turn<VoterMessage>): Promise<void> {
  const { vote, remember } = message.batch.timings.stations;
  begin(vote, turn);
  answerFromTheLog(deps, message, turn);
  const arrived = message.batch.requests.length;
  // At the batch's time, not at ours: a batch that is judged again, its record in the log already, gets the answers of that record.
  const judgement = judge(deps.model, message, { ...deps, nowMs: message.batch.atMs });
  end(vote, turn);
  if (judgement === undefined) {
    turn.send(deps.buffer, { kind: "passed", arrived });
    return;
  }
  begin(remember, turn);
  const patience = state.refused % patientEvery === 0 ? "patient" : "once";
  const outcome = await deps.append(message.batch.batchId, judgement.record, patience);
  state.refused = outcome.kind === "unavailable" ? state.refused + 1 : 0;
  end(remember, turn, outcome.kind === "unavailable");
  turn.onCommit(() => reportFlow(deps, state, outcome, turn));
  if (outcome.kind === "unavailable") {
    turn.send(deps.buffer, { kind: "passed", arrived });
    turn.onCommit(() => refuseAll(deps, judgement.requests, outcome.why));
    return;
  }
  // A duplicate means that an earlier delivery appended this batch: its record, not this one, is the truth, and the log brings it.
  const logged = { seq: outcome.seq, record: judgement.record };
  turn.send(
    deps.buffer,
    outcome.duplicate ? { kind: "passed", arrived } : { kind: "record", from: "voter", logged, arrived },
  );
  commit(deps, state, judgement, outcome.seq, turn);
}

/** Requests that the log already answered get that answer again; they leave no second experience. */
function answerFromTheLog(deps: VoterDeps, message: VoterMessage, turn: Turn<VoterMessage>): void {
  for (let row = 0; row < message.past.length; row++) {
    const past = message.past[row];
    const request = message.batch.requests[row];
    if (past === undefined || request === undefined) continue;
    turn.onCommit(() => deps.desk.settle(request, pastAnswerOf(deps.model, deps.node, request, past)));
  }
}

function commit(deps: VoterDeps, state: State, judgement: Judgement, seq: number, turn: Turn<VoterMessage>): void {
  const { record, requests } = judgement;
  const tasks = tasksOf(record, seq).map((task) => withFlag(task, requests[task.experience.index]));
  if (tasks.length > 0) turn.send(deps.relay, { kind: "tasks", tasks });
  state.records += 1;
  state.answers += requests.length;
  state.tasks += tasks.length;
  let tellAnswered = (): void => undefined;
  turn.onCommit(() => {
    const later = (tell: () => void): void => {
      tellAnswered = tell;
    };
    deps.desk.settleAll(requests, (index) => answerOf(deps.model, deps.node, judgement, index, seq), later);
  });
  turn.afterwards(() => {
    tellAnswered();
    deps.meter?.answered(record.confidences, tasks.length);
    report(deps, turn, judgement, seq);
  });
}

/** What the caller does not want traced is not traced further on. */
function withFlag(task: UpdateTask, request: OpenRequest | undefined): UpdateTask {
  if (request?.caller?.sampled !== false) return task;
  const parentSpanId = requestSpanId(task.traceId, request.id);
  return { ...task, traceparent: formatTraceparent({ traceId: task.traceId, parentSpanId, sampled: false }) };
}

function refuseAll(deps: VoterDeps, requests: readonly OpenRequest[], why: string): void {
  for (const request of requests)
    deps.desk.refuse(request, "log_unavailable", `the log cannot take the experience: ${why}`, 250);
}

/** Says once that the log takes nothing more, and once that it does again. */
function reportFlow(deps: VoterDeps, state: State, outcome: AppendOutcome, turn: Turn<VoterMessage>): void {
  const isHeld = outcome.kind === "unavailable";
  if (state.held === isHeld) return;
  state.held = isHeld;
  const cause = isHeld ? `the log cannot take experiences: ${outcome.why}` : "the log takes experiences again";
  deps.telemetry.event(
    isHeld ? "log_backpressure" : "log_flows",
    { actor: turn.path, incarnation: turn.incarnation },
    () => [{ about: `${deps.model.manifest.name}-experience`, cause }],
  );
}

function report(deps: VoterDeps, turn: Turn<VoterMessage>, judgement: Judgement, seq: number): void {
  const { record, verdicts, rewards, sights } = judgement;
  countSights(deps.telemetry.counters, deps.model.manifest.name, sights);
  deps.telemetry.event("vote", { actor: turn.path, incarnation: turn.incarnation }, () =>
    record.ids.map((id, index) => ({
      traceId: record.traceIds[index] ?? "",
      id,
      seq,
      index,
      answer: deps.model.manifest.labels[record.answers[index] ?? 0] ?? "",
      confidence: record.confidences[index] ?? 0,
      mode: record.cold[index] === 1 ? "cold" : "ensemble",
      voters: verdicts[index]?.voters ?? 1,
      reward: rewards[index]?.total ?? 0,
      domain: sights[index]?.domain ?? -1,
      looks: sights[index]?.looks ?? 0,
      learn: record.learn[index] === 1,
    })),
  );
}
