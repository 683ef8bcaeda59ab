// The HTTP server: the only importer of fastify, its zod provider and its OpenAPI generator.
//
// Owns: how routes become a server, the bounds on what anybody may send, the shape of every error. Does not own: what is answered
// (routes-*.ts), who may ask (access.ts), when it listens (actors/web.ts).
//
// H1. Nothing of a request but its head is read before it is allowed in.
// H2. What can be sent is bounded in size, and what can be held open in time and number. A head that comes in drips is ended.
// H3. An error says its code, what is wrong and what to do next: never a stack, a path or a token.

import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import swagger from "@fastify/swagger";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import {
  createJsonSchemaTransform,
  createJsonSchemaTransformObject,
  isResponseSerializationError,
  serializerCompiler,
  validatorCompiler,
} from "fastify-type-provider-zod";
import { z } from "zod";
import type { Logger } from "../../supervision/logger.js";
import type { Access } from "./access.js";
import { namedSchemas } from "./answer-shapes.js";
import { type OpenApiDocument, withoutUnused } from "./description.js";
import type { LiveEvents, Sink } from "./events.js";
import { type HttpAddress, urlOf, whyNot } from "./http-address.js";
import { errorSchema, type Needs, type Refused, type Reply, type Route, refused } from "./route.js";
import { securityHeaders } from "./security-headers.js";

export interface ServerParts {
  readonly routes: readonly Route[];
  readonly access: Access;
  readonly events: LiveEvents;
  readonly log: Logger;
  readonly version: string;
  readonly bounds?: HttpBounds;
}

/** Bytes and milliseconds. */
export interface HttpBounds {
  readonly bodyMaxBytes: number;
  readonly headMaxBytes: number;
  /** Until the whole head is there. */
  readonly headWithinMs: number;
  /** Until the whole request is there. */
  readonly requestWithinMs: number;
  readonly keepAliveMs: number;
  /** A connection on which nothing moves; longer than the longest answer takes, which is a fault's receipt. */
  readonly idleMs: number;
  readonly connectionsMax: number;
  /** How often late ones are looked for. */
  readonly lookEveryMs: number;
}

export const httpBounds: HttpBounds = {
  bodyMaxBytes: 64 * 1024,
  headMaxBytes: 16 * 1024,
  headWithinMs: 5_000,
  requestWithinMs: 10_000,
  keepAliveMs: 10_000,
  idleMs: 150_000,
  connectionsMax: 256,
  lookEveryMs: 1_000,
};

export type Listening =
  | { readonly kind: "listening"; readonly address: HttpAddress; readonly url: string }
  | { readonly kind: "refused"; readonly why: string };

export interface HttpServer {
  listen(address: HttpAddress): Promise<Listening>;
  /** Ends every connection. */
  close(): Promise<void>;
  /** The published document, OpenAPI 3.1. */
  openApi(): OpenApiDocument;
  /** Asks without a socket. */
  inject: FastifyInstance["inject"];
}

declare module "fastify" {
  interface FastifyContextConfig {
    readonly needs?: Needs;
  }
}

export async function openServer(parts: ServerParts): Promise<HttpServer> {
  const { routes, access, log, version, bounds = httpBounds } = parts;
  const app = createApp(bounds);
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  // Orders are JSON and nothing else: a form of another site's page could send plain text.
  app.removeContentTypeParser("text/plain");
  app.addHook("onRequest", async (request, reply) => {
    reply.headers(securityHeaders);
    const verdict = access.judge(knockOf(request), request.routeOptions.config.needs ?? "viewer");
    if (verdict.kind === "refused") return refuse(reply, verdict);
  });
  app.setErrorHandler((error, request, reply) => refuse(reply, refusalOf(error, request, log)));
  app.setNotFoundHandler((request, reply) =>
    refuse(
      reply,
      refused(
        404,
        "not_found",
        `there is no ${request.method} ${pathOf(request)}`,
        "GET /openapi.json lists what there is",
      ),
    ),
  );
  await describe(app, version);
  for (const each of routes) register(app, each, parts);
  await app.ready();
  app.server.maxConnections = bounds.connectionsMax;
  let isClosed = false;
  return {
    listen: async (address) => {
      const outcome = await listen(app, address);
      if (!isClosed || outcome.kind === "refused") return outcome;
      // Closed while it was about to listen: fastify has closed what was not open yet, and the port would stay taken for good.
      await endListening(app.server);
      return { kind: "refused", why: "it was closed meanwhile" };
    },
    close: async () => {
      isClosed = true;
      parts.events.close();
      await app.close();
    },
    openApi: () => withoutUnused(app.swagger()),
    inject: app.inject.bind(app),
  };
}

