// One buffer in a real supervision tree, with the real memory behind it and a log in memory in front of it.

import { type BufferDeps, buffer } from "../../actors/serving/buffer.js";
import type {
  BufferMessage,
  InferenceMessage,
  Located,
  Remembered,
  VoterMessage,
} from "../../actors/serving/messages.js";
import type { ExperienceRecord, Position } from "../../models/experience.js";
import type { Model } from "../../models/manifest.js";
import type { LoggedExperience } from "../../operations/log/log-fold.js";
import { Counters } from "../../operations/metrics/telemetry.js";
import { ask } from "../../supervision/actor/ask.js";
import { systemClock } from "../../supervision/clock.js";
import type { ChildSpec } from "../../supervision/tree/child-spec.js";
import type { ActorTree } from "../../supervision/tree/system.js";
import { type EventLog, smallTree } from "../supervision/small-tree.js";
import { MemoryLog } from "./memory-log.js";
import { type Inbox, inbox, smallModel } from "./small-node.js";

/** Undefined: a record that nobody can read. */
export type AnyRecord = ExperienceRecord | undefined;

export interface RememberingNode {
  readonly tree: ActorTree;
  readonly events: EventLog;
  readonly log: MemoryLog<AnyRecord>;
  readonly counters: Counters;
  readonly inference: Inbox<InferenceMessage>;
  readonly voter: Inbox<VoterMessage>;
  tell(message: BufferMessage): void;
  introduce(): Promise<Remembered>;
  locate(id: string): Promise<Position | undefined>;
}

export interface Remembering {
  readonly model?: Model;
  readonly log?: MemoryLog<AnyRecord>;
  readonly source?: Partial<BufferDeps["source"]>;
  readonly onAdapted?: BufferDeps["onAdapted"];
  /** Wraps the behaviour of every incarnation. */
  readonly around?: (behaviour: ReturnType<typeof buffer>) => ReturnType<typeof buffer>;
}

export async function rememberingNode(given: Remembering = {}): Promise<RememberingNode> {
  const { model = smallModel(), log = new MemoryLog<AnyRecord>(), around = (same) => same } = given;
  const counters = new Counters();
  const [inference, voter] = [inbox<InferenceMessage>(), inbox<VoterMessage>()];
  const source: BufferDeps["source"] = {
    adaptation: async () => undefined,
    lastSeq: async () => log.lastSeq,
    lastSeqNow: async () => log.lastSeq,
    between: async function* (fromSeq, toSeq, signal) {
      for await (const logged of recordsOf(log, fromSeq, signal)) {
        yield logged;
        if (logged.seq >= toSeq) return;
      }
    },
    follow: (fromSeq, signal) => recordsOf(log, fromSeq, signal),
    ...given.source,
  };
  const child: ChildSpec<BufferMessage, unknown> = {
    id: "buffer",
    restart: "permanent",
    behaviour: (refs) =>
      around(
        buffer({
          ...{ model, source, inference: refs.ref("inference"), voter: refs.ref("voter"), counters },
          ...(given.onAdapted === undefined ? {} : { onAdapted: given.onAdapted }),
        }),
      ),
  };
  const { tree, events } = await smallTree([inference.child("inference"), voter.child("voter"), child]);
  const ref = tree.ref<BufferMessage>("buffer");
  const within = { clock: systemClock, deadlineMs: 5_000 };
  return {
    tree,
    events,
    log,
    counters,
    inference,
    voter,
    tell: (message) => ref.tell(message),
    introduce: () => ask<BufferMessage, Remembered>(ref, (reply) => ({ kind: "introduce", reply }), within),
    locate: async (id) =>
      (await ask<BufferMessage, Located | undefined>(ref, (reply) => ({ kind: "locate", id, reply }), within))?.at,
  };
}

async function* recordsOf(
  log: MemoryLog<AnyRecord>,
  fromSeq: number,
  signal: AbortSignal,
): AsyncGenerator<LoggedExperience> {
  for await (const { seq, entry } of log.follow(fromSeq, signal)) yield { seq, record: entry };
}
