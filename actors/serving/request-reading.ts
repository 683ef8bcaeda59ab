// What a message at the door asks for: the one decode of a request.
//
// Owns: the envelope by wire.ts and the tensor by the manifest put together, the id of a request that names none.
// Does not own: who is asked (intake.ts), the rules (transport/messages/wire.ts, models/serving/sent-input.ts), what becomes of it (desk.ts).

import { acceptInput, type InputRefused, type Manifest } from "../../models/manifest.js";
import { type InputValues, takeSent } from "../../models/serving/sent-input.js";
import type { TraceContext } from "../../operations/traces/trace-context.js";
import type { Incoming } from "../../transport/bus/bus.js";
import { type RemoteTensor, tensorOver } from "../../transport/messages/codec.js";
import { isRequestId, parseSentRequest, type Refusal } from "../../transport/messages/wire.js";
import { header } from "../../transport/subjects.js";
import type { NewRequest } from "./desk.js";
import { randomHex } from "./identifiers.js";

/** What of the door a request takes over. */
interface Door {
  readonly node: string;
  /** Of a request that names none. */
  readonly deadlineMs: number;
}

/** Tensors up to 512 KiB travel inside the message; the rest is for everything else in it. */
const requestMaxBytes = 528 * 1024;

/** All of a request but its input. */
export type Wanted = Omit<NewRequest, "input"> & { readonly receivedAtMs: number };

export type ReadRequest =
  | { readonly kind: "ok"; readonly wanted: Wanted & Pick<NewRequest, "input"> }
  /** The bytes are elsewhere; type, shape and their number are right. */
  | { readonly kind: "remote"; readonly wanted: Wanted; readonly remote: RemoteTensor; readonly scale: number }
  | { readonly kind: "refused"; readonly refusal: Refusal };

/** How a message came. */
interface Came {
  readonly traceId: string;
  readonly caller: TraceContext | undefined;
  readonly receivedAtMs: number;
}

/** The one decode of a request: the envelope by wire.ts, the tensor by the manifest. Every field is spelled out: it is done for every request. */
export function readRequest(
  { node, deadlineMs }: Door,
  manifest: Manifest,
  { data, headers }: Incoming,
  { traceId, caller, receivedAtMs }: Came,
): ReadRequest {
  if (data.byteLength > requestMaxBytes) return refused(tooLarge(data.byteLength), traceId);
  const parsed = parseSentRequest(data);
  if (parsed.kind === "refused") return refused(parsed, traceId);
  const request = parsed.value;
  const named = headers.get(header.messageId);
  if (named !== undefined && !isRequestId(named)) {
    const message = "an id has 1 to 128 characters, none of them a control character";
    return refused({ code: "bad_request", field: header.messageId, message }, traceId);
  }
  const { input } = request;
  const wanted = {
    id: request.id ?? named ?? `${node}.${randomHex(10)}`,
    traceId,
    explain: request.explain,
    isRetry: headers.get(header.attempt) !== undefined,
    priority: request.priority,
    deadlineMs: request.deadlineMs ?? deadlineMs,
    caller,
    receivedAtMs,
    input: nothing,
  };
  if ("ref" in input) {
    const accepted = acceptInput(manifest, input);
    if (accepted.kind === "refused") return misfit(accepted, wanted);
    return { kind: "remote", wanted, remote: input, scale: accepted.scale };
  }
  const { dt, sh, bytes } = input;
  const checked = takeSent(manifest, input, bytes, () => tensorOver(dt, sh, bytes).data);
  if (checked.kind === "refused") return misfit(checked, wanted);
  wanted.input = checked.values;
  return { kind: "ok", wanted };
}

/** In the place of an input that is not there yet. */
const nothing: InputValues = new Float32Array();

function refused(refusal: Refusal, traceId: string): ReadRequest {
  return { kind: "refused", refusal: { ...refusal, traceId } };
}

function misfit({ field, message }: InputRefused, { id, traceId }: Wanted): ReadRequest {
  return refused({ id, code: "bad_tensor", field, message }, traceId);
}

function tooLarge(bytes: number): Refusal {
  const next = "send the tensor by reference (docs/contract.md, Tensor), as driftmend's own client does";
  const message = `${bytes} bytes; a message takes ${requestMaxBytes} at most: ${next}`;
  return { code: "too_large", message };
}
