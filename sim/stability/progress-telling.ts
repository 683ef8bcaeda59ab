// What a stability run tells the cluster that it runs on: how far it is, so that whoever looks at the cluster sees that it is under test.
//
// Owns: the event. Does not own: who may publish it (transport/access/credentials.ts), who shows it, the figures (run.ts).

import type { Clock } from "../../models/clock.js";
import type { Bus } from "../../transport/bus/bus.js";
import { type EventItem, encodeEvent } from "../../transport/messages/events.js";
import type { Subjects } from "../../transport/subjects.js";

/** Speaks as an operator. */
export interface ProgressVoice {
  readonly bus: Bus;
  readonly subjects: Subjects;
  readonly clock: Clock;
}

export function tellProgress({ bus, subjects, clock }: ProgressVoice, progress: EventItem): void {
  const by = { node: "stability", actor: "stability", incarnation: 1 };
  bus.publish(
    subjects.event("stability"),
    encodeEvent({ kind: "stability", ...by, atMs: clock.nowMs(), items: [progress] }),
  );
}
