// Telling the cluster how a labelled stream goes: counts, never labels, so that its operations nodes can show the accuracy.
//
// Owns: the pace. Does not own: the counts (scoreboard.ts), what is made of them (operations/metrics/vitals.ts).

import type { Clock } from "../models/clock.js";
import type { ClusterContext } from "../transport/access/context.js";
import { encodeEvent } from "../transport/messages/events.js";
import { subjectsOf } from "../transport/subjects.js";
import { connectAs } from "./connection.js";

/** Cumulative, of answers whose true label the sender knows. */
export interface Scores {
  readonly adapting: number;
  readonly source: number;
  readonly labels: number;
}

const everyMs = 500;

/** Twice a second until the returned function is called, which tells the last counts. `run` names the sender: another run counts anew. */
export async function tellScores(
  context: ClusterContext,
  clock: Clock,
  run: string,
  scores: () => Scores,
): Promise<() => Promise<void>> {
  const subject = subjectsOf(context.cluster).event("scored");
  const bus = await connectAs(context, "operator", "driftmend-scores", clock);
  const over = new AbortController();
  const tell = (): void => {
    const event = { kind: "scored", node: "sim", actor: run, incarnation: 1, atMs: clock.nowMs() };
    bus.publish(subject, encodeEvent({ ...event, items: [{ ...scores() }] }));
  };
  const telling = (async (): Promise<void> => {
    while (!over.signal.aborted) {
      tell();
      await clock.delay(everyMs, over.signal);
    }
  })();
  return async () => {
    over.abort();
    await telling;
    tell();
    await bus.flush();
    await bus.close();
  };
}
