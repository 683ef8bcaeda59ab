// Reads arrays from NumPy's .npz: a zip archive of .npy files (numpy.savez, numpy.savez_compressed).
//
// Owns: as much of the zip format as NumPy writes (PKWARE APPNOTE 6.3: stored and deflated entries, one volume).
// Does not own: the .npy inside (npy.ts), what the arrays mean. The bytes are a stranger's: nothing is believed before
// it is checked.
//
// Z1. Never throws. Every failure is a refusal that says what to do.
// Z2. Nothing is unpacked beyond the size that was promised, and no promise beyond the bound is taken.
import { crc32, inflateRawSync } from "node:zlib";
import { printable } from "../text.js";
import { type Picture, readNpy } from "./npy.js";

export type NpzRead<Name extends string> =
  | { readonly kind: "ok"; readonly arrays: Readonly<Record<Name, Picture>> }
  | { readonly kind: "refused"; readonly message: string; readonly next: string };

type Refusal = Extract<NpzRead<string>, { kind: "refused" }>;

interface Entry {
  readonly name: string;
  readonly method: number;
  readonly isEncrypted: boolean;
  readonly crc: number;
  readonly packedBytes: number;
  readonly bytes: number;
  /** Where its local header begins. */
  readonly offset: number;
}

const endMagic = 0x06054b50;
const entryMagic = 0x02014b50;
const localMagic = 0x04034b50;
const endBytes = 22;
const entryBytes = 46;
const localBytes = 30;
const commentBytesMax = 0xffff;
const entriesMax = 1000;
const arrayBytesMax = 1024 * 1024 * 1024;
const saveAgain = "save it again with numpy.savez(file, x=inputs, y=labels)";

export function looksLikeZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b;
}

/** The arrays of these names. `bytes` is the whole file. */
export function readNpz<Name extends string>(bytes: Uint8Array, names: readonly Name[]): NpzRead<Name> {
  const entries = directoryOf(bytes);
  if (entries === undefined) return refused("it is not an .npz archive, or is cut off", saveAgain);
  const arrays: Partial<Record<Name, Picture>> = {};
  for (const name of names) {
    const entry = entries.find((each) => each.name === `${name}.npy`);
    if (entry === undefined) {
      const held = entries.map((each) => printable(each.name.replace(/\.npy$/, ""))).slice(0, 8);
      return refused(`it holds no array "${name}" (it holds: ${held.join(", ") || "nothing"})`, saveAgain);
    }
    const unpacked = unpack(bytes, entry);
    if (unpacked.kind === "refused") return unpacked;
    const read = readNpy(unpacked.bytes);
    if (read.kind === "refused") return { ...read, message: `array "${name}": ${read.message}` };
    arrays[name] = read.picture;
  }
  return { kind: "ok", arrays: arrays as Record<Name, Picture> };
}

/** undefined where the end of the archive, or an entry of its directory, is not where it should be. */
function directoryOf(bytes: Uint8Array): readonly Entry[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = endOf(view);
  if (end === undefined) return undefined;
  const count = view.getUint16(end + 10, true);
  let at = view.getUint32(end + 16, true);
  if (count > entriesMax) return undefined;
  const entries: Entry[] = [];
  for (let i = 0; i < count; i++) {
    if (at + entryBytes > end || view.getUint32(at, true) !== entryMagic) return undefined;
    const nameBytes = view.getUint16(at + 28, true);
    const next = at + entryBytes + nameBytes + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
    if (next > end) return undefined;
    entries.push({
      name: new TextDecoder().decode(bytes.subarray(at + entryBytes, at + entryBytes + nameBytes)),
      isEncrypted: (view.getUint16(at + 8, true) & 1) === 1,
      method: view.getUint16(at + 10, true),
      crc: view.getUint32(at + 16, true),
      packedBytes: view.getUint32(at + 20, true),
      bytes: view.getUint32(at + 24, true),
      offset: view.getUint32(at + 42, true),
    });
    at = next;
  }
  return entries;
}

/** The end record stands last, but for a comment. */
function endOf(view: DataView): number | undefined {
  const first = Math.max(0, view.byteLength - endBytes - commentBytesMax);
  for (let at = view.byteLength - endBytes; at >= first; at--)
    if (view.getUint32(at, true) === endMagic && at + endBytes + view.getUint16(at + 20, true) === view.byteLength)
      return at;
  return undefined;
}

function unpack(bytes: Uint8Array, entry: Entry): { readonly kind: "ok"; readonly bytes: Uint8Array } | Refusal {
  const { method, packedBytes, offset } = entry;
  const what = `array "${printable(entry.name)}"`;
  if (entry.isEncrypted || (method !== 0 && method !== 8))
    return refused(`${what} is packed in a way that NumPy does not use`, saveAgain);
  if (entry.bytes > arrayBytesMax)
    return refused(`${what} has ${entry.bytes} bytes, at most ${arrayBytesMax} are read`, "give fewer rows");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const broken = refused(`${what} is damaged`, saveAgain);
  if (offset + localBytes > bytes.length || view.getUint32(offset, true) !== localMagic) return broken;
  const start = offset + localBytes + view.getUint16(offset + 26, true) + view.getUint16(offset + 28, true);
  if (start + packedBytes > bytes.length) return broken;
  const packed = bytes.subarray(start, start + packedBytes);
  const unpacked = method === 0 ? packed : inflated(packed, entry.bytes);
  if (unpacked?.length !== entry.bytes || crc32(unpacked) !== entry.crc) return broken;
  return { kind: "ok", bytes: unpacked };
}

/** undefined for what is no deflate stream, or a longer one than promised. */
function inflated(packed: Uint8Array, size: number): Uint8Array | undefined {
  try {
    return inflateRawSync(packed, { maxOutputLength: Math.max(1, size) });
  } catch (error) {
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  }
}

function refused(message: string, next: string): Refusal {
  return { kind: "refused", message, next };
}
