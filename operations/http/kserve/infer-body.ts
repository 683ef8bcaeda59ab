// The body of an inference request of the Open Inference Protocol: a JSON head, and behind it the tensor's bytes where they are sent so.
//
// Owns: its shape, every check that needs no model, the refusal of each thing that is not taken. Does not own: what a model takes
// (rows.ts and the cluster itself), the bounds of the whole body (server.ts).
// Source: kserve/open-inference-protocol inference_rest.md; triton-inference-server extension_binary_data.md.
//
// B1. Never throws on foreign bytes. No length that is only claimed allocates anything.
// B2. What is not known is ignored, so that a newer client is understood; what would change the answer and is not offered is refused by name.

import { z } from "zod";
import { elementsOf, itemBytes } from "../../../transport/messages/codec.js";
import { deadlineMsMax } from "../../../transport/messages/wire.js";
import { type Refused, refused } from "../route.js";
import { type Datatype, dtypeOf, elementsIn, readDatatype } from "./datatypes.js";
import { beyondBounds, type JsonBounds } from "./json-bounds.js";

/** A JSON head larger than this would hold the thread for long; numbers in binary form are a quarter of it. */
export const headMaxBytes = 4 * 1024 * 1024;
/** 256 pictures of 28 by 28, or three of 224 by 224 in colour; more goes in binary form. Members of objects are few in an honest request. */
const bounds: JsonBounds = { depthMax: 16, objectsMax: 1_024, listsMax: 65_536, itemsMax: 524_288, membersMax: 8_192 };
/** A model has one input, so a request has one. */
const inputsMax = 1;
const outputsMax = 16;
const rankMax = 9;
/** A connection on which nothing moves is ended after 150 s (server.ts). */
export const waitMaxMs = Math.min(120_000, deadlineMsMax);
const microsPerMs = 1_000;

const size = z
  .int()
  .min(0)
  .max(2 ** 31 - 1);

const inputSchema = z.object({
  name: z.string().min(1).max(256),
  shape: z.array(size).max(rankMax),
  datatype: z.string().max(16),
  parameters: z
    .object({
      /** Bytes behind the JSON that are this tensor's. */
      binary_data_size: size.optional(),
      shared_memory_region: z.string().optional(),
    })
    .optional(),
  /** Elements in C order, nested or flat. */
  data: z.unknown().optional(),
});

const outputSchema = z.object({
  name: z.string().min(1).max(256),
  parameters: z
    .object({
      binary_data: z.boolean().optional(),
      classification: z.unknown().optional(),
      shared_memory_region: z.string().optional(),
    })
    .optional(),
});

/** As it is published; what is not named here is ignored. */
export const inferRequestSchema = z.object({
  id: z
    .string()
    .max(128)
    // A header of the message to the cluster carries it.
    .refine((id) => !/\p{Cc}/u.test(id), "must have no control characters")
    .optional(),
  parameters: z
    .object({
      /** 0 to 10, 5 when left out: under pressure the low ones go first. */
      priority: z.int().min(0).max(10).optional(),
      /** Microseconds. */
      timeout: z.number().min(1).optional(),
      /** Milliseconds; goes before `timeout`. */
      deadline_ms: z.number().min(1).optional(),
      /** Every output in binary form, but for those that say otherwise. */
      binary_data_output: z.boolean().optional(),
    })
    .optional(),
  inputs: z.array(inputSchema).min(1).max(inputsMax),
  outputs: z.array(outputSchema).max(outputsMax).optional(),
});

export interface WantedOutput {
  readonly name: string;
  readonly isBinary: boolean;
}

export interface InferBody {
  /** Undefined when the client named none. */
  readonly id: string | undefined;
  readonly input: {
    readonly name: string;
    readonly datatype: Datatype;
    readonly shape: readonly number[];
    readonly bytes: Uint8Array;
  };
  readonly priority: number | undefined;
  readonly deadlineMs: number | undefined;
  /** Undefined: all that there are by themselves, in the form of `allBinary`. */
  readonly outputs: readonly WantedOutput[] | undefined;
  readonly allBinary: boolean;
}

export type ReadBody = { readonly kind: "body"; readonly body: InferBody } | Refused;

const seeProtocol = "GET /openapi.json describes what is taken";

function bad(message: string, next: string = seeProtocol): Refused {
  return refused(400, "bad_request", message, next);
}

/** How much of a body is JSON, as far as can be told before it is looked at; more than `headMaxBytes` is not read. */
export function jsonBytesOf(bytes: Uint8Array, headLength: string | undefined): number {
  const length = headLength === undefined ? bytes.byteLength : (lengthIn(headLength, bytes.byteLength) ?? 0);
  return length > headMaxBytes ? 0 : length;
}

