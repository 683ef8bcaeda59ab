// What the web actor is given, on a node that serves HTTP.
//
// Owns: when the HTTP interface is loaded. Does not own: what it is made of (web-wiring.ts).
//
// L1. The interface and its libraries are a third of what a node can load. They are loaded when it first opens, so that a node that serves no
//     HTTP starts, and starts again after a crash, without them.

import type { ModelRoll } from "../model-roll.js";
import type { WebDeps } from "../operations/web.js";
import type { ModelWiring } from "./model-wiring.js";
import type { Surroundings } from "./surroundings.js";
import type { WebSurroundings } from "./web-wiring.js";

const lookEveryMs = 1_000;

/** Undefined where no HTTP is served. */
export function wireNodeWeb(
  around: Surroundings,
  roll: Pick<ModelRoll<ModelWiring>, "names" | "models">,
): WebDeps | undefined {
  const { http, bus, telemetry } = around;
  if (http === undefined) return undefined;
  return {
    address: http.address,
    lookEveryMs,
    drainMs: bus.timeouts.httpDrain,
    telemetry,
    open: async (newest, life) => {
      const { openWeb } = await import("./web-wiring.js");
      return openWeb(await surroundingsOf(around, http, roll), http, newest, life);
    },
  };
}

async function surroundingsOf(
  { bus, subjects, clock, telemetry }: Surroundings,
  { version, reports }: NonNullable<Surroundings["http"]>,
  roll: Pick<ModelRoll<ModelWiring>, "names" | "models">,
): Promise<WebSurroundings> {
  const [{ prometheusText }, { openTraceShelf }] = await Promise.all([
    import("../../operations/metrics/prometheus.js"),
    import("../../operations/traces/trace-shelf.js"),
  ]);
  return {
    ...{ bus, subjects, clock, telemetry, version },
    get models() {
      return roll.names;
    },
    manifests: () => roll.models.map(({ manifest }) => manifest),
    exposition: prometheusText,
    traces: () => openTraceShelf(subjects),
    reports,
  };
}
