// A place where people read: what every sink can do, and what it answers.

import type { Notification } from "./notification.js";

export type SinkName = "slack" | "mail";

/** `said` is for people: what the sink answered, without anything secret in it. */
export type SinkAnswer =
  | { readonly kind: "taken"; readonly said: string }
  /** Trying the same again may help. */
  | { readonly kind: "busy"; readonly said: string; readonly retryInMs?: number }
  /** It will not, until somebody changes the settings. */
  | { readonly kind: "refused"; readonly said: string };

export interface Sink {
  readonly name: SinkName;
  /** Host of the target, for people and for its circuit breaker. */
  readonly target: string;
  /** Bounded; aborting the signal ends it earlier. Never rejects for what the target does. */
  send(notification: Notification, signal: AbortSignal): Promise<SinkAnswer>;
}
