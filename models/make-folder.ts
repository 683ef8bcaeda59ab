// A folder that somebody named, made with its parents.
//
// Owns: that it ends. Node's own `mkdir(path, { recursive: true })` (20.20.2 still) goes round for ever where the parent is there and takes no folders, as
// /proc does: `up --store /proc/x` hung, computing, and heard no signal. Does not own: what is written into the folder.

import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/** Resolves when the folder is there, also when it was before. `mode` is given to what is made, as mkdir does. Rejects with the error of the system. */
export async function makeFolder(folder: string, mode = 0o777): Promise<void> {
  if (await madeOrThere(folder, mode)) return;
  await makeFolder(dirname(folder), mode);
  // The parent is there now: another ENOENT is its refusal, and an end.
  await mkdir(folder, { mode }).catch((error: unknown) => unlessFolder(folder, error));
}

/** False where the parent is missing. */
async function madeOrThere(folder: string, mode: number): Promise<boolean> {
  try {
    await mkdir(folder, { mode });
  } catch (error) {
    if (hasCode(error, "ENOENT") && dirname(folder) !== folder) return false;
    await unlessFolder(folder, error);
  }
  return true;
}

async function unlessFolder(folder: string, error: unknown): Promise<void> {
  // EROFS and EACCES are also said of a folder that is there, so whether it is one is asked and not concluded.
  const found = await stat(folder).catch(() => undefined);
  if (found?.isDirectory() !== true) throw error;
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
