// Giving up: the letters that tell what became of work that no actor will handle any more.
//
// Owns: which messages are jobs, and what their letters say. Does not own: where letters go (operations/dead-letters/dead-letter-office.ts).

import { type Model, sizeOf } from "../models/manifest.js";
import { lengthOf, numbersIn } from "../models/serving/sent-input.js";
import type { DeadLetter } from "../supervision/actor/dead-letters.js";
import type { DeadLetterRecord, DeadPayload, DeadState } from "../transport/log/dead-letter-records.js";
import { payloadBytesMax } from "../transport/log/dead-letters.js";
import { encodeInferenceRequest } from "../transport/messages/wire.js";
import type { PoisonedUpdate } from "./learning/updater.js";
import type { OpenRequest } from "./serving/desk.js";
import type { IntakeMessage } from "./serving/intake.js";

/** Why a job was given up, and when. */
export interface Verdict {
  readonly node: string;
  readonly phase: string;
  readonly state: DeadState;
  readonly cause: string;
  readonly attempts: number;
  readonly atMs: number;
}

/** A request that is given up, with its own bytes where they are few enough: so it can be run again. */
export function deadLetterOfRequest(model: Model, request: OpenRequest, verdict: Verdict): DeadLetterRecord {
  const { id: jobId, traceId } = request;
  return { kind: "letter", jobId, model: model.manifest.name, traceId, ...verdict, payload: payloadOf(model, request) };
}

/** The request as its asker could have sent it. Its input was scaled when it came in, so it is scaled back. */
function payloadOf({ manifest }: Model, { id, explain, input, held }: OpenRequest): DeadPayload {
  const { shape, accepts } = manifest.input;
  const scale = accepts.find(({ dt }) => dt === "<f4")?.scale;
  const omitted = { kind: "omitted", byteLength: input.byteLength } as const;
  // A large input is not even looked at: its memory may hold another one by now.
  if (held !== undefined || input.byteLength > payloadBytesMax) return omitted;
  if (scale === undefined || lengthOf(input) !== sizeOf(shape)) return omitted;
  const values = numbersIn(input);
  const data = scale === 1 ? values : values.map((value) => value / scale);
  const bytes = encodeInferenceRequest({ input: { dt: "<f4", sh: shape, data }, id, explain });
  return bytes.byteLength <= payloadBytesMax ? { kind: "request", bytes } : omitted;
}

/** Undefined where nothing was to be learned: a mark, or a restore, is no job that could run again. */
export function deadLetterOfUpdate(
  model: string,
  { node, atMs }: Pick<Verdict, "node" | "atMs">,
  { update: { seq, entry }, cause, attempts }: PoisonedUpdate,
): DeadLetterRecord | undefined {
  if (entry.kind !== "task") return undefined;
  const { traceId, experience: of } = entry.task;
  return {
    kind: "letter",
    jobId: `update.${of.seq}.${of.index}`,
    model,
    phase: "update",
    state: "skipped",
    node,
    atMs,
    traceId,
    cause,
    attempts,
    payload: { kind: "update", seq, of },
  };
}

/** The requests that a message carries: whoever takes it answers for them. */
export function requestsIn(message: unknown): readonly OpenRequest[] {
  if (typeof message !== "object" || message === null || isFeedback(message)) return [];
  if ("request" in message) return [message.request as OpenRequest];
  if ("batch" in message) return (message.batch as { readonly requests: readonly OpenRequest[] }).requests;
  return [];
}

/** Feedback names its answer in `request`, too, and was never open at a desk: its asker is told over its own message. */
export function isFeedback(message: unknown): message is IntakeMessage {
  return typeof message === "object" && message !== null && "kind" in message && message.kind === "feedback";
}

/** A message whose actor ended, or was full, met a passing trouble: its asker is told, and there is nothing to look into. */
export function isPoison(letter: DeadLetter): boolean {
  return letter.reason === "crashed";
}

/** "digits/inference" -> "inference": the actor's own name says where it died. */
export function phaseOf(path: string): string {
  return (
    path
      .slice(path.lastIndexOf("/") + 1)
      .replaceAll(/[^A-Za-z0-9_-]/g, "-")
      .slice(0, 32) || "unknown"
  );
}
