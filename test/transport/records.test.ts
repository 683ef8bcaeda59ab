// The log's records: there and back, bit for bit, and what is said about those that do not hold together.

import test from "ava";
import fc from "fast-check";
import { adaptationRow } from "../../models/adaptation/logged-rows.js";
import { type ExperienceBatch, type ExperienceRecord, type LooksSeen, noLooks } from "../../models/experience.js";
import { roundedToHalves } from "../../models/numbers/half.js";
import {
  type Commit,
  decodeCommit,
  decodeExperience,
  decodeUpdate,
  encodeCommit,
  encodeExperience,
  encodeUpdate,
} from "../../transport/log/records.js";
import { encodeMessage, type Tensor } from "../../transport/messages/codec.js";
import { parseEvent } from "../../transport/messages/events.js";
import { parseTree } from "../../transport/messages/look-orders.js";
import { parseInferenceReply, parseInferenceRequest } from "../../transport/messages/wire.js";
import { withTensor } from "./rewritten.js";

/** Each row was looked at as often as its number says, up to three times. */
function looksOf(rows: number): LooksSeen {
  const looked = Array.from({ length: rows }, (_, row) => new Array<number>(Math.min(row, 3)).fill(row)).flat();
  return {
    rows: Uint16Array.from(looked),
    kinds: Uint8Array.from(looked.keys(), (i) => i % 5),
    densities: roundedToHalves(Float32Array.from(looked.keys(), (i) => 1 / (i + 3))),
    answers: roundedToHalves(Float32Array.from({ length: looked.length * 10 }, (_, i) => 1 / (i + 7))),
  };
}

function batch(rows: number): ExperienceBatch {
  const column = (width: number): Float32Array => Float32Array.from({ length: rows * width }, (_, index) => index / 7);
  return {
    kind: "answers",
    model: "digits",
    node: "n1",
    incarnation: 3,
    atMs: 1_700_000_000_000.25,
    version: 9,
    ids: Array.from({ length: rows }, (_, index) => `r${index}`),
    traceIds: Array.from({ length: rows }, () => "a".repeat(32)),
    cold: new Uint8Array(rows),
    bySource: new Uint8Array(rows),
    learn: new Uint8Array(rows).fill(1),
    answers: new Uint16Array(rows).fill(9),
    confidences: column(1),
    priorities: column(1),
    slots: new Uint8Array(rows).fill(4),
    densities: roundedToHalves(column(1)),
    looks: looksOf(rows),
    embeddings: column(64),
    logits: column(10),
    moments: roundedToHalves(column(352)),
  };
}

test("experience records come back as they were, for any number of rows", (t) => {
  for (const rows of [0, 1, 2, 17, 64]) {
    const record = batch(rows);
    t.deepEqual(decodeExperience(encodeExperience(record)), { kind: "ok", value: record });
  }
  const label: ExperienceRecord = {
    kind: "label",
    model: "digits",
    node: "n1",
    atMs: 1,
    id: "r1",
    label: 3,
    of: { seq: 8, index: 1 },
  };
  t.deepEqual(decodeExperience(encodeExperience(label)), { kind: "ok", value: label });
});

test("moments, densities and looks rounded to halves come back bit for bit, wherever the record lies in memory", (t) => {
  const any = fc.float32Array({ minLength: 12, maxLength: 12 });
  const bits = (column: Float32Array): Uint32Array => new Uint32Array(column.slice().buffer);
  fc.assert(
    fc.property(any, fc.integer({ min: 0, max: 9 }), (values, shift) => {
      const rounded = roundedToHalves(values);
      const looks = {
        rows: Uint16Array.of(0, 0, 2),
        kinds: Uint8Array.of(0, 7, 255),
        densities: rounded.slice(3, 6),
        answers: rounded.slice(6),
      };
      const record = { ...batch(3), moments: rounded, densities: rounded.slice(0, 3), looks };
      const encoded = encodeExperience(record);
      const moved = new Uint8Array(encoded.byteLength + shift);
      moved.set(encoded, shift);
      const back = decodeExperience(moved.subarray(shift));
      t.deepEqual(back, { kind: "ok", value: record });
      if (back.kind !== "ok" || back.value.kind !== "answers") return;
      t.deepEqual(bits(back.value.moments), bits(record.moments));
      t.deepEqual(bits(back.value.densities), bits(record.densities));
      t.deepEqual(bits(back.value.looks.densities), bits(looks.densities));
      t.deepEqual(bits(back.value.looks.answers), bits(looks.answers));
    }),
    { numRuns: 300 },
  );
});

test("a row of a record of digits that got one look takes about a kilobyte in the log, a look more takes 25 bytes", (t) => {
  const [looked, plain] = [batch(64), { ...batch(64), looks: noLooks }];
  const [with_, without] = [encodeExperience(looked), encodeExperience(plain)];
  t.true(without.byteLength / 64 < 1_110);
  t.true((with_.byteLength - without.byteLength) / looked.looks.rows.length < 26);
});

for (const [what, rows] of Object.entries({
  "that do not rise": [0, 2, 1],
  "beyond the record": [0, 1, 3],
  "far beyond the record": [0, 1, 65_535],
}))
  test(`looks of rows ${what} are refused by name`, (t) => {
    const looks = (of: readonly number[]): LooksSeen => ({
      rows: Uint16Array.from(of),
      kinds: new Uint8Array(of.length),
      densities: new Float32Array(of.length),
      answers: new Float32Array(of.length * 10),
    });
    const encodedWith = (of: readonly number[]) => encodeExperience({ ...batch(3), looks: looks(of) });
    t.is(decodeExperience(encodedWith([0, 2, 2])).kind, "ok");
    t.like(decodeExperience(encodedWith(rows)), { kind: "refused", field: "lookRows" });
  });