function createApp(bounds: HttpBounds): FastifyInstance {
  return fastify({
    logger: false,
    bodyLimit: bounds.bodyMaxBytes,
    requestTimeout: bounds.requestWithinMs,
    keepAliveTimeout: bounds.keepAliveMs,
    connectionTimeout: bounds.idleMs,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 128 },
    http: {
      maxHeaderSize: bounds.headMaxBytes,
      headersTimeout: bounds.headWithinMs,
      connectionsCheckingInterval: bounds.lookEveryMs,
    },
    clientErrorHandler: refuseHead,
    frameworkErrors: (_error, _request, reply) =>
      void refuse(
        reply.headers(securityHeaders),
        refused(400, "bad_path", "this path cannot be read", "GET /openapi.json lists what there is"),
      ),
  });
}

async function describe(app: FastifyInstance, version: string): Promise<void> {
  const schemaRegistry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(namedSchemas)) schemaRegistry.add(schema, { id });
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "driftmend", description: "The cluster's vital signs, and orders to it.", version },
      components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
    },
    transform: createJsonSchemaTransform({ schemaRegistry }),
    transformObject: createJsonSchemaTransformObject({ schemaRegistry }),
  });
}

function register(app: FastifyInstance, each: Route, { events }: ServerParts): void {
  const { method, path: url, needs, answers, summary, params, query: querystring, body } = each;
  app.route({
    method,
    url,
    config: { needs },
    exposeHeadRoute: method === "GET" && answers.kind === "json",
    schema: {
      summary,
      ...(needs === "nothing" ? {} : { security: needs === "operator" ? [{ token: [] }] : [{ token: [] }, {}] }),
      ...(params === undefined ? {} : { params }),
      ...(querystring === undefined ? {} : { querystring }),
      ...(body === undefined ? {} : { body }),
      response: responsesOf(each),
    },
    handler: async (request, reply) => {
      const reached = await each.answer({ params: request.params, query: request.query, body: request.body });
      return send(reply, reached, events);
    },
  });
}

function responsesOf({ answers }: Route): Readonly<Record<string, unknown>> {
  const error = {
    description: "what is wrong, and what to do next",
    content: { "application/json": { schema: errorSchema } },
  };
  if (answers.kind === "text") {
    const content = { [answers.type.split(";")[0] ?? answers.type]: { schema: z.string() } };
    return { 200: { description: answers.what, content }, "4xx": error, "5xx": error };
  }
  const ok = { description: "the whole answer", content: { "application/json": { schema: answers.schema } } };
  if (answers.with503 !== true) return { 200: ok, "4xx": error, "5xx": error };
  const either = z.union([answers.schema, errorSchema]);
  const bad = {
    description: "the whole answer, and it is bad; or an error",
    content: { "application/json": { schema: either } },
  };
  return { 200: ok, 503: bad, "4xx": error, "5xx": error };
}

function send(reply: FastifyReply, reached: Reply, events: LiveEvents): FastifyReply {
  switch (reached.kind) {
    case "refused":
      return refuse(reply, reached);
    case "json":
      return reply.code(reached.status).type("application/json; charset=utf-8").send(reached.body);
    case "text":
      if (reached.contentPolicy !== undefined) reply.header("content-security-policy", reached.contentPolicy);
      // It is text already: no schema turns it into JSON.
      return reply.serializer(String).type(reached.type).send(reached.text);
    case "events":
      return events.isFull
        ? refuse(
            reply,
            refused(
              503,
              "too_many_readers",
              "too many readers follow the events already",
              "close another page, or ask again later",
              5,
            ),
          )
        : stream(reply, events);
    default:
      return reached satisfies never;
  }
}

