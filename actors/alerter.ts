// The alerter: turns events into alerts, each once, and says when an alert is over.
//
// Owns: which alerts are firing. Does not own: the rules' meaning (operations/alert-rules.ts), delivery beyond the bus and the log.
//
// L1. An alert is published when it begins to fire and when it is resolved; repetitions in between only count.
// L2. An alert without a resolving event is resolved after its quiet time.

import { type Alert, type AlertEvent, decideAlert, type FiringAlert, quietAlerts } from "../operations/alert-rules.js";
import type { Behaviour, Life } from "../supervision/behaviour.js";
import { tellLater } from "../supervision/tell-later.js";

export type AlerterMessage = { readonly kind: "event"; readonly event: AlertEvent } | { readonly kind: "look" };

export interface AlerterDeps {
  readonly lookEveryMs: number;
  readonly listen: (tell: (event: AlertEvent) => void) => () => void;
  readonly publish: (alert: Alert) => void;
}

interface State {
  readonly firing: Map<string, FiringAlert>;
  readonly unlisten: () => void;
  fired: number;
  resolved: number;
}

export function alerter(deps: AlerterDeps): Behaviour<AlerterMessage, State> {
  return {
    init: (life) => {
      look(deps, life);
      const unlisten = deps.listen((event) => life.self.tell({ kind: "event", event }));
      return { firing: new Map(), unlisten, fired: 0, resolved: 0 };
    },
    receive: (state, message, turn) => {
      const nowMs = turn.clock.nowMs();
      const alerts =
        message.kind === "look" ? quietAlerts(state.firing, nowMs) : decideAlert(state.firing, message.event, nowMs);
      if (message.kind === "look") look(deps, turn);
      for (const alert of alerts) {
        if (alert.state === "fired") state.fired += 1;
        else state.resolved += 1;
        turn.log.warn(`alert ${alert.state}: ${alert.name}`, { ...alert });
        turn.onCommit(() => deps.publish(alert));
      }
    },
    stop: (state) => state.unlisten(),
    summary: (state) => ({ firing: [...state.firing.keys()], fired: state.fired, resolved: state.resolved }),
  };
}

function look(deps: AlerterDeps, life: Life<AlerterMessage>): void {
  tellLater(life, deps.lookEveryMs, { kind: "look" });
}
