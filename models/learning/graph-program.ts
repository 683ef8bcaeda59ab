// An ONNX graph as a TensorFlow.js computation: what ONNX Runtime answers, with gradients.
//
// Owns: the order of evaluation, the layout of pictures, what may be put in the place of a graph's own values.
// Does not own: the operations (graph-operations.ts), backends and turns (tensorflow.ts), what is differentiated (whoever asks).
//
// P1. A value is computed when somebody asks for it, once in an evaluation: what nobody needs costs nothing.
// P2. Values of rank 4 are held channels-last, as TensorFlow.js wants them; `evaluate` gives and takes them as ONNX has them.
// P3. Evaluations make tensors and dispose of none: they belong inside a `tidy`. The constants stay until `close`.
import { operations } from "./graph-operations.js";
import { type GraphConstant, GraphError, type GraphNode, type ProgramGraph } from "./graph-reading.js";
import type { Tensor, Tensorflow } from "./tensorflow.js";

/** The value of a name in this evaluation. */
export type Values = (name: string) => Tensor;
/** A value, or how it follows from others of the same evaluation. */
export type Bound = Tensor | ((values: Values) => Tensor);

export class GraphProgram {
  readonly graph: ProgramGraph;
  readonly #tf: Tensorflow;
  readonly #makers = new Map<string, { readonly node: GraphNode; readonly place: number }>();
  readonly #constants = new Map<string, Tensor>();

  /** Throws GraphError where the graph holds an operation that is not known. */
  constructor(tf: Tensorflow, graph: ProgramGraph) {
    this.graph = graph;
    this.#tf = tf;
    for (const node of graph.nodes) {
      if (operations[node.op] === undefined) throw new GraphError(`the operation ${node.op} is not known here`);
      for (const [place, output] of node.outputs.entries()) this.#makers.set(output, { node, place });
    }
  }

  /** `bound` gives the graph's inputs, and may give any other name a value instead of the graph's own. */
  evaluate(bound: ReadonlyMap<string, Bound>): Values {
    const known = new Map<string, Tensor>();
    const held: Values = (name) => {
      const value = known.get(name) ?? this.#compute(name, bound, known, held, outside);
      known.set(name, value);
      return value;
    };
    const outside: Values = (name) => channelsFirst(held(name));
    return outside;
  }

  close(): void {
    for (const constant of this.#constants.values()) constant.dispose();
    this.#constants.clear();
  }

  #compute(
    name: string,
    bound: ReadonlyMap<string, Bound>,
    known: Map<string, Tensor>,
    held: Values,
    outside: Values,
  ): Tensor {
    const given = bound.get(name);
    if (given !== undefined) return channelsLast(typeof given === "function" ? given(outside) : given);
    const constant = this.graph.constants.get(name);
    if (constant !== undefined) return this.#constant(name, constant);
    const maker = this.#makers.get(name);
    if (maker === undefined) throw new GraphError(`nothing gives "${name}"`);
    const { node, place } = maker;
    const inputs = node.inputs.map((input) => (input === "" || this.#isInteger(input) ? undefined : held(input)));
    const integers = (input: number): readonly number[] | undefined => {
      const found = this.graph.constants.get(node.inputs[input] ?? "")?.values;
      return found === undefined ? undefined : [...found];
    };
    const outputs = operations[node.op]?.({ tf: this.#tf, node, inputs, integers }) ?? [];
    for (const [i, output] of node.outputs.entries()) {
      const value = outputs[i];
      if (value !== undefined && !known.has(output)) known.set(output, value);
    }
    const own = outputs[place];
    if (own === undefined) throw new GraphError(`${node.op} gives no output ${place} here ("${name}")`);
    return own;
  }

  #isInteger(name: string): boolean {
    return this.graph.constants.get(name)?.values instanceof Int32Array;
  }

  /** Kernels of convolutions [out, in, h, w] are held as [h, w, in, out]; other constants of rank 4 as values are. */
  #constant(name: string, { dims, values }: GraphConstant): Tensor {
    const kept = this.#constants.get(name);
    if (kept !== undefined) return kept;
    const isKernel = this.graph.nodes.some((node) => node.op === "Conv" && node.inputs[1] === name);
    const made = this.#tf.tidy(() => {
      const plain = this.#tf.tensor(values, [...dims], "float32");
      return isKernel ? plain.transpose([2, 3, 1, 0]) : channelsLast(plain);
    });
    this.#constants.set(name, this.#tf.keep(made));
    return made;
  }
}

function channelsLast(value: Tensor): Tensor {
  return value.rank === 4 ? value.transpose([0, 2, 3, 1]) : value;
}

function channelsFirst(value: Tensor): Tensor {
  return value.rank === 4 ? value.transpose([0, 3, 1, 2]) : value;
}
