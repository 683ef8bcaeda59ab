// Views on pictures small enough to be worked out by hand.
import test from "ava";
import { seededRandom } from "../../models/clock.js";
import { pictureViews } from "../../models/digits/picture-views.js";
import { applyView, type PictureShape, type View } from "../../models/views.js";

const asItIs: View = { name: "same", matrix: [1, 0, 0, 1], centred: false, inverted: false };
const square: PictureShape = { shape: [1, 3, 3], range: [0, 9] };
const picture = Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9);

function seen(view: Partial<View>, of: Float32Array | readonly number[], shape: PictureShape = square): number[] {
  const given = Float32Array.from(of);
  const out = new Float32Array(given.length).fill(Number.NaN);
  applyView({ ...asItIs, ...view }, given, shape, out);
  return [...out];
}

test("the identity is the identity, of odd and even sides", (t) => {
  t.deepEqual(seen({}, picture), [...picture]);
  const even = Array.from({ length: 8 }, (_, i) => i / 8);
  t.deepEqual(seen({}, even, { shape: [2, 4], range: [0, 1] }), even);
});

test("a quarter turn: the ink at (x, y) comes from (y, -x)", (t) => {
  // What lay below on the left, 7, comes to lie above on the left.
  t.deepEqual(seen({ matrix: [0, 1, -1, 0] }, picture), [7, 4, 1, 8, 5, 2, 9, 6, 3]);
  t.deepEqual(seen({ matrix: [0, -1, 1, 0] }, picture), [3, 6, 9, 2, 5, 8, 1, 4, 7], "and back");
  t.deepEqual(seen({ matrix: [-1, 0, 0, -1] }, picture), [9, 8, 7, 6, 5, 4, 3, 2, 1], "half a turn");
});

test("a shear takes each row from further to the side; beyond the edge there is no ink", (t) => {
  // Above the middle y = -1: from x - 1; below from x + 1.
  t.deepEqual(seen({ matrix: [1, 1, 0, 1] }, picture), [0, 1, 2, 4, 5, 6, 8, 9, 0]);
});

test("twice as large: between two places ink is mixed half and half", (t) => {
  // The corners come from (-0.5, -0.5) off the middle: (1 + 2 + 4 + 5) / 4 = 3.
  t.deepEqual(seen({ matrix: [0.5, 0, 0, 0.5] }, picture), [3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7]);
});

test("half as large: the rim comes from outside", (t) => {
  t.deepEqual(seen({ matrix: [2, 0, 0, 2] }, picture), [0, 0, 0, 0, 5, 0, 0, 0, 0]);
});

test("centred, a blot in the corner comes to lie in the middle", (t) => {
  t.deepEqual(seen({ centred: true }, [9, 0, 0, 0, 0, 0, 0, 0, 0]), [0, 0, 0, 0, 9, 0, 0, 0, 0]);
});

test("centred between two places: the centre of 1 and 3 is three quarters of the way, and the ink is spread accordingly", (t) => {
  const line: PictureShape = { shape: [1, 1, 5], range: [0, 4] };
  t.deepEqual(seen({ centred: true }, [1, 3, 0, 0, 0], line), [0, 0.75, 2.5, 0.75, 0]);
});

test("ink is what lies above the least: with a range from -1 on, ground does not pull the centre", (t) => {
  const line: PictureShape = { shape: [1, 1, 3], range: [-1, 1] };
  t.deepEqual(seen({ centred: true }, [1, -1, -1], line), [-1, 1, -1]);
});

test("an empty picture has its centre in the middle, and no NaN", (t) => {
  t.deepEqual(seen({ centred: true }, new Float32Array(9)), [...new Float32Array(9)]);
  t.deepEqual(seen({ centred: true }, [-1, -1, -1], { shape: [1, 1, 3], range: [-1, 1] }), [-1, -1, -1]);
});

test("inverted, ink and ground change places within the range", (t) => {
  t.deepEqual(seen({ inverted: true }, picture), [8, 7, 6, 5, 4, 3, 2, 1, 0]);
  t.deepEqual(seen({ inverted: true }, [-1, 0, 3], { shape: [1, 1, 3], range: [-1, 3] }), [3, 2, -1]);
});

test("inverted and sheared: what comes from outside was ground, and is ink now", (t) => {
  t.deepEqual(seen({ matrix: [1, 1, 0, 1], inverted: true }, picture), [9, 8, 7, 5, 4, 3, 1, 0, 9]);
});

