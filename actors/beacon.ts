// The beacon: this node's heartbeat, with its vital figures as payload.
//
// Owns: the period. Does not own: who judges the silence (watchdog.ts), the figures (operations/metrics/telemetry.ts).

import type { Behaviour, Life } from "../supervision/actor/behaviour.js";
import { tellLater } from "../supervision/actor/tell-later.js";

export interface BeaconDeps {
  readonly everyMs: number;
  readonly beat: (number: number) => void;
}

export type BeaconMessage = { readonly kind: "tick" };

interface State {
  beats: number;
}

export function beacon(deps: BeaconDeps): Behaviour<BeaconMessage, State> {
  const arm = (life: Life<BeaconMessage>): void => tellLater(life, deps.everyMs, { kind: "tick" });
  return {
    init: (life) => {
      deps.beat(0);
      arm(life);
      return { beats: 0 };
    },
    receive: (state, _message, turn) => {
      state.beats += 1;
      deps.beat(state.beats);
      arm(turn);
    },
    summary: (state) => ({ beats: state.beats, everyMs: deps.everyMs }),
  };
}
