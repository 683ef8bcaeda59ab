// Keys of users: made, read from files, refused.

import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { makeSeed, publicKeyOf, readSeedFile } from "../../transport/nkeys.js";

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
