// Asking the operations nodes for a report: the same figures for a verb, the HTTP interface and the stability test.
//
// Owns: the request and the check of the answer. Does not own: the reports' shapes, who answers (actors/operations/observer.ts, actors/operations/alerter.ts).

import type { z } from "zod";
import type { Bus } from "../transport/bus/bus.js";
import { decodeMessage, encodeMessage } from "../transport/messages/codec.js";
import type { ReportName, Subjects } from "../transport/subjects.js";
import { alertListSchema } from "./alerts/alert-list.js";
import { healthReportSchema } from "./health/health-report.js";
import { clusterMetricsSchema } from "./metrics/cluster-metrics.js";
import { seriesSchema } from "./metrics/series.js";

const schemas = {
  metrics: clusterMetricsSchema,
  health: healthReportSchema,
  alerts: alertListSchema,
  series: seriesSchema,
} as const satisfies Readonly<Record<ReportName, z.ZodType>>;

export type Report<Name extends ReportName> = z.infer<(typeof schemas)[Name]>;

export type AskedReport<T> =
  | { readonly kind: "report"; readonly report: T }
  /** `none`: no operations node. `early`: it has no figures yet. `silent`: no answer in time. */
  | {
      readonly kind: "unavailable";
      readonly why: "none" | "early" | "silent" | "closed" | "denied" | "garbled";
      readonly message: string;
    };

/** Whoever may publish reports' subjects may ask: the telemetry user, the operator, a node. */
export interface Asker {
  readonly bus: Bus;
  readonly subjects: Subjects;
}

export async function askReport<Name extends ReportName>(
  { bus, subjects }: Asker,
  what: Name,
  timeoutMs: number = bus.timeouts.look,
): Promise<AskedReport<Report<Name>>> {
  const outcome = await bus.request(subjects.report(what), encodeMessage({ v: 1 }), { timeoutMs });
  switch (outcome.kind) {
    case "no_responders":
      return unavailable("none", "no operations node answers: it may be starting, or there is none");
    case "timeout":
      return unavailable("silent", `no operations node answered within ${timeoutMs} ms`);
    case "closed":
      return unavailable("closed", "the connection is closed");
    case "denied":
      return unavailable("denied", `this user may not ask for ${what}: ${outcome.message}`);
    case "reply":
      return readReport(what, outcome.data);
  }
}

/** What an answer says; `report` is null while there is none yet. */
export function readReport<Name extends ReportName>(what: Name, bytes: Uint8Array): AskedReport<Report<Name>> {
  const decoded = decodeMessage(bytes);
  if (decoded.kind === "refused") return unavailable("garbled", decoded.message);
  if (decoded.fields.v !== 1) return unavailable("garbled", "the answer is of another version");
  if (decoded.fields.report === null) return unavailable("early", "the operations node has no figures yet");
  const parsed = schemas[what].safeParse(decoded.fields.report);
  if (parsed.success) return { kind: "report", report: parsed.data as Report<Name> };
  const [issue] = parsed.error.issues;
  return unavailable("garbled", `${what}.${issue?.path.join(".") ?? ""}: ${issue?.message ?? "not as expected"}`);
}

function unavailable(why: Extract<AskedReport<never>, { kind: "unavailable" }>["why"], message: string) {
  return { kind: "unavailable", why, message } as const;
}
