// A classifier's graph as two others: the serving graph, whose normalisation and head are inputs, and the source graph.
//
// Owns: what is kept, what is put in its place, the names of inputs and outputs. Does not own: what can adapt
// (models/survey.ts), which operations an adaptable layer becomes (models/adaptable-layer.ts).
//
// Serving graph: input [N, ...shape], scale [C], shift [C], head [width * classes + classes]
//             -> logits [N, classes], embedding [N, width], moments [N, 2C], density [N].
// Source graph:  input [N, ...shape] -> logits [N, classes].
//
// G1. At the source's normalisation and head both graphs give the same logits, up to rounding.
// G2. Nodes that do not adapt are kept as they are, in their order, and so are their constants.
import { affine, densityOf, logitsOf, momentsOf, parts } from "./adaptable-layer.js";
import { GraphWriter, namesRead, type OnnxGraph, type OnnxNode, ownPrefix, type Shape } from "./onnx-file.js";
import { type Norm, needOf } from "./survey.js";

/** What becomes of a classifier. */
export interface Plan {
  /** The one input, under the name it has in the graphs written. */
  readonly inputName: string;
  /** Without batch. */
  readonly shape: readonly number[];
  readonly classes: number;
  readonly width: number;
  /** The tensor in front of the head; or the logits themselves, where no head was found. */
  readonly embedding: string;
  readonly logits: string;
  /** In the order of their channels. Empty: one affine layer at the embedding stands in. */
  readonly layers: readonly AdaptableNorm[];
}

export interface AdaptableNorm {
  readonly norm: Norm;
  /** Of what is normalised: 2 is [N, channels]. */
  readonly rank: number;
}

/** Names that the serving graph gives its own inputs and outputs. */
const reserved = ["scale", "shift", "head", "logits", "embedding", "moments", "density"];

export function inputNameFor(name: string): string {
  return reserved.includes(name) ? "input" : name;
}

/** anchors [n >= 5, width], of unit length. */
export function servingGraph(source: OnnxGraph, plan: Plan, anchors: Float32Array): Uint8Array {
  const { inputName, shape, classes, width, layers } = plan;
  const graph = new GraphWriter(source.opset);
  const widths = layers.length === 0 ? [width] : layers.map(({ norm }) => norm.gamma.length);
  const channels = widths.reduce((sum, each) => sum + each, 0);
  const scales = parts(graph, "scale", widths);
  const shifts = parts(graph, "shift", widths);
  const layer = (i: number) => ({ scale: scales[i] ?? "", shift: shifts[i] ?? "", channels: widths[i] ?? 0 });
  const named = namer(source, plan);
  const sites = new Map(layers.map((each, i) => [each.norm.y, { ...each, ...layer(i) }]));
  const replaced = new Set(layers.flatMap(({ norm }) => norm.pool?.replaces ?? []));
  const moments: { first: string; second: string }[] = [];
  for (const node of keep(graph, source, plan, [plan.embedding])) {
    const y = node.output[0] ?? "";
    const site = sites.get(y);
    if (site !== undefined) moments.push(normalised(graph, site, named));
    else if (!replaced.has(y)) graph.keep(renamed(node, named));
  }
  let embedding = named(plan.embedding);
  if (layers.length === 0) {
    moments.push(momentsOf(graph, embedding, 2));
    const adapted = `${ownPrefix}adapted`;
    affine(graph, embedding, layer(0), adapted);
    embedding = adapted;
  }
  graph.name(embedding, "embedding");
  const both = [...moments.map(({ first }) => first), ...moments.map(({ second }) => second)];
  graph.name(graph.one("Concat", both, { axis: 1 }), "moments");
  graph.name(logitsOf(graph, embedding, width, classes), "logits");
  graph.name(densityOf(graph, embedding, anchors, width), "density");
  return graph.finish(
    "serving",
    { [inputName]: ["N", ...shape], scale: [channels], shift: [channels], head: [width * classes + classes] },
    { logits: ["N", classes], embedding: ["N", width], moments: ["N", 2 * channels], density: ["N"] },
    source,
  );
}

/** The classifier up to its logits. */
export function sourceGraph(source: OnnxGraph, plan: Plan): Uint8Array {
  return excerpt(source, plan, { [plan.logits]: "logits" });
}

/** The part of the classifier that some of its tensors need; each becomes an output of the given name. */
export function excerpt(
  source: OnnxGraph,
  plan: Pick<Plan, "inputName" | "shape">,
  outputs: Readonly<Record<string, string>>,
): Uint8Array {
  const graph = new GraphWriter(source.opset);
  const named = namer(source, plan);
  for (const node of keep(graph, source, plan, Object.keys(outputs))) graph.keep(renamed(node, named));
  // A tensor may be the input itself, which cannot be an output: each passes through a node of its own.
  for (const [tensor, output] of Object.entries(outputs)) graph.add("Identity", [named(tensor)], {}, [output]);
  const unknown: Record<string, Shape> = Object.fromEntries(Object.values(outputs).map((name) => [name, null]));
  return graph.finish("source", { [plan.inputName]: ["N", ...plan.shape] }, unknown, source);
}

/** The nodes needed for `tensors`; their constants are written here. */
function keep(graph: GraphWriter, source: OnnxGraph, plan: Pick<Plan, "inputName">, tensors: readonly string[]) {
  const named = namer(source, plan);
  const nodes = needOf(source, tensors);
  const read = new Set([...nodes.flatMap(namesRead), ...tensors]);
  for (const [name, tensor] of source.constants)
    if (read.has(name)) graph.keepConstant({ ...tensor, name: named(name) });
  return nodes;
}

/** Moves the source's names out of the way of those written here; a graph that was written here has them, too. */
function namer(source: OnnxGraph, plan: Pick<Plan, "inputName">): (name: string) => string {
  const input = source.inputs[0]?.name;
  return (name) => {
    if (name === input) return plan.inputName;
    const taken = reserved.includes(name) || name === plan.inputName || name.startsWith(ownPrefix);
    return taken ? `source/${name}` : name;
  };
}

function renamed(node: OnnxNode, named: (name: string) => string): OnnxNode {
  return { ...node, name: named(node.name), input: node.input.map(named), output: node.output.map(named) };
}

type Site = AdaptableNorm & { readonly scale: string; readonly shift: string; readonly channels: number };

/** The layer in the place of its normalisation, and of ReLU and pool where they change places with it. */
function normalised(graph: GraphWriter, { norm, rank, ...layer }: Site, named: (name: string) => string) {
  const x = named(norm.x);
  const moments = momentsOf(graph, x, rank);
  const { pool } = norm;
  if (pool === null) {
    affine(graph, x, layer, named(norm.y));
    return moments;
  }
  const small = `${ownPrefix}pooled/${norm.y}`;
  graph.keep({ ...pool.node, name: small, input: [x], output: [small] });
  const result = named(pool.y);
  affine(graph, small, layer, pool.hasRelu ? `${ownPrefix}affine/${norm.y}` : result);
  if (pool.hasRelu) graph.add("Relu", [`${ownPrefix}affine/${norm.y}`], {}, [result]);
  return moments;
}
