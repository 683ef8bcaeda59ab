// A rehearsal of recovery: a made-up log, read, folded and stored as a real one is, so that the compilers of JavaScript and WebAssembly have
// seen the work before it counts. Cold, a step takes 15 ms and a record .3; warm, 1.5 and .03: a process that takes over folds a dozen of
// those and some hundred of these before it learns on.
//
// Owns: the made-up log, the count. Does not own: the fold (log-fold.ts), who rehearses (node.ts, actors/learning/updater.ts).
//
// R1. It leaves nothing behind: what is folded afterwards is the same, bit for bit.
// R2. It goes the way of the real one, from bytes to a policy out of a snapshot: what is compiled for other shapes of the same objects is
//     thrown away when the real ones come.
// R3. Between a few records the event loop breathes: a standby has a lease to watch (law 10).

import { kindsOf } from "../../models/adaptation/standing.js";
import { type Random, seededRandom } from "../../models/clock.js";
import { type ExperienceBatch, type LooksSeen, noLooks, type UpdateEntry } from "../../models/experience.js";
import type { Learner } from "../../models/learning/learner.js";
import type { Model } from "../../models/manifest.js";
import { roundedToHalves } from "../../models/numbers/half.js";
import { checksum, type Policy, sourcePolicy } from "../../models/policy/policy.js";
import { decodePolicy, encodePolicy } from "../../models/policy/policy-snapshot.js";
import { asError } from "../../supervision/exit-reason.js";
import { decodeExperience, decodeUpdate, encodeExperience, encodeUpdate } from "../../transport/log/records.js";
import type { Parsed } from "../../transport/messages/fields.js";
import { LogFold, type LoggedExperience } from "./log-fold.js";
import { ModelWriter, type WriterDeps } from "./model-writer.js";

/** Snapshots, each read and folded on from. */
const recoveries = 4;
const tasksPerRecovery = 16;
const recordsPerTask = 8;
const recordsPerBreath = 4;
/** As many kinds of input as a log of some seconds has, so that domains are looked for, begun and returned to. */
const drifts = 4;
/** Of so many rows one was looked at more than once. */
const lookedEvery = 2;

/** Resolves after some tenths of a second of work; stops early when the signal aborts. */
export async function rehearseRecovery(learner: Learner, model: Model, signal?: AbortSignal): Promise<void> {
  const first = sourcePolicy(model);
  // Steps are what is rehearsed; a model that is cold refuses them.
  first.experiences = model.manifest.learning.coldStart;
  let snapshot = encodePolicy(first);
  for (let count = 0; count < recoveries; count += 1) {
    const decoded = decodePolicy(snapshot, model);
    if (decoded.kind === "refused") throw new Error(`nobody can read the rehearsed snapshot: ${decoded.why}`);
    const { policy } = decoded;
    const fold = new LogFold(policy, experiencesBehind(policy, model), learner, model);
    for (let task = 0; task < tasksPerRecovery; task += 1) {
      if (signal?.aborted === true) return;
      const entry = readable(decodeUpdate(encodeUpdate(taskBehind(policy))));
      await fold.apply({ seq: policy.updateSeq + 1, entry });
    }
    checksum(policy);
    snapshot = encodePolicy(policy);
  }
}

/**
 * Recovers from the log as it is now, and lets go: what reads it is warm then too. Nothing is written, for a writer's first word is that it
 * begins (M4). Where the log cannot be read, or moves on too fast, nothing is learned from it, and whoever recovers in earnest will say so.
 */
export async function recoverForNothing(
  deps: Pick<WriterDeps, "learner" | "model" | "store" | "nowMs">,
  signal: AbortSignal = new AbortController().signal,
): Promise<"recovered" | Error> {
  const over = new AbortController();
  try {
    const until = AbortSignal.any([signal, over.signal]);
    await ModelWriter.recover({ ...deps, node: "rehearsal", nodeIncarnation: 0, signal: until });
    return "recovered";
  } catch (thrown) {
    return asError(thrown);
  } finally {
    over.abort();
  }
}

