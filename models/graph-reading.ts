// ONNX graphs as plain data: what graph-program.ts computes with.
//
// Owns: the way from protobuf bytes to nodes, attributes and constants. Does not own: writing graphs (graph.ts), running them.
//
// R1. What is not understood is refused by name, before anything runs: an attribute or a constant that is left out would compute something else.
import onnxProto from "onnx-proto";

const { onnx } = onnxProto;

export type AttributeValue = number | string | readonly number[];

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

export interface OnnxGraph {
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
export function readGraph(bytes: Uint8Array): OnnxGraph {
  const { graph } = onnx.ModelProto.decode(bytes);
  if (graph === undefined || graph === null) throw new GraphError("the file holds no graph");
  const constants = new Map((graph.initializer ?? []).map((tensor) => [tensor.name ?? "", constantOf(tensor)]));
  const nodes: GraphNode[] = [];
  for (const node of graph.node ?? []) {
    const value = node.opType === "Constant" ? node.attribute?.find(({ name }) => name === "value")?.t : undefined;
    if (value !== undefined && value !== null) constants.set(node.output?.[0] ?? "", constantOf(value));
    else nodes.push(nodeOf(node));
  }
  const named = (list: readonly onnxProto.onnx.IValueInfoProto[] | null | undefined): string[] =>
    (list ?? []).map(({ name }) => name ?? "");
  return {
    nodes,
    constants,
    inputs: named(graph.input).filter((name) => !constants.has(name)),
    outputs: named(graph.output),
  };
}

function nodeOf(node: onnxProto.onnx.INodeProto): GraphNode {
  const op = node.opType ?? "";
  return {
    op,
    name: node.name ?? "",
    inputs: node.input ?? [],
    outputs: node.output ?? [],
    attributes: new Map((node.attribute ?? []).map((each) => [each.name ?? "", attributeOf(op, each)])),
  };
}

function attributeOf(op: string, attribute: onnxProto.onnx.IAttributeProto): AttributeValue {
  const { AttributeType } = onnx.AttributeProto;
  switch (attribute.type) {
    case AttributeType.INT:
      return Number(attribute.i ?? 0);
    case AttributeType.FLOAT:
      return attribute.f ?? 0;
    case AttributeType.STRING:
      return new TextDecoder().decode(attribute.s ?? new Uint8Array());
    case AttributeType.INTS:
      return (attribute.ints ?? []).map(Number);
    case AttributeType.FLOATS:
      return attribute.floats ?? [];
    default:
      throw new GraphError(`${op} has an attribute "${attribute.name}" of a kind that is not understood`);
  }
}

function constantOf(tensor: onnxProto.onnx.ITensorProto): GraphConstant {
  const { DataType } = onnx.TensorProto;
  const dims = (tensor.dims ?? []).map(Number);
  const size = dims.reduce((product, dim) => product * dim, 1);
  // A view on the file may start anywhere; typed arrays may not.
  const raw = tensor.rawData === undefined || tensor.rawData === null ? undefined : Uint8Array.from(tensor.rawData);
  const isRaw = raw !== undefined && raw.length > 0;
  let values: Float32Array | Int32Array;
  if (tensor.dataType === DataType.FLOAT)
    values = isRaw ? new Float32Array(raw.buffer) : Float32Array.from(tensor.floatData ?? []);
  else if (tensor.dataType === DataType.INT64)
    values = isRaw
      ? Int32Array.from(new BigInt64Array(raw.buffer), Number)
      : Int32Array.from(tensor.int64Data ?? [], Number);
  else throw new GraphError(`the constant "${tensor.name}" is neither float32 nor int64`);
  if (values.length !== size)
    throw new GraphError(`the constant "${tensor.name}" has ${values.length} values instead of ${size}`);
  return { dims, values };
}
