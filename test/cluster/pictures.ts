// Digits for tests of the whole: real ones from the test part, sorted by how sure the untouched model is of them.

import { seededRandom } from "../../models/clock.js";
import { softmax } from "../../models/numbers/softmax.js";
import { openSession } from "../../models/serving/onnx-session.js";
import { drawDigit, loadDigitPool } from "../../sim/digits.js";
import { driftingStream } from "../../sim/stream.js";
import type { Tensor } from "../../transport/messages/codec.js";
import { model } from "./running.js";

export interface Picture {
  readonly ink: Float32Array;
  readonly label: number;
  /** What the source model says in this process: the reference of every cold answer. */
  readonly source: { readonly answer: number; readonly confidence: number };
}

const pool = await loadDigitPool();
const session = await openSession(model.sourceBytes);

export function tensorOf(ink: Float32Array): Tensor {
  return { dt: "<f4", sh: [1, 28, 28], data: ink };
}

async function judged(ink: Float32Array, label: number): Promise<Picture> {
  const shares = softmax(await session.run(ink, 1));
  const confidence = Math.max(...shares);
  return { ink, label, source: { answer: shares.indexOf(confidence), confidence } };
}

/** Clean digits, as they come. */
export async function someDigits(count: number, seed = 1): Promise<Picture[]> {
  const random = seededRandom(seed);
  const pictures: Picture[] = [];
  for (let index = 0; index < count; index += 1) {
    const { picture, label } = drawDigit(pool, random);
    pictures.push(await judged(picture, label));
  }
  return pictures;
}

/** Clean digits that the source model is nearly certain of: far above the gate, also after some adaptation. */
export async function easyDigits(count: number): Promise<Picture[]> {
  return chosen(
    count,
    (ink) => ink,
    ({ source, label }) => source.confidence > 0.9999 && source.answer === label,
  );
}

/** Two digits on top of each other, of which the source model makes nothing: far below the gate, and adaptation makes no more of them. */
export async function hardDigits(count: number): Promise<Picture[]> {
  const random = seededRandom(99);
  return chosen(
    count,
    (ink) => {
      const other = drawDigit(pool, random).picture;
      return ink.map((value, i) => Math.max(value, other[i] ?? 0));
    },
    ({ source }) => source.confidence < 0.4,
  );
}

async function chosen(
  count: number,
  change: (ink: Float32Array) => Float32Array,
  wanted: (picture: Picture) => boolean,
): Promise<Picture[]> {
  const random = seededRandom(17);
  const pictures: Picture[] = [];
  for (let tries = 0; pictures.length < count && tries < 20_000; tries += 1) {
    const { picture, label } = drawDigit(pool, random);
    const made = await judged(change(picture), label);
    if (wanted(made)) pictures.push(made);
  }
  if (pictures.length < count) throw new Error(`only ${pictures.length} of ${count} digits found`);
  return pictures;
}

/** The demo's stream. */
export function driftingDigits(seed: number): ReturnType<typeof driftingStream> {
  return driftingStream({ pool, seed, variant: "iid" });
}
