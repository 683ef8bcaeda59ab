// What the actors of an operations node are given that no other role has: who observes, who tells people, who serves HTTP.
//
// Owns: that these come together, and that nobody else loads them: fastify, yaml, nodemailer and what stands on them are a third of what a
// node would import before its first line runs. Does not own: what each is given (observer-wiring.ts, alerter-wiring.ts, web-wiring.ts).

import type { Ref } from "../../supervision/actor/ref.js";
import type { ModelRoll } from "../model-roll.js";
import type { AlerterDeps } from "../operations/alerter-messages.js";
import type { ObserverDeps, ReportMessage } from "../operations/observer.js";
import type { WebDeps } from "../operations/web.js";
import { wireAlerter } from "./alerter-wiring.js";
import type { ModelWiring } from "./model-wiring.js";
import { wireObserver } from "./observer-wiring.js";
import type { Surroundings } from "./surroundings.js";
import { wireNodeWeb } from "./web-deps.js";

export interface OperationsWiring {
  /** `listeners` are told of every report. */
  observer(listeners: readonly Ref<ReportMessage>[]): ObserverDeps;
  readonly alerter: AlerterDeps;
  /** Undefined where no HTTP is served. */
  readonly web: WebDeps | undefined;
}

export function wireOperations(around: Surroundings, roll: ModelRoll<ModelWiring>): OperationsWiring {
  return {
    observer: (listeners) => wireObserver(around, roll, listeners),
    alerter: wireAlerter(around),
    web: wireNodeWeb(around, roll),
  };
}
