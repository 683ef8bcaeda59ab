// Taking in a small model in a test: with the same labels each time, and opened as the cluster would open it.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { sourceParameters } from "../../models/adaptation/adaptation.js";
import { sourceNormalisation } from "../../models/adaptation/domains.js";
import { graphOf } from "../../models/adaptation/pass.js";
import { type Adopted, adopt } from "../../models/adoption/adopt.js";
import { type NormWeights, trainedGraph } from "../../models/adoption/graph.js";
import type { CleanRows } from "../../models/adoption/inspect.js";
import { readCalibration } from "../../models/calibration.js";
import { convolutions, features, width } from "../../models/digits/network.js";
import { parseManifest } from "../../models/manifest.js";
import { floatsOf, ownPrefix, readOnnx } from "../../models/onnx-file.js";
import { openAdaptableSession } from "../../models/serving/onnx-session.js";
import { digitsFolder } from "./digits-model.js";
import { labels } from "./small-classifiers.js";

export const picture = [1, 8, 8];
export const adoption = { name: "small", labels, accepts: [{ dt: "<f4", scale: 1 }], range: [-99, 99] } as const;
export const unheard = (): void => undefined;

export async function adopted(bytes: Uint8Array, rows: CleanRows): Promise<Adopted> {
  const result = await adopt(bytes, rows, adoption, unheard);
  if (result.kind !== "adopted") throw new Error(JSON.stringify(result));
  return result;
}

export async function refusal(bytes: Uint8Array, rows: CleanRows): Promise<string> {
  const result = await adopt(bytes, rows, adoption, unheard);
  return result.kind === "refused" ? `${result.message} -> ${result.next}` : "adopted";
}

export function fileOf({ files }: Adopted, name: string): Uint8Array {
  const bytes = files[name];
  if (bytes === undefined) throw new Error(`no ${name}`);
  return bytes;
}

/** The model as the cluster would open it, from the bytes of its folder. */
export async function opened(model: Adopted) {
  const manifest = parseManifest(new TextDecoder().decode(fileOf(model, "manifest.json")));
  const calibration = readCalibration(fileOf(model, "calibration.bin"));
  const session = await openAdaptableSession(fileOf(model, "model.onnx"), graphOf({ manifest, calibration }));
  const source = { ...sourceNormalisation(calibration), ...sourceParameters({ manifest, calibration }) };
  return { manifest, calibration, session, source };
}

export const worst = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] ?? Number.NaN))), a.length === b.length ? 0 : 1);

/**
 * The shipped digits as an exporter would have written them that folds nothing: their folded weights, and normalisation that adds the bias. What
 * is normalised, and around what, is measured anew when it is taken in.
 */
export async function trainedDigits(): Promise<Uint8Array> {
  const read = readOnnx(await readFile(join(digitsFolder, "source.onnx")));
  if (read.kind === "refused") throw new Error(read.message);
  const { constants } = read.graph;
  const floats = (name: string): Float32Array => {
    const tensor = constants.get(`${ownPrefix}${name}`);
    const found = tensor === undefined ? undefined : floatsOf(tensor);
    if (found === undefined) throw new Error(`no ${name} among ${[...constants.keys()].join(", ")}`);
    return found.values;
  };
  const eps = 1e-5;
  const norm = (name: string): NormWeights => {
    const beta = floats(`bias/${name}`);
    const of = (value: number) => new Float32Array(beta.length).fill(value);
    return { gamma: of(1), beta, mean: of(0), variance: of(1 - eps) };
  };
  return trainedGraph({
    inputName: "input",
    shape: [1, 28, 28],
    eps,
    width,
    classes: 10,
    convolutions: convolutions.map(([inputs, channels], i) => {
      const name = `convolution${i + 1}`;
      return { inputs, channels, weight: floats(name), norm: norm(name) };
    }),
    linear: { features, weight: floats("embedding"), norm: norm("embedding") },
    head: Float32Array.from([...floats("head"), ...floats("headBias")]),
  });
}
