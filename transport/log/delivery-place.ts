// Where a delivery of a consumer stands, as its acknowledgement subject says.

const nanosPerMs = 1_000_000;

export interface Place {
  readonly seq: number;
  /** How many this consumer has delivered, this one included. */
  readonly delivered: number;
  readonly atMs: number;
  /** Messages behind this one when it was sent. */
  readonly pending: number;
}

/**
 * `$JS.ACK.<stream>.<consumer>.<tries>.<stream seq>.<consumer seq>.<nanoseconds>.<pending>`, newer servers with `<domain>.<account>`
 * behind ACK and a random token at the end. Undefined for anything else.
 */
export function placeOf(ack: string | undefined): Place | undefined {
  const parts = ack?.split(".") ?? [];
  const at = parts.length === 9 ? 5 : 7;
  const [seq, delivered, nanos, pending] = parts.slice(at, at + 4).map(Number);
  if (seq === undefined || delivered === undefined || nanos === undefined || pending === undefined) return undefined;
  if (!Number.isSafeInteger(seq) || !Number.isSafeInteger(delivered)) return undefined;
  return { seq, delivered, atMs: nanos / nanosPerMs, pending };
}
