// What the cluster did not answer, as an HTTP status.
//
// Owns: the mapping. Does not own: the codes (transport/messages/wire.ts), the shape of an error (http-errors.ts).
//
// U1. A refusal keeps its code and its words. 503 and 504 say when to come back.

import type { RefusalCode } from "../../../transport/messages/wire.js";
import { type Refused, refused } from "../route.js";
import type { Unanswered } from "./ask-rows.js";

const statusOf: Readonly<Record<RefusalCode, Refused["status"]>> = {
  bad_request: 400,
  bad_tensor: 400,
  unknown_model: 404,
  too_large: 413,
  not_ready: 503,
  overloaded: 503,
  shed: 503,
  deadline: 504,
  circuit_open: 503,
  log_unavailable: 503,
  internal: 500,
  // Of faults and orders; no answer to an inference.
  under_minimum: 500,
  already_faulted: 500,
  restarts_spent: 500,
  halted: 500,
};

const msPerSecond = 1_000;
const usualWaitMs = 1_000;
const again = "send it again under the same id; rows that were answered are not counted twice";
const mend = "mend the request; GET /v2/models/{model} says what it takes";

/** `row` is left out where the request is no batch. */
export function refusalOf(outcome: Unanswered, row: number | undefined): Refused {
  const where = row === undefined ? "" : `row ${row}: `;
  if (outcome.kind === "failed") return failureOf(outcome, where);
  const { code, message, field, retryAfterMs = usualWaitMs } = outcome.refusal;
  const status = statusOf[code];
  const isLater = status === 503 || status === 504;
  const said = `${where}${field === undefined ? "" : `${field}: `}${message}`;
  if (!isLater) return refused(status, code, said, status === 500 ? "report it; the node's log says why" : mend);
  return refused(status, code, said, again, Math.max(1, Math.ceil(retryAfterMs / msPerSecond)));
}

function failureOf({ why, message }: Extract<Unanswered, { kind: "failed" }>, where: string): Refused {
  switch (why) {
    case "timeout":
      return refused(504, "deadline", `${where}${message}`, again, 1);
    case "no_responders":
      return refused(503, "not_ready", `${where}${message}`, again, 1);
    case "closed":
      return refused(503, "not_ready", `${where}the cluster cannot be asked now`, again, 1);
    case "denied":
      return refused(
        503,
        "not_ready",
        `${where}this node may not ask the cluster`,
        "give the operations node the client's user and password",
      );
    case "garbled":
      return refused(502, "garbled", `${where}the answer cannot be read`, "report it; nodes of two versions may run");
    default:
      return why satisfies never;
  }
}
