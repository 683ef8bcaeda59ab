// What other actors of the operations nodes know, asked of them over the bus: the series, the alerts, orders about alerts.
//
// Owns: these questions, and the check of what comes back. Does not own: the answers (actors/operations/observer.ts, actors/operations/alerter.ts).

import { type AlertOrder, encodeAlertOrder, parseAlertReceipt } from "../../transport/messages/alert-orders.js";
import type { ReportName } from "../../transport/subjects.js";
import type { AlertList } from "../alerts/alert-list.js";
import { askReport, type Report } from "../ask-report.js";
import type { TraceShelf } from "../traces/trace-shelf.js";
import type { ClusterDoor, ToldSources } from "./cluster-sources.js";
import { type Found, found, missing, unavailable } from "./sources.js";

const reportMs = 2_000;
const orderMs = 5_000;
/** Who gave an order, as the alert shows it. */
const by = "operator over HTTP";

export function reportSources(door: ClusterDoor): Pick<ToldSources, "series" | "alerts" | "acknowledge" | "silence"> {
  const alerts = (): Promise<Found<AlertList>> => reportOf(door, "alerts");
  const ordered = async (order: AlertOrder): Promise<Found<AlertList>> => {
    const taken = await giveOrder(door, order);
    return taken.kind === "found" ? alerts() : taken;
  };
  return {
    series: () => reportOf(door, "series"),
    alerts,
    acknowledge: (fingerprint, note) => ordered({ kind: "ack", fingerprint, note, by }),
    silence: (matches, forMs, note) => ordered({ kind: "silence", matches, forMs, note, by }),
  };
}

async function reportOf<Name extends ReportName>(door: ClusterDoor, what: Name): Promise<Found<Report<Name>>> {
  const asked = await askReport(door, what, reportMs);
  return asked.kind === "report" ? found(asked.report) : unavailable(asked.message);
}

async function giveOrder({ bus, subjects }: ClusterDoor, order: AlertOrder): Promise<Found<unknown>> {
  const outcome = await bus.request(subjects.alertOrders, encodeAlertOrder(order), { timeoutMs: orderMs });
  if (outcome.kind !== "reply") return unavailable(`the alerter does not take the order: ${outcome.kind}`);
  const parsed = parseAlertReceipt(outcome.data);
  if (parsed.kind === "refused") return unavailable(`the alerter's receipt cannot be read: ${parsed.message}`);
  if (parsed.value.kind === "reply") return found(parsed.value.reply);
  const { code, message } = parsed.value.refusal;
  return { kind: "declined", code, message };
}

export function traceSources(shelf: TraceShelf | undefined): Pick<ToldSources, "traces" | "trace"> {
  const none = unavailable("this node keeps no traces");
  return {
    traces: async (limit) => (shelf === undefined ? none : found({ v: 1, traces: [...shelf.last(limit)] })),
    trace: async (traceId) => {
      if (shelf === undefined) return none;
      const spans = [...shelf.spans(traceId)];
      const logs = shelf.lines(traceId).map((line) => ({ ...line }));
      if (spans.length === 0 && logs.length === 0)
        return missing("there is no such trace; GET /api/traces lists the newest");
      return found({ v: 1, traceId, spans, logs });
    },
  };
}
