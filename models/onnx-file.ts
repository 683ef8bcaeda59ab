// ONNX files: a stranger's read into plain parts, ours written from them. The only place that knows protobuf.
//
// Owns: the bytes. Does not own: what a graph means (models/adoption/survey.ts), which operations it becomes (models/adoption/rewrite.ts,
// models/adoption/adaptable-layer.ts, models/adoption/graph.ts).
//
// N1. Reading never throws: what cannot be read is refused with a reason and what to do.
// N2. Attributes of a node that is kept are written as they were read.
// N3. Constants are constants for ONNX Runtime: never listed among the inputs, whatever the version of the file.
import onnxProto from "onnx-proto";

const { onnx } = onnxProto;

/** An attribute as it was read; opaque outside this file. */
export type KeptAttribute = onnxProto.onnx.IAttributeProto;
/** A tensor as it was read; opaque outside this file. */
export type KeptTensor = onnxProto.onnx.ITensorProto;

export interface OnnxNode {
  readonly opType: string;
  /** "" is ONNX itself. */
  readonly domain: string;
  readonly name: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute: readonly KeptAttribute[];
}

export interface OnnxValue {
  readonly name: string;
  readonly isFloat32: boolean;
  /** As ONNX calls it: FLOAT16, INT64; "not a tensor" for sequences and maps. */
  readonly elementType: string;
  /** null: the file does not say. A free dimension is its name. */
  readonly dims: readonly (number | string)[] | null;
}

export interface OnnxGraph {
  readonly opset: number;
  readonly otherOpsets: readonly { readonly domain: string; readonly version: number }[];
  /** In an order in which they can run. */
  readonly nodes: readonly OnnxNode[];
  readonly constants: ReadonlyMap<string, KeptTensor>;
  /** Without the constants that old files list here, too. */
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  /** Local functions, passed on. */
  readonly functions: readonly onnxProto.onnx.IFunctionProto[];
}

export type OnnxRead =
  | { readonly kind: "ok"; readonly graph: OnnxGraph }
  | { readonly kind: "refused"; readonly message: string; readonly next: string };

export function readOnnx(bytes: Uint8Array): OnnxRead {
  const model = decoded(bytes);
  const graph = model?.graph;
  const imports = (model?.opsetImport ?? []).map(({ domain, version }) => ({
    domain: domain === "ai.onnx" ? "" : (domain ?? ""),
    version: Number(version ?? 0),
  }));
  const opset = imports.find(({ domain }) => domain === "")?.version;
  if (!graph?.node?.length || !graph.output?.length || opset === undefined)
    return { kind: "refused", message: "it is not an ONNX model", next: "give the .onnx file that an exporter wrote" };
  const nodes = graph.node.map(nodeOf);
  if (!areInOrder(nodes))
    return {
      kind: "refused",
      message: "its nodes are in no order in which they can run",
      next: "see what onnx.checker.check_model says of it, and export it again",
    };
  const constants = new Map((graph.initializer ?? []).map((tensor) => [tensor.name ?? "", tensor]));
  for (const node of nodes) {
    const value = node.opType === "Constant" ? node.attribute.find(({ name }) => name === "value")?.t : undefined;
    if (value) constants.set(node.output[0] ?? "", { ...value, name: node.output[0] ?? "" });
  }
  for (const tensor of constants.values())
    if (tensor.dataLocation === onnx.TensorProto.DataLocation.EXTERNAL)
      return {
        kind: "refused",
        message: `its weights are in another file (external data, "${tensor.name}")`,
        next: "save it as one file: onnx.save_model(model, file, save_as_external_data=False)",
      };
  return {
    kind: "ok",
    graph: {
      opset,
      otherOpsets: imports.filter(({ domain }) => domain !== ""),
      nodes: nodes.filter((node) => !constants.has(node.output[0] ?? "")),
      constants,
      inputs: (graph.input ?? []).map(onnxValueOf).filter(({ name }) => !constants.has(name)),
      outputs: graph.output.map(onnxValueOf),
      functions: model?.functions ?? [],
    },
  };
}

/** Whether each result is made before it is read, as ONNX wants it. Where not, a walk from a result to what it follows from may never end. */
function areInOrder(nodes: readonly OnnxNode[]): boolean {
  const read = new Set<string>();
  for (const { input, output } of nodes) {
    for (const name of input) if (name !== "") read.add(name);
    if (output.some((name) => read.has(name))) return false;
  }
  return true;
}

