// Substrate: archives as the mail example writes them; what is wrong with each stands in its title.
import test from "ava";
import { type NpzArray, npzOf } from "../../models/numbers/npz.js";
import { plainFloats, readCleanData } from "../../operations/verbs/clean-data.js";
import { oneAccepted, valueRange } from "../../operations/verbs/flags.js";

const labels = ["a", "b"];
const x = { shape: [3, 2], values: Float32Array.of(0, 1, 2, 3, 4, 5) };
const y = { shape: [3], values: Uint8Array.of(0, 1, 1) };

function refusal(arrays: Readonly<Record<string, NpzArray>>, accepts = plainFloats): string {
  const read = readCleanData(npzOf(arrays), labels, accepts);
  return read.kind === "refused" ? `${read.message} -> ${read.next}` : "taken";
}

test("rows come with their shape, their labels, and the extent of their values", (t) => {
  const read = readCleanData(npzOf({ x, y }), labels, plainFloats);
  if (read.kind === "refused") return t.fail(read.message);
  t.deepEqual(read.rows, { shape: [2], values: x.values, labels: y.values });
  t.deepEqual(read.extent, [0, 5]);
});

test("bytes are brought to the model's scale by what it accepts, and refused when nobody says how", (t) => {
  const bytes = { shape: [3, 2], values: Uint8Array.of(0, 51, 102, 153, 204, 255) };
  const read = readCleanData(npzOf({ x: bytes, y }), labels, oneAccepted("|u1:1/255"));
  if (read.kind === "refused") return t.fail(read.message);
  t.deepEqual([...read.rows.values], [...Float32Array.of(0, 0.2, 0.4, 0.6, 0.8, 1)]);
  t.regex(refusal({ x: bytes, y }), /x is \|u1, and the model is to accept <f4 -> .*--accept '\|u1:1\/255'/);
});

test("each thing that is wrong with x and y is named, with what to do", (t) => {
  t.regex(refusal({ y }), /no array "x" \(it holds: y\) -> .*numpy\.savez/);
  t.regex(refusal({ x }), /no array "y"/);
  t.regex(refusal({ x: { ...x, values: x.values.map((v, i) => (i === 3 ? Number.NaN : v)) }, y }), /NaN in row 1/);
  t.regex(refusal({ x: { ...x, values: x.values.map((v) => v / 0) }, y }), /in row 0/);
  t.regex(
    refusal({ x, y: { ...y, values: Uint8Array.of(0, 1, 2) } }),
    /y is 2 in row 2, and there are 2 labels: 0 to 1/,
  );
  t.regex(refusal({ x, y: { shape: [2], values: Uint8Array.of(0, 1) } }), /x has 3 rows, y is \[2\]/);
  t.regex(refusal({ x, y: { shape: [3, 1], values: y.values } }), /y is \[3, 1\]/);
  t.regex(refusal({ x, y: { shape: [3], values: Float32Array.of(0, 1, 1) } }), /y is <f4 -> .*astype\('int64'\)/);
  t.regex(refusal({ x: { shape: [6], values: x.values }, y }), /one input needs a shape of its own/);
  t.regex(refusal({ x: { shape: [3, 0], values: new Float32Array() }, y }), /one input needs a shape of its own/);
  const notAnArchive = readCleanData(Buffer.from("x,y\n1,2\n"), labels, plainFloats);
  t.true(notAnArchive.kind === "refused" && /not an \.npz archive/.test(notAnArchive.message));
});

test("types with their factors are read from the command line, once each", (t) => {
  t.deepEqual(oneAccepted("<f4:1", oneAccepted("|u1:1/255")), [
    { dt: "|u1", scale: 1 / 255 },
    { dt: "<f4", scale: 1 },
  ]);
  t.deepEqual(oneAccepted("<i2:1e-3"), [{ dt: "<i2", scale: 1e-3 }]);
  for (const wrong of ["u1:1", "|u1", "|u1:", "|u1:0", "|u1:1/0", "<f2:1", "|u1:-1", "<q4:1", "|u1:1/2/3"])
    t.throws(() => oneAccepted(wrong), { message: /as in/ }, wrong);
  t.throws(() => oneAccepted("|u1:2", oneAccepted("|u1:1")), { message: /twice/ });
});

test("a range is two numbers that rise", (t) => {
  t.deepEqual(valueRange("-3:3"), [-3, 3]);
  for (const wrong of ["1", "1:0", ":", "a:b", "0:1:2", "0:Infinity"]) t.throws(() => valueRange(wrong));
});
