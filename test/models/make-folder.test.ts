// Folders that somebody named: made, there already, or refused in one sentence; always an end.

import { existsSync } from "node:fs";
import { mkdtemp, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { makeFolder } from "../../models/make-folder.js";

let place = "";

test.before(async () => {
  place = await mkdtemp(join(tmpdir(), "driftmend-folder-"));
});
test.after.always(() => rm(place, { recursive: true, force: true }));

test("a folder is made with its parents, with the mode that was asked for, and once more changes nothing", async (t) => {
  const folder = join(place, "a", "b c", "ü");
  await makeFolder(folder, 0o700);
  await makeFolder(folder, 0o700);
  for (const made of [folder, join(place, "a")]) t.is((await stat(made)).mode & 0o777, 0o700);
});

test("several at once make the same folder", async (t) => {
  const folder = join(place, "at", "once");
  await Promise.all(Array.from({ length: 8 }, () => makeFolder(folder)));
  t.true((await stat(folder)).isDirectory());
});

test("a link to a folder is a folder, and a link to nothing is refused", async (t) => {
  const [good, bad] = [join(place, "good"), join(place, "bad")];
  await Promise.all([symlink(place, good), symlink(join(place, "nowhere"), bad)]);
  await makeFolder(good);
  await t.throwsAsync(makeFolder(bad), { code: "EEXIST" });
});

test("a file in the way is refused, at the end and in the middle", async (t) => {
  const file = join(place, "file");
  await writeFile(file, "");
  await t.throwsAsync(makeFolder(file), { code: "EEXIST" });
  await t.throwsAsync(makeFolder(join(file, "below")), { code: "ENOTDIR" });
});

// Node's own recursive mkdir goes round for ever here.
(existsSync("/proc/self") ? test : test.skip)("a parent that takes no folders is refused, and no wait", async (t) => {
  await t.throwsAsync(makeFolder("/proc/driftmend"), { code: "ENOENT" });
  await t.throwsAsync(makeFolder("/proc/driftmend/below"), { code: "ENOENT" });
});
