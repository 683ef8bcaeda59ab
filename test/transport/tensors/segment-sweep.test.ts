// What a sweep touches and what it does not, on the real /dev/shm. Dead owners are made by hand: a pid that lives with a start time that
// is not its own is the pid of a process that is gone.

import { mkdir, readdir, readFile, rename, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { seeOwners, sweepSegments } from "../../../transport/tensors/segment-sweep.js";
import { until } from "../../until.js";
import { bytesOf, type SharedMemory, sharedMemory, shm } from "./shared-memory.js";

const nowMs = Date.UTC(2026, 0, 1);
const id = "0123456789abcdef0123456789abcdef";

interface DeadOwner {
  readonly name: string;
  readonly directory: string;
}

/** A directory as a process left it that was killed with one lease; `change` is applied to its record. */
async function deadOwner(
  memory: SharedMemory,
  change: Readonly<Record<string, unknown>> = {},
  started = "17",
): Promise<DeadOwner> {
  const template = await memory.open();
  await template.lease(bytesOf(1_000));
  const [own = ""] = (await readdir(memory.root)).filter((name) => name.startsWith(`${process.pid}-`));
  const record = JSON.parse(await readFile(join(memory.root, own, "owner.json"), "utf8")) as object;
  const name = `${process.pid}-${started}`;
  const directory = join(memory.root, name);
  await mkdir(directory, { mode: 0o700 });
  await writeFile(join(directory, id), bytesOf(1_000), { mode: 0o600 });
  const lease = { file: `${name}/${id}`, bytes: 1_000, about: null, state: "created", createdAtMs: 0, expiresAtMs: 0 };
  const left = { ...record, started, leases: [lease], ...change };
  await writeFile(join(directory, "owner.json"), JSON.stringify(left), { mode: 0o600 });
  await template.close();
  return { name, directory };
}

test("a pid that lives again is another process: what its namesake left is swept (S2-36)", async (t) => {
  const memory = sharedMemory(t);
  const { name } = await deadOwner(memory);
  const { swept, foreign } = await sweepSegments(shm, memory.cluster, nowMs);
  t.like(swept, [{ name, files: 1, bytes: 1_000 }]);
  t.is(swept[0]?.record.leases.length, 1);
  t.is(foreign, 0);
  t.deepEqual(await memory.entries(), []);
});

test("an owner in other namespaces is left alone: its pid means nothing here", async (t) => {
  const memory = sharedMemory(t);
  await deadOwner(memory, { namespaces: "pid:[1] time:[2]" });
  const before = await memory.entries();
  t.like(await sweepSegments(shm, memory.cluster, nowMs), { swept: [], foreign: 1 });
  t.deepEqual(await memory.entries(), before);
});

test("a directory without a record that can be read, or with somebody else's, is left alone", async (t) => {
  const memory = sharedMemory(t);
  const { directory } = await deadOwner(memory, { pid: 1 });
  t.like(await sweepSegments(shm, memory.cluster, nowMs), { swept: [], foreign: 1 });
  await writeFile(join(directory, "owner.json"), "{");
  t.like(await sweepSegments(shm, memory.cluster, nowMs), { swept: [], foreign: 1 });
  await mkdir(join(memory.root, "notes"), { mode: 0o700 });
  t.like(await sweepSegments(shm, memory.cluster, nowMs), { swept: [], foreign: 2 });
  t.true((await memory.entries()).includes("notes"));
});

test("what no owner makes stays where it is, and nothing is removed through a link", async (t) => {
  const memory = sharedMemory(t);
  const { directory, name } = await deadOwner(memory);
  const outside = join(memory.root, "outside");
  await mkdir(outside, { mode: 0o700 });
  await writeFile(join(outside, id), "precious");
  await writeFile(join(directory, "notes.txt"), "mine");
  await symlink(join(outside, id), join(directory, "ffffffffffffffffffffffffffffffff"));
  const { swept } = await sweepSegments(shm, memory.cluster, nowMs);
  t.is(swept.length, 1);
  t.is(await readFile(join(outside, id), "utf8"), "precious");
  t.deepEqual((await readdir(directory)).sort(), ["ffffffffffffffffffffffffffffffff", "notes.txt"]);
  t.like(await sweepSegments(shm, memory.cluster, nowMs), { swept: [] }, "and it is counted once");
  await rename(directory, join(memory.root, "elsewhere"));
  await symlink(join(memory.root, "elsewhere"), join(memory.root, name));
  await writeFile(join(memory.root, "elsewhere", id), "precious");
  await sweepSegments(shm, memory.cluster, nowMs);
  t.is(await readFile(join(memory.root, "elsewhere", id), "utf8"), "precious", "an owner's directory is no link");
});

test("a directory that was being made when its process ended goes after a while", async (t) => {
  const memory = sharedMemory(t);
  await deadOwner(memory);
  const staging = join(memory.root, ".new-1-0123456789ab");
  await mkdir(staging, { mode: 0o700 });
  await utimes(staging, nowMs / 1_000, nowMs / 1_000);
  await sweepSegments(shm, memory.cluster, nowMs + 59_000);
  t.true((await memory.entries()).includes(".new-1-0123456789ab"));
  await sweepSegments(shm, memory.cluster, nowMs + 61_000);
  t.deepEqual(await memory.entries(), []);
});

test("an owner's record tells its leases, totals and pool, also of a process that opened several (S2-19)", async (t) => {
  const memory = sharedMemory(t);
  const [one, two] = [await memory.open({ owner: "a" }), await memory.open({ owner: "b" })];
  const outcome = await one.lease(bytesOf(5_000), { about: "digits/7" });
  if (outcome.kind !== "leased") return t.fail();
  outcome.lease.handOver();
  const { owners, found } = await until("the record", 30_000, async () => {
    const seen = await seeOwners(shm, memory.cluster);
    const record = seen.owners.find((each) => each.record.owner === "a")?.record;
    return record?.leases[0]?.state === "handed_over" && { owners: seen.owners, found: record };
  });
  t.is(owners.length, 2);
  t.like(found.leases[0], { file: outcome.lease.ref.file, bytes: 5_000, about: "digits/7" });
  t.like(found.totals, { created: 1, handedOver: 1, released: 0 });
  t.like(found.pool, { leased: 1, leasedBytes: 5_000 });
  await Promise.all([one.close(), two.close()]);
  t.deepEqual(await memory.entries(), []);
});
