// What may stand on the stream of models, and what follows from it.
//
// Substrate: pure functions; properties by fast-check.

import test from "ava";
import fc from "fast-check";
import {
  type AddedModel,
  encodeModelRecord,
  foldRecord,
  type ModelRecord,
  modelBounds,
  noStanding,
  parseModelRecord,
  piecesOf,
  type Standing,
  type Standings,
} from "../../transport/log/model-records.js";
import { encodeMessage } from "../../transport/messages/codec.js";

const sha = (digit: string): string => digit.repeat(64);
const upload = "0123456789abcdef0123456789abcdef";

function added(sha256: string, more: Partial<AddedModel> = {}): AddedModel {
  const files = [
    { file: "manifest.json", bytes: 10 },
    { file: "model.onnx", bytes: 90 },
  ];
  return { kind: "added", name: "mail", upload, pieces: 1, bytes: 100, sha256, files, atMs: 7, ...more };
}

const removed = (sha256: string): ModelRecord => ({ kind: "removed", name: "mail", sha256, atMs: 8 });
const purged: ModelRecord = { kind: "purged", name: "mail", atMs: 9 };

function folded(...records: readonly (ModelRecord | undefined)[]): Standing {
  const standings = records.reduce<Standings>(
    (before, record, index) => foldRecord(before, { seq: index + 1, name: "mail", record }),
    new Map(),
  );
  return standings.get("mail") ?? noStanding;
}

test("every record reads back as it was written", (t) => {
  for (const record of [added(sha("a")), removed(sha("a")), purged]) {
    const parsed = parseModelRecord(encodeModelRecord(record));
    t.deepEqual(parsed, { kind: "ok", value: record });
  }
});

test("a file name that is a path, hidden, or there twice is refused, and so are sums, pieces and checksums that do not fit", (t) => {
  const manifest = { file: "manifest.json", bytes: 10 };
  const named = (file: string): Partial<AddedModel> => ({ files: [manifest, { file, bytes: 90 }] });
  const wrong: readonly [Partial<AddedModel>, string][] = [
    ...["../evil", "a/b", "a\\b", "/etc/passwd", ".hidden", "..", "", "a\0b", "a".repeat(65)].map(
      (file): [Partial<AddedModel>, string] => [named(file), "files.1.file"],
    ),
    [named("MANIFEST.json"), "files"],
    [{ files: [{ file: "model.onnx", bytes: 100 }] }, "files.0.file"],
    [{ files: [] }, "files.0.file"],
    [{ files: [manifest, { file: "model.onnx", bytes: 91 }] }, "bytes"],
    [{ files: [manifest, { file: "model.onnx", bytes: -90 }] }, "files.1.bytes"],
    [{ pieces: 2 }, "pieces"],
    [{ bytes: modelBounds.packageMaxBytes + 1 }, "bytes"],
    [{ bytes: 0 }, "bytes"],
    [{ sha256: sha("A") }, "sha256"],
    [{ sha256: "ab" }, "sha256"],
    [{ upload: "a.b" }, "upload"],
    [{ upload: ">" }, "upload"],
    [{ name: "a.b" }, "name"],
    [
      { files: Array.from({ length: 9 }, (_, i) => ({ ...manifest, file: i === 0 ? "manifest.json" : `f${i}` })) },
      "files",
    ],
  ];
  for (const [change, field] of wrong) {
    const parsed = parseModelRecord(encodeModelRecord(added(sha("a"), change)));
    t.like(parsed, { kind: "refused", field }, JSON.stringify(change));
  }
  t.like(parseModelRecord(encodeMessage({ v: 1, kind: "added" })), { kind: "refused" });
  t.like(parseModelRecord(new Uint8Array([1, 2, 3])), { kind: "refused" });
});

test("bytes of any kind are a record or a refusal, never a throw", (t) => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => parseModelRecord(bytes).kind.length > 0));
  const damaged = fc.tuple(fc.nat(10_000), fc.nat(255));
  const whole = encodeModelRecord(added(sha("a")));
  fc.assert(
    fc.property(damaged, ([at, value]) => {
      const bytes = whole.slice();
      bytes[at % bytes.length] = value;
      const parsed = parseModelRecord(bytes);
      return (
        parsed.kind === "refused" || parsed.value.kind !== "added" || parsed.value.files[0]?.file === "manifest.json"
      );
    }),
  );
  t.pass();
});

test("a model is served from the record that adds it until the one that removes it; its log stays its own until it is purged", (t) => {
  const first = added(sha("a"));
  t.like(folded(first), { seq: 1, served: first, logOf: sha("a") });
  t.like(folded(first, removed(sha("a"))), { seq: 2, served: undefined, logOf: sha("a"), isPurged: false });
  t.like(folded(first, removed(sha("a")), purged), { seq: 3, served: undefined, logOf: undefined, isPurged: true });
  t.like(folded(first, removed(sha("a")), first), { served: first }, "it goes on with its log");
});

test("a record that does not fit what stands before it counts for nobody, but has its place", (t) => {
  const [one, other] = [added(sha("a")), added(sha("b"))];
  t.like(folded(one, other), { seq: 2, served: one }, "another model under a used name");
  t.like(folded(one, one), { seq: 2, served: one }, "the same one twice");
  t.like(folded(one, removed(sha("a")), other), { seq: 3, served: undefined, logOf: sha("a") }, "another model's log");
  t.like(
    folded(one, removed(sha("a")), purged, other),
    { seq: 4, served: other },
    "a name is free once its log is gone",
  );
  t.like(folded(one, removed(sha("b"))), { seq: 2, served: one }, "a removal of another model");
  t.like(folded(one, purged), { seq: 2, served: one }, "the log of a model that is served");
  t.like(folded(one, undefined), { seq: 2, served: one }, "bytes that are no record");
  t.like(
    folded(one, { ...removed(sha("a")), name: "digits" }),
    { seq: 2, served: one },
    "one that speaks of another name",
  );
});

test("at no time two models' bytes are behind one name and its log", (t) => {
  const record = fc.oneof(
    fc.constantFrom("a", "b", "c").map((digit): ModelRecord => added(sha(digit))),
    fc.constantFrom("a", "b", "c").map((digit) => removed(sha(digit))),
    fc.constant(purged),
  );
  fc.assert(
    fc.property(fc.array(record, { maxLength: 40 }), (records) => {
      let logOf: string | undefined;
      return records.every((_, index) => {
        const standing = folded(...records.slice(0, index + 1));
        const isPurged = standing.logOf === undefined;
        const isSame = logOf === undefined || isPurged || standing.logOf === logOf;
        logOf = standing.logOf;
        return isSame && (standing.served === undefined || standing.served.sha256 === standing.logOf);
      });
    }),
  );
  t.pass();
});

test("a package has as many pieces as it needs", (t) => {
  const { pieceBytes } = modelBounds;
  t.deepEqual([1, pieceBytes, pieceBytes + 1].map(piecesOf), [1, 1, 2]);
});
