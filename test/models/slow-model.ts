// The digits model made slow: the same graph behind a long chain of matrix products that changes nothing, so that a run spends its time
// in native code, as a large model does.

import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import onnxProto from "onnx-proto";
import { sourceParameters } from "../../models/adaptation/adaptation.js";
import { graphOf } from "../../models/adaptation/pass.js";
import { loadModel, type Model, sha256 } from "../../models/manifest.js";
import { openAdaptableSession } from "../../models/serving/onnx-session.js";
import { systemClock } from "../../supervision/clock.js";
import { digitsFolder } from "./digits-model.js";

const { onnx } = onnxProto;
const side = 512;
const float = 1;

/** A folder like the digits', whose runs take `links` products of 512 x 512 longer. */
export async function slowModelFolder(links: number): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "driftmend-slow-"));
  await cp(digitsFolder, folder, { recursive: true });
  const manifestFile = join(folder, "manifest.json");
  const manifest = JSON.parse(await readFile(manifestFile, "utf8"));
  const bytes = slowed(await readFile(join(digitsFolder, "model.onnx")), manifest.input.name, links);
  await writeFile(join(folder, "model.onnx"), bytes);
  manifest.files.model = { file: "model.onnx", sha256: sha256(bytes), bytes: bytes.length };
  await writeFile(manifestFile, JSON.stringify(manifest));
  return folder;
}

const probeLinks = 10;
/** The process computes for other tests too: the least disturbed of so many says what a run takes. */
const probes = 5;

/** One of which a run takes `ms` of a core of this machine, however busy that is: more or less, and longer on the clock. */
export async function modelTaking(ms: number): Promise<string> {
  const probe = await slowModelFolder(probeLinks);
  const perLink = (await coreMs(await loadModel(probe))) / probeLinks;
  await rm(probe, { recursive: true, force: true });
  return slowModelFolder(Math.max(1, Math.round(ms / perLink)));
}

async function coreMs(model: Model): Promise<number> {
  const session = await openAdaptableSession(model.modelBytes, graphOf(model));
  await session.warmUp();
  let leastMs = Number.POSITIVE_INFINITY;
  for (let probe = 0; probe < probes; probe += 1) {
    const [before, beganAtMs] = [process.cpuUsage(), systemClock.monotonicMs()];
    await session.run(new Float32Array(784), 1, sourceParameters(model));
    const { user, system } = process.cpuUsage(before);
    leastMs = Math.min(leastMs, (user + system) / 1_000, systemClock.monotonicMs() - beganAtMs);
  }
  await session.close();
  return leastMs;
}

/** input + 0 * mean(input) * I * I * ... in place of the input. The mean keeps the chain from being computed once and for all. */
function slowed(bytes: Uint8Array, inputName: string, links: number): Uint8Array {
  const model = onnx.ModelProto.decode(bytes);
  const { graph } = model;
  if (graph === null || graph === undefined) throw new Error("the model has no graph");
  for (const node of graph.node ?? [])
    node.input = (node.input ?? []).map((name) => (name === inputName ? "late_input" : name));
  const matrix = new Float32Array(side * side);
  for (let i = 0; i < side; i += 1) matrix[i * side + i] = 1;
  const tensor = (name: string, values: Float32Array, dims: readonly number[]) =>
    onnx.TensorProto.create({ name, dims: [...dims], dataType: float, rawData: new Uint8Array(values.buffer) });
  graph.initializer = [
    ...(graph.initializer ?? []),
    tensor("slow_matrix", matrix, [side, side]),
    tensor("slow_nothing", new Float32Array(1), [1]),
  ];
  const node = (opType: string, input: readonly string[], output: string) =>
    onnx.NodeProto.create({ opType, input: [...input], output: [output], name: output });
  const flat = onnx.NodeProto.create({
    opType: "ReduceMean",
    input: [inputName],
    output: ["slow_mean"],
    name: "slow_mean",
    attribute: [onnx.AttributeProto.create({ name: "keepdims", type: 2, i: 0 })],
  });
  const chain = Array.from({ length: links }, (_, link) =>
    node("MatMul", [link === 0 ? "slow_start" : `slow_${link - 1}`, "slow_matrix"], `slow_${link}`),
  );
  const last = onnx.NodeProto.create({
    opType: "ReduceMean",
    input: [`slow_${links - 1}`],
    output: ["slow_end"],
    name: "slow_end",
    attribute: [onnx.AttributeProto.create({ name: "keepdims", type: 2, i: 0 })],
  });
  graph.node = [
    flat,
    node("Add", ["slow_matrix", "slow_mean"], "slow_start"),
    ...chain,
    last,
    node("Mul", ["slow_end", "slow_nothing"], "slow_zero"),
    node("Add", [inputName, "slow_zero"], "late_input"),
    ...(graph.node ?? []),
  ];
  return onnx.ModelProto.encode(model).finish();
}
