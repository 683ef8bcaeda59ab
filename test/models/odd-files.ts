// ONNX files that cannot be taken in, made with the library itself: what our own writer never writes.
import onnxProto from "onnx-proto";
import { plainClassifier } from "./small-classifiers.js";

const { onnx } = onnxProto;

function changed(change: (model: onnxProto.onnx.ModelProto) => void): Uint8Array {
  const model = onnx.ModelProto.decode(plainClassifier());
  change(model);
  return onnx.ModelProto.encode(model).finish();
}

export function twoInputs(): Uint8Array {
  return changed(({ graph }) => {
    graph?.input?.push({ name: "other", type: { tensorType: { elemType: onnx.TensorProto.DataType.FLOAT } } });
  });
}

export function halfInput(): Uint8Array {
  return changed(({ graph }) => {
    const tensor = graph?.input?.[0]?.type?.tensorType;
    if (tensor) tensor.elemType = onnx.TensorProto.DataType.FLOAT16;
  });
}

export function externalWeights(): Uint8Array {
  return changed(({ graph }) => {
    const tensor = graph?.initializer?.[0];
    if (tensor) tensor.dataLocation = onnx.TensorProto.DataLocation.EXTERNAL;
  });
}

/** Its output is made of itself: whoever walks from results to what they follow from would walk for ever. */
export function circle(): Uint8Array {
  return changed(({ graph }) => {
    const name = graph?.output?.[0]?.name ?? "";
    graph?.node?.push({ opType: "Identity", input: [name], output: [name] });
  });
}

/** Of each constant the last byte is missing. */
export function cutWeights(): Uint8Array {
  return changed(({ graph }) => {
    for (const tensor of graph?.initializer ?? []) tensor.rawData = tensor.rawData?.slice(0, -1) ?? null;
  });
}

/** As files of the first versions have it: every constant is listed among the inputs, too. */
export function listedConstants(): Uint8Array {
  return changed((model) => {
    model.irVersion = 3;
    for (const { name, dims } of model.graph?.initializer ?? []) {
      const dim = (dims ?? []).map((dimValue) => ({ dimValue }));
      const elemType = onnx.TensorProto.DataType.FLOAT;
      model.graph?.input?.unshift({ name: name ?? "", type: { tensorType: { elemType, shape: { dim } } } });
    }
  });
}

/** Class scores as a list of dictionaries, as scikit-learn exports them unless told not to. */
export function dictionaries(): Uint8Array {
  return changed(({ graph }) => {
    const output = graph?.output?.[0];
    if (output) output.type = { sequenceType: {} };
  });
}
