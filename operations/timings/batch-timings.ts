// When a micro-batch passed each station on its way: taken once, by the actor that works, and read by whoever measures or traces.
//
// Owns: the record that travels with the batch. Does not own: what is made of it. Two read it when a request is closed: the meter
// (metrics/infer-meter.ts) and the recorder of spans (traces/recorder.ts).
//
// B1. Times are the node's monotonic clock, in milliseconds; undefined where the batch has not come to that yet.
// B2. A station that is begun again after a crash keeps the try that was lost: it took time, and it failed.

import type { Clock } from "../../models/clock.js";

/** The stations in the order in which a batch meets them. What lies between two of them is waiting. */
export const stationNames = ["model", "retrieve", "vote", "remember"] as const;
export type StationName = (typeof stationNames)[number];

export interface Station {
  fromMs: number | undefined;
  toMs: number | undefined;
  /** Of the actor. */
  incarnation: number;
  /** The work went wrong, and the batch went on without, or was refused. */
  failed: boolean;
  /** Begin of an earlier try that a crash ended, and its actor's incarnation. */
  lostFromMs: number | undefined;
  lostIncarnation: number;
}

export interface BatchTimings {
  readonly rows: number;
  readonly cold: boolean;
  readonly version: number;
  readonly stations: Readonly<Record<StationName, Station>>;
}

interface Worker {
  readonly clock: Clock;
  readonly incarnation: number;
}

/** `before`: what an earlier delivery of the same requests left. */
export function newTimings(
  batch: Omit<BatchTimings, "stations">,
  before: BatchTimings | undefined = undefined,
): BatchTimings {
  const { model, retrieve, vote, remember } = before?.stations ?? {};
  const stations = { model: after(model), retrieve: after(retrieve), vote: after(vote), remember: after(remember) };
  return { ...batch, stations };
}

function after(earlier: Station | undefined): Station {
  const isLost = earlier?.fromMs !== undefined && earlier.toMs === undefined;
  return {
    fromMs: undefined,
    toMs: undefined,
    incarnation: 0,
    failed: false,
    lostFromMs: isLost ? earlier.fromMs : earlier?.lostFromMs,
    lostIncarnation: isLost ? earlier.incarnation : (earlier?.lostIncarnation ?? 0),
  };
}

export function begin(station: Station, { clock, incarnation }: Worker): void {
  Object.assign(station, after(station));
  station.fromMs = clock.monotonicMs();
  station.incarnation = incarnation;
}

export function end(station: Station, { clock }: Worker, failed = false): void {
  station.toMs = clock.monotonicMs();
  station.failed = failed;
}

/** What a batch was at when it was last seen: a station, on its way to the next one, or on its way out. */
export function phaseReached({ stations }: BatchTimings): StationName | "queue" | "reply" {
  const at = [...stationNames].reverse().find((name) => stations[name].fromMs !== undefined);
  if (at === undefined) return "queue";
  const { toMs, failed } = stations[at];
  if (toMs === undefined || failed) return at;
  return at === "remember" ? "reply" : "queue";
}
