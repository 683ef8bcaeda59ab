// What the observer is given: the nodes' words, the streams and the leases of a real cluster.
//
// Owns: how its messages come from the bus and the streams. Does not own: what follows from them (observer.ts).

import { CleanupLog } from "../../operations/cleanup/cleanup-log.js";
import { discoverRoles } from "../../operations/discovery.js";
import type { KlLimitOf } from "../../operations/health/conditions.js";
import { openHealth, transitionItem } from "../../operations/health/health.js";
import { builtInRuleSet } from "../../operations/health/operations-file.js";
import { Aggregate } from "../../operations/metrics/aggregate.js";
import { encodeKept } from "../../operations/metrics/kept-figures.js";
import { encodeLooked } from "../../operations/metrics/looked.js";
import { QueueLooks } from "../../operations/metrics/queue-looks.js";
import { openPast } from "../../operations/metrics/recent-past.js";
import type { Ref } from "../../supervision/actor/ref.js";
import type { Incoming } from "../../transport/bus/bus.js";
import { ensureTelemetryStream, limitsFor } from "../../transport/log/streams.js";
import { encodeMessage, type PlainMap } from "../../transport/messages/codec.js";
import { parseEvent, parseMetrics } from "../../transport/messages/events.js";
import { header } from "../../transport/subjects.js";
import type { ModelRoll } from "../model-roll.js";
import type { Answer, ObserverDeps, ObserverMessage, ReportMessage } from "../operations/observer.js";
import type { ModelWiring } from "./model-wiring.js";
import type { Surroundings } from "./surroundings.js";

type Tell = (message: ObserverMessage) => boolean;

/** Every period, in one literal. */
const timing = { lookEveryMs: 1_000, keepEveryMs: 10_000 } as const;
/** Events that figures are made of; everything else is in the samples. */
const kinds = ["node_ready", "node_left", "scored"] as const;
const answered = ["metrics", "health", "series"] as const;

export function wireObserver(
  around: Surroundings,
  roll: Pick<ModelRoll<ModelWiring>, "names" | "models">,
  listeners: readonly Ref<ReportMessage>[],
): ObserverDeps {
  const { bus, logBus = bus, subjects, clock, logMaxBytes, replicas, operations, telemetry } = around;
  const looks = new QueueLooks({
    ...{ bus: logBus, clock, subjects, limits: limitsFor(logMaxBytes) },
    get models() {
      return roll.names;
    },
  });
  let recalledTo: (cleanupSeq: number) => void = () => undefined;
  const cleanupsFrom = new Promise<number>((resolve) => {
    recalledTo = resolve;
  });
  return {
    ...timing,
    listeners,
    aggregate: () =>
      new Aggregate({
        subjects,
        get models() {
          return roll.models.map(({ manifest: { name, learning } }) => {
            return { name, coldStart: learning.coldStart, capacity: learning.capacity };
          });
        },
      }),
    judge: (frozen) =>
      openHealth({ rules: () => operations?.rules() ?? builtInRuleSet, klLimitOf: klLimitsOf(roll), frozen }),
    turned: (transition, { path, incarnation }) =>
      telemetry.event("health", { actor: path, incarnation }, () => [transitionItem(transition)]),
    hears: () => bus.connected,
    look: async () => {
      const looked = await looks.look();
      // Made anew at the next look, when it cannot be made now.
      if (looks.lacks(subjects.telemetryStream)) await ensureTelemetryStream(logBus, subjects, replicas);
      return looked;
    },
    callRoles: () => discoverRoles(bus, subjects.cluster),
    recall: async (signal) => {
      const recalled = await openPast({ bus: logBus, clock, subjects, events: kinds }, signal);
      recalledTo(recalled.cleanupSeq);
      return recalled;
    },
    listen: async (tell, signal) => {
      const stops = [...hearNodes(around, tell), ...answerQuestions(around, tell)];
      const stop = (): void => {
        for (const each of stops) each();
      };
      signal.addEventListener("abort", stop, { once: true });
      const cleanups = async (): Promise<void> => followCleanups(around, await cleanupsFrom, tell, signal);
      await Promise.all([cleanups(), looks.followLetters(signal)]);
    },
    leave: (left) => {
      if (left.kind === "looked") bus.publish(subjects.observed("looks"), encodeLooked(left.looked));
      else bus.publish(subjects.observed("kept"), encodeKept(left.kept), { headers: { [header.rollup]: "sub" } });
    },
  };
}

/** The limit of each model's settings, nats. */
function klLimitsOf(roll: Pick<ModelRoll<ModelWiring>, "names" | "models">): KlLimitOf {
  return (name) => roll.models.find(({ manifest }) => manifest.name === name)?.manifest.learning.klAlert.above;
}

/** What finds the mailbox full is lost: a sample comes again in a second, and says everything. */
function hearNodes({ bus, subjects, clock }: Surroundings, tell: Tell): (() => void)[] {
  const heard = [
    bus.subscribe(subjects.all.metrics, {}, ({ data }) => {
      const sample = parseMetrics(data);
      if (sample.kind === "ok") tell({ kind: "sample", sample: sample.value, atMs: clock.nowMs() });
    }),
    ...kinds.map((kind) =>
      bus.subscribe(subjects.event(kind), {}, ({ data }) => {
        const event = parseEvent(data);
        if (event.kind === "ok") tell({ kind: "event", event: event.value, atMs: clock.nowMs() });
      }),
    ),
  ];
  const unlisten = bus.onEvent((event) => {
    if (event.kind === "reconnected") tell({ kind: "hears_again" });
  });
  return [...heard.map((each) => () => each.unsubscribe()), unlisten];
}

function answerQuestions({ bus, subjects }: Surroundings, tell: Tell): (() => void)[] {
  const reports = answered.map((what) =>
    bus.subscribe(subjects.report(what), { queue: subjects.reportGroup }, (message) => {
      tell({ kind: "asked", what, answer: (report) => answer(message, report) });
    }),
  );
  const resets = bus.subscribe(subjects.peakOrders, {}, (message) => {
    tell({ kind: "reset_peaks", done: () => message.respond(encodeMessage({ v: 1, reset: true })) });
  });
  return [...reports, resets].map((each) => () => each.unsubscribe());
}

function answer(message: Incoming, report: Answer): void {
  const plain: PlainMap | null = report;
  message.respond(encodeMessage({ v: 1, report: plain }));
}

async function followCleanups(
  { bus, logBus = bus, subjects, clock }: Surroundings,
  fromSeq: number,
  tell: Tell,
  signal: AbortSignal,
): Promise<void> {
  for await (const { record } of new CleanupLog(logBus, subjects, clock).follow(fromSeq, signal))
    while (record !== undefined && !(signal.aborted || tell({ kind: "cleanup", record })))
      await clock.delay(againMs, signal);
}

const againMs = 20;
