// The sinks that the settings ask for.

import type { Clock } from "../../../models/clock.js";
import { mailSink } from "./mail.js";
import type { Notify } from "./notify-settings.js";
import type { Sink } from "./sink.js";
import { slackSink } from "./slack.js";

export interface SinkSurroundings {
  readonly clock: Clock;
  readonly cluster: string;
  readonly timeoutMs: number;
}

export function sinksOf(notify: Notify | undefined, { clock, cluster, timeoutMs }: SinkSurroundings): readonly Sink[] {
  const { slack, mail } = notify ?? {};
  return [
    ...(slack === undefined ? [] : [slackSink({ webhook: slack.webhook, timeoutMs, clock })]),
    ...(mail === undefined ? [] : [mailSink({ settings: mail, timeoutMs, cluster, clock })]),
  ];
}