test("looks whose columns disagree, or of a record without rows, are refused by name", (t) => {
  const bytes = encodeExperience(batch(3));
  const readWith = (name: string, tensor: Tensor) => decodeExperience(withTensor(bytes, name, tensor));
  // Three looks, of ten classes each.
  t.is(readWith("lookKinds", { dt: "|u1", sh: [3], data: new Uint8Array(3) }).kind, "ok");
  for (const [name, tensor] of [
    ["lookKinds", { dt: "|u1", sh: [2], data: new Uint8Array(2) }],
    ["lookDensities", { dt: "<f2", sh: [4], data: new Uint16Array(4) }],
    ["lookAnswers", { dt: "<f2", sh: [2, 15], data: new Uint16Array(30) }],
    ["lookAnswers", { dt: "<f4", sh: [3, 10], data: new Float32Array(30) }],
    ["densities", { dt: "<f2", sh: [2], data: new Uint16Array(2) }],
  ] as const)
    t.like(readWith(name, tensor), { kind: "refused", field: name }, `${name} ${tensor.dt}`);
  t.like(decodeExperience(encodeExperience({ ...batch(0), looks: looksOf(3) })), {
    kind: "refused",
    field: "lookRows",
  });
});

test("a fold finds the looks of every row side by side in whatever was read", (t) => {
  const anyRows = fc.array(fc.nat(6), { maxLength: 12 });
  fc.assert(
    fc.property(anyRows, fc.integer({ min: 1, max: 6 }), (of, records) => {
      const looks = {
        rows: Uint16Array.from(of),
        kinds: Uint8Array.from(of.keys()),
        densities: new Float32Array(of.length),
        answers: new Float32Array(of.length * 10),
      };
      const read = decodeExperience(encodeExperience({ ...batch(records), looks }));
      const isFit = of.every((row, i) => row < records && row >= (of[i - 1] ?? 0));
      t.is(read.kind, isFit ? "ok" : "refused");
      if (read.kind !== "ok" || read.value.kind !== "answers") return;
      const answers = read.value;
      const kinds = answers.ids.map((_, row) => adaptationRow(answers, row).looks.map(({ kind }) => kind));
      t.deepEqual(
        kinds,
        answers.ids.map((_, row) => [...of.keys()].filter((i) => of[i] === row)),
      );
    }),
    { numRuns: 300 },
  );
});

test("a record whose columns disagree is refused and names the column", (t) => {
  const record = batch(3);
  t.like(decodeExperience(encodeExperience({ ...record, answers: new Uint16Array(3), traceIds: ["a"] })), {
    kind: "refused",
    field: "traceIds",
  });
  const foreign = encodeMessage(
    { v: 1, kind: "answers", model: "m", node: "n", incarnation: 1, atMs: 1, version: 1, ids: ["a"], traceIds: ["b"] },
    { cold: { dt: "|u1", sh: [2], data: new Uint8Array(2) } },
  );
  t.like(decodeExperience(foreign), { kind: "refused", field: "cold" });
});

test("update entries and commits come back as they were", (t) => {
  const task = {
    model: "digits",
    traceId: "t",
    experience: { seq: 1, index: 2 },
    confidence: 0.4,
    atMs: 5,
    node: "n1",
  };
  t.deepEqual(decodeUpdate(encodeUpdate({ kind: "task", task })), { kind: "ok", value: { kind: "task", task } });
  const mark = { model: "digits", node: "n1", atMs: 5, experienceSeq: 90 };
  t.deepEqual(decodeUpdate(encodeUpdate({ kind: "mark", mark })), { kind: "ok", value: { kind: "mark", mark } });
  const commit: Commit = {
    model: "digits",
    version: 3,
    updateSeq: 5,
    experienceSeq: 7,
    node: "n1",
    incarnation: 2,
    backend: "wasm",
    checksum: "c".repeat(64),
    previousChecksum: "d".repeat(64),
    served: Float32Array.of(1, 2, 3),
    counters: { applied: 3, refused: { kl: 1 }, duplicates: 0 },
    atMs: 5,
  };
  const careful: Commit = {
    ...commit,
    trying: { times: 2, alone: 30, cause: "it threw" },
    skipped: { seqs: [2, 4], wholeFrom: 0 },
  };
  t.deepEqual(decodeCommit(encodeCommit(careful)), { kind: "ok", value: careful });
  t.like(decodeCommit(encodeCommit(commit)), {
    kind: "ok",
    value: { ...commit, trying: undefined, skipped: undefined },
  });
  const four = Float32Array.of(1, 2, 3, 4);
  const restore = {
    ...{ model: "digits", node: "n1", atMs: 5, steps: 9, from: { updateSeq: 3, version: 2, snapshot: 1 } },
    ...{ head: four, served: four, firstMoment: four, secondMoment: four },
  };
  t.deepEqual(decodeUpdate(encodeUpdate({ kind: "restore", restore })), {
    kind: "ok",
    value: { kind: "restore", restore },
  });
});

test("mutated records are refused or read, and never throw", (t) => {
  const whole = encodeExperience(batch(4));
  const edit = fc.record({ at: fc.nat(Math.min(1_200, whole.byteLength - 1)), to: fc.integer({ min: 0, max: 255 }) });
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
      const mutated = Uint8Array.from(whole);
      for (const { at, to } of edits) mutated[at] = to;
      for (const decode of [
        decodeExperience,
        decodeUpdate,
        decodeCommit,
        parseInferenceRequest,
        parseInferenceReply,
        parseEvent,
        parseTree,
      ])
        decode(mutated);
    }),
    { numRuns: 1_000 },
  );
  t.pass();
});
