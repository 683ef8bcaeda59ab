// What the benchmark's processes say to each other over IPC. They share one build, so nothing is checked twice.

/** To the load generator: one closed loop. */
export interface LoadOrder {
  readonly kind: "load";
  readonly id: number;
  readonly subject: string;
  readonly inFlight: number;
  /** The loop ends at whichever is reached first; what is in flight is waited for. */
  readonly durationMs: number;
  readonly requests: number;
  /** Whether every answer is decoded and compared with the digit's label. */
  readonly scored: boolean;
}

export type LoadReport =
  | {
      readonly kind: "loaded";
      readonly id: number;
      readonly answered: number;
      readonly refused: number;
      readonly right: number;
      readonly seconds: number;
      readonly p50Ms: number;
      readonly p99Ms: number;
    }
  | { readonly kind: "stalled"; readonly id: number; readonly message: string };

/** To a bare responder, and its reply: runs of the model so far, and the rows in them. */
export interface CountOrder {
  readonly kind: "count";
  readonly id: number;
}
export interface CountReport {
  readonly kind: "counted";
  readonly id: number;
  readonly runs: number;
  readonly rows: number;
}

/** Command line of a child: nats URL, user, what it answers on or asks; the password is in the environment. */
export const passwordVariable = "DRIFTMEND_PASSWORD";
