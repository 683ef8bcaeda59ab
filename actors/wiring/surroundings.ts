// What surrounds the actors of one node: who it is, its connections, its clock, and what it was told to keep to.
//
// Owns: these names. Does not own: how they are made (host.ts), what is made of them (wiring.ts, model-wiring.ts).

import type { Clock } from "../../models/clock.js";
import type { StuckThreads } from "../../models/threads/thread-silence.js";
import type { HttpSettings } from "../../operations/http/http-settings.js";
import type { Telemetry } from "../../operations/metrics/telemetry.js";
import type { OperationsSettings } from "../../operations/operations-settings.js";
import type { SpanRecorder } from "../../operations/traces/recorder.js";
import type { Logger } from "../../supervision/logger.js";
import type { FlightRecord } from "../../supervision/process/flight-record.js";
import type { Bus } from "../../transport/bus/bus.js";
import type { DeadLetterRecord } from "../../transport/log/dead-letter-records.js";
import type { Subjects } from "../../transport/subjects.js";
import type { Arrivals } from "../serving/arrivals.js";
import type { DeskSettings } from "../serving/desk.js";
import type { ProviderWish } from "../serving/provider-wish.js";

export interface NodeIdentity {
  readonly node: string;
  readonly incarnation: number;
  /** Unique to this process. */
  readonly origin: string;
  /** Of the root that restarts this node; nobody does when left out, and then its origin is its run. */
  readonly run?: string;
}

export interface Surroundings {
  readonly identity: NodeIdentity;
  readonly bus: Bus;
  /** For whatever JetStream keeps: a broker that hangs over a stream hangs the connections that wrote to it, and answers must leave. `bus` when left out. */
  readonly logBus?: Bus;
  readonly subjects: Subjects;
  readonly telemetry: Telemetry;
  /** Nothing is traced when left out. */
  readonly spans?: SpanRecorder;
  /** For what no actor says; nothing is written when left out. */
  readonly log?: Logger;
  /** Where spans are sent, and as which version of driftmend; nowhere when left out. */
  readonly otlp?: { readonly url: string; readonly version: string };
  readonly clock: Clock;
  /** The figures of a heartbeat. */
  readonly vitals: () => Readonly<Record<string, number>>;
  readonly desk?: DeskSettings;
  /** Takes inputs by reference; none are taken when left out. */
  readonly arrivals?: Arrivals;
  readonly threads?: StuckThreads;
  /** Where models shall compute; on the CPU when left out. */
  readonly wish?: ProviderWish;
  /** Bound of each experience log, in bytes; the default when left out. */
  readonly logMaxBytes?: number;
  /** Copies of every stream that this node makes; one when left out. */
  readonly replicas?: number;
  /** What is written down of each model's requests in flight, by the model's name; nothing when left out. */
  readonly flightOf?: (model: string) => FlightRecord;
  /** How this node serves HTTP, and as which version; it does not when left out. */
  readonly http?: HttpSettings & { readonly version: string };
  /** Where shared memory is mounted; nobody watches over it when left out. */
  readonly shm?: string;
  /** Takes the letter of a job that is given up. */
  readonly giveUp?: (letter: DeadLetterRecord) => void;
  /** What the operations file says now; the built-in rules, and nobody is told, when left out. */
  readonly operations?: Pick<OperationsSettings, "rules" | "notify">;
}
