// Replies of the cluster as the answer of the Open Inference Protocol, in JSON or with outputs in binary form.
//
// Owns: the outputs' bytes, where each part of a reply goes. Does not own: the replies (transport/messages/wire.ts).
//
// N1. Outputs have one element per row, in the order of the rows. What else a reply says is in `parameters`, one word per row, joined by
//     commas: no row's answer is lost in a summary.
// N2. Confidence is a float32 in both forms, so that a client reads the same number whichever it asks for.

import type { InferenceReply } from "../../../transport/messages/wire.js";
import { type Refused, type Reply, refused } from "../route.js";
import type { WantedOutput } from "./infer-body.js";
import { outputs as described } from "./rows.js";

/** On request only: the votes of each row, as JSON text. */
export const explainName = "explain";

export interface AnswerOf {
  readonly model: string;
  /** Of the model, as it was asked for or could be. */
  readonly version: string;
  readonly id: string;
  readonly outputs: readonly WantedOutput[] | undefined;
  readonly allBinary: boolean;
}

/** Which outputs are wanted, or the first that there is not. */
export function wantedOutputs({
  outputs,
  allBinary,
}: Pick<AnswerOf, "outputs" | "allBinary">):
  | { readonly kind: "outputs"; readonly outputs: readonly WantedOutput[] }
  | Refused {
  const names = described.map(({ name }) => name);
  if (outputs === undefined) return { kind: "outputs", outputs: names.map((name) => ({ name, isBinary: allBinary })) };
  const strange = outputs.find(({ name }) => name !== explainName && !names.includes(name));
  if (strange === undefined) return { kind: "outputs", outputs };
  const message = `outputs: there is no "${strange.name.slice(0, 64)}"; there is ${[...names, explainName].join(", ")}`;
  return refused(400, "bad_request", message, "GET /v2/models/{model} says what it gives");
}

interface Column {
  readonly datatype: "BYTES" | "INT64" | "FP32";
  readonly data: readonly (string | number)[];
}

function columnOf(name: string, replies: readonly InferenceReply[]): Column {
  switch (name) {
    case "label":
      return { datatype: "BYTES", data: replies.map(({ answer }) => answer.label) };
    case "index":
      return { datatype: "INT64", data: replies.map(({ answer }) => answer.index) };
    case "confidence":
      return { datatype: "FP32", data: replies.map(({ confidence }) => Math.fround(confidence)) };
    case explainName:
      return { datatype: "BYTES", data: replies.map(({ explain }) => JSON.stringify(explain ?? null)) };
    default:
      throw new Error(`the output ${name} was let through and is not known`);
  }
}

export function answerWith(
  { model, version, id }: Pick<AnswerOf, "model" | "version" | "id">,
  wanted: readonly WantedOutput[],
  replies: readonly InferenceReply[],
): Reply {
  const shape = [replies.length];
  const parts: Uint8Array[] = [];
  const outputs = wanted.map(({ name, isBinary }) => {
    const { datatype, data } = columnOf(name, replies);
    if (!isBinary) return { name, datatype, shape, data };
    const bytes = rawOf({ datatype, data });
    parts.push(bytes);
    return { name, datatype, shape, parameters: { binary_data_size: bytes.byteLength } };
  });
  const body = { model_name: model, model_version: version, id, parameters: aboutRows(replies), outputs };
  if (!wanted.some(({ isBinary }) => isBinary)) return { kind: "json", status: 200, body };
  const head = Buffer.from(JSON.stringify(body));
  return {
    kind: "bytes",
    type: "application/octet-stream",
    headers: { "inference-header-content-length": `${head.byteLength}` },
    bytes: Buffer.concat([head, ...parts]),
  };
}

/** N1. */
function aboutRows(replies: readonly InferenceReply[]) {
  const all = (word: (reply: InferenceReply) => string | number): string => replies.map(word).join(",");
  return {
    mode: all(({ mode }) => mode),
    model_version: all(({ modelVersion }) => modelVersion),
    trace_id: all(({ traceId }) => traceId),
    experience: all(({ experience }) => (experience === null ? "" : `${experience.seq}.${experience.index}`)),
    node: all(({ node }) => node),
  };
}

const lengthBytes = 4;

function rawOf({ datatype, data }: Column): Uint8Array {
  if (datatype === "BYTES") return Buffer.concat(data.map((text) => counted(`${text}`)));
  const raw = Buffer.alloc(data.length * (datatype === "INT64" ? 8 : 4));
  for (const [index, value] of data.entries())
    if (datatype === "INT64") raw.writeBigInt64LE(BigInt(value), index * 8);
    else raw.writeFloatLE(Number(value), index * 4);
  return raw;
}

/** An element of BYTES: its length, then itself. */
function counted(text: string): Uint8Array {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(lengthBytes);
  length.writeUInt32LE(bytes.byteLength);
  return Buffer.concat([length, bytes]);
}
