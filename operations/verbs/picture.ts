// The picture a person names on the command line, from a file or from stdin.
//
// Owns: which reader a file gets, and what is said about a picture that will surely be misread.
// Does not own: the formats (npy.ts, png.ts), what a model accepts (the serving node says that, in its refusal).

import { readFile, stat } from "node:fs/promises";
import { tensorBytesMax } from "../../transport/tensors/bounds.js";
import { whyUnread } from "../text.js";
import { looksLikeNpy, type Picture, type ReadResult, readNpy } from "./npy.js";
import { looksLikePng, readPng } from "./png.js";

/** More than any tensor a request may carry, with its header; a file beyond is not even read. */
const fileBytesMax = tensorBytesMax + 1024 * 1024;

/** `name` is a path, or `-` for an .npy array on stdin. */
export async function readPicture(name: string, readInput: () => Promise<Uint8Array>): Promise<ReadResult> {
  if (name === "-") return readNpy(await readInput());
  const file = await readWhole(name);
  if (file.kind === "refused") return file;
  if (looksLikeNpy(file.bytes)) return readNpy(file.bytes);
  if (looksLikePng(file.bytes)) return readPng(file.bytes);
  return {
    kind: "refused",
    message: "it is neither an .npy array nor a PNG",
    next: "give a .npy or .png file, or - for .npy on stdin",
  };
}

type FileRead =
  | { readonly kind: "ok"; readonly bytes: Uint8Array }
  | { readonly kind: "refused"; readonly message: string; readonly next: string };

async function readWhole(path: string): Promise<FileRead> {
  try {
    const { size } = await stat(path);
    if (size > fileBytesMax)
      return { kind: "refused", message: `it has ${size} bytes`, next: "send one picture of the model's own size" };
    return { kind: "ok", bytes: await readFile(path) };
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
    return {
      kind: "refused",
      message: whyUnread(error),
      next: "check the path",
    };
  }
}

/**
 * A sentence about a picture that looks like dark ink on a bright ground, or like nothing at all; undefined for any other. Looks at `|u1` pictures of
 * rank 2 or 3 only: of other dtypes the range is not known here.
 */
export function doubtAbout(picture: Picture): string | undefined {
  const [height = 0, width = 0] = picture.sh.slice(-2);
  if (
    picture.dt !== "|u1" ||
    picture.sh.length < 2 ||
    picture.data.length !== height * width ||
    picture.data.length === 0
  )
    return undefined;
  if (picture.data.every((value) => value === picture.data[0]))
    return "the picture is blank: every pixel has the same value";
  const last = picture.data.length - 1;
  const corners = [0, width - 1, last - (width - 1), last].map((at) => picture.data[at] ?? 0);
  const bright = corners.filter((value) => value > 127).length;
  if (bright < 3) return undefined;
  return "its corners are bright: the digits model expects bright ink on a dark ground; invert it with: convert in.png -negate out.png";
}
