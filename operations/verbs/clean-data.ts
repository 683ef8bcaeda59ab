// Labelled examples for `driftmend model init`: the arrays x and y of an .npz file, brought to the model's scale.
//
// Owns: what x and y must be. Does not own: the file's format (npz.ts), the model's own shape (models/adoption/inspect.ts).
//
// D1. Rows that come through are finite, and every label is the number of a class.
import type { CleanRows } from "../../models/adoption/inspect.js";
import { elementsOf, readTensor, type Tensor } from "../../transport/messages/codec.js";
import type { Picture } from "./npy.js";
import { looksLikeZip, readNpz } from "./npz.js";

/** A wire type that the model is to take, and the factor that brings it to the model's scale. */
export interface Accepted {
  readonly dt: string;
  readonly scale: number;
}

export type DataRead =
  | {
      readonly kind: "ok";
      readonly rows: CleanRows;
      /** Smallest and largest value. */
      readonly extent: readonly [number, number];
    }
  | { readonly kind: "refused"; readonly message: string; readonly next: string };

type Refusal = Extract<DataRead, { kind: "refused" }>;

const wholeNumbers = ["|i1", "<i2", "<i4", "<i8", "|u1", "<u2", "<u4", "<u8", "|b1"];
const saveRight = "save it with numpy.savez(file, x=inputs, y=labels): x [rows, ...shape of one input], y [rows]";

/** What the model accepts when nobody said: float32 as it is. */
export const plainFloats: readonly Accepted[] = [{ dt: "<f4", scale: 1 }];

export function readCleanData(bytes: Uint8Array, labels: readonly string[], accepts: readonly Accepted[]): DataRead {
  if (!looksLikeZip(bytes)) return refused("it is not an .npz archive", saveRight);
  const read = readNpz(bytes, ["x", "y"]);
  if (read.kind === "refused") return read;
  const [x, y] = [tensorOf(read.arrays.x), tensorOf(read.arrays.y)];
  if (x === undefined || y === undefined)
    return refused("its arrays have more dimensions than a tensor may", saveRight);
  const [count = 0, ...shape] = x.sh;
  if (shape.length === 0 || elementsOf(shape) === 0)
    return refused(`x is [${x.sh.join(", ")}]: one input needs a shape of its own`, saveRight);
  if (y.sh.length !== 1 || y.sh[0] !== count)
    return refused(`x has ${count} rows, y is [${y.sh.join(", ")}]`, "give y one class number for each row of x");
  const own = labelsOf(y, labels);
  if ("kind" in own) return own;
  const factor = factorFor(x.dt, accepts);
  if (typeof factor !== "number") return factor;
  const values = Float32Array.from({ length: x.data.length }, (_, i) => Number(x.data[i]) * factor);
  return withExtent({ shape, values, labels: own });
}

function withExtent(rows: CleanRows): DataRead {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < rows.values.length; i++) {
    const value = rows.values[i] ?? Number.NaN;
    if (!Number.isFinite(value))
      return refused(
        `x holds ${value} in row ${Math.floor(i / elementsOf(rows.shape))}`,
        "leave rows out that are not finite, or fill the gaps as the model's training did",
      );
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return { kind: "ok", rows, extent: [low, high] };
}

function tensorOf({ dt, sh, data }: Picture): Tensor | undefined {
  const read = readTensor({ v: 1, dt, sh, d: data }, "array");
  return read.kind === "tensor" ? read.tensor : undefined;
}

function labelsOf(y: Tensor, labels: readonly string[]): Uint8Array | Refusal {
  if (!wholeNumbers.includes(y.dt))
    return refused(`y is ${y.dt}`, "give y as whole numbers, as in y.astype('int64'): 0 is the first of --labels");
  for (let row = 0; row < y.data.length; row++) {
    const label = Number(y.data[row]);
    if (!(label >= 0 && label < labels.length))
      return refused(
        `y is ${label} in row ${row}, and there are ${labels.length} labels: 0 to ${labels.length - 1}`,
        "name every class with --labels, in the order of the model's output",
      );
  }
  return Uint8Array.from({ length: y.data.length }, (_, row) => Number(y.data[row]));
}

/** Double precision counts as single. */
function factorFor(dt: string, accepts: readonly Accepted[]): number | Refusal {
  const found = accepts.find((each) => each.dt === (dt === "<f8" ? "<f4" : dt));
  if (found !== undefined && dt !== "<f2") return found.scale;
  const example =
    dt === "<f2"
      ? "save x as float32: x.astype('<f4')"
      : `say how it becomes the model's input: --accept '${dt}:1/255'`;
  return refused(`x is ${dt}, and the model is to accept ${accepts.map((each) => each.dt).join(", ")}`, example);
}

function refused(message: string, next: string): Refusal {
  return { kind: "refused", message, next };
}
