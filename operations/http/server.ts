// The HTTP server: with server-limits.ts the only importer of fastify, its zod provider and its plugins.
//
// Owns: how routes become a server, the bounds on what anybody may send, the shape of every error. Does not own: what is answered
// (routes-*.ts), who may ask (access.ts), when it listens (actors/operations/web.ts), how it ends (ending.ts).
//
// H1. Nothing of a request but its head is read before it is allowed in.
// H2. What can be sent is bounded in size, and what can be held open in time and number. A head that comes in drips is ended.
// H3. An error says its code, what is wrong and what to do next: never a stack, a path or a token (http-errors.ts).
// H4. Bodies of all connections together are bounded: one that has no room is refused before it is read.

import type { ServerResponse } from "node:http";
import swagger from "@fastify/swagger";
import swaggerUi from "@fastify/swagger-ui";
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
import { docsPage, isDescription, isDocsFile } from "./docs-page.js";
import { Ending } from "./ending.js";
import type { LiveEvents, Sink } from "./events.js";
import { type HttpAddress, urlOf, whyNot } from "./http-address.js";
import { errorBody, headersOf, refusalOf, refuseHead } from "./http-errors.js";
import { networkOf } from "./rate-windows.js";
import {
  errorSchema,
  inferenceErrorSchema,
  type Needs,
  type RawBody,
  type Refused,
  type Reply,
  type Route,
  refused,
} from "./route.js";
import { securityHeaders } from "./security-headers.js";
import { checkType, holdBodies, limitRate, type RateLimit, takeBytes, tooManyHeaders } from "./server-limits.js";

export interface ServerParts {
  readonly routes: readonly Route[];
  readonly access: Access;
  readonly events: LiveEvents;
  readonly log: Logger;
  readonly version: string;
  readonly bounds?: HttpBounds;
  /** None when left out. */
  readonly rate?: RateLimit;
}

/** Bytes and milliseconds. */
export interface HttpBounds {
  /** Of a body, where its route has no bound of its own. */
  readonly bodyMaxBytes: number;
  /** Of all bodies that are being read or answered. */
  readonly bodiesMaxBytes: number;
  readonly headMaxBytes: number;
  readonly headersMax: number;
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
  bodiesMaxBytes: 128 * 1024 * 1024,
  headersMax: 100,
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
  /** Ends every connection: at once, or when what is being answered is answered, once `patience` resolves at the latest. */
  close(patience?: Promise<unknown>): Promise<void>;
  /** The published document, OpenAPI 3.1. */
  openApi(): OpenApiDocument;
  /** Asks without a socket. */
  inject: FastifyInstance["inject"];
}

declare module "fastify" {
  interface FastifyContextConfig {
    readonly needs?: Needs;
  }
  interface FastifyRequest {
    /** Whose request it is, for the rate limit. */
    asker: string;
  }
}