test("planes move together, around the centre of all their ink", (t) => {
  const planes: PictureShape = { shape: [2, 1, 3], range: [0, 1] };
  t.deepEqual(seen({ centred: true }, [1, 0, 0, 1, 0, 0], planes), [0, 1, 0, 0, 1, 0]);
  // Ink at place 0 of the one and at place 1 of the other: the common centre is half way, and half of each goes to either side.
  t.deepEqual(seen({ centred: true }, [1, 0, 0, 0, 1, 0], planes), [0.5, 0.5, 0, 0, 0.5, 0.5]);
  t.deepEqual(
    seen({ matrix: [-1, 0, 0, 1] }, [1, 2, 3, 4, 5, 6], { shape: [2, 1, 3], range: [0, 9] }),
    [3, 2, 1, 6, 5, 4],
  );
});

/** The same written down as it is defined: every neighbour asked for whether it is there. */
function defined(view: View, of: Float32Array, { shape, range: [low, high] }: PictureShape): number[] {
  const [height, width] = [shape.at(-2) ?? 1, shape.at(-1) ?? 1];
  const inPlane = (i: number): number => i % (height * width);
  let [sum, sumX, sumY] = [0, 0, 0];
  for (const [i, value] of of.entries()) {
    sum += value - low;
    sumX += (value - low) * (inPlane(i) % width);
    sumY += (value - low) * Math.floor(inPlane(i) / width);
  }
  const isInked = view.centred && sum > 0;
  const [fromX, fromY] = isInked ? [sumX / sum, sumY / sum] : [(width - 1) / 2, (height - 1) / 2];
  const [a, b, c, d] = view.matrix;
  return Array.from(of, (_, i) => {
    const at = (column: number, row: number): number =>
      column < 0 || row < 0 || column >= width || row >= height
        ? low
        : (of[i - inPlane(i) + row * width + column] ?? Number.NaN);
    const [x, y] = [(inPlane(i) % width) - (width - 1) / 2, Math.floor(inPlane(i) / width) - (height - 1) / 2];
    const [placeX, placeY] = [a * x + b * y + fromX, c * x + d * y + fromY];
    const [left, top] = [Math.floor(placeX), Math.floor(placeY)];
    const [right, down] = [placeX - left, placeY - top];
    const upper = at(left, top) * (1 - right) + at(left + 1, top) * right;
    const lower = at(left, top + 1) * (1 - right) + at(left + 1, top + 1) * right;
    const isOutside = left < -1 || top < -1 || left >= width || top >= height;
    const ink = isOutside ? low : upper * (1 - down) + lower * down;
    return Math.fround(view.inverted ? low + high - ink : ink);
  });
}

test("every view has the bits of its definition: of any matrix, range, number of planes, and of much ground", (t) => {
  const random = seededRandom(5);
  const shapes: readonly PictureShape[] = [
    { shape: [1, 28, 28], range: [0, 1] },
    { shape: [3, 7, 5], range: [-1, 1] },
    { shape: [2, 6, 9], range: [0.25, 3] },
  ];
  for (let round = 0; round < 60; round++) {
    const shape = shapes[round % shapes.length] ?? square;
    const [low, high] = shape.range;
    const size = shape.shape.reduce((product, side) => product * side, 1);
    const ground = random() < 0.5 ? low : 0;
    const of = Float32Array.from({ length: size }, () =>
      random() < 0.6 ? ground : Math.fround(low + (high - low) * random()),
    );
    const entry = (): number => (random() < 0.2 ? Math.round(3 * random()) - 1 : 4 * random() - 2);
    const [centred, inverted] = [random() < 0.5, random() < 0.3];
    const view: View = { name: "any", matrix: [entry(), entry(), entry(), entry()], centred, inverted };
    t.deepEqual(seen(view, of, shape), defined(view, of, shape), `${view.matrix}`);
  }
});

test("the picture given is only read", (t) => {
  const given = picture.slice();
  applyView({ ...asItIs, centred: true, inverted: true, matrix: [0, 1, -1, 0] }, given, square, new Float32Array(9));
  t.deepEqual(given, picture);
});

test("the digits' views have names of their own, keep ink within the range and never answer with NaN", (t) => {
  t.is(new Set(pictureViews.map(({ name }) => name)).size, pictureViews.length);
  const digit = Float32Array.from({ length: 784 }, (_, i) =>
    i % 28 > 4 && i % 28 < 9 && i > 100 && i < 500 ? 0.9 : 0,
  );
  for (const view of pictureViews) {
    const out = seen(view, digit, { shape: [1, 28, 28], range: [0, 1] });
    t.true(
      out.every((ink) => ink >= 0 && ink <= 1),
      view.name,
    );
    t.notDeepEqual(out, [...digit], view.name);
  }
});
