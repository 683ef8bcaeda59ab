// One good message, or a few, for every parse function of transport/: what the fuzzer begins with.
//
// Parse functions are found in the sources, so that a new one is fuzzed from its first day: with messages of its own where it has some here,
// with everybody else's in any case.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Tensor } from "../../transport/messages/codec.js";
import { encodeMessage, type PlainMap } from "../../transport/messages/codec.js";
import { writeSketch } from "../../transport/messages/sketch-bytes.js";

export type Parser = (bytes: Uint8Array) => unknown;

const signature = /export function ((?:parse|decode|read|scan)\w*)\(\w+: Uint8Array\): /g;

/** By name; `scan` among them, which says undefined for what is good. */
export async function parsersOf(): Promise<Readonly<Record<string, Parser>>> {
  const files = (await readdir("transport", { recursive: true })).filter((file) => file.endsWith(".ts"));
  const found: Record<string, Parser> = {};
  for (const file of files) {
    const names = Array.from(
      (await readFile(join("transport", file), "utf8")).matchAll(signature),
      ([, name = ""]) => name,
    );
    if (names.length === 0) continue;
    const module: Record<string, unknown> = await import(
      pathToFileURL(join("dist", "transport", file.replace(/\.ts$/, ".js"))).href
    );
    for (const name of names) {
      const parser = module[name];
      if (typeof parser === "function") found[name] = (bytes) => parser(bytes);
    }
  }
  return found;
}

const at = { atMs: 1_700_000_000_000.25 };
const traceId = "0af7651916cd43dd8448eb211c80319c";
const answer = { index: 7, label: "7" };
const of = { seq: 12, index: 3 };
const floats = (...sh: number[]): Tensor => {
  const length = sh.reduce((product, size) => product * size, 1);
  return { dt: "<f4", sh, data: Float32Array.from({ length }, (_, index) => index / 7) };
};
const halves = (...sh: number[]): Tensor => ({
  dt: "<f2",
  sh,
  data: new Uint16Array(sh.reduce((a, b) => a * b, 1)).fill(0x3c00),
});
const octets = (length: number): Tensor => ({ dt: "|u1", sh: [length], data: new Uint8Array(length) });
const shorts = (...data: number[]): Tensor => ({ dt: "<u2", sh: [data.length], data: Uint16Array.from(data) });
const said = (head: PlainMap, tensors: Record<string, Tensor> = {}): Uint8Array =>
  encodeMessage({ v: 1, ...head }, tensors);

const refusal = said({
  id: "r1",
  error: { code: "bad_tensor", message: "no", field: "input.d", retryAfterMs: 5, traceId },
});
const event = { node: "n1", actor: "digits/voter", incarnation: 2, ...at };
const cleanup = { node: "n1", actor: "watchdog", incarnation: 2, ...at };
const item = { by: "watchdog", run: "run1", author: "operations-1" };
const words = { model: "digits", node: "n1", ...at };
const letter = {
  kind: "letter",
  jobId: "j1",
  phase: "voter",
  state: "exhausted",
  cause: "boom",
  attempts: 3,
  traceId,
  ...words,
};
const numbers = { generation: 1, state: "running", restarts: 0 };
const mailbox = { depth: 1, capacity: 1_024 };
const actor = { name: "voter", kind: "actor", ...numbers, mailbox, children: [] };
const supervisor = {
  name: "digits",
  kind: "supervisor",
  ...numbers,
  strategy: "one_for_one",
  intensity: { restarts: 10, withinMs: 10_000, left: 9 },
  children: [actor, actor],
};
const receipt = {
  target: "voter",
  mode: "kill",
  generationBefore: 1,
  generationAfter: 2,
  inFlight: 1,
  redelivered: 1,
  refused: 0,
  lost: null,
  leasesCleaned: 0,
  detectMs: 0.2,
  repairMs: 12,
  cause: "killed",
};
const fault = { id: "f1", node: "n1", target: "voter", mode: "hang", beganAtMs: 5, endsAtMs: null, by: "operator" };
const commit = {
  model: "digits",
  version: 4,
  updateSeq: 9,
  experienceSeq: 8,
  node: "n1",
  incarnation: 1,
  backend: "wasm",
  checksum: "ab".repeat(32),
  ...at,
};
const counters = { applied: 4, refused: { kl: 1 }, duplicates: 0 };

