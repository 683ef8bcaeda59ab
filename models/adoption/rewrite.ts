// A classifier's graph as two others: the serving graph, whose normalisation and head are inputs, and the source graph.
//
// Owns: what is kept, what is put in its place, the names of inputs and outputs. Does not own: what can adapt
// (models/adoption/survey.ts), which operations an adaptable layer becomes (models/adoption/adaptable-layer.ts).
//
// Serving graph: input [N, ...shape], signatures [S, domains], limits [domains], table [domains + 1, 2C],
//                head [width * classes + classes]
//             -> logits [N, classes], embedding [N, width], moments [N, 2C], density [N], domain [N].
// Each row finds its domain by what its first layer says, and takes its normalisation from that domain's row of the table.
// Source graph:  input [N, ...shape] -> logits [N, classes].
//
// G1. At the source's normalisation and head both graphs give the same logits, up to rounding.
// G2. Nodes that do not adapt are kept as they are, in their order, and so are their constants.

import { domainsMax } from "../adaptation/domains.js";
import type { Calibration } from "../calibration.js";
import { GraphWriter, namesRead, type OnnxGraph, type OnnxNode, ownPrefix, type Shape } from "../onnx-file.js";
import { affine, densityOf, domainParameters, type LayerParameters, logitsOf, momentsOf } from "./adaptable-layer.js";
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
const reserved = ["signatures", "limits", "table", "head", "logits", "embedding", "moments", "density", "domain"];

export function inputNameFor(name: string): string {
  return reserved.includes(name) ? "input" : name;
}

/** What of the calibration the graph holds. */
export type GraphLevels = Pick<Calibration, "anchors" | "signature">;

export function servingGraph(source: OnnxGraph, plan: Plan, { anchors, signature }: GraphLevels): Uint8Array {
  const { inputName, shape, classes, width, layers } = plan;
  const graph = new GraphWriter(source.opset);
  const widths = layers.length === 0 ? [width] : layers.map(({ norm }) => norm.gamma.length);
  const channels = widths.reduce((sum, each) => sum + each, 0);
  const named = namer(source, plan);
  const sites = new Map(layers.map((each, i) => [each.norm.y, { ...each, index: i }]));
  const replaced = new Set(layers.flatMap(({ norm }) => norm.pool?.replaces ?? []));
  const moments: { first: string; second: string }[] = [];
  let chosen: ReturnType<typeof domainParameters> | undefined;
  // The first layer's moments come before anything that adapts: they say what the rest is to be adapted to.
  const parametersOf = (layer: number): LayerParameters => {
    const [first] = moments;
    if (first === undefined) throw new Error("parameters are asked for before the first layer's moments are there");
    chosen ??= domainParameters(graph, first, signature, widths);
    return chosen.layers[layer] ?? { scale: "", shift: "" };
  };
  for (const node of keep(graph, source, plan, [plan.embedding])) {
    const y = node.output[0] ?? "";
    const site = sites.get(y);
    if (site !== undefined) normalised(graph, site, moments, parametersOf, named);
    else if (!replaced.has(y)) graph.keep(renamed(node, named));
  }
  let embedding = named(plan.embedding);
  if (layers.length === 0) {
    moments.push(momentsOf(graph, embedding, 2));
    const adapted = `${ownPrefix}adapted`;
    affine(graph, embedding, parametersOf(0), 2, adapted);
    embedding = adapted;
  }
  graph.name(embedding, "embedding");
  graph.name(logitsOf(graph, embedding, width, classes), "logits");
  graph.name(densityOf(graph, embedding, anchors, width), "density");
  if (chosen !== undefined) graph.name(chosen.domain, "domain");
  // Last: ONNX Runtime computes the results that were added last before the others, here while the pooled values are at hand (5 % of a run).
  const both = [...moments.map(({ first }) => first), ...moments.map(({ second }) => second)];
  graph.name(graph.one("Concat", both, { axis: 1 }), "moments");
  return graph.finish(
    "serving",
    {
      [inputName]: ["N", ...shape],
      signatures: [signature.size, domainsMax],
      limits: [domainsMax],
      table: [domainsMax + 1, 2 * channels],
      head: [width * classes + classes],
    },
    { logits: ["N", classes], embedding: ["N", width], moments: ["N", 2 * channels], density: ["N"], domain: ["N"] },
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

type Site = AdaptableNorm & { readonly index: number };

/**
 * The layer in the place of its normalisation, and of ReLU and pool where they change places with it. Then its moments are those of the pooled
 * values: what scales and shifts the values before the pool scales and shifts them, so both ask for the same scale and shift.
 */
function normalised(
  graph: GraphWriter,
  { norm, rank, index }: Site,
  moments: { first: string; second: string }[],
  parametersOf: (layer: number) => LayerParameters,
  named: (name: string) => string,
): void {
  const x = named(norm.x);
  const { pool } = norm;
  if (pool === null) {
    moments.push(momentsOf(graph, x, rank));
    affine(graph, x, parametersOf(index), rank, named(norm.y));
    return;
  }
  const small = `${ownPrefix}pooled/${norm.y}`;
  graph.keep({ ...pool.node, name: small, input: [x], output: [small] });
  moments.push(momentsOf(graph, small, rank));
  const result = named(pool.y);
  affine(graph, small, parametersOf(index), rank, pool.hasRelu ? `${ownPrefix}affine/${norm.y}` : result);
  if (pool.hasRelu) graph.add("Relu", [`${ownPrefix}affine/${norm.y}`], {}, [result]);
}
