// A model's folder as one piece of bytes, so that it can travel: its files one behind the other, the manifest first.
//
// Owns: which files belong to it, the checksum of the whole, packing and unpacking. Does not own: how it travels
// (transport/log/model-registry.ts), what is in the files (manifest.ts).
//
// K1. The checksum of the whole is the model's identity: folders with the same four files have the same, whatever else lies in them.
// K2. An unpacked folder appears whole under its name or not at all, readable by its owner alone.

import { createHash, randomBytes } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { loadModel, type Model, sha256 } from "../manifest.js";

export interface PackagedFile {
  readonly file: string;
  readonly bytes: number;
}

export interface ModelPackage {
  readonly name: string;
  /** In the order of their bytes. */
  readonly files: readonly PackagedFile[];
  /** Of all files together. */
  readonly bytes: number;
  readonly sha256: string;
}

const manifestName = "manifest.json";

/** The package of a model that was loaded, and its bytes, read once more and checked once more (F1). Throws ModelError as loadModel does. */
export async function packModel(
  folder: string,
): Promise<{ readonly package: ModelPackage; readonly parts: readonly Uint8Array[]; readonly model: Model }> {
  const model = await loadModel(folder);
  return { ...(await packLoaded(model)), model };
}

/** The same of a model that this process has just loaded: its files are not checked again, which would cost its start some milliseconds. */
export async function packLoaded({ manifest, folder }: Pick<Model, "manifest" | "folder">): Promise<{
  readonly package: ModelPackage;
  readonly parts: readonly Uint8Array[];
}> {
  const { files } = manifest;
  const names = [manifestName, files.model.file, files.source.file, files.calibration.file];
  const parts = await Promise.all(names.map((name) => readFile(join(folder, name))));
  const listed = names.map((file, index) => ({ file, bytes: parts[index]?.byteLength ?? 0 }));
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  const bytes = listed.reduce((sum, each) => sum + each.bytes, 0);
  return {
    package: { name: manifest.name, files: listed, bytes, sha256: hash.digest("hex") },
    parts,
  };
}

/** Writes the files of a package into `folder`, which must not be there, or must hold the same already. `whole` has the checksum of the package. */
export async function unpackModel(
  { files, sha256: expected }: ModelPackage,
  whole: Uint8Array,
  folder: string,
): Promise<void> {
  if (sha256(whole) !== expected) throw new Error("a package is unpacked only when its checksum agrees");
  const parent = dirname(folder);
  await mkdir(parent, { recursive: true, mode: 0o700 });
  const temporary = join(parent, `.${basename(folder)}.${randomBytes(6).toString("hex")}`);
  try {
    await mkdir(temporary, { mode: 0o700 });
    let offset = 0;
    for (const { file, bytes } of files) {
      await writeFile(join(temporary, file), whole.subarray(offset, offset + bytes), { mode: 0o600, flag: "wx" });
      offset += bytes;
    }
    await rm(folder, { recursive: true, force: true });
    await rename(temporary, folder);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}
