// NKeys: key pairs of Ed25519 by which a user proves who he is, and never shows the server a secret.
//
// Owns: the only use of the nkeys library; making seeds, the public key of one, reading one from a file.
// Does not own: who has one (credentials.ts), the signature at each connection (bus.ts).
//
// N1. A seed is a secret: it is in no error, and a file that others can read is refused.

import { readFile, stat } from "node:fs/promises";
import { createUser, fromSeed, NKeysError } from "@nats-io/nkeys";

export type FoundSeed =
  | { readonly kind: "seed"; readonly seed: string }
  | { readonly kind: "refused"; readonly message: string };

const seedPattern = /^SU[A-Z2-7]{56}$/;
/** A seed file has one line of 58 characters, and at most some words around it. */
const fileBytesMax = 64 * 1024;
const othersMask = 0o077;

/** A fresh seed of a user, as text. */
export function makeSeed(): string {
  return new TextDecoder().decode(createUser().getSeed());
}

/** What the server is told of a user; undefined when this is no user's seed. */
export function publicKeyOf(seed: string): string | undefined {
  if (!seedPattern.test(seed)) return undefined;
  try {
    return fromSeed(seedBytes(seed)).getPublicKey();
  } catch (error) {
    // A letter was mistyped: the checksum in it does not hold.
    if (error instanceof NKeysError) return undefined;
    throw error;
  }
}

export function seedBytes(seed: string): Uint8Array {
  return new TextEncoder().encode(seed);
}

/** The seed in a file as `nk`, `nsc` and `driftmend auth init` write them: a line of its own, whatever is around it. */
export async function readSeedFile(file: string): Promise<FoundSeed> {
  let text: string;
  try {
    const { mode, size } = await stat(file);
    if ((mode & othersMask) !== 0)
      return refused(`${file} is readable by others (mode ${octal(mode)}): chmod 600 ${file}`);
    if (size > fileBytesMax) return refused(`${file} is no nkey seed: it has ${size} bytes`);
    text = await readFile(file, "utf8");
  } catch (error) {
    if (!(error instanceof Error && "code" in error)) throw error;
    return refused(error.code === "ENOENT" ? `there is no ${file}` : `${file} cannot be read: ${error.code}`);
  }
  const lines = text.split("\n").map((line) => line.trim());
  const seed = lines.find((line) => publicKeyOf(line) !== undefined);
  return seed === undefined ? refused(`${file} has no line with a user's nkey seed (SU...)`) : { kind: "seed", seed };
}

function refused(message: string): FoundSeed {
  return { kind: "refused", message };
}

function octal(mode: number): string {
  return (mode & 0o777).toString(8).padStart(3, "0");
}
