// What only an operator may ask for over HTTP: faults, alerts acknowledged or silenced, dead letters run again.
//
// Owns: these routes. Does not own: who is an operator (access.ts), what an order does (sources.ts).

import { z } from "zod";
import { alertListSchema } from "../alerts/alert-list.js";
import { parseDuration } from "../duration.js";
import { chaosReceiptSchema, faultOrderSchema, letterReceiptSchema } from "./answer-shapes.js";
import { type Route, refused, route } from "./route.js";
import { replyOf } from "./routes-looks.js";
import type { Sources } from "./sources.js";

const noteSchema = z.string().max(1_024).default("");
const silenceMaxMs = 7 * 24 * 3_600_000;

export function orderRoutes(sources: Sources): readonly Route[] {
  return [...alertOrders(sources), faultOrder(sources), requeueOrder(sources)];
}

function alertOrders(sources: Sources): readonly Route[] {
  return [
    route({
      method: "POST",
      path: "/api/alerts/ack",
      summary: "Say that somebody knows of an alert; answers the list as it is then",
      needs: "operator",
      body: z.strictObject({ fingerprint: z.string().min(1).max(256), note: noteSchema }),
      answers: { kind: "json", schema: alertListSchema },
      answer: async ({ body: { fingerprint, note } }) => replyOf(await sources.acknowledge(fingerprint, note)),
    }),
    route({
      method: "POST",
      path: "/api/alerts/silence",
      summary: "Tell nobody of the alerts that match, for a while; answers the list as it is then",
      needs: "operator",
      body: z.strictObject({
        /** An alert's name, or `name:about`. */
        matches: z.string().min(1).max(256),
        /** As in "90s", "1h". */
        for: z.string().max(16),
        note: noteSchema,
      }),
      answers: { kind: "json", schema: alertListSchema },
      answer: async ({ body: { matches, for: span, note } }) => {
        const parsed = parseDuration(span);
        if (parsed.kind === "refused" || parsed.ms <= 0 || parsed.ms > silenceMaxMs)
          return refused(
            400,
            "bad_request",
            `body.for: "${span}" is no time up to 7 days`,
            'send one like "90s" or "1h"',
          );
        return replyOf(await sources.silence(matches, parsed.ms, note));
      },
    }),
  ];
}

function faultOrder(sources: Sources): Route {
  return route({
    method: "POST",
    path: "/api/chaos",
    summary: "One fault; answers its receipt once the target is mended",
    needs: "operator",
    body: faultOrderSchema,
    answers: { kind: "json", schema: chaosReceiptSchema },
    answer: async ({ body }) => replyOf(await sources.fault(body)),
  });
}

function requeueOrder(sources: Sources): Route {
  return route({
    method: "POST",
    path: "/api/dlq/:id/requeue",
    summary: "Run a job that was given up again, once, under its own id",
    needs: "operator",
    params: z.object({ id: z.string().min(1).max(128) }),
    answers: { kind: "json", schema: letterReceiptSchema },
    answer: async ({ params: { id } }) => replyOf(await sources.requeue(id)),
  });
}