/** Every name a node reads, those that its branches and loop bodies take from around them included. */
export function namesRead(node: OnnxNode): readonly string[] {
  const nested = node.attribute.flatMap(({ g, graphs }) => [...(g ? [g] : []), ...(graphs ?? [])]);
  const inner = nested.flatMap(({ node: own, output }) => [
    ...(own ?? []).map(nodeOf).flatMap(namesRead),
    ...(output ?? []).map(({ name }) => name ?? ""),
  ]);
  return [...node.input, ...inner].filter((name) => name !== "");
}

/** A whole-number attribute, as in `axis`; undefined where it is not given. */
export function integerAttribute(node: OnnxNode, name: string): number | undefined {
  const value = node.attribute.find((each) => each.name === name)?.i;
  return value === undefined || value === null ? undefined : Number(value);
}

export function floatAttribute(node: OnnxNode, name: string): number | undefined {
  return node.attribute.find((each) => each.name === name)?.f ?? undefined;
}

export type AttributeValue = number | string | readonly number[];

/** Undefined for an attribute that holds a tensor, a graph, or many of them. */
export function attributeValue(attribute: KeptAttribute): AttributeValue | undefined {
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
      return undefined;
  }
}

export interface FloatTensor {
  readonly dims: readonly number[];
  readonly values: Float32Array;
}

/** undefined for a tensor that is not float32, or whose data do not fill its shape. */
export function floatsOf(tensor: KeptTensor): FloatTensor | undefined {
  if (tensor.dataType !== onnx.TensorProto.DataType.FLOAT) return undefined;
  const dims = dimsOf(tensor);
  const { rawData } = tensor;
  if (rawData && rawData.length % Float32Array.BYTES_PER_ELEMENT !== 0) return undefined;
  const values = rawData?.length
    ? new Float32Array(Uint8Array.from(rawData).buffer)
    : Float32Array.from(tensor.floatData ?? []);
  return values.length === dims.reduce((size, dim) => size * dim, 1) ? { dims, values } : undefined;
}

/** undefined for a tensor that is not int64, or whose bytes are no whole numbers of it. */
export function integersOf(tensor: KeptTensor): readonly number[] | undefined {
  const { dataType, rawData } = tensor;
  if (dataType !== onnx.TensorProto.DataType.INT64) return undefined;
  if (!rawData?.length) return (tensor.int64Data ?? []).map(Number);
  if (rawData.length % BigInt64Array.BYTES_PER_ELEMENT !== 0) return undefined;
  return Array.from(new BigInt64Array(Uint8Array.from(rawData).buffer), Number);
}

/** A tensor of the same name with other whole numbers. */
export function withIntegers(name: string, values: readonly number[]): KeptTensor {
  return {
    name,
    dims: [values.length],
    dataType: onnx.TensorProto.DataType.INT64,
    rawData: bytesOf(BigInt64Array.from(values, BigInt)),
  };
}

export type Attribute = number | { readonly float: number } | readonly number[];
/** "N" is the free batch dimension; null says nothing about the shape. */
export type Shape = readonly (number | "N")[] | null;

/** In front of every name that is made here. */
export const ownPrefix = "driftmend/";

/** Collects nodes and constants; names every result that it makes itself with a prefix no exporter uses. */
export class GraphWriter {
  readonly #nodes: OnnxNode[] = [];
  readonly #renamed = new Map<string, string>();
  readonly #constants: KeptTensor[] = [];
  #results = 0;

  /** Operations are written as this opset spells them. */
  constructor(readonly opset = 13) {}

  /** Adds one operation and returns the names of its results: `results` many new ones, or those given. */
  add(
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
    results: number | readonly string[] = 1,
  ): string[] {
    const output =
      typeof results === "number"
        ? Array.from({ length: results }, () => `${ownPrefix}${op.toLowerCase()}${this.#results++}`)
        : [...results];
    const attribute = Object.entries(attributes).map(([name, value]) => attributeOf(name, value));
    this.#nodes.push({ opType: op, domain: "", input: inputs, output, name: output[0] ?? op, attribute });
    return output;
  }

  one(op: string, inputs: readonly string[], attributes: Readonly<Record<string, Attribute>> = {}): string {
    return this.add(op, inputs, attributes)[0] ?? "";
  }

