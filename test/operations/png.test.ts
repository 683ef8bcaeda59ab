// Substrate: PNG files written here chunk by chunk with each of the five row filters.
import { crc32, deflateSync } from "node:zlib";
import test from "ava";
import fc from "fast-check";
import type { Picture } from "../../operations/verbs/npy.js";
import { doubtAbout } from "../../operations/verbs/picture.js";
import { readPng } from "../../operations/verbs/png.js";

const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const colourType = { 1: 0, 2: 4, 3: 2, 4: 6 } as const;

function chunk(type: string, body: Uint8Array): Buffer {
  const out = Buffer.alloc(12 + body.length);
  out.writeUInt32BE(body.length);
  out.write(type, 4, "latin1");
  out.set(body, 8);
  out.writeUInt32BE(crc32(out.subarray(4, 8 + body.length)), 8 + body.length);
  return out;
}

function header(width: number, height: number, depth: number, colour: number, interlace = 0): Buffer {
  const body = Buffer.alloc(13);
  body.writeUInt32BE(width);
  body.writeUInt32BE(height, 4);
  body.set([depth, colour, 0, 0, interlace], 8);
  return chunk("IHDR", body);
}

/** What the filter of PNG section 9.2 predicts, written anew so that the reader is not checked against itself. */
function predicted(kind: number, a: number, b: number, c: number): number {
  if (kind === 4) {
    const p = a + b - c;
    const [pa, pb, pc] = [Math.abs(p - a), Math.abs(p - b), Math.abs(p - c)];
    if (pa <= pb && pa <= pc) return a;
    return pb <= pc ? b : c;
  }
  return [0, a, b, Math.floor((a + b) / 2)][kind] ?? 0;
}

function png(pixels: Uint8Array, width: number, channels: 1 | 2 | 3 | 4, filters: readonly number[]): Buffer {
  const stride = width * channels;
  const height = pixels.length / stride;
  const rows = Buffer.alloc(height * (stride + 1));
  for (let y = 0; y < height; y++) {
    const kind = filters[y % filters.length] ?? 0;
    rows[y * (stride + 1)] = kind;
    for (let x = 0; x < stride; x++) {
      const at = (dy: number, dx: number) => (y + dy < 0 || x + dx < 0 ? 0 : (pixels[(y + dy) * stride + x + dx] ?? 0));
      const guess = predicted(kind, at(0, -channels), at(-1, 0), at(-1, -channels));
      rows[y * (stride + 1) + 1 + x] = ((pixels[y * stride + x] ?? 0) - guess) & 255;
    }
  }
  const data = deflateSync(rows);
  const half = data.length >> 1;
  return Buffer.concat([
    signature,
    header(width, height, 8, colourType[channels]),
    chunk("tEXt", Buffer.from("Comment\0made by a test")),
    chunk("IDAT", data.subarray(0, half)),
    chunk("IDAT", data.subarray(half)),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

test("a grey picture comes back pixel for pixel, whatever filter each row uses", (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 9 }),
      fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 9 }),
      fc.infiniteStream(fc.integer({ min: 0, max: 255 })),
      (width, height, filters, values) => {
        const pixels = Uint8Array.from([...values.take(width * height)]);
        const result = readPng(png(pixels, width, 1, filters));
        t.deepEqual(result, { kind: "ok", picture: { dt: "|u1", sh: [height, width], data: pixels } });
      },
    ),
  );
});

test("colours become their luma, for every filter", (t) => {
  const pixels = Uint8Array.from([255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255, 10, 20, 30, 0, 0, 0]);
  for (const filter of [0, 1, 2, 3, 4]) {
    const result = readPng(png(pixels, 2, 3, [filter]));
    t.deepEqual(result.kind === "ok" ? [...result.picture.data] : result, [76, 150, 29, 255, 18, 0]);
  }
});

