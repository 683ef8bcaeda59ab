// What is said when the recent past cannot be read.
import type { Unavailable } from "../../transport/log/jetstream.js";
import type { Outcome } from "../cluster/outcome.js";

export function noPast(why: Unavailable["why"]): Outcome {
  if (why === "no_stream")
    return {
      kind: "failed",
      message: "the cluster keeps no telemetry: no node with the role operations has run",
      next: "start one with: driftmend node --role operations --nats URL",
    };
  return { kind: "failed", message: `the telemetry cannot be read: ${why}`, next: "driftmend doctor" };
}
