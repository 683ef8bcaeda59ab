// A supervisor gave up: its parent must act.

import type { RestartIntensity } from "./restart-intensity.js";

export class EscalationError extends Error {
  /** Path of the supervisor that gave up. */
  readonly path: string;
  readonly intensity: RestartIntensity;

  constructor(path: string, cause: string, intensity: RestartIntensity) {
    super(
      `supervisor "${path}" gave up: more than ${intensity.restarts} restarts in ${intensity.withinMs} ms; ${cause}`,
    );
    this.name = "EscalationError";
    this.path = path;
    this.intensity = intensity;
  }
}