test("transparency lets the dark ground through", (t) => {
  const rgba = readPng(png(Uint8Array.from([255, 255, 255, 0, 255, 255, 255, 128]), 2, 4, [1]));
  t.deepEqual(rgba.kind === "ok" ? [...rgba.picture.data] : rgba, [0, 128]);
  const greyAlpha = readPng(png(Uint8Array.from([200, 255, 200, 0]), 2, 2, [4]));
  t.deepEqual(greyAlpha.kind === "ok" ? [...greyAlpha.picture.data] : greyAlpha, [200, 0]);
});

const good = png(
  Uint8Array.from({ length: 12 }, (_, index) => index * 20),
  4,
  1,
  [0, 1, 2],
);

function withHeader(ihdr: Buffer, data: Uint8Array = deflateSync(Buffer.alloc(4))): Buffer {
  return Buffer.concat([signature, ihdr, chunk("IDAT", data), chunk("IEND", Buffer.alloc(0))]);
}

const hostile: Readonly<Record<string, Buffer>> = {
  "nothing at all": Buffer.alloc(0),
  "a JPEG": Buffer.from([0xff, 0xd8, 0xff, 0xe0]),
  "a PNG that is cut off": good.subarray(0, good.length - 5),
  "a PNG without a header": Buffer.concat([
    signature,
    chunk("IDAT", deflateSync(Buffer.alloc(4))),
    chunk("IEND", Buffer.alloc(0)),
  ]),
  "a palette PNG": withHeader(header(2, 2, 8, 3)),
  "16 bits a channel": withHeader(header(2, 2, 16, 0)),
  "1 bit a pixel": withHeader(header(2, 2, 1, 0)),
  "an unknown colour type": withHeader(header(2, 2, 8, 5)),
  "an interlaced PNG": withHeader(header(2, 2, 8, 0, 1)),
  "no pixels": withHeader(header(0, 2, 8, 0)),
  "four thousand million pixels a side": withHeader(header(0xffffffff, 0xffffffff, 8, 0)),
  "picture data that is not zlib": withHeader(header(2, 2, 8, 0), Buffer.from("not zlib")),
  "picture data that is too short": withHeader(header(2, 2, 8, 0), deflateSync(Buffer.alloc(5))),
  "picture data that inflates to a thousand times its promise": withHeader(
    header(2, 2, 8, 0),
    deflateSync(Buffer.alloc(6_000_000)),
  ),
  "an unknown row filter": withHeader(header(2, 2, 8, 0), deflateSync(Buffer.from([9, 0, 0, 0, 0, 0]))),
};

for (const [name, bytes] of Object.entries(hostile))
  test(`${name} is refused with what to do`, (t) => {
    const result = readPng(bytes);
    t.is(result.kind, "refused");
    if (result.kind === "refused") t.true(result.message !== "" && result.next !== "");
  });

test("every single changed byte is either noticed or harmless, and never throws", (t) => {
  for (let at = 0; at < good.length; at++) {
    const bytes = Buffer.from(good);
    bytes[at] = (bytes[at] ?? 0) ^ 0x55;
    t.is(readPng(bytes).kind, "refused", `byte ${at}`);
  }
});

function picture(corner: number, middle: number): Picture {
  const data = new Uint8Array(9).fill(corner);
  data[4] = middle;
  return { dt: "|u1", sh: [3, 3], data };
}

test("dark ink on a bright ground is doubted, with the command that inverts it", (t) => {
  t.regex(doubtAbout(picture(255, 0)) ?? "", /bright ink on a dark ground.*-negate/);
  t.is(doubtAbout(picture(0, 255)), undefined);
});

test("a blank picture is doubted", (t) => {
  t.regex(doubtAbout(picture(255, 255)) ?? "", /blank/);
});

test("nothing is said of shapes and dtypes whose meaning is not known here", (t) => {
  t.is(doubtAbout({ dt: "<f4", sh: [3, 3], data: new Uint8Array(36).fill(255) }), undefined);
  t.is(doubtAbout({ dt: "|u1", sh: [0, 3], data: new Uint8Array(0) }), undefined);
  t.is(doubtAbout({ dt: "|u1", sh: [2, 3, 3], data: new Uint8Array(18).fill(255) }), undefined);
});
