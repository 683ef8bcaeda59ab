// Views: other forms of one picture, in which a drifted one may look like a clean one again.
//
// Owns: what a view is, and applying it. Does not own: which views a model has (its manifest), which are tried (rollout.ts).
//
// A view turns, shears or scales the picture, around its centre or around its centre of ink, bilinearly, and may exchange ink and ground.
// Outside the picture there is no ink. Views help where they undo a drift, and nowhere else (docs/learning.md).
export interface View {
  readonly name: string;
  /** [a, b, c, d]: the ink at (x, y) comes from (a x + b y, c x + d y), relative to the centre. */
  readonly matrix: readonly [number, number, number, number];
  /** The centre is that of the ink, and comes to lie in the middle. */
  readonly centred: boolean;
  /** Ink becomes ground, and ground ink. */
  readonly inverted: boolean;
}

/** The last two of an input's dimensions are height and width; what stands before them are planes. */
export interface PictureShape {
  readonly shape: readonly number[];
  /** Least and greatest ink. */
  readonly range: readonly [number, number];
}

/** Writes the view of `picture` into `out`; both [planes, height, width]. */
export function applyView(view: View, picture: Float32Array, { shape, range }: PictureShape, out: Float32Array): void {
  const [height, width] = [shape.at(-2) ?? 1, shape.at(-1) ?? 1];
  const [low, high] = range;
  const [fromX, fromY] = view.centred ? centreOfInk(picture, height, width, low) : [(width - 1) / 2, (height - 1) / 2];
  const [a, b, c, d] = view.matrix;
  for (let plane = 0; plane < picture.length; plane += height * width) {
    for (let row = 0; row < height; row++) {
      const y = row - (height - 1) / 2;
      const rowX = b * y;
      const rowY = d * y;
      const start = plane + row * width;
      for (let column = 0; column < width; column++) {
        const x = column - (width - 1) / 2;
        const ink = bilinear(picture, plane, a * x + rowX + fromX, c * x + rowY + fromY, height, width, low);
        out[start + column] = view.inverted ? low + high - ink : ink;
      }
    }
  }
}

/** Mean place of all ink above `low`, over all planes; the middle of an empty picture. */
function centreOfInk(picture: Float32Array, height: number, width: number, low: number): readonly [number, number] {
  let sum = 0;
  let x = 0;
  let y = 0;
  for (let start = 0; start < picture.length; start += width) {
    const row = (start / width) % height;
    for (let column = 0; column < width; column++) {
      const ink = (picture[start + column] ?? Number.NaN) - low;
      sum += ink;
      x += ink * column;
      y += ink * row;
    }
  }
  return sum > 0 ? [x / sum, y / sum] : [(width - 1) / 2, (height - 1) / 2];
}

/** Ink at a place between pixels; `low` outside the picture. */
function bilinear(
  picture: Float32Array,
  plane: number,
  x: number,
  y: number,
  height: number,
  width: number,
  low: number,
): number {
  // Most places lie inside, where truncation is the floor and every neighbour is there.
  if (!(x >= 0 && y >= 0 && x < width - 1 && y < height - 1)) return atEdge(picture, plane, x, y, height, width, low);
  const left = x | 0;
  const top = y | 0;
  const start = plane + top * width + left;
  const one = picture[start] ?? low;
  const two = picture[start + 1] ?? low;
  const three = picture[start + width] ?? low;
  const four = picture[start + width + 1] ?? low;
  // Most of a picture is ground, and ground is mostly nought.
  if (one === 0 && two === 0 && three === 0 && four === 0) return 0;
  const right = x - left;
  const down = y - top;
  const upper = one * (1 - right) + two * right;
  const lower = three * (1 - right) + four * right;
  return upper * (1 - down) + lower * down;
}

/** The same where a neighbour may lie outside. */
function atEdge(
  picture: Float32Array,
  plane: number,
  x: number,
  y: number,
  height: number,
  width: number,
  low: number,
): number {
  const left = Math.floor(x);
  const top = Math.floor(y);
  if (left < -1 || top < -1 || left >= width || top >= height) return low;
  const right = x - left;
  const down = y - top;
  const start = plane + top * width + left;
  const hasLeft = left >= 0;
  const hasRight = left + 1 < width;
  const above = top >= 0;
  const below = top + 1 < height;
  const one = above && hasLeft ? (picture[start] ?? low) : low;
  const two = above && hasRight ? (picture[start + 1] ?? low) : low;
  const three = below && hasLeft ? (picture[start + width] ?? low) : low;
  const four = below && hasRight ? (picture[start + width + 1] ?? low) : low;
  const upper = one * (1 - right) + two * right;
  const lower = three * (1 - right) + four * right;
  return upper * (1 - down) + lower * down;
}
