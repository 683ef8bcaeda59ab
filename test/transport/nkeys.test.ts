// Keys of users: made, read from files, refused; in every byte as NATS' own library has them.

import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as library from "@nats-io/nkeys";
import test from "ava";
import { seededRandom } from "../../models/clock.js";
import { makeSeed, proverOf, publicKeyOf, readSeedFile } from "../../transport/access/nkeys.js";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** The library's word for it, which computes in JavaScript what node:crypto computes here. */
function publicKeyByLibrary(seed: string): string | undefined {
  if (!seed.startsWith("SU")) return undefined;
  try {
    return library.fromSeed(bytesOf(seed)).getPublicKey();
  } catch {
    return undefined;
  }
}

test("seeds, public keys and signatures are those of NATS' own library, whoever made the seed (S2-65)", (t) => {
  const random = seededRandom(3);
  for (let round = 0; round < 5; round += 1) {
    const theirs = textOf(library.createUser().getSeed());
    for (const seed of [theirs, makeSeed()]) {
      const pair = library.fromSeed(bytesOf(seed));
      t.is(publicKeyOf(seed), pair.getPublicKey());
      const challenge = Array.from({ length: 1 + Math.floor(random() * 40) }, () =>
        String.fromCodePoint(33 + Math.floor(random() * 200)),
      ).join("");
      const proof = proverOf(seed)?.(challenge);
      t.is(proof?.nkey, pair.getPublicKey());
      const signature = Buffer.from(proof?.sig ?? "", "base64");
      t.deepEqual(signature, Buffer.from(pair.sign(bytesOf(challenge))));
      t.false(pair.verify(bytesOf(`${challenge}.`), signature), "a signature is of its challenge only");
    }
  }
});

test("one letter of a seed changed: the same are refused as by the library, and what is taken gives the same key", (t) => {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567189=";
  const seed = makeSeed();
  let refused = 0;
  for (let at = 2; at < seed.length; at += 1)
    for (const letter of alphabet) {
      const changed = seed.slice(0, at) + letter + seed.slice(at + 1);
      const ours = publicKeyOf(changed);
      if (ours === undefined) refused += 1;
      if (ours !== publicKeyByLibrary(changed)) t.fail(`at ${at}`);
    }
  t.true(refused > 50 * alphabet.length);
  for (const other of [library.createAccount(), library.createServer(), library.createCurve()])
    t.is(publicKeyOf(other instanceof Object && "getSeed" in other ? textOf(other.getSeed()) : ""), undefined);
});

test("who was asked nothing signs nothing, and what is no seed proves nothing", (t) => {
  const seed = makeSeed();
  t.deepEqual(proverOf(seed)?.(""), { nkey: publicKeyOf(seed) ?? "", sig: "" });
  t.is(proverOf(seed.slice(1)), undefined);
  t.is(proverOf(""), undefined);
});

test("a seed gives one public key; what is mistyped, or of somebody who is no user, gives none", (t) => {
  const seed = makeSeed();
  t.regex(publicKeyOf(seed) ?? "", /^U[A-Z2-7]{55}$/);
  t.is(publicKeyOf(seed), publicKeyOf(seed));
  t.not(publicKeyOf(makeSeed()), publicKeyOf(seed));
  const letter = seed[30] === "A" ? "B" : "A";
  for (const wrong of ["", "password", seed.slice(1), seed.toLowerCase(), seed.slice(0, 30) + letter + seed.slice(31)])
    t.is(publicKeyOf(wrong), undefined);
});

test("a seed file is read with whatever stands around the seed, and refused by one clear sentence otherwise (S2-65)", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "driftmend-nkeys-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const seed = makeSeed();
  const file = async (name: string, text: string, mode = 0o600): Promise<string> => {
    await writeFile(join(folder, name), text);
    await chmod(join(folder, name), mode);
    return join(folder, name);
  };
  t.deepEqual(await readSeedFile(await file("plain", `${seed}\n`)), { kind: "seed", seed });
  const decorated = `-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`;
  t.deepEqual(await readSeedFile(await file("decorated", decorated, 0o400)), { kind: "seed", seed });
  const refusals = [
    [await file("open", seed, 0o644), /readable by others \(mode 644\): chmod 600/],
    [await file("group", seed, 0o640), /readable by others/],
    [await file("empty", ""), /no line with a user's nkey seed/],
    [await file("mistyped", seed.replace(/^SU/, "SA")), /no line with/],
    [await file("large", `${"x".repeat(70_000)}\n${seed}`), /has 700/],
    [join(folder, "absent"), /^there is no /],
    [folder, /readable by others|cannot be read: EISDIR/],
  ] as const;
  for (const [path, words] of refusals) {
    const found = await readSeedFile(path);
    t.regex(found.kind === "refused" ? found.message : "read", words);
    t.false(JSON.stringify(found).includes(seed), "no seed in a message");
  }
});
