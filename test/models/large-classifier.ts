// A classifier that takes a large picture: a small one behind an average over tiles, taken in as any other model is.
//
// The small classifier is adopted with small rows. Then both of its graphs get the average in front, and the manifest the large shape: what the
// large model says of a picture is what the small one says of its tiles' means.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import onnxProto from "onnx-proto";
import { type Adopted, adopt, refOf, writeModelFolder } from "../../models/adoption/adopt.js";
import { parseManifest } from "../../models/manifest.js";
import { argmax, at, softmax } from "../../models/numbers/softmax.js";
import { openAnySession } from "../../models/serving/onnx-session.js";
import { clusteredRows, labels, pictureClassifier } from "./small-classifiers.js";

const { onnx } = onnxProto;

/** The small picture is this high and wide. */
const side = 8;

export interface LargeClassifier {
  readonly folder: string;
  readonly shape: readonly number[];
  /** The picture that consists of tiles of a clean small one; `row` chooses which. */
  picture(row: number): Float32Array;
  /** What the source model says of it, in this process. */
  answer(picture: Float32Array): Promise<{ readonly index: number; readonly confidence: number }>;
}

/** `tile` x `tile` elements of the picture are one of the small classifier's: 640 makes 100 MiB. */
export async function largeClassifier(folder: string, tile: number): Promise<LargeClassifier> {
  const bytes = pictureClassifier();
  const rows = await clusteredRows(bytes, [1, side, side]);
  const adoption = {
    name: "large",
    labels,
    accepts: [
      { dt: "<f4", scale: 1 },
      { dt: "|i1", scale: 1 / 32 },
    ],
    range: [-99, 99],
  } as const;
  const adopted = await adopt(bytes, rows, adoption, () => undefined);
  if (adopted.kind !== "adopted") throw new Error(JSON.stringify(adopted));
  await writeModelFolder(folder, enlarged(adopted, tile));
  const shape = [1, side * tile, side * tile];
  return {
    folder,
    shape,
    picture: (row) => tiled(rows.values.subarray(row * side * side, (row + 1) * side * side), tile),
    answer: async (picture) => {
      const session = await openAnySession(await readFile(join(folder, "source.onnx")));
      const [output] = await session.run(picture, [1, ...shape], ["logits"]);
      await session.close();
      const shares = softmax(output?.data ?? new Float32Array());
      const index = argmax(shares);
      return { index, confidence: at(shares, index) };
    },
  };
}

function enlarged({ files }: Adopted, tile: number): Adopted["files"] {
  const model = averaged(files["model.onnx"], tile);
  const source = averaged(files["source.onnx"], tile);
  const manifest = parseManifest(new TextDecoder().decode(files["manifest.json"]));
  const large = {
    ...manifest,
    input: { ...manifest.input, shape: [1, side * tile, side * tile] },
    files: { ...manifest.files, model: refOf("model.onnx", model), source: refOf("source.onnx", source) },
  };
  const text = new TextEncoder().encode(JSON.stringify(large));
  return { ...files, "model.onnx": model, "source.onnx": source, "manifest.json": text };
}

/** The graph behind an average over tiles. */
function averaged(bytes: Uint8Array | undefined, tile: number): Uint8Array {
  const model = onnx.ModelProto.decode(bytes ?? new Uint8Array());
  const { graph } = model;
  if (graph?.node == null || graph.input == null) throw new Error("no graph");
  for (const node of graph.node) node.input = node.input?.map((name) => (name === "input" ? "tiles" : name)) ?? [];
  const ints = (name: string) => ({ name, type: onnx.AttributeProto.AttributeType.INTS, ints: [tile, tile] });
  graph.node.unshift(
    onnx.NodeProto.create({
      opType: "AveragePool",
      input: ["input"],
      output: ["tiles"],
      attribute: [ints("kernel_shape"), ints("strides")],
    }),
  );
  const dims = graph.input.find(({ name }) => name === "input")?.type?.tensorType?.shape?.dim ?? [];
  for (const dim of dims.slice(-2)) dim.dimValue = side * tile;
  return onnx.ModelProto.encode(model).finish();
}

function tiled(small: Float32Array, tile: number): Float32Array {
  const wide = side * tile;
  const large = new Float32Array(wide * wide);
  for (let row = 0; row < side; row++) {
    const line = large.subarray(row * tile * wide, row * tile * wide + wide);
    for (let column = 0; column < side; column++)
      line.fill(small[row * side + column] ?? 0, column * tile, (column + 1) * tile);
    for (let copy = 1; copy < tile; copy++) large.set(line, (row * tile + copy) * wide);
  }
  return large;
}
