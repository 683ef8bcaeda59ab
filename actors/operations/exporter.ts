// The exporter: hands the cluster's spans on to an OpenTelemetry collector.
//
// Owns: the period, the subscription. Does not own: the queue and the protocol (operations/traces/otlp.ts), what a span is (spans.ts).
//
// Operations nodes listen as one queue group, so each span leaves once. What waits when an incarnation ends is lost: telemetry is best effort.

import type { Clock } from "../../models/clock.js";
import type { OtlpSink } from "../../operations/traces/otlp.js";
import { spansOf } from "../../operations/traces/spans.js";
import type { Behaviour, Life } from "../../supervision/actor/behaviour.js";
import { tellLater } from "../../supervision/actor/tell-later.js";
import { within } from "../../supervision/deadline.js";
import type { TelemetryEvent } from "../../transport/messages/events.js";

export interface ExporterDeps {
  readonly sink: () => OtlpSink;
  readonly everyMs: number;
  readonly clock: Clock;
  readonly listen: (take: (event: TelemetryEvent) => void) => () => void;
}

export type ExporterMessage = { readonly kind: "tick" };

interface State {
  readonly sink: OtlpSink;
  readonly unlisten: () => void;
}

/** Of the last spans, when the node ends in order. */
const lastMs = 1_000;

export function exporter(deps: ExporterDeps): Behaviour<ExporterMessage, State> {
  const arm = (life: Life<ExporterMessage>): void => tellLater(life, deps.everyMs, { kind: "tick" });
  return {
    init: (life) => {
      const sink = deps.sink();
      arm(life);
      return { sink, unlisten: deps.listen((event) => sink.offer(spansOf(event))) };
    },
    receive: async ({ sink }, _message, turn) => {
      await sink.flush(turn.random);
      arm(turn);
    },
    stop: async ({ sink, unlisten }) => {
      unlisten();
      await within(
        deps.clock,
        lastMs,
        sink.flush(() => 0),
      );
    },
    summary: ({ sink }) => ({ waiting: sink.waiting }),
  };
}
