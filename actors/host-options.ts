// What a node is given by whoever starts its process (node.ts).

import type { Clock, Random } from "../models/clock.js";
import type { Model } from "../models/manifest.js";
import type { ExecutionProvider } from "../models/serving/execution-provider.js";
import type { HttpSettings } from "../operations/http/http-settings.js";
import type { Instruments } from "../operations/metrics/instruments.js";
import type { OperationsSettings } from "../operations/operations-settings.js";
import type { TracePolicy } from "../operations/traces/trace-context.js";
import type { Logger } from "../supervision/logger.js";
import type { SpentBudgets } from "../supervision/tree/restart-intensity.js";
import type { Bus } from "../transport/bus/bus.js";
import type { Subjects } from "../transport/subjects.js";
import type { ChunkLine } from "../transport/tensors/chunk-line.js";
import type { Segments } from "../transport/tensors/segments.js";
import type { DeskSettings } from "./serving/desk.js";

export interface HostOptions {
  readonly node: string;
  readonly incarnation: number;
  /** What the last incarnation handed on when it gave up. */
  readonly spent?: SpentBudgets;
  readonly pid: number;
  readonly origin: string;
  /** Of the root that restarts this node; left out when nobody does. */
  readonly run?: string;
  readonly roles: readonly string[];
  readonly models: readonly Model[];
  readonly bus: Bus;
  /** A connection of its own for the log (surroundings.ts says why); `bus` when left out. */
  readonly logBus?: Bus;
  readonly subjects: Subjects;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly version: string;
  readonly vitals: () => Readonly<Record<string, number>>;
  readonly desk?: DeskSettings;
  /** Its own when left out. */
  readonly instruments?: Instruments;
  /** What is traced; everything when left out. */
  readonly trace?: TracePolicy;
  /** Where an operations node sends spans; nowhere when left out. */
  readonly otlpUrl?: string;
  /** A root started this process, and would start it again. */
  readonly hasRoot?: boolean;
  /** Bound of each model's experience log, in bytes; the default when left out. */
  readonly logMaxBytes?: number;
  /** Where shared memory of this host is mounted, to sweep what dead processes of the cluster left there; not swept when left out. */
  readonly shm?: string;
  /** Where models shall compute; the CPU when left out, and where it is not available. */
  readonly ep?: ExecutionProvider;
  /** Copies of every stream; one when left out. */
  readonly replicas?: number;
  /** Where and for whom it serves HTTP, as an operations node; nowhere when left out. */
  readonly http?: HttpSettings;
  /** Models that are added to the cluster are served too. Only `models` when left out. */
  readonly added?: {
    /** Where their folders go; with `ends`, it is removed when the node stops. */
    readonly folder: string;
    readonly ends: boolean;
    readonly load: (folder: string) => Promise<Model>;
  };
  /** Where it is noted which requests are in a model, for the next incarnation of the process; nowhere when left out. */
  readonly flightDir?: string;
  /** A connection of its own for the bytes of large tensors; they come over `bus` when left out. Closed with the node. */
  readonly chunkLine?: ChunkLine;
  /** Shared memory of this host, from which large tensors are read; they come in chunks when left out. Closed with the node. */
  readonly segments?: Segments;
  /** What the operations file says; the built-in rules, and nobody is told, when left out. */
  readonly operations?: Pick<OperationsSettings, "rules" | "notify">;
}
