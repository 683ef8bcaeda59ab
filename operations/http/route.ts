// A route of the HTTP interface as data: what it takes, who may ask, what it answers, in which shape.
//
// Owns: the shape of routes, of answers and of errors. Does not own: how they reach the wire (server.ts), who is who (access.ts).
//
// R1. Every JSON answer has a schema. It is checked against it before it leaves, and /openapi.json is made of the same schemas.
// R2. Whatever goes wrong, the body is `{error: {code, message, next}}`: what is wrong, and what to do now. Under /v2 it is
//     `{error: text, code}`, as clients of that protocol read it.

import { z } from "zod";

export const errorSchema = z.object({
  error: z.object({
    code: z.string(),
    /** What is wrong, and where. */
    message: z.string(),
    /** What to do now. */
    next: z.string(),
  }),
});

/** As the Open Inference Protocol has it. */
export const inferenceErrorSchema = z.object({
  /** What is wrong, where, and what to do now. */
  error: z.string(),
  code: z.string(),
});

/**
 * `nothing` answers anybody, beyond loopback too: only what holds no figures of the cluster may be that. Beyond loopback `token` takes
 * any of the cluster's tokens, `viewer` those who look, `client` those who ask for inferences.
 */
export type Needs = "nothing" | "token" | "viewer" | "client" | "operator";

export interface Refused {
  readonly kind: "refused";
  readonly status: 400 | 401 | 403 | 404 | 408 | 409 | 413 | 415 | 429 | 431 | 500 | 502 | 503 | 504;
  readonly code: string;
  readonly message: string;
  readonly next: string;
  /** Seconds. */
  readonly retryAfter?: number;
}

export type Reply =
  /** 503: the body is whole, and says that something is badly wrong. */
  | { readonly kind: "json"; readonly status: 200 | 503; readonly body: unknown }
  | { readonly kind: "text"; readonly type: string; readonly text: string; readonly contentPolicy?: string }
  /** Bytes as they are, with headers that say what they are. */
  | {
      readonly kind: "bytes";
      readonly type: string;
      readonly headers: Readonly<Record<string, string>>;
      readonly bytes: Uint8Array;
    }
  /** The connection goes over to the live events. */
  | { readonly kind: "events" }
  | Refused;

export interface Asked<P = unknown, Q = unknown, B = unknown> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Aborted when whoever asked went away before the answer. */
  readonly signal: AbortSignal;
}

/** A body that the route reads itself: it comes as bytes, whatever its schema describes. */
export interface RawBody {
  readonly maxBytes: number;
  /** Without parameters; a body without a type is taken too. */
  readonly types: readonly string[];
}

export interface Route {
  readonly method: "GET" | "POST";
  /** As in "/api/traces/:id". */
  readonly path: string;
  readonly summary: string;
  readonly needs: Needs;
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  readonly raw?: RawBody;
  /** Not counted by the rate limit: probes. */
  readonly isUnlimited?: boolean;
  readonly answers: Answers;
  readonly answer: (asked: Asked) => Reply | Promise<Reply>;
}

export type Answers =
  | {
      readonly kind: "json";
      readonly schema: z.ZodType;
      /** A 503 has the same body, where it is no error. */
      readonly with503?: boolean;
      /** The other form of the same answer, on request. */
      readonly orBytes?: { readonly type: string; readonly what: string };
    }
  | { readonly kind: "text"; readonly type: string; readonly what: string };

interface RouteSpec<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType>
  extends Omit<Route, "params" | "query" | "body" | "answer"> {
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  readonly answer: (asked: Asked<z.output<P>, z.output<Q>, z.output<B>>) => Reply | Promise<Reply>;
}

/** The server has parsed what was asked by the schemas of the route before `answer` sees it. */
export function route<
  P extends z.ZodType = z.ZodUndefined,
  Q extends z.ZodType = z.ZodUndefined,
  B extends z.ZodType = z.ZodUndefined,
>({ answer, ...spec }: RouteSpec<P, Q, B>): Route {
  return { ...spec, answer: answer as Route["answer"] };
}

export function json(body: unknown): Reply {
  return { kind: "json", status: 200, body };
}

export function refused(
  status: Refused["status"],
  code: string,
  message: string,
  next: string,
  retryAfter?: number,
): Refused {
  return { kind: "refused", status, code, message, next, ...(retryAfter === undefined ? {} : { retryAfter }) };
}
