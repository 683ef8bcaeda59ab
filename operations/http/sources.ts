// Where the HTTP interface has its answers from: the cluster as the routes see it.
//
// Owns: the questions and the ways they can end. Does not own: whom they are put to (cluster-sources.ts, actors/wiring/web-wiring.ts), so that
// routes are tested with plain data.

import type { FaultMode } from "../../transport/messages/chaos-orders.js";
import type { TreeNode } from "../../transport/messages/look-orders.js";
import type { AlertList } from "../alerts/alert-list.js";
import type { HealthReport } from "../health/health-report.js";
import type { ClusterMetrics } from "../metrics/cluster-metrics.js";
import type {
  ChaosReceiptBody,
  Learning,
  LetterReceipt,
  Letters,
  Series,
  Stability,
  Trace,
  Traces,
} from "./answer-shapes.js";

export type Found<T> =
  | { readonly kind: "found"; readonly value: T }
  /** There is no such thing: asking again does not help. */
  | { readonly kind: "missing"; readonly message: string }
  /** Whoever knows does not answer now. */
  | { readonly kind: "unavailable"; readonly message: string }
  /** It was understood and is not done. */
  | { readonly kind: "declined"; readonly code: string; readonly message: string };

/** What the observer told last, and when it was heard (monotonic milliseconds of this process). */
export interface Report {
  readonly metrics: ClusterMetrics;
  readonly health: HealthReport;
  readonly heardAtMs: number;
}

export interface FaultOrder {
  /** A node of the tree, or `root` for faults of whole nodes. */
  readonly node: string;
  readonly target: string;
  readonly mode: FaultMode;
  readonly forMs?: number | undefined;
}

export interface Sources {
  /** Undefined before the first one. */
  newest(): Report | undefined;
  series(): Promise<Found<Series>>;
  tree(): Promise<Found<TreeNode>>;
  learning(): Promise<Found<Learning>>;
  deadLetters(limit: number, before: number | undefined): Promise<Found<Letters>>;
  requeue(id: string): Promise<Found<LetterReceipt>>;
  alerts(): Promise<Found<AlertList>>;
  acknowledge(fingerprint: string, note: string): Promise<Found<AlertList>>;
  silence(matches: string, forMs: number, note: string): Promise<Found<AlertList>>;
  traces(limit: number): Promise<Found<Traces>>;
  trace(id: string): Promise<Found<Trace>>;
  fault(order: FaultOrder): Promise<Found<ChaosReceiptBody>>;
  stability(): Promise<Found<Stability>>;
  /** HTML. */
  stabilityReport(id: string): Promise<Found<string>>;
}

export function found<T>(value: T): Found<T> {
  return { kind: "found", value };
}

export function unavailable(message: string): { readonly kind: "unavailable"; readonly message: string } {
  return { kind: "unavailable", message };
}

export function missing(message: string): { readonly kind: "missing"; readonly message: string } {
  return { kind: "missing", message };
}
