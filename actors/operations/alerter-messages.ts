// What the alerter hears, what it is given, and what it holds.
//
// Owns: these shapes. Does not own: what is done with them (alerter.ts and the files it names).

import type { AlertBook, AlertChange } from "../../operations/alerts/alert-book.js";
import type { AlertGroup, GroupSettings } from "../../operations/alerts/alert-groups.js";
import type { AlertList } from "../../operations/alerts/alert-list.js";
import type { AlertRecord, SavedAlerts } from "../../operations/alerts/alert-record.js";
import type { AlertEvent } from "../../operations/alerts/alert-rules.js";
import type { Delivered, Sender } from "../../operations/alerts/notify/delivery.js";
import type { Notification } from "../../operations/alerts/notify/notification.js";
import type { Sink } from "../../operations/alerts/notify/sink.js";
import type { HealthReport } from "../../operations/health/health-report.js";
import type { ClusterMetrics } from "../../operations/metrics/cluster-metrics.js";
import type { Telemetry } from "../../operations/metrics/telemetry.js";
import type { Turn } from "../../supervision/actor/behaviour.js";
import type { WrittenDocument } from "../../transport/log/alert-bucket.js";
import type { AlertOrder, AlertReceipt } from "../../transport/messages/alert-orders.js";

/** Whether this alerter is the one that tells. */
export type Leadership =
  /** It begins to; with what the last one kept, nothing on the first day. */
  | { readonly kind: "lead"; readonly saved: SavedAlerts | undefined; readonly revision: number }
  | { readonly kind: "follow" };

export type AlertAnswer =
  | { readonly kind: "done"; readonly receipt: AlertReceipt }
  | {
      readonly kind: "refused";
      readonly code: "bad_request" | "log_unavailable";
      readonly field?: string;
      readonly message: string;
    };

export interface AlertOrderAsked {
  readonly kind: "order";
  readonly order: AlertOrder;
  readonly by: string;
  answer(answer: AlertAnswer): void;
}

export type AlerterQuestion = AlertOrderAsked | { readonly kind: "list"; answer(list: AlertList): void };

export interface DeliveredMessage {
  readonly kind: "delivered";
  readonly sink: string;
  readonly group: AlertGroup;
  readonly id: string;
  readonly outcome: Delivered;
}

export interface WrittenMessage {
  readonly kind: "written";
  /** Of the book that was written. */
  readonly version: number;
  readonly outcome: WrittenDocument;
}

/** What an incarnation tells itself; another one's word is void. */
export type OwnWord = { readonly incarnation: number } & (
  | Leadership
  | DeliveredMessage
  | WrittenMessage
  | { readonly kind: "look" }
);

export type AlerterMessage =
  | { readonly kind: "event"; readonly event: AlertEvent }
  | { readonly kind: "report"; readonly metrics: ClusterMetrics; readonly health: HealthReport }
  | AlerterQuestion
  | OwnWord;

export type AlerterTurn = Turn<AlerterMessage>;

export interface AlerterDeps {
  readonly lookEveryMs: number;
  readonly cluster: string;
  /** Unique to this process. */
  readonly origin: string;
  readonly telemetry: Pick<Telemetry, "event">;
  readonly listen: (tell: (event: AlertEvent) => void) => () => void;
  readonly publish: (alert: AlertRecord, state: AlertChange["kind"]) => void;
  /** Tells who leads until the signal, and resolves when nothing of it is left. */
  readonly lead: (tell: (word: Leadership) => void, signal: AbortSignal) => Promise<void>;
  /** Hands on orders and questions until the returned function is called. */
  readonly attend: (tell: (question: AlerterQuestion) => void) => () => void;
  readonly write: (saved: SavedAlerts, revision: number) => Promise<WrittenDocument>;
  readonly sinks: () => readonly Sink[];
  readonly grouping: () => GroupSettings;
  readonly deliver: (sink: Sink, notification: Notification, sender: Sender) => Promise<Delivered>;
}

/** Something that waits until the book is in the bucket as it was at `version`. */
export interface Waiter {
  readonly version: number;
  /** `away`: the bucket could not be reached. */
  readonly settle: (how: "kept" | "away") => void;
}

/** What only the leader has. */
export interface Leading {
  readonly unattend: () => void;
  revision: number;
  /** Of the book as it stands in the bucket. */
  keptVersion: number;
  /** The one write under way. */
  writing: Promise<WrittenDocument> | undefined;
  waiters: readonly Waiter[];
  /** Sinks that a message is under way to. */
  readonly sending: Set<string>;
  /** Sinks that did not take a message, until when they are left alone, by the clock that is never set. */
  readonly notBeforeMs: Map<string, number>;
}

export interface AlerterState {
  readonly book: AlertBook;
  /** Unique to this incarnation. */
  readonly by: string;
  readonly unlisten: () => void;
  readonly leadership: Promise<void>;
  leading: Leading | undefined;
  fired: number;
  resolved: number;
}