async function* experiencesBehind(policy: Policy, model: Model): AsyncGenerator<LoggedExperience> {
  for (let seq = policy.experienceSeq + 1; ; seq += 1) {
    if (seq % recordsPerBreath === 0) await breath();
    const bytes = encodeExperience(recordOf(model, seq, seededRandom(seq)));
    yield { seq, record: readable(decodeExperience(bytes)) };
  }
}

function taskBehind({ model, experienceSeq, updateSeq }: Policy): UpdateEntry {
  const experience = { seq: experienceSeq + recordsPerTask, index: 0 };
  const task = {
    model,
    traceId: traceIdOf(updateSeq),
    experience,
    confidence: 0.5,
    atMs: updateSeq,
    node: "rehearsal",
  };
  return { kind: "task", task };
}

function readable<T>(parsed: Parsed<T>): T {
  if (parsed.kind === "ok") return parsed.value;
  throw new Error(`nobody can read what is rehearsed: ${parsed.message}`);
}

function breath(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function traceIdOf(seq: number): string {
  return seq.toString(16).padStart(32, "0");
}

/** One answered row, as much like one of its log as its calibration allows: a known clean example, drifted a little. */
function recordOf(model: Model, seq: number, random: Random): ExperienceBatch {
  const { classes, width, anchorCount, anchorLabels, anchorEmbeddings, density } = model.calibration;
  const { trust } = model.manifest.learning;
  const anchor = Math.floor(random() * anchorCount);
  const label = anchorLabels[anchor] ?? 0;
  const logits = new Float32Array(classes);
  logits[label] = 1 + 8 * random();
  return {
    kind: "answers",
    model: model.manifest.name,
    node: "rehearsal",
    incarnation: 1,
    atMs: seq,
    version: 0,
    ids: [`rehearsal-${seq}`],
    traceIds: [traceIdOf(seq)],
    cold: Uint8Array.of(0),
    bySource: Uint8Array.of(0),
    learn: Uint8Array.of(0),
    answers: Uint16Array.of(label),
    confidences: Float32Array.of(trust + (1 - trust) * random()),
    priorities: Float32Array.of(random()),
    slots: Uint8Array.of(label),
    densities: roundedToHalves(Float32Array.of(density.mean + density.deviation * (random() - 0.5))),
    looks: seq % lookedEvery === 0 ? looksAt(model, random) : noLooks,
    embeddings: anchorEmbeddings.slice(anchor * width, (anchor + 1) * width),
    logits,
    moments: momentsOf(model, label, seq % drifts, random),
  };
}

/** The plain look and some of the model's others. */
function looksAt({ calibration: { classes, density }, manifest }: Model, random: Random): LooksSeen {
  const kinds = kindsOf(manifest.views.length).count;
  const looks = Math.min(4, kinds);
  const answers = new Float32Array(looks * classes).fill(1 / classes);
  return {
    rows: new Uint16Array(looks),
    kinds: Uint8Array.from({ length: looks }, (_, look) => (look === 0 ? 0 : Math.floor(random() * kinds))),
    densities: roundedToHalves(new Float32Array(looks).fill(density.mean - density.deviation * random())),
    answers: roundedToHalves(answers),
  };
}

/** A clean class's moments, moved by the drift. */
function momentsOf({ calibration }: Model, label: number, drift: number, random: Random): Float32Array {
  const { channels, classMean, classSquare } = calibration;
  const moments = new Float32Array(2 * channels);
  const scale = 1 + drift / drifts + 0.02 * random();
  for (let channel = 0; channel < channels; channel += 1) {
    moments[channel] = scale * (classMean[label * channels + channel] ?? 0);
    moments[channels + channel] = scale * scale * (classSquare[label * channels + channel] ?? 0);
  }
  return roundedToHalves(moments);
}
