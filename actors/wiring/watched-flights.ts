// The flight records of a node's models, and an ear for what operators let run again.

import { requeuedEvent } from "../../operations/dead-letters/dead-letter-orders.js";
import { type FlightRecord, openFlightRecord } from "../../supervision/process/flight-record.js";
import { parseEvent } from "../../transport/messages/events.js";
import type { HostOptions } from "../host-options.js";

/** Undefined where no request reaches a model, or nowhere was given to write to. */
export function watchFlights({ flightDir, roles, bus, subjects }: HostOptions) {
  if (flightDir === undefined || !roles.includes("serving")) return undefined;
  const records = new Map<string, FlightRecord>();
  const flightOf = (model: string): FlightRecord => {
    const record = records.get(model) ?? openFlightRecord(flightDir, model);
    records.set(model, record);
    return record;
  };
  const requeued = bus.subscribe(subjects.event(requeuedEvent), {}, ({ data }) => {
    const parsed = parseEvent(data);
    if (parsed.kind !== "ok") return;
    for (const { about, id } of parsed.value.items) records.get(String(about))?.forgive(String(id));
  });
  return { flightOf, stop: () => requeued.unsubscribe() };
}
