// The Open Inference Protocol (KServe V2) over HTTP: health, metadata, inference.
//
// Owns: these routes. Does not own: what a body is (infer-body.ts), how a batch is cut (rows.ts), asking (ask-rows.ts), who may
// (access.ts).
//
// K1. An answer is the one that NATS gives: each row is asked for as any client asks, under its own id.
// K2. Which models there are is asked anew for every request.

import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { Clock } from "../../../models/clock.js";
import type { Manifest } from "../../../models/manifest.js";
import { isToken } from "../../../transport/subjects.js";
import { parseTraceparent } from "../../traces/trace-context.js";
import { type Asked, type Refused, type Reply, type Route, refused, route } from "../route.js";
import { type Asker, askRows, PlacesOfModels } from "./ask-rows.js";
import { answerWith, explainName, wantedOutputs } from "./infer-answer.js";
import { inferRequestSchema, jsonBytesOf, readInferBody } from "./infer-body.js";
import { JsonTurns } from "./json-turns.js";
import { cutRows, describeModel, versionOf } from "./rows.js";
import { inferAnswerSchema, modelReadySchema, modelSchema, readySchema, serverSchema } from "./shapes.js";
import { refusalOf } from "./unanswered.js";

export interface KserveDeps {
  readonly version: string;
  readonly clock: Clock;
  /** The models that this cluster should serve, as of now. */
  readonly models: () => readonly Manifest[];
  /** The names of those that somebody serves, as of now. */
  readonly served: () => Promise<ReadonlySet<string>>;
  /** Undefined while the cluster cannot be asked. */
  readonly asker: () => Promise<Asker | undefined>;
  /** Of a request that names no deadline, milliseconds. */
  readonly deadlineMs: number;
}

/** Of one request. JSON of a batch of pictures is large; binary form holds 256 rows of 128 KiB. */
const bodyMaxBytes = 32 * 1024 * 1024;
/** curl's own word for a body is a form's; a form of a browser cannot write JSON that way. */
const types = ["application/json", "application/octet-stream", "application/x-www-form-urlencoded"];

const oneModel = z.object({ model: z.string().min(1).max(64) });
const oneVersion = z.object({ model: z.string().min(1).max(64), version: z.string().min(1).max(64) });
type Place = z.output<typeof oneModel> & { readonly version?: string };

export function kserveRoutes(deps: KserveDeps): readonly Route[] {
  const bounds = { places: new PlacesOfModels(deps.clock), turns: new JsonTurns(deps.clock) };
  return [
    ...serverRoutes(deps),
    ...placesOf("").flatMap(({ path, params }) => modelRoutes(deps, path, params)),
    ...placesOf("/infer").map(({ path, params }) => inferRoute(deps, bounds, path, params)),
  ];
}

/** What all requests share. */
interface Bounds {
  readonly places: PlacesOfModels;
  readonly turns: JsonTurns;
}

/** With and without the model's version. */
function placesOf(what: string): readonly { readonly path: string; readonly params: typeof oneModel }[] {
  return [
    { path: `/v2/models/:model${what}`, params: oneModel },
    { path: `/v2/models/:model/versions/:version${what}`, params: oneVersion },
  ];
}

function serverRoutes({ version, models, served }: KserveDeps): readonly Route[] {
  return [
    route({
      method: "GET",
      path: "/v2",
      summary: "Open Inference Protocol: which server this is",
      needs: "token",
      answers: { kind: "json", schema: serverSchema },
      answer: () => ok({ name: "driftmend", version, extensions: ["binary_tensor_data"] }),
    }),
    route({
      method: "GET",
      path: "/v2/health/live",
      summary: "Open Inference Protocol: this interface answers",
      needs: "nothing",
      isUnlimited: true,
      answers: { kind: "json", schema: z.object({ live: z.boolean() }) },
      answer: () => ok({ live: true }),
    }),
    route({
      method: "GET",
      path: "/v2/health/ready",
      summary: "Open Inference Protocol: every model can be asked; 503 when one cannot",
      needs: "nothing",
      isUnlimited: true,
      answers: { kind: "json", schema: readySchema, with503: true },
      answer: async () => {
        const names = await served();
        const ready = models().length > 0 && models().every(({ name }) => names.has(name));
        return { kind: "json", status: ready ? 200 : 503, body: { ready } };
      },
    }),
  ];
}