  /** A node of another graph, as it is. */
  keep(node: OnnxNode): void {
    this.#nodes.push(node);
  }

  keepConstant(tensor: KeptTensor): void {
    this.#constants.push(tensor);
  }

  floats(name: string, values: Float32Array, dims: readonly number[]): string {
    const { FLOAT } = onnx.TensorProto.DataType;
    this.#constants.push({ name: `${ownPrefix}${name}`, dims: [...dims], dataType: FLOAT, rawData: bytesOf(values) });
    return `${ownPrefix}${name}`;
  }

  integers(name: string, values: readonly number[]): string {
    this.#constants.push(withIntegers(`${ownPrefix}${name}`, values));
    return `${ownPrefix}${name}`;
  }

  /** Gives a result the name of an output. */
  name(result: string, output: string): void {
    this.#renamed.set(result, output);
  }

  /** The model's bytes. `origin` brings along what its kept nodes need beside the graph. */
  finish(
    name: string,
    inputs: Readonly<Record<string, Shape>>,
    outputs: Readonly<Record<string, Shape>>,
    origin: Pick<OnnxGraph, "otherOpsets" | "functions"> = { otherOpsets: [], functions: [] },
  ): Uint8Array {
    const renamed = (names: readonly string[]) => names.map((result) => this.#renamed.get(result) ?? result);
    const node = this.#nodes.map((step) => ({
      ...step,
      attribute: [...step.attribute],
      input: renamed(step.input),
      output: renamed(step.output),
    }));
    return onnx.ModelProto.encode({
      // The version that came with the opset; below 8 local functions do not exist, and above nothing of ours changed.
      irVersion: this.opset > 20 ? 10 : this.opset > 18 ? 9 : 8,
      producerName: "driftmend",
      opsetImport: [{ domain: "", version: this.opset }, ...origin.otherOpsets],
      functions: [...origin.functions],
      graph: {
        name,
        node,
        initializer: this.#constants,
        input: Object.entries(inputs).map(([input, shape]) => valueInfo(input, shape)),
        output: Object.entries(outputs).map(([output, shape]) => valueInfo(output, shape)),
      },
    }).finish();
  }
}

/** Bytes of something else are read as nothing, or as a model without a graph. */
function decoded(bytes: Uint8Array): onnxProto.onnx.ModelProto | undefined {
  try {
    return onnx.ModelProto.decode(bytes);
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}

function nodeOf({ opType, domain, name, input, output, attribute }: onnxProto.onnx.INodeProto): OnnxNode {
  return {
    opType: opType ?? "",
    domain: domain === "ai.onnx" ? "" : (domain ?? ""),
    name: name ?? "",
    input: input ?? [],
    output: output ?? [],
    attribute: attribute ?? [],
  };
}

function onnxValueOf({ name, type }: onnxProto.onnx.IValueInfoProto): OnnxValue {
  const tensor = type?.tensorType;
  const dims = tensor?.shape?.dim?.map(({ dimValue, dimParam }) =>
    dimValue !== undefined && dimValue !== null && Number(dimValue) > 0 ? Number(dimValue) : dimParam || "?",
  );
  const { DataType } = onnx.TensorProto;
  const elementType = tensor ? (DataType[tensor.elemType ?? 0] ?? "UNDEFINED") : "not a tensor";
  return { name: name ?? "", isFloat32: tensor?.elemType === DataType.FLOAT, elementType, dims: dims ?? null };
}

export function dimsOf({ dims }: KeptTensor): readonly number[] {
  return (dims ?? []).map(Number);
}

function valueInfo(name: string, shape: Shape): onnxProto.onnx.IValueInfoProto {
  const dim = shape?.map((size) => (size === "N" ? { dimParam: "N" } : { dimValue: size }));
  const elemType = onnx.TensorProto.DataType.FLOAT;
  return { name, type: { tensorType: dim === undefined ? { elemType } : { elemType, shape: { dim } } } };
}

function attributeOf(name: string, value: Attribute): KeptAttribute {
  const { AttributeType } = onnx.AttributeProto;
  if (typeof value === "number") return { name, type: AttributeType.INT, i: value };
  if ("float" in value) return { name, type: AttributeType.FLOAT, f: value.float };
  return { name, type: AttributeType.INTS, ints: [...value] };
}

function bytesOf(values: Float32Array | BigInt64Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
