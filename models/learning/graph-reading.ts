// ONNX graphs as plain data: what graph-program.ts computes with.
//
// Owns: the way from what was read to plain attributes and constants. Does not own: protobuf bytes (onnx-file.ts), running (graph-program.ts).
//
// R1. What is not understood is refused by name, before anything runs: an attribute or a constant that is left out would compute something else.
import {
  type AttributeValue,
  attributeValue,
  dimsOf,
  floatsOf,
  integersOf,
  type KeptTensor,
  type OnnxNode,
  readOnnx,
} from "../onnx-file.js";

export interface GraphNode {
  readonly op: string;
  readonly name: string;
  /** "" = an optional input that is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, AttributeValue>;
}

export interface GraphConstant {
  readonly dims: readonly number[];
  readonly values: Float32Array | Int32Array;
}

export interface ProgramGraph {
  readonly nodes: readonly GraphNode[];
  readonly constants: ReadonlyMap<string, GraphConstant>;
  /** Names, without those of constants. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/** A graph cannot be computed with. Whoever chose the model must act: take another, or say what is missing. */
export class GraphError extends Error {
  override readonly name = "GraphError";
}

/** `bytes` is an ONNX file. Throws GraphError where it holds what is not understood. */
export function readGraph(bytes: Uint8Array): ProgramGraph {
  const read = readOnnx(bytes);
  if (read.kind === "refused") throw new GraphError(read.message);
  const { nodes, constants, inputs, outputs } = read.graph;
  return {
    nodes: nodes.map(nodeOf),
    constants: new Map([...constants].map(([name, tensor]) => [name, constantOf(name, tensor)])),
    inputs: inputs.map(({ name }) => name),
    outputs: outputs.map(({ name }) => name),
  };
}

function nodeOf({ opType: op, name, input, output, attribute }: OnnxNode): GraphNode {
  const attributes = new Map<string, AttributeValue>();
  for (const each of attribute) {
    const value = attributeValue(each);
    if (value === undefined)
      throw new GraphError(`${op} has an attribute "${each.name}" of a kind that is not understood`);
    attributes.set(each.name ?? "", value);
  }
  return { op, name, inputs: input, outputs: output, attributes };
}

function constantOf(name: string, tensor: KeptTensor): GraphConstant {
  const floats = floatsOf(tensor);
  if (floats !== undefined) return floats;
  const integers = integersOf(tensor);
  const dims = dimsOf(tensor);
  const size = dims.reduce((product, dim) => product * dim, 1);
  if (integers?.length !== size)
    throw new GraphError(`the constant "${name}" is not ${size} values of float32 or int64`);
  return { dims, values: Int32Array.from(integers) };
}