function modelRoutes(deps: KserveDeps, path: string, params: typeof oneModel): readonly Route[] {
  return [
    route({
      method: "GET",
      path,
      summary: "Open Inference Protocol: what a model takes and gives",
      needs: "token",
      params,
      answers: { kind: "json", schema: modelSchema },
      answer: ({ params: place }) => {
        const found = modelAt(deps, place);
        return found.kind === "refused" ? found : ok(describeModel(found.manifest));
      },
    }),
    route({
      method: "GET",
      path: `${path}/ready`,
      summary: "Open Inference Protocol: the model can be asked; 503 when it cannot",
      needs: "token",
      isUnlimited: true,
      params,
      answers: { kind: "json", schema: modelReadySchema, with503: true },
      answer: async ({ params: place }) => {
        const found = modelAt(deps, place);
        if (found.kind === "refused") return found;
        const { name } = found.manifest;
        const ready = (await deps.served()).has(name);
        return { kind: "json", status: ready ? 200 : 503, body: { name, ready } };
      },
    }),
  ];
}

function inferRoute(deps: KserveDeps, bounds: Bounds, path: string, params: typeof oneModel): Route {
  return route({
    method: "POST",
    path,
    summary:
      "Open Inference Protocol: inference. JSON, or JSON and behind it the tensor's bytes, with Inference-Header-Content-Length",
    needs: "client",
    params,
    body: inferRequestSchema,
    raw: { maxBytes: bodyMaxBytes, types },
    answers: {
      kind: "json",
      schema: inferAnswerSchema,
      orBytes: { type: "application/octet-stream", what: "the JSON, and behind it the outputs that were wanted so" },
    },
    answer: (asked) => infer(deps, bounds, asked),
  });
}

/** The body came as bytes, whatever its schema describes. */
async function infer(deps: KserveDeps, { places, turns }: Bounds, asked: Asked<Place>): Promise<Reply> {
  const { params, headers, signal } = asked;
  const bytes = asked.body instanceof Uint8Array ? asked.body : new Uint8Array(0);
  const found = modelAt(deps, params);
  if (found.kind === "refused") return found;
  const { manifest } = found;
  const turn = await turns.read(jsonBytesOf(bytes, headOf(headers)), deps.deadlineMs, () =>
    signal.aborted ? wentAway : readInferBody(bytes, headOf(headers)),
  );
  if (turn.kind === "late")
    return refused(503, "overloaded", "too much JSON waits to be read", "send the tensor as binary data", 1);
  const { value: read } = turn;
  if (read.kind === "refused") return read;
  const { body } = read;
  const wanted = wantedOutputs(body);
  if (wanted.kind === "refused") return wanted;
  const id = body.id ?? randomUUID();
  const cut = cutRows(manifest, body, id);
  if (cut.kind === "refused") return cut;
  const asker = await deps.asker();
  if (asker === undefined)
    return refused(503, "not_ready", "the cluster cannot be asked now", "send it again under the same id", 1);
  const { traceparent } = headers;
  const there = deps.models().map(({ name }) => name);
  const answer = await askRows(asker, places.of(manifest.name, there), deps.clock, {
    model: manifest.name,
    rows: cut.rows,
    deadlineMs: body.deadlineMs ?? deps.deadlineMs,
    priority: body.priority,
    explain: wanted.outputs.some(({ name }) => name === explainName),
    traceparent: typeof traceparent === "string" && parseTraceparent(traceparent) ? traceparent.trim() : undefined,
    signal,
  });
  if (answer.kind === "unanswered") return refusalOf(answer.outcome, cut.rows.length === 1 ? undefined : answer.row);
  return answerWith({ model: manifest.name, version: versionOf(manifest), id }, wanted.outputs, answer.replies);
}

/** Said to nobody. */
const wentAway = refused(408, "gone", "the client went away", "ask again");

function headOf({ "inference-header-content-length": length }: Asked["headers"]): string | undefined {
  return Array.isArray(length) ? length.join(",") : length;
}

type ModelAt = { readonly kind: "model"; readonly manifest: Manifest } | Refused;

function modelAt({ models }: KserveDeps, { model, version }: Place): ModelAt {
  const manifest = isToken(model) ? models().find(({ name }) => name === model) : undefined;
  if (manifest === undefined)
    return refused(
      404,
      "unknown_model",
      "there is no such model in this cluster",
      "driftmend status names those there are",
    );
  if (version === undefined || version === versionOf(manifest)) return { kind: "model", manifest };
  const message = `${manifest.name} has the version ${versionOf(manifest)}, and no other`;
  return refused(404, "unknown_version", message, "ask without a version for the one that there is");
}

function ok(body: unknown): Reply {
  return { kind: "json", status: 200, body };
}
