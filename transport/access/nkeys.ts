// NKeys: key pairs of Ed25519 by which a user proves who he is, and never shows the server a secret.
//
// Owns: the text form of seeds and public keys, making seeds, the answer to a server's challenge, reading a seed from a file.
// Does not own: who has one (credentials.ts), the connection at whose beginning it signs (bus-sign-in.ts).
//
// N1. A seed is a secret: it is in no error, and a file that others can read is refused.
// N2. Seeds and keys have the form of the nkeys library of NATS, byte for byte (github.com/nats-io/nkeys, strkey.go), and signatures are
//     RFC 8032, which leaves no choice; a test holds all three against the library. It computes in JavaScript: two sign-ins cost a node
//     that starts some 30 ms of its only thread, and cost it 1 here.

import { createPrivateKey, createPublicKey, type KeyObject, randomBytes, sign } from "node:crypto";
import { readFile, stat } from "node:fs/promises";

export type FoundSeed =
  | { readonly kind: "seed"; readonly seed: string }
  | { readonly kind: "refused"; readonly message: string };

const seedPattern = /^SU[A-Z2-7]{56}$/;
/** A seed file has one line of 58 characters, and at most some words around it. */
const fileBytesMax = 64 * 1024;
const othersMask = 0o077;

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/** The library's prefix bytes: what they are made to begin with is "SU", and "U". */
const userPrefix = 20 << 3;
const seedPrefix = 18 << 3;
const rawBytes = 32;
/** What a private key of Ed25519 has in front in PKCS #8 (RFC 8410, section 7). */
const pkcs8Head = Buffer.from("302e020100300506032b657004220420", "hex");

/** A fresh seed of a user, as text. */
export function makeSeed(): string {
  return encoded(
    Buffer.concat([Buffer.of(seedPrefix | (userPrefix >> 5), (userPrefix & 31) << 3), randomBytes(rawBytes)]),
  );
}

/** What the server is told of a user; undefined when this is no user's seed. */
export function publicKeyOf(seed: string): string | undefined {
  const key = keyOf(seed);
  return key === undefined ? undefined : publicText(key);
}

export interface Proof {
  readonly nkey: string;
  readonly sig: string;
}

/** Proves to a server that one has the seed: by the public key, and by signing what the server sent, where it did. Undefined as above. */
export function proverOf(seed: string): ((challenge: string) => Proof) | undefined {
  const key = keyOf(seed);
  if (key === undefined) return undefined;
  const nkey = publicText(key);
  return (challenge) => ({
    nkey,
    sig: challenge === "" ? "" : sign(null, Buffer.from(challenge), key).toString("base64"),
  });
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

function keyOf(seed: string): KeyObject | undefined {
  if (!seedPattern.test(seed)) return undefined;
  const bytes = decoded(seed);
  const [head, checksum] = [bytes.subarray(0, -2), bytes.subarray(-2)];
  // A letter was mistyped, or the prefix is another's than a user's.
  if (checksum.readUInt16LE() !== crc16(head) || (head[1] ?? 0) >> 3 !== (userPrefix & 31)) return undefined;
  return createPrivateKey({ key: Buffer.concat([pkcs8Head, head.subarray(2)]), format: "der", type: "pkcs8" });
}

function publicText(key: KeyObject): string {
  const raw = createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-rawBytes);
  return encoded(Buffer.concat([Buffer.of(userPrefix), raw]));
}

/** With its checksum behind it, in base 32 (RFC 4648) without padding. */
function encoded(bytes: Buffer): string {
  const checksum = Buffer.alloc(2);
  checksum.writeUInt16LE(crc16(bytes));
  let [text, waiting, bits] = ["", 0, 0];
  for (const byte of [...bytes, ...checksum]) {
    waiting = ((waiting << 8) | byte) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) text += alphabet.charAt((waiting >> (bits - 5)) & 31);
  }
  return bits === 0 ? text : text + alphabet.charAt((waiting << (5 - bits)) & 31);
}

/** Every character is one of the alphabet. */
function decoded(text: string): Buffer {
  const bytes: number[] = [];
  let [waiting, bits] = [0, 0];
  for (const character of text) {
    waiting = ((waiting << 5) | alphabet.indexOf(character)) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((waiting >> bits) & 255);
  }
  return Buffer.from(bytes);
}

/** CRC-16 with the polynomial 0x1021 and nothing inverted (XMODEM). */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = ((crc << 1) ^ ((crc & 0x8000) === 0 ? 0 : 0x1021)) & 0xffff;
  }
  return crc;
}

function refused(message: string): FoundSeed {
  return { kind: "refused", message };
}

function octal(mode: number): string {
  return (mode & 0o777).toString(8).padStart(3, "0");
}
