// A model small enough to reason about: 3 classes, embeddings 8 wide, 4 channels; everything from one seed.
//
// Class c lies around the axes 2c and 2c + 1; the source head reads those axes. Nothing here is a mock: calibration and
// records have the shapes of the real ones and go through the production code.

import { kindsOf } from "../../models/adaptation/standing.js";
import type { Calibration, SignatureBasis } from "../../models/calibration.js";
import { unitRows } from "../../models/calibration.js";
import { type Random, seededRandom } from "../../models/clock.js";
import {
  type ExperienceBatch,
  type LateLabel,
  noLooks,
  type Position,
  type UpdateTask,
} from "../../models/experience.js";
import type { Subject } from "../../models/manifest.js";
import { roundedToHalves } from "../../models/numbers/half.js";
import { argmax, headLogits, softmax } from "../../models/numbers/softmax.js";
import { defaults, type LearningSettings } from "../../models/settings.js";

export const classes = 3;
export const width = 8;
export const channels = 4;

export function embeddingOf(label: number, random: Random, spread = 0.3): Float32Array {
  return Float32Array.from({ length: width }, (_, axis) => {
    const centre = Math.floor(axis / 2) === label ? 1 : 0;
    return Math.max(0, centre + spread * (2 * random() - 1));
  });
}

export function smallCalibration(): Calibration {
  const random = seededRandom(11);
  const anchorCount = 60;
  const anchorLabels = Uint8Array.from({ length: anchorCount }, (_, i) => i % classes);
  const anchorEmbeddings = new Float32Array(anchorCount * width);
  for (const [i, label] of anchorLabels.entries()) anchorEmbeddings.set(embeddingOf(label, random), i * width);
  return {
    channels,
    firstLayerChannels: 2,
    classes,
    width,
    mean: new Float32Array(channels),
    variance: new Float32Array(channels).fill(1),
    gamma: new Float32Array(channels).fill(1),
    beta: new Float32Array(channels),
    eps: 1e-5,
    classMean: new Float32Array(classes * channels),
    classSquare: new Float32Array(classes * channels).fill(1),
    anchors: unitRows(anchorEmbeddings, width),
    anchorLabels,
    anchorCount,
    anchorEmbeddings,
    density: { mean: 0.95, deviation: 0.02, low: 0.9, high: 0.94 },
    momentDistance99: 0.5,
    signature: smallSignature(),
    head: sourceHead(),
  };
}

/** Signatures are the first layer's means and root mean squares themselves; of moments drawn from 0..1 about half are near home. */
function smallSignature(): SignatureBasis {
  const whitener = new Float32Array(16);
  for (let i = 0; i < 4; i++) whitener[i * 4 + i] = 1;
  return { size: 4, mean: Float32Array.of(0.5, 0.5, 0.667, 0.667), whitener, limit: 0.25 };
}

function sourceHead(): Float32Array {
  const head = new Float32Array((width + 1) * classes);
  for (let label = 0; label < classes; label++) {
    head[2 * label * classes + label] = 3;
    head[(2 * label + 1) * classes + label] = 3;
  }
  return head;
}

export function smallSubject(overrides: Partial<LearningSettings> = {}, name = "small"): Subject {
  const file = { file: "model.onnx", sha256: "ab".repeat(32), bytes: 1 };
  return {
    calibration: smallCalibration(),
    manifest: {
      v: 1,
      name,
      labels: ["a", "b", "c"],
      input: { name: "input", shape: [2], accepts: [{ dt: "<f4", scale: 1 }], range: [0, 1] },
      embeddingWidth: width,
      layers: [{ name: "only", channels }],
      views: [],
      files: { model: file, source: file, calibration: file },
      sourceAccuracy: 1,
      learning: { ...defaults, coldStart: 10, ...overrides },
    },
  };
}

/** `rows` answers of the source model about inputs of `labels`, in turn. */
export function answersOf(subject: Subject, labels: readonly number[], random: Random, spread = 0.3): ExperienceBatch {
  const rows = labels.length;
  const embeddings = new Float32Array(rows * width);
  for (const [row, label] of labels.entries()) embeddings.set(embeddingOf(label, random, spread), row * width);
  const logits = Float32Array.from(headLogits(embeddings, subject.calibration.head, width));
  const shares = labels.map((_, row) => softmax(logits.subarray(row * classes, (row + 1) * classes)));
  const moments = Float32Array.from({ length: rows * 2 * channels }, () => random());
  return {
    kind: "answers",
    model: subject.manifest.name,
    node: "n1",
    incarnation: 1,
    atMs: 1_000,
    version: 0,
    // A request has one record; which one this is follows from the chance it was made of.
    ids: labels.map((_, row) => `r${row}.${moments[row * 2 * channels]}`),
    traceIds: labels.map(() => "0".repeat(32)),
    cold: new Uint8Array(rows),
    bySource: new Uint8Array(rows),
    learn: new Uint8Array(rows),
    answers: Uint16Array.from(shares, (share) => argmax(share)),
    confidences: Float32Array.from(shares, (share) => Math.max(...share)),
    priorities: new Float32Array(rows).fill(0.5),
    slots: Uint8Array.from(labels),
    // On both sides of the level from which more looks are worth it.
    densities: roundedToHalves(Float32Array.from(labels, (_, row) => 0.9 + 0.08 * (moments[row * 2 * channels] ?? 0))),
    looks: noLooks,
    embeddings,
    logits,
    moments,
  };
}

/** The same rows, each also seen by the source model, which is as dense and answers by turns. */
export function besideSource(batch: ExperienceBatch): ExperienceBatch {
  const { source, beside } = kindsOf(0);
  const rows = batch.ids.flatMap((_, row) => [row, row]);
  return {
    ...batch,
    looks: {
      rows: Uint16Array.from(rows),
      kinds: Uint8Array.from(rows, (_, i) => (i % 2 === 0 ? source : beside)),
      densities: Float32Array.from(rows, (row) => batch.densities[row] ?? Number.NaN),
      answers: Float32Array.from(rows.flatMap((row, i) => classRow(i % 2 === 0 ? row % classes : 0))),
    },
  };
}

function classRow(label: number): number[] {
  return Array.from({ length: classes }, (_, c) => (c === label ? 1 : 0));
}

export function taskFor(experience: Position, confidence = 0.4, model = "small"): UpdateTask {
  return { model, traceId: "0".repeat(32), experience, confidence, atMs: 1_000, node: "n1" };
}

export function labelFor(of: Position, label: number, model = "small"): LateLabel {
  return { kind: "label", model, node: "n1", atMs: 2_000, id: "r0", label, of };
}