const sketch = (): Uint8Array =>
  writeSketch({ zeros: 1, firstKey: -3, counts: Float64Array.of(1, 0, 0, 2), sum: 3.5, max: 1.5 }, new Uint8Array(128));

const inferenceRequests = [
  said({ id: "r1", priority: 7, deadlineMs: 500, explain: true }, { input: floats(1, 8, 8) }),
  said({}, { input: octets(16) }),
  said({
    input: {
      v: 1,
      dt: "<f4",
      sh: [2, 2],
      ref: { id: "a".repeat(32), n: 16, crc: 1, host: "h", file: `1-2/${"a".repeat(32)}`, ask: "_INBOX.client.x" },
    },
  }),
];

/** By the name of the parser that takes them. */
export const goodMessages: Readonly<Record<string, readonly Uint8Array[]>> = {
  parseInferenceRequest: inferenceRequests,
  parseSentRequest: inferenceRequests,
  parseInferenceReply: [
    said({ id: "r1", answer, confidence: 0.9, mode: "ensemble", modelVersion: 3, experience: of, traceId, node: "n1" }),
    said({
      ...{ id: "r1", answer, confidence: 0.9, mode: "cold", modelVersion: 0, experience: null, traceId, node: "n1" },
      explain: {
        ...{ own: [0.1, 0.9], model: [0.1, 0.9], domain: 2, weights: [0.2, 0.8] },
        looks: [{ view: "plain", density: 0.4, label: "7", weight: 1 }],
        neighbours: [{ id: "r0", similarity: 0.9, label: "7", weight: 0.4 }],
      },
    }),
    refusal,
  ],
  parseFeedbackRequest: [
    said({ id: "r1", label: "7" }),
    said({ id: "r1", label: 7 }),
    said({ id: "r1", reward: -0.5 }),
  ],
  parseFeedbackReply: [
    said({
      id: "r1",
      label: answer,
      reward: null,
      of,
      traceId,
      kept: { label: answer, confidence: 0.5, priority: 0.5, verified: true },
    }),
    refusal,
  ],
  parseEvent: [said({ kind: "vote", ...event, items: [{ traceId, id: "r1", ok: true, ms: 2.5, none: null }] })],
  parseMetrics: [
    said(
      {
        node: "n1",
        incarnation: 1,
        ...at,
        values: { answered: 5, rss: 1e8 },
        run: "run1",
        rooted: true,
        sketchNames: ["a", "b"],
        sketchSizes: [20, 20],
      },
      { sketches: octets(40) },
    ),
  ],
  parseCleanup: [
    said({ kind: "died", ...cleanup, items: [{ ...item, cause: "SIGKILL" }] }),
    said({ kind: "reclaimed", ...cleanup, items: [{ ...item, key: "writer-digits", why: "stale" }] }),
  ],
  parseAlert: [
    said({
      name: "queue_growing",
      severity: "critical",
      state: "fired",
      node: "n1",
      ...at,
      message: "3 wait",
      value: 3,
      threshold: 2,
    }),
  ],
  parseLogLine: [
    said({
      ...at,
      level: "warn",
      message: "slow",
      trace: traceId,
      span: null,
      node: "n1",
      incarnation: 1,
      fields: { ms: 4, ok: true },
      dropped: 2,
    }),
  ],
  parseActorLook: [
    said({
      path: "digits/voter",
      ...numbers,
      mailbox,
      summary: { open: 3, list: [1, "a", null], deep: { a: { b: 1 } } },
    }),
  ],
  parseTree: [
    said({
      tree: { name: "n1", kind: "node", pid: 5, spare: 6, ...numbers, lastExit: "exit code 0", children: [supervisor] },
    }),
  ],
  parseDrainOrder: [said({ node: "n1", restart: true })],
  parseDrainReceipt: [said({ node: "n1", generation: 2, state: "stopped", exit: "exit code 0", drainMs: 40 })],
  parseDeadLetterOrder: [said({ kind: "resolve", seq: 3, note: "seen" }), said({ kind: "requeue", seq: 3 })],
  parseDeadLetterReceipt: [said({ seq: 3, jobId: "j1", ...at })],
  parseRestoreOrder: [said({ snapshot: 4 }), said({ until: 9 })],
  parseRestored: [said({ version: 5, updateSeq: 10, from: { updateSeq: 4, version: 2, snapshot: 4 } })],
  parseProfileOrder: [said({ kind: "take", forMs: 500 }), said({ kind: "piece", id: "p", index: 1 })],
  parseProfileTaken: [said({ id: "p", node: "n1", bytes: 900, pieces: 1, samples: 20 })],
  parseProfilePiece: [said({}, { piece: octets(64) })],
  parseAlertOrder: [
    said({ kind: "silence", matches: "a", forMs: 60_000, note: "", by: "me" }),
    said({ kind: "ack", fingerprint: "a:b", note: "x" }),
    said({ kind: "test" }),
  ],
  parseAlertReceipt: [
    said({ ...at, firing: 1, untilMs: 9, sinks: [{ name: "s", target: "t", ok: true, said: "ok", tookMs: 3 }] }),
  ],
  parseChaosOrder: [
    said({ target: "voter", mode: "hang", forMs: 50, force: true }),
    said({ kind: "claim", id: "c", node: "n1", target: "voter", mode: "hang", forMs: 4, by: "me" }),
    said({ kind: "schedule", id: "s", leaseMs: 500 }),
  ],
  parseGranted: [said({ granted: true })],
  parseActiveChaos: [said({ faults: [fault], schedules: [{ id: "s", beganAtMs: 3 }] })],
  parseHalted: [said({ faults: 1, schedules: 0 })],
  parseChaosReceipt: [said(receipt), refusal],
  decodeDeadLetter: [
    said({ ...letter, payload: { kind: "request" } }, { request: octets(32) }),
    said({ ...letter, payload: { kind: "update", seq: 3, of } }),
    said({ kind: "mark", of: 3, model: "digits", jobId: "j1", what: "resolved", note: "x", ...at }),
  ],
  decodeExperience: [
    said(
      { kind: "answers", ...words, incarnation: 1, version: 3, ids: ["a", "b"], traceIds: [traceId, traceId] },
      {
        ...{ cold: octets(2), learn: octets(2), answers: shorts(1, 2), confidences: floats(2), priorities: floats(2) },
        ...{ slots: octets(2), densities: halves(2), lookRows: shorts(0, 1, 1), lookKinds: octets(3) },
        ...{ lookDensities: halves(3), lookAnswers: halves(3, 4), embeddings: floats(2, 8), logits: floats(2, 4) },
        moments: halves(2, 8),
      },
    ),
    said({ kind: "label", ...words, id: "r1", label: 3, of }),
    said({ kind: "reward", ...words, id: "r1", reward: 0.5, of }),
  ],
  decodeUpdate: [
    said({ kind: "task", ...words, traceId, experience: of, confidence: 0.4 }),
    said({ kind: "mark", ...words, experienceSeq: 9 }),
    said(
      { kind: "restore", ...words, from: { updateSeq: 1, version: 1 }, steps: 3 },
      { head: floats(8), served: floats(8), firstMoment: floats(8), secondMoment: floats(8) },
    ),
  ],
  decodeCommit: [
    said(
      {
        ...commit,
        previousChecksum: "cd".repeat(32),
        counters,
        trying: { times: 1, alone: 0, cause: "x" },
        skipped: { seqs: [3, 4], wholeFrom: 2 },
      },
      { served: floats(12) },
    ),
  ],
  readSketch: [sketch()],
};

/** What is sent as well, and belongs to none of the parsers above by itself. */
export const otherMessages: readonly Uint8Array[] = [
  said({}),
  said({ kind: "pull", id: "a".repeat(32), to: "c.chunk.n1.x", from: 0, credit: 8_388_608 }),
  said({ kind: "abandon", id: "a".repeat(32), why: "size" }),
];