/** `headLength` is the header Inference-Header-Content-Length, where there is one. */
export function readInferBody(bytes: Uint8Array, headLength: string | undefined): ReadBody {
  const length = headLength === undefined ? bytes.byteLength : lengthIn(headLength, bytes.byteLength);
  if (length === undefined)
    return bad(
      `Inference-Header-Content-Length must be the bytes of the JSON, from 1 to the ${bytes.byteLength} of the body`,
    );
  if (length > headMaxBytes)
    return refused(
      413,
      "too_large",
      `the JSON has ${length} bytes; ${headMaxBytes} are taken at most`,
      "send the tensor as binary data",
    );
  const json = jsonIn(bytes.subarray(0, length), headLength !== undefined);
  if (json.kind === "refused") return json;
  const parsed = inferRequestSchema.safeParse(json.value);
  if (!parsed.success) return bad(issueOf(parsed.error));
  return bodyOf(parsed.data, bytes.subarray(length));
}

function lengthIn(text: string, most: number): number | undefined {
  if (!/^\d{1,10}$/.test(text)) return undefined;
  const length = Number(text);
  return length >= 1 && length <= most ? length : undefined;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

function jsonIn(bytes: Uint8Array, hasLength: boolean): { readonly kind: "json"; readonly value: unknown } | Refused {
  const beyond = beyondBounds(bytes, bounds);
  if (beyond !== undefined) return bad(`the JSON is ${beyond}`);
  try {
    return { kind: "json", value: JSON.parse(utf8.decode(bytes)) };
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
    const next = hasLength ? seeProtocol : "where binary data follows the JSON, send Inference-Header-Content-Length";
    return bad("the body is not JSON", next);
  }
}

/** The first thing wrong, with the place where it is. */
function issueOf(error: z.ZodError): string {
  const [first] = error.issues;
  const place = (first?.path ?? []).map(String).join(".");
  return `${place === "" ? "the body" : place}: ${first?.message ?? "is not as described"}`.slice(0, 512);
}

function bodyOf(head: z.output<typeof inferRequestSchema>, binary: Uint8Array): ReadBody {
  const [first] = head.inputs;
  if (first === undefined) return bad("inputs: there is none");
  const unoffered = unofferedIn(head);
  if (unoffered !== undefined) return bad(unoffered);
  const { priority, timeout, deadline_ms, binary_data_output: allBinary = false } = head.parameters ?? {};
  const deadlineMs = deadline_ms ?? (timeout === undefined ? undefined : Math.max(1, timeout / microsPerMs));
  if (deadlineMs !== undefined && deadlineMs > waitMaxMs)
    return bad(`a request over HTTP is waited for ${waitMaxMs} ms at most`, "ask for less, or ask over NATS");
  const input = inputOf(first, binary);
  if (input.kind === "refused") return input;
  const outputs = head.outputs?.map(({ name, parameters }) => ({
    name,
    isBinary: parameters?.binary_data ?? allBinary,
  }));
  return {
    kind: "body",
    body: {
      id: head.id === "" ? undefined : head.id,
      input: input.input,
      priority,
      deadlineMs,
      // An empty list asks for all of them, as the protocol has it for none.
      outputs: outputs?.length === 0 ? undefined : outputs,
      allBinary,
    },
  };
}

/** B2. */
function unofferedIn({ inputs, outputs = [] }: z.output<typeof inferRequestSchema>): string | undefined {
  if ([...inputs, ...outputs].some(({ parameters }) => parameters?.shared_memory_region !== undefined))
    return "shared_memory_region: tensors in shared memory are not taken over HTTP; send them as binary data";
  if (outputs.some(({ parameters }) => parameters?.classification !== undefined))
    return "classification is not offered; the outputs label, index and confidence say it";
  return undefined;
}

type ReadInput = { readonly kind: "input"; readonly input: InferBody["input"] } | Refused;

function inputOf({ name, shape, datatype: word, parameters, data }: z.output<typeof inputSchema>, binary: Uint8Array) {
  const read = readDatatype(word);
  if (read.kind === "wrong") return badTensor(`inputs.0.datatype: ${read.message}`);
  const { datatype } = read;
  const claimed = parameters?.binary_data_size;
  const at = { name, datatype, shape };
  if (claimed === undefined) {
    if (binary.byteLength > 0)
      return bad(`${binary.byteLength} bytes follow the JSON and no input has binary_data_size`);
    if (data === undefined) return badTensor("inputs.0: has neither data nor binary_data_size");
    const elements = elementsIn(data, datatype, shape);
    if (elements.kind === "wrong") return badTensor(`inputs.0.data: ${elements.message}`);
    return { kind: "input", input: { ...at, bytes: elements.bytes } } satisfies ReadInput;
  }
  if (data !== undefined) return badTensor("inputs.0: has data and binary_data_size; send one of them");
  if (claimed !== binary.byteLength)
    return badTensor(
      `inputs.0.parameters.binary_data_size is ${claimed}; ${binary.byteLength} bytes follow the JSON`,
      "send Inference-Header-Content-Length with the bytes of the JSON, and the tensor right behind it",
    );
  const wanted = elementsOf(shape) * itemBytes(dtypeOf(datatype));
  if (claimed !== wanted)
    return badTensor(
      `inputs.0.parameters.binary_data_size is ${claimed}; ${datatype} [${shape.join(", ")}] has ${wanted}`,
    );
  return { kind: "input", input: { ...at, bytes: binary } } satisfies ReadInput;
}

function badTensor(message: string, next: string = seeProtocol): Refused {
  return refused(400, "bad_tensor", message, next);
}