function stream(reply: FastifyReply, events: LiveEvents): FastifyReply {
  reply.hijack();
  const { raw } = reply;
  raw.writeHead(200, { ...securityHeaders, "content-type": "text/event-stream; charset=utf-8" });
  const leave = events.admit(sinkOf(raw));
  raw.once("close", leave);
  return reply;
}

function sinkOf(raw: ServerResponse): Sink {
  return {
    write: (text) => void raw.write(text),
    get waitingBytes() {
      return raw.writableLength;
    },
    cut: () => void raw.destroy(),
  };
}

function refuse(reply: FastifyReply, { status, code, message, next, retryAfter }: Refused): FastifyReply {
  if (retryAfter !== undefined) reply.header("retry-after", `${retryAfter}`);
  if (status === 401) reply.header("www-authenticate", 'Bearer realm="driftmend"');
  const body = JSON.stringify({ error: { code, message, next } });
  return reply.code(status).serializer(String).type("application/json; charset=utf-8").send(body);
}

interface Failure {
  readonly code?: string;
  readonly message?: string;
  readonly statusCode?: number;
  readonly validation?: readonly { readonly instancePath?: string; readonly message?: string }[];
  readonly validationContext?: string;
}

const seeDocument = "GET /openapi.json describes what is taken";

function refusalOf(error: unknown, request: FastifyRequest, log: Logger): Refused {
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
    return refused(413, "too_large", "the body is larger than 64 KiB", "send less");
  if (code === "FST_ERR_CTP_INVALID_MEDIA_TYPE")
    return refused(415, "not_json", "the body's type is not JSON", "send Content-Type: application/json");
  if (statusCode >= 400 && statusCode < 500)
    return refused(400, "bad_request", "the request cannot be read", seeDocument);
  if (isResponseSerializationError(error)) {
    log.error("an answer is not as /openapi.json describes it", { path: request.routeOptions.url, error: error.cause });
    return refused(
      500,
      "answer_drifted",
      "the answer is not as /openapi.json describes it, so it is kept back",
      "report it; the node's log names the field",
    );
  }
  log.error("a request failed", { path: request.routeOptions.url, error });
  return refused(500, "internal", "the answer could not be made", "report it; the node's log says why");
}

/** What is no request that could be answered in the usual way: nobody knows yet who asks. */
function refuseHead(error: Error & { readonly code?: string }, socket: Socket): void {
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

async function listen(app: FastifyInstance, address: HttpAddress): Promise<Listening> {
  try {
    await app.listen({ host: address.host, port: address.port });
  } catch (error) {
    if (!(error instanceof Error && "syscall" in error)) throw error;
    return { kind: "refused", why: whyNot(error) };
  }
  const bound = app.server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : address.port;
  return { kind: "listening", address: { ...address, port }, url: urlOf({ ...address, port }) };
}

function endListening(server: FastifyInstance["server"]): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}

function knockOf({ method, headers, ip }: FastifyRequest) {
  const one = (value: string | string[] | undefined): string | undefined =>
    Array.isArray(value) ? value.join(",") : value;
  return {
    method,
    host: headers.host,
    origin: headers.origin,
    authorization: headers.authorization,
    fetchSite: one(headers["sec-fetch-site"]),
    fetchMode: one(headers["sec-fetch-mode"]),
    remoteAddress: ip,
  };
}

/** Without the query, cut, and without what a terminal or a log would act upon. */
function pathOf({ url }: FastifyRequest): string {
  return (url.split("?")[0] ?? "").slice(0, 128).replace(/[^\x21-\x7e]/g, "?");
}
