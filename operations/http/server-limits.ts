// What anybody may send to the HTTP server, and how often: its limits beyond those of a single connection.
//
// Owns: the bound of all bodies together, the types of raw bodies, the rate limit. Does not own: the bounds' values and those of one
// connection (server.ts), who asks (access.ts).

import rateLimit from "@fastify/rate-limit";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Clock } from "../../models/clock.js";
import { BodyBudget } from "./body-budget.js";
import { RefusedError } from "./http-errors.js";
import { RateWindows } from "./rate-windows.js";
import { type RawBody, type Refused, refused } from "./route.js";

export interface RateLimit {
  /** Of one asker: a token's holder at one address. */
  readonly perMinute: number;
  readonly clock: Clock;
}

export function tooManyHeaders(most: number): Refused {
  return refused(431, "too_many_headers", `the request has more than ${most} headers`, "send fewer");
}

/** A body without a length may become as large as its route takes. */
export function holdBodies(
  app: FastifyInstance,
  { bodiesMaxBytes, bodyMaxBytes }: { readonly bodiesMaxBytes: number; readonly bodyMaxBytes: number },
): void {
  const budget = new BodyBudget(bodiesMaxBytes);
  app.addHook("preParsing", async ({ headers, routeOptions }, reply, payload) => {
    const length = headers["content-length"];
    if (length === undefined && headers["transfer-encoding"] === undefined) return payload;
    const most = routeOptions.bodyLimit ?? bodyMaxBytes;
    const release = budget.take(Math.min(most, length === undefined ? most : Number(length)));
    if (release === undefined)
      throw new RefusedError(
        refused(503, "overloaded", "too many large bodies are on their way at once", "send it again a little later", 1),
      );
    reply.raw.once("close", release);
    return payload;
  });
}

const minuteMs = 60_000;

export async function limitRate(app: FastifyInstance, { perMinute, clock }: RateLimit): Promise<void> {
  class Windows {
    readonly #windows = new RateWindows(clock);
    incr(
      key: string,
      told: (error: Error | null, result?: { current: number; ttl: number }) => void,
      windowMs: number,
    ): void {
      const { count, leftMs } = this.#windows.take(key, windowMs);
      told(null, { current: count, ttl: leftMs });
    }
    child(): this {
      return this;
    }
  }
  await app.register(rateLimit, {
    max: perMinute,
    timeWindow: minuteMs,
    store: Windows,
    keyGenerator: ({ asker }) => asker,
    errorResponseBuilder: (_request, { ttl }) =>
      new RefusedError(
        refused(
          429,
          "too_many_requests",
          `more than ${perMinute} requests within a minute`,
          "wait, or start the cluster with another --http-rate",
          Math.max(1, Math.ceil(ttl / 1_000)),
        ),
      ),
  });
}

/** In a scope of its own: every body as it is. */
export function takeBytes(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
}

/** Before anything of the body is read. */
export function checkType({ types }: RawBody, { headers }: FastifyRequest): void {
  const [type = ""] = (headers["content-type"] ?? "").toLowerCase().split(";");
  const encoding = headers["content-encoding"] ?? "identity";
  if (type.trim() !== "" && !types.includes(type.trim()))
    throw new RefusedError(
      refused(415, "bad_type", `a body of this type is not taken; there is ${types.join(", ")}`, "name its type"),
    );
  if (encoding !== "identity")
    throw new RefusedError(
      refused(415, "bad_encoding", "a body with a Content-Encoding is not taken", "send it uncompressed"),
    );
}
