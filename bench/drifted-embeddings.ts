// What a memory is filled with here: embeddings of drifting digits, as the serving graph gives them.
import { sourceParameters } from "../models/adaptation/adaptation.js";
import { pictureSize } from "../models/digits/idx.js";
import type { Model } from "../models/manifest.js";
import type { MemoryRows } from "../models/memory/memory-rows.js";
import { loadDigitPool } from "../sim/digits.js";
import { driftingStream } from "../sim/stream.js";
import { openGraphs } from "./onnx-floor.js";

const rowsPerRun = 16;
/** As many as enter from one full micro-batch (models/settings.ts, `rememberedPerRecord`). */
export const rowsPerRecord = 8;

/** [count, width], at the source's normalisation; the same on every machine. */
export async function driftedEmbeddings(model: Model, count: number): Promise<Float32Array> {
  const { width } = model.calibration;
  const { adaptable, close } = await openGraphs(model);
  const parameters = sourceParameters(model);
  const stream = driftingStream({ pool: await loadDigitPool(), seed: 1, variant: "mixed" });
  const embeddings = new Float32Array(count * width);
  for (let row = 0; row < count; row += rowsPerRun) {
    const rows = Math.min(rowsPerRun, count - row);
    const input = new Float32Array(rows * pictureSize);
    for (let i = 0; i < rows; i += 1) input.set(stream.next().value.picture, i * pictureSize);
    embeddings.set((await adaptable.run(input, rows, parameters)).embeddings, row * width);
  }
  await close();
  return embeddings;
}

/** Record `seq` of a log whose every record remembers 8 rows; its embeddings are a copy, which the memory may have. */
export function recordOf(embeddings: Float32Array, width: number, seq: number): MemoryRows {
  const start = seq * rowsPerRecord * width;
  const own = embeddings.slice(start, start + rowsPerRecord * width);
  const rows = own.length / width;
  return {
    seq,
    atMs: seq,
    rows,
    indexes: Uint16Array.from({ length: rows }, (_, row) => row),
    embeddings: own,
    answers: new Uint16Array(rows),
    confidences: new Float32Array(rows).fill(0.5),
    priorities: new Float32Array(rows).fill(0.5),
  };
}