export async function openServer(parts: ServerParts): Promise<HttpServer> {
  const { routes, access, log, version, bounds = httpBounds } = parts;
  const app = createApp(bounds);
  const ending = new Ending();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  // Orders are JSON and nothing else: a form of another site's page could send plain text.
  app.removeContentTypeParser("text/plain");
  app.decorateRequest("asker", "");
  app.addHook("onRequest", async (request, reply) => {
    reply.headers(securityHeaders);
    ending.begin(reply.raw);
    if (ending.isEnding)
      return refuse(reply, refused(503, "ending", "this interface is ending", "ask again in a moment", 1));
    if (request.raw.rawHeaders.length > 2 * bounds.headersMax) return refuse(reply, tooManyHeaders(bounds.headersMax));
    const verdict = access.judge(knockOf(request), needsOf(request));
    if (verdict.kind === "refused") return refuse(reply, verdict);
    request.asker = `${verdict.as} ${networkOf(request.ip)}`;
  });
  app.addHook("preClose", (done) => ending.wait(app.server, done));
  holdBodies(app, bounds);
  app.setErrorHandler((error, { routeOptions }, reply) => {
    const { bodyLimit: bodyMaxBytes, url: path } = routeOptions;
    const hasDrifted = isResponseSerializationError(error);
    return refuse(reply, refusalOf(error, { path, bodyMaxBytes, hasDrifted, log }));
  });
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
  if (parts.rate !== undefined) await limitRate(app, parts.rate);
  await describe(app, version);
  for (const each of routes) if (each.raw === undefined) register(app, each, parts);
  await app.register(async (scope) => {
    takeBytes(scope);
    // The schema of such a body describes it; the route checks it.
    scope.setValidatorCompiler((part: Parameters<typeof validatorCompiler>[0]) =>
      part.httpPart === "body" ? (value: unknown) => ({ value }) : validatorCompiler(part),
    );
    for (const each of routes) if (each.raw !== undefined) register(scope, each, parts);
  });
  await app.ready();
  app.server.maxConnections = bounds.connectionsMax;
  return {
    listen: async (address) => {
      const outcome = await listen(app, address);
      if (!ending.isEnding || outcome.kind === "refused") return outcome;
      // Closed while it was about to listen: fastify has closed what was not open yet, and the port would stay taken for good.
      await endListening(app.server);
      return { kind: "refused", why: "it was closed meanwhile" };
    },
    close: async (patience = Promise.resolve()) => {
      ending.start(patience);
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
    // Of what is left once the end has waited (ending.ts); what comes meanwhile is refused in our own words.
    forceCloseConnections: true,
    return503OnClosing: false,
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

/** What has no route is told so only to those who may look; files of the page at /docs anybody may have. */
function needsOf({ routeOptions: { config, url } }: FastifyRequest): Needs {
  if (isDescription(url)) return "token";
  return config.needs ?? (isDocsFile(url) ? "nothing" : "viewer");
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
  await app.register(swaggerUi, {
    ...docsPage,
    transformSpecification: () => ({ ...withoutUnused(app.swagger()) }),
    transformSpecificationClone: false,
  });
}

function register(app: FastifyInstance, each: Route, { events }: ServerParts): void {
  const { method, path: url, needs, answers, summary, params, query: querystring, body, raw } = each;
  app.route({
    method,
    url,
    config: { needs, ...(each.isUnlimited === true ? { rateLimit: false } : {}) },
    ...(raw === undefined ? {} : rawOptions(raw)),
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
      const gone = new AbortController();
      reply.raw.once("close", () => gone.abort());
      const { params: place, query, body: said, headers } = request;
      const reached = await each.answer({ params: place, query, body: said, headers, signal: gone.signal });
      return send(reply, reached, events);
    },
  });
}

function rawOptions(raw: RawBody) {
  return { bodyLimit: raw.maxBytes, preParsing: async (request: FastifyRequest) => checkType(raw, request) };
}

function responsesOf({ answers, path }: Route): Readonly<Record<string, unknown>> {
  const errors = path.startsWith("/v2") ? inferenceErrorSchema : errorSchema;
  const error = {
    description: "what is wrong, and what to do next",
    content: { "application/json": { schema: errors } },
  };
  if (answers.kind === "text") {
    const content = { [answers.type.split(";")[0] ?? answers.type]: { schema: z.string() } };
    return { 200: { description: answers.what, content }, "4xx": error, "5xx": error };
  }
  const { orBytes } = answers;
  const content = {
    "application/json": { schema: answers.schema },
    ...(orBytes === undefined ? {} : { [orBytes.type]: { schema: z.string().describe(orBytes.what) } }),
  };
  const ok = { description: "the whole answer", content };
  if (answers.with503 !== true) return { 200: ok, "4xx": error, "5xx": error };
  const either = z.union([answers.schema, errors]);
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
    case "bytes":
      return reply.headers(reached.headers).type(reached.type).send(reached.bytes);
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

function refuse(reply: FastifyReply, refusal: Refused): FastifyReply {
  reply.headers(headersOf(refusal));
  const body = errorBody(refusal, reply.request.url);
  return reply.code(refusal.status).serializer(String).type("application/json; charset=utf-8").send(body);
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
