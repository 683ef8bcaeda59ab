// Reads a picture from PNG: 8 bits, grey, grey with alpha, RGB or RGBA, not interlaced; the rest is refused with the command that converts it.
//
// Owns: the format (PNG specification, third edition: chunks 5.3, filters 9.2). Result: grey, one byte a pixel, row by row.
// Does not own: sizes (a picture is never resized here: how to would be a choice that changes the answer).
//
// G1. Never throws, and never inflates more than the header's own size.
import { crc32, inflateSync } from "node:zlib";
import type { ReadResult } from "./npy.js";

const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const sideMax = 4_096;
const convert = "convert it first, for example: convert in.png -colorspace gray -depth 8 -interlace none out.png";
const channelsOf: Readonly<Record<number, number>> = { 0: 1, 2: 3, 4: 2, 6: 4 };

interface Layout {
  readonly width: number;
  readonly height: number;
  readonly channels: number;
}

type Step<T> =
  | { readonly kind: "ok"; readonly value: T }
  | { readonly kind: "refused"; readonly message: string; readonly next: string };

export function looksLikePng(bytes: Uint8Array): boolean {
  return signature.every((byte, index) => bytes[index] === byte);
}

export function readPng(bytes: Uint8Array): ReadResult {
  if (!looksLikePng(bytes)) return refused("it does not begin like a PNG");
  const chunks = readChunks(bytes);
  if (chunks.kind === "refused") return chunks;
  const layout = readLayout(chunks.value.header);
  if (layout.kind === "refused") return layout;
  const { width, height, channels } = layout.value;
  const filtered = inflate(chunks.value.data, height * (1 + width * channels));
  if (filtered === undefined) return refused("its picture data is damaged or has the wrong length");
  const pixels = unfilter(filtered, layout.value);
  if (pixels === undefined) return refused("it uses an unknown row filter");
  return { kind: "ok", picture: { dt: "|u1", sh: [height, width], data: toGrey(pixels, layout.value) } };
}

function refused(
  message: string,
  next = convert,
): { readonly kind: "refused"; readonly message: string; readonly next: string } {
  return { kind: "refused", message, next };
}

/** IHDR first, IDAT joined, up to IEND; each with the right checksum. */
function readChunks(bytes: Uint8Array): Step<{ readonly header: Uint8Array; readonly data: Uint8Array }> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: Uint8Array[] = [];
  let header: Uint8Array | undefined;
  let at = signature.length;
  while (at + 12 <= bytes.length) {
    const length = view.getUint32(at);
    const end = at + 12 + length;
    if (end > bytes.length) break;
    if (crc32(bytes.subarray(at + 4, end - 4)) !== view.getUint32(end - 4))
      return refused("a part of it is damaged (checksum)");
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const body = bytes.subarray(at + 8, end - 4);
    if (header === undefined && type !== "IHDR") return refused("it does not begin with a PNG header");
    if (type === "IHDR") header = body;
    if (type === "IDAT") parts.push(body);
    if (type === "IEND" && header !== undefined) return { kind: "ok", value: { header, data: Buffer.concat(parts) } };
    at = end;
  }
  return refused("it is cut off");
}

function readLayout(header: Uint8Array): Step<Layout> {
  if (header.length !== 13) return refused("its PNG header has the wrong length");
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [depth, colour, compression, filter, interlace] = header.subarray(8);
  const channels = colour === undefined ? undefined : channelsOf[colour];
  if (width === 0 || height === 0 || width > sideMax || height > sideMax)
    return refused(
      `it has ${width} x ${height} pixels, more than a model takes`,
      "send a picture of the model's own size: it is not resized here",
    );
  if (colour === 3) return refused("it is a palette PNG");
  if (depth !== 8 || channels === undefined)
    return refused(`it has ${depth} bits a channel or an unknown colour type: 8 bits grey, RGB or RGBA are read`);
  if (interlace !== 0 || compression !== 0 || filter !== 0)
    return refused("it is interlaced or compressed in an unknown way");
  return { kind: "ok", value: { width, height, channels } };
}

/** Undefined unless the data inflates to exactly `size` bytes. */
function inflate(data: Uint8Array, size: number): Uint8Array | undefined {
  try {
    const inflated = inflateSync(data, { maxOutputLength: size });
    return inflated.length === size ? inflated : undefined;
  } catch (error) {
    // zlib reports damage and excess by throwing; anything else is ours.
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  }
}

/** Undoes the filter of each row (0 none, 1 left, 2 up, 3 average, 4 Paeth). Undefined at an unknown one. */
function unfilter(filtered: Uint8Array, { width, height, channels }: Layout): Uint8Array | undefined {
  const stride = width * channels;
  const out = new Uint8Array(height * stride);
  for (let row = 0; row < height; row++) {
    const kind = filtered[row * (stride + 1)] ?? 0;
    if (kind > 4) return undefined;
    const from = row * (stride + 1) + 1;
    for (let x = 0; x < stride; x++) {
      const at = row * stride + x;
      const left = x >= channels ? (out[at - channels] ?? 0) : 0;
      const up = row > 0 ? (out[at - stride] ?? 0) : 0;
      const corner = row > 0 && x >= channels ? (out[at - stride - channels] ?? 0) : 0;
      out[at] = (filtered[from + x] ?? 0) + prediction(kind, left, up, corner);
    }
  }
  return out;
}

function prediction(kind: number, left: number, up: number, corner: number): number {
  if (kind === 1) return left;
  if (kind === 2) return up;
  if (kind === 3) return (left + up) >> 1;
  if (kind === 4) return paeth(left, up, corner);
  return 0;
}

/** The neighbour nearest to left + up - corner; ties in the order left, up, corner. */
function paeth(left: number, up: number, corner: number): number {
  const toLeft = Math.abs(up - corner);
  const toUp = Math.abs(left - corner);
  const toCorner = Math.abs(left + up - 2 * corner);
  if (toLeft <= toUp && toLeft <= toCorner) return left;
  return toUp <= toCorner ? up : corner;
}

/** ITU-R BT.601 luma, over black where there is alpha: the ground of the models' pictures is dark. */
function toGrey(pixels: Uint8Array, { width, height, channels }: Layout): Uint8Array {
  const grey = new Uint8Array(width * height);
  for (let pixel = 0; pixel < grey.length; pixel++) {
    const at = pixel * channels;
    const first = pixels[at] ?? 0;
    const luma = channels < 3 ? first : 0.299 * first + 0.587 * (pixels[at + 1] ?? 0) + 0.114 * (pixels[at + 2] ?? 0);
    const alpha = channels % 2 === 0 ? (pixels[at + channels - 1] ?? 0) / 255 : 1;
    grey[pixel] = Math.round(luma * alpha);
  }
  return grey;
}
