// What goes wrong with a request, as a refusal by name, and a refusal as bytes.
//
// Owns: the mapping of the server library's failures, the two shapes of an error's body. Does not own: who finds the failure (server.ts).
//
// E1. A body says a code, what is wrong and what to do next: never a stack, a path of this machine or a token.
// E2. Under /v2 the body is that of the Open Inference Protocol, from the first byte of a request on.

import type { Socket } from "node:net";
import type { Logger } from "../../supervision/logger.js";
import { type Refused, refused } from "./route.js";

/** A refusal that has to be thrown to reach whoever answers. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";
  constructor(readonly refusal: Refused) {
    super(refusal.message);
  }
}

interface Failure {
  readonly code?: string;
  readonly message?: string;
  readonly statusCode?: number;
  readonly validation?: readonly { readonly instancePath?: string; readonly message?: string }[];
  readonly validationContext?: string;
}

export interface FailedAt {
  /** As it was registered. */
  readonly path: string | undefined;
  readonly bodyMaxBytes: number;
  /** The answer was not as its schema has it. */
  readonly hasDrifted: boolean;
  readonly log: Logger;
}

const seeDocument = "GET /openapi.json describes what is taken";

export function refusalOf(error: unknown, { path, bodyMaxBytes, hasDrifted, log }: FailedAt): Refused {
  if (error instanceof RefusedError) return error.refusal;
  const {
    code = "",
    statusCode = 500,
    validation,
    validationContext = "body",
  }: Failure = typeof error === "object" && error !== null ? error : {};
  if (validation !== undefined) {
    const [first] = validation;
    const place = `${validationContext}${(first?.instancePath ?? "").replaceAll("/", ".")}`;
    return refused(400, "bad_request", `${place}: ${first?.message ?? "is not as described"}`, seeDocument);
  }
  if (code === "FST_ERR_CTP_BODY_TOO_LARGE")
    return refused(413, "too_large", `the body is larger than ${sizeText(bodyMaxBytes)}`, "send less");
  if (code === "FST_ERR_CTP_INVALID_MEDIA_TYPE")
    return refused(415, "not_json", "the body's type is not JSON", "send Content-Type: application/json");
  if (statusCode >= 400 && statusCode < 500)
    return refused(400, "bad_request", "the request cannot be read", seeDocument);
  if (hasDrifted) {
    const { cause } = error instanceof Error ? error : {};
    log.error("an answer is not as /openapi.json describes it", { path, error: cause });
    return refused(
      500,
      "answer_drifted",
      "the answer is not as /openapi.json describes it, so it is kept back",
      "report it; the node's log names the field",
    );
  }
  log.error("a request failed", { path, error });
  return refused(500, "internal", "the answer could not be made", "report it; the node's log says why");
}

const kibibyte = 1_024;

function sizeText(bytes: number): string {
  if (bytes % (kibibyte * kibibyte) === 0) return `${bytes / kibibyte / kibibyte} MiB`;
  return bytes % kibibyte === 0 ? `${bytes / kibibyte} KiB` : `${bytes} bytes`;
}

export function headersOf({ status, retryAfter }: Refused): Readonly<Record<string, string>> {
  return {
    ...(retryAfter === undefined ? {} : { "retry-after": `${retryAfter}` }),
    ...(status === 401 ? { "www-authenticate": 'Bearer realm="driftmend"' } : {}),
  };
}

/** E2. `url` is as it was asked for. */
export function errorBody({ code, message, next }: Refused, url: string): string {
  if (/^\/v2(?:[/?]|$)/.test(url)) return JSON.stringify({ error: `${message}: ${next}`, code });
  return JSON.stringify({ error: { code, message, next } });
}

/** What is no request that could be answered in the usual way: nobody knows yet who asks. */
export function refuseHead(error: Error & { readonly code?: string }, socket: Socket): void {
  if (error.code === "ECONNRESET" || !socket.writable) return void socket.destroy();
  const [status, code, message] =
    error.code === "HPE_HEADER_OVERFLOW"
      ? ["431 Request Header Fields Too Large", "head_too_large", "the head of the request is larger than 16 KiB"]
      : error.code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? ["408 Request Timeout", "too_slow", "the request did not come in time"]
        : ["400 Bad Request", "bad_request", "this is no HTTP request that can be read"];
  const body = JSON.stringify({ error: { code, message, next: "send a plain HTTP/1.1 request" } });
  const head = [
    `HTTP/1.1 ${status}`,
    "content-type: application/json; charset=utf-8",
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
  ];
  // The other side may leave its half open for as long as it likes.
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`, () => socket.destroy());
}
