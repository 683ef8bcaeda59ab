// What operators order about alerts, and what they hear of it.
//
// Owns: these requests and replies in both directions; foreign bytes are read with the same readers as wire.ts (W1, W2).
// Does not own: who may send them (credentials.ts), what is done about them (actors/operations/alerter.ts).

import { encodeMessage } from "./codec.js";
import { flag, inside, list, number, oneOf, optional, type Parsed, parse, text, whole } from "./fields.js";
import { type Outcome, parseOutcome } from "./wire.js";

export const silenceMs = { min: 1_000, max: 24 * 86_400_000 } as const;

/** `matches` is an alert's name, or its fingerprint `name:about`. `by` says who, where it is not the user of the connection. */
export type AlertOrder =
  | { readonly kind: "ack"; readonly fingerprint: string; readonly note: string; readonly by?: string | undefined }
  | {
      readonly kind: "silence";
      readonly matches: string;
      readonly forMs: number;
      readonly note: string;
      readonly by?: string | undefined;
    }
  | { readonly kind: "unsilence"; readonly matches: string }
  /** One test message through every sink. */
  | { readonly kind: "test" };

/** What became of an order. */
export interface AlertReceipt {
  readonly atMs: number;
  /** Alerts that fire and that it is about. */
  readonly firing: number;
  /** Of a silence. */
  readonly untilMs?: number | undefined;
  /** Of a test: what each sink answered. */
  readonly sinks?: readonly SinkReceipt[] | undefined;
}

export interface SinkReceipt {
  readonly name: string;
  readonly target: string;
  readonly ok: boolean;
  readonly said: string;
  readonly tookMs: number;
}

const patternMax = 256;
const noteMax = 1_024;
const count = whole(0);

export function encodeAlertOrder(order: AlertOrder): Uint8Array {
  return encodeMessage({ v: 1, ...order });
}

export function parseAlertOrder(bytes: Uint8Array): Parsed<AlertOrder> {
  return parse(bytes, (fields): AlertOrder => {
    const kind = oneOf("ack", "silence", "unsilence", "test")(fields, "kind");
    if (kind === "test") return { kind };
    if (kind === "unsilence") return { kind, matches: text(patternMax)(fields, "matches") };
    const note = fields.note === "" ? "" : (optional(fields, "note", text(noteMax)) ?? "");
    const by = optional(fields, "by", text(64));
    if (kind === "ack") return { kind, fingerprint: text(patternMax)(fields, "fingerprint"), note, by };
    const forMs = number(silenceMs.min, silenceMs.max)(fields, "forMs");
    return { kind, matches: text(patternMax)(fields, "matches"), forMs, note, by };
  });
}

export function encodeAlertReceipt({ sinks, ...receipt }: AlertReceipt): Uint8Array {
  return encodeMessage({ v: 1, ...receipt, sinks: sinks?.map((each) => ({ ...each })) });
}

export function parseAlertReceipt(bytes: Uint8Array): Parsed<Outcome<AlertReceipt>> {
  const amount = number(0, Number.MAX_VALUE);
  return parseOutcome(bytes, (fields) => ({
    atMs: amount(fields, "atMs"),
    firing: count(fields, "firing"),
    untilMs: optional(fields, "untilMs", amount),
    sinks: optional(
      fields,
      "sinks",
      list((one, field) =>
        inside(one, field, (inner, prefix) => ({
          name: text(64)(inner, `${prefix}name`),
          target: text(256)(inner, `${prefix}target`),
          ok: flag(inner, `${prefix}ok`),
          said: text(1_024)(inner, `${prefix}said`),
          tookMs: amount(inner, `${prefix}tookMs`),
        })),
      ),
    ),
  }));
}
