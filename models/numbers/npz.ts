// Writes arrays as NumPy's .npz, as numpy.savez would: so that what was trained here is taken in like anybody else's data.
//
// Owns: the bytes (PKWARE APPNOTE 6.3, stored; NPY format 1.0). Does not own: reading (operations/verbs/npz.ts).
import { crc32 } from "node:zlib";

export interface NpzArray {
  readonly shape: readonly number[];
  readonly values: Float32Array | Uint8Array;
}

export function npzOf(arrays: Readonly<Record<string, NpzArray>>): Uint8Array {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  const entries = Object.entries(arrays).map(([name, array]) => [Buffer.from(`${name}.npy`), npyOf(array)] as const);
  for (const [name, data] of entries) {
    // Version, flags, method and time, which are all that both headers have in common before the sizes.
    const common = Buffer.from([20, 0, 0, 0, 0, 0, 0, 0, 33, 0]);
    const sizes = Buffer.alloc(16);
    sizes.writeUInt32LE(crc32(data), 0);
    sizes.writeUInt32LE(data.length, 4);
    sizes.writeUInt32LE(data.length, 8);
    sizes.writeUInt16LE(name.length, 12);
    const local = Buffer.concat([Buffer.from("PK\x03\x04", "latin1"), common, sizes, name, data]);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(offset, 10);
    directory.push(Buffer.concat([Buffer.from("PK\x01\x02\x14\0", "latin1"), common, sizes, place, name]));
    locals.push(local);
    offset += local.length;
  }
  const end = Buffer.alloc(22);
  end.write("PK\x05\x06", "latin1");
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(Buffer.concat(directory).length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, ...directory, end]);
}

/** One array as .npy. */
function npyOf({ shape, values }: NpzArray): Uint8Array {
  const descr = values instanceof Float32Array ? "<f4" : "|u1";
  const list = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${list}), }`;
  const prefix = 10;
  const header = `${text.padEnd(Math.ceil((prefix + text.length + 1) / 64) * 64 - prefix - 1)}\n`;
  const length = Buffer.alloc(2);
  length.writeUInt16LE(header.length);
  const magic = Buffer.from("\x93NUMPY\x01\x00", "latin1");
  return Buffer.concat([
    magic,
    length,
    Buffer.from(header, "latin1"),
    Buffer.from(values.buffer, values.byteOffset, values.byteLength),
  ]);
}
