// The rows of one inference request: what a batch of the Open Inference Protocol is to the cluster.
//
// Owns: where a batch is cut, the id of each row, the model's description in the protocol's words. Does not own: how rows are asked for
// (ask-rows.ts), what a model makes of a row (the cluster).
//
// R1. A shape that is the model's own is one request under the id that was given. One dimension more in front is a batch: row i is the
//     request `id/i`, so that the same batch again is the same requests again.
// R2. Whatever else is asked goes to the cluster as it is, which refuses it in its own words, as over NATS.

import { type Manifest, shapeFits, sizeOf } from "../../../models/manifest.js";
import { itemBytes, readTensor, type Tensor } from "../../../transport/messages/codec.js";
import { isRequestId } from "../../../transport/messages/wire.js";
import { type Refused, refused } from "../route.js";
import { type Datatype, datatypeOf, dtypeOf } from "./datatypes.js";
import type { InferBody } from "./infer-body.js";

/** Rows of one request; a larger batch is sent in several. */
export const rowsMax = 256;

export interface Row {
  readonly id: string;
  /** Made when it is asked for: its bytes are a part of the body, copied where they lie askew. */
  readonly tensor: () => Tensor;
}

export type Cut = { readonly kind: "rows"; readonly rows: readonly Row[] } | Refused;

const seeModel = "GET /v2/models/{model} says what it takes";

export function cutRows(manifest: Manifest, { input }: Pick<InferBody, "input">, id: string): Cut {
  const { name, shape } = manifest.input;
  if (input.name !== name)
    return refused(400, "bad_request", `inputs.0.name: ${manifest.name} has one input, "${name}"`, seeModel);
  const [count = 0, ...rest] = input.shape;
  const isBatch = !shapeFits(shape, input.shape) && shapeFits(shape, rest);
  if (isBatch && count === 0) return refused(400, "bad_tensor", "inputs.0.shape: a batch of no rows", seeModel);
  if (isBatch && count > rowsMax)
    return refused(413, "too_large", `a request has ${rowsMax} rows at most, not ${count}`, "send several requests");
  const ids = isBatch ? Array.from({ length: count }, (_, index) => `${id}/${index}`) : [id];
  if (!ids.every(isRequestId))
    return refused(400, "bad_request", "id: with the number of a row it is longer than 128 characters", seeModel);
  return rowsOf(input, ids, isBatch ? rest : input.shape);
}

function rowsOf({ datatype, bytes }: InferBody["input"], ids: readonly string[], sh: readonly number[]): Cut {
  const dt = dtypeOf(datatype);
  const rowBytes = sizeOf(sh) * itemBytes(dt);
  const read = (index: number) =>
    readTensor({ v: 1, dt, sh, d: bytes.subarray(index * rowBytes, (index + 1) * rowBytes) }, "inputs.0");
  const first = read(0);
  if (first.kind === "refused")
    return refused(400, "bad_tensor", `${first.field ?? "inputs.0"}: ${first.message}`, seeModel);
  const rows = ids.map((id, index) => ({
    id,
    tensor: () => {
      const found = read(index);
      // All rows are of one shape and type, and the first was taken.
      if (found.kind === "refused") throw new Error(`a row that was checked is no tensor: ${found.message}`);
      return found.tensor;
    },
  }));
  return { kind: "rows", rows };
}

export interface TensorDescription {
  readonly name: string;
  readonly datatype: Datatype | "BYTES";
  /** -1: any number of rows. */
  readonly shape: readonly number[];
}

/** The outputs of every model. */
export const outputs: readonly TensorDescription[] = [
  { name: "label", datatype: "BYTES", shape: [-1] },
  { name: "index", datatype: "INT64", shape: [-1] },
  { name: "confidence", datatype: "FP32", shape: [-1] },
];

/** Says which model it is, and changes when another one takes its name. */
export function versionOf({ files }: Manifest): string {
  return files.model.sha256.slice(0, 12);
}

export function describeModel(manifest: Manifest) {
  const { name, input } = manifest;
  const taken = input.accepts.map(({ dt }) => datatypeOf(dt)).filter((datatype) => datatype !== undefined);
  return {
    name,
    versions: [versionOf(manifest)],
    platform: "onnxruntime_onnx",
    inputs: [{ name: input.name, datatype: taken[0] ?? "FP32", shape: [-1, ...input.shape] }],
    outputs: outputs.map((each) => ({ ...each, shape: [...each.shape] })),
    parameters: { datatypes: taken.join(" ") },
  };
}
