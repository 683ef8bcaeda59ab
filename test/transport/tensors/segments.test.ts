// Leases on segments of shared memory, on the real /dev/shm of this machine; time is virtual where it decides.

import { chmod, link, mkdir, readdir, rename, rm, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import test from "ava";
import { VirtualClock } from "../../../supervision/virtual-clock.js";
import type { LeaseChange } from "../../../transport/tensors/segment-leases.js";
import { openSegments, type SegmentLease, type Segments } from "../../../transport/tensors/segments.js";
import { timeoutDefaults } from "../../../transport/timeouts.js";
import { bytesOf, sharedMemory, shm } from "./shared-memory.js";

const mib = 1024 * 1024;

async function leased(segments: Segments, bytes: Uint8Array): Promise<SegmentLease> {
  const outcome = await segments.lease(bytes);
  if (outcome.kind !== "leased") throw new Error(outcome.kind);
  await outcome.lease.written;
  return outcome.lease;
}

test("what is leased is read by another owner, byte for byte, whatever its length (S2-22)", async (t) => {
  const memory = sharedMemory(t);
  const [sender, receiver] = [await memory.open(), await memory.open({ owner: "receiver" })];
  t.is(sender.host, receiver.host);
  for (const length of [0, 1, 131_071, 131_072, 131_073, 524_288, 524_289, 3 * mib + 5]) {
    const bytes = bytesOf(length, length);
    const lease = await leased(sender, bytes);
    t.deepEqual(await lease.written, { kind: "written", crc: crc32(bytes) });
    const read = await receiver.read({ ...lease.ref, host: sender.host });
    t.deepEqual(read.kind === "read" ? Buffer.compare(read.bytes, bytes) : read, 0, `${length} bytes`);
    lease.release();
  }
  await Promise.all([sender.close(), receiver.close()]);
  t.deepEqual(await memory.entries(), [], "nothing is left, the cluster's directory included");
});

test("bytes go where the receiver wants them, also into memory that threads share", async (t) => {
  const memory = sharedMemory(t);
  const segments = await memory.open();
  const bytes = bytesOf(mib);
  const lease = await leased(segments, bytes);
  const into = new Uint8Array(new SharedArrayBuffer(mib + 64), 64);
  const read = await segments.read(lease.ref, into);
  t.true(read.kind === "read" && read.bytes === into);
  t.is(Buffer.compare(into, bytes), 0);
  t.deepEqual(await segments.read(lease.ref, new Uint8Array(mib - 1)), { kind: "refused", why: "size" });
  await segments.close();
});

test("a lease is created, handed over, confirmed and released, in this order, each once (S2-19, S2-20)", async (t) => {
  const memory = sharedMemory(t);
  const told: LeaseChange[] = [];
  const segments = await memory.open({ onChange: (change) => told.push(change) });
  const lease = await leased(segments, bytesOf(1_000));
  t.like(segments.leases(), [{ file: lease.ref.file, bytes: 1_000, state: "created" }]);
  lease.handOver();
  t.is(segments.leases()[0]?.state, "handed_over");
  lease.confirm();
  lease.handOver();
  lease.confirm();
  t.is(segments.leases()[0]?.state, "confirmed");
  lease.release();
  lease.release();
  lease.confirm();
  t.deepEqual(segments.leases(), []);
  t.true(lease.ended.aborted);
  t.deepEqual(
    told.map(({ kind, live, liveBytes }) => [kind, live, liveBytes]),
    [
      ["created", 1, 1_000],
      ["handed_over", 1, 1_000],
      ["confirmed", 1, 1_000],
      ["released", 0, 0],
    ],
  );
  t.deepEqual(segments.totals(), { created: 1, handedOver: 1, confirmed: 1, released: 1, expired: 0 });
  await segments.close();
});

test("a lease that nobody confirms is taken back at its moment, and its bytes are nobody's any more (S2-21, S2-38)", async (t) => {
  const clock = new VirtualClock();
  const memory = sharedMemory(t, clock);
  const segments = await memory.open();
  const [byDefault, byDeadline] = [
    await leased(segments, bytesOf(10)),
    await segments.lease(bytesOf(20), { expiresAtMs: 400 }),
  ];
  t.is(byDeadline.kind, "leased");
  await clock.advance(399);
  t.is(segments.leases().length, 2, "negative control: not before its moment");
  await clock.advance(1);
  t.deepEqual(
    segments.leases().map(({ bytes }) => bytes),
    [10],
    "the deadline of its request is its end",
  );
  await clock.advance(timeoutDefaults.tensorLease - 400);
  t.deepEqual(segments.leases(), []);
  t.true(byDefault.ended.aborted);
  t.like(segments.totals(), { created: 2, expired: 2, released: 0 });
  byDefault.release();
  t.like(segments.totals(), { expired: 2, released: 0 }, "a release that comes late is not counted");
  const next = await leased(segments, bytesOf(10, 7));
  t.deepEqual(await segments.read(byDefault.ref), { kind: "refused", why: "missing" }, "its file has another name now");
  next.release();
  await segments.close();
});

test("files are used again, so a steady load makes no new ones (S2-52)", async (t) => {
  const memory = sharedMemory(t);
  const segments = await memory.open();
  for (let round = 0; round < 200; round += 1) {
    const [one, two] = await Promise.all([
      leased(segments, bytesOf(70_000, round)),
      leased(segments, bytesOf(60_000, round)),
    ]);
    for (const lease of [one, two]) {
      t.is((await segments.read(lease.ref)).kind, "read");
      lease.release();
    }
  }
  t.like(segments.figures(), { leased: 0, spare: 2, leasedBytes: 0, spareBytes: 130_000, made: 2 });
  t.like(segments.totals(), { created: 400, released: 400 });
  await segments.close();
});

test("spare files go when nobody needed them for a while, and then nothing of the pool is left (S2-19, S2-59)", async (t) => {
  const clock = new VirtualClock();
  const memory = sharedMemory(t, clock);
  const segments = await memory.open();
  (await leased(segments, bytesOf(mib))).release();
  await clock.advance(29_999);
  t.is(segments.figures().spareBytes, mib);
  await clock.advance(1);
  t.like(segments.figures(), { leased: 0, spare: 0, spareBytes: 0 });
  t.is((await memory.entries()).filter((name) => /[0-9a-f]{32}$/.test(name)).length, 0);
  await segments.close();
});

test("at the bound of the pool a lease is refused by name; spare files make way first (S2-34, S2-23)", async (t) => {
  const memory = sharedMemory(t);
  const segments = await memory.open({ segmentBytesMax: 1_000 });
  const one = await leased(segments, bytesOf(600));
  t.deepEqual(await segments.lease(bytesOf(401)), { kind: "full", why: "pool" });
  t.deepEqual(await segments.lease(bytesOf(1_001)), { kind: "full", why: "pool" });
  const two = await leased(segments, bytesOf(400));
  for (const lease of [one, two]) lease.release();
  const whole = await leased(segments, bytesOf(1_000));
  t.like(segments.figures(), { leased: 1, spare: 0, leasedBytes: 1_000 });
  whole.release();
  t.like(segments.totals(), { created: 3, released: 3 }, "what was refused was never a lease");
  await segments.close();
});

test("where shared memory itself is full, a lease is refused by name and leaves no file (S2-34)", async (t) => {
  const memory = sharedMemory(t);
  const segments = await memory.open({ segmentBytesMax: Number.MAX_SAFE_INTEGER });
  const tooMuch = { byteLength: 2 ** 45 } as Uint8Array;
  t.deepEqual(await segments.lease(tooMuch), { kind: "full", why: "space" });
  t.like(segments.figures(), { leased: 0, spare: 0 });
  t.deepEqual(segments.leases(), []);
  await segments.close();
});

test("a lease that is given up while it is written goes at once", async (t) => {
  const memory = sharedMemory(t);
  const segments = await memory.open();
  const giveUp = new AbortController();
  const leasing = segments.lease(bytesOf(4 * mib), { signal: giveUp.signal });
  t.is(segments.leases().length, 1);
  giveUp.abort();
  t.deepEqual(await leasing, { kind: "given_up" });
  t.like(segments.totals(), { created: 1, released: 1 });
  const closing = segments.lease(bytesOf(4 * mib));
  await segments.close();
  t.deepEqual(await closing, { kind: "given_up" });
  t.deepEqual(await segments.lease(bytesOf(1)), { kind: "given_up" }, "closed segments lease nothing");
  t.deepEqual(await memory.entries(), []);
});

test("bytes that changed, a file that is short, gone, a link, or not a segment's name are refused by name (S2-27)", async (t) => {
  const memory = sharedMemory(t);
  const segments = await memory.open();
  const { ref } = await leased(segments, bytesOf(1_000));
  const path = join(memory.root, ref.file);
  t.deepEqual(await segments.read({ ...ref, crc: crc32(bytesOf(1_000)) ^ 1 }), { kind: "refused", why: "checksum" });
  t.deepEqual(await segments.read({ ...ref, bytes: 1_001 }), { kind: "refused", why: "size" });
  t.deepEqual(await segments.read({ ...ref, host: "another" }), { kind: "refused", why: "other_host" });
  for (const file of [
    "../../etc/passwd",
    `${ref.file}/..`,
    ref.file.replace("/", "/../"),
    "owner.json",
    `/${ref.file}`,
    "",
  ])
    t.deepEqual(await segments.read({ ...ref, file }), { kind: "refused", why: "denied" }, file);
  await rename(path, `${path}.moved`);
  t.deepEqual(await segments.read(ref), { kind: "refused", why: "missing" });
  await symlink(`${path}.moved`, path);
  t.deepEqual(await segments.read(ref), { kind: "refused", why: "denied" }, "a link is not followed");
  await rm(path);
  await link(`${path}.moved`, path);
  t.deepEqual(
    await segments.read(ref),
    { kind: "refused", why: "denied" },
    "a file with two names is somebody's trick",
  );
  await rm(`${path}.moved`);
  t.is((await segments.read(ref)).kind, "read", "negative control: the file itself is read");
  await truncate(path, 999);
  t.deepEqual(await segments.read(ref), { kind: "refused", why: "size" });
  await segments.close();
});

test("a cluster directory that is a link, open to others, or not in memory is not used", async (t) => {
  const options = { clock: new VirtualClock(), timeouts: timeoutDefaults, owner: "tester" };
  const memory = sharedMemory(t);
  const open = () => openSegments({ ...options, cluster: memory.cluster, dir: shm });
  await mkdir(memory.root, { mode: 0o700 });
  await chmod(memory.root, 0o750);
  t.like(await open(), { kind: "unavailable", why: "denied" });
  await rename(memory.root, `${memory.root}-real`);
  t.teardown(() => rm(`${memory.root}-real`, { recursive: true, force: true }));
  await chmod(`${memory.root}-real`, 0o700);
  await symlink(`${memory.root}-real`, memory.root);
  t.like(await open(), { kind: "unavailable", why: "denied" });
  t.deepEqual(await readdir(`${memory.root}-real`), []);
  await rm(memory.root);
  const opened = await open();
  t.is(opened.kind, "open", "negative control: without the link it is");
  if (opened.kind === "open") await opened.close();
  t.like(await openSegments({ ...options, cluster: memory.cluster, dir: "/proc" }), {
    kind: "unavailable",
    why: "not_memory",
  });
  t.like(await openSegments({ ...options, cluster: memory.cluster, dir: "/dev/shm/nowhere" }), { why: "missing" });
});

test("directories are their owner's alone, and so are files", async (t) => {
  const memory = sharedMemory(t);
  const segments = await memory.open();
  const { ref } = await leased(segments, bytesOf(10));
  const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);
  const [owner = ""] = ref.file.split("/");
  t.is(await modeOf(memory.root), "700");
  t.is(await modeOf(join(memory.root, owner)), "700");
  t.is(await modeOf(join(memory.root, ref.file)), "600");
  t.is(await modeOf(join(memory.root, owner, "owner.json")), "600");
  await segments.close();
});

test("a directory that somebody removed costs leases, and no process", async (t) => {
  const memory = sharedMemory(t);
  const segments = await memory.open();
  (await leased(segments, bytesOf(10))).release();
  await rm(memory.root, { recursive: true });
  t.deepEqual(await segments.lease(bytesOf(10)), { kind: "full", why: "gone" });
  t.deepEqual(await segments.lease(bytesOf(10)), { kind: "full", why: "gone" });
  await segments.close();
});

test("what an owner did not put there stays when it closes", async (t) => {
  const memory = sharedMemory(t);
  const segments = await memory.open();
  const { ref } = await leased(segments, bytesOf(10));
  const [owner = ""] = ref.file.split("/");
  await writeFile(join(memory.root, owner, "notes.txt"), "mine");
  await segments.close();
  t.deepEqual((await memory.entries()).sort(), [owner, `${owner}/notes.txt`]);
});

test("eight tensors at once, all whole, each in a file of its own (S2-23, S2-27)", async (t) => {
  const memory = sharedMemory(t);
  const [sender, receiver] = [await memory.open(), await memory.open()];
  const results = await Promise.all(
    Array.from({ length: 8 }, async (_, seed) => {
      const bytes = bytesOf(2 * mib, seed);
      const lease = await leased(sender, bytes);
      lease.handOver();
      const read = await receiver.read(lease.ref);
      lease.confirm();
      lease.release();
      return read.kind === "read" && Buffer.compare(read.bytes, bytes) === 0;
    }),
  );
  t.deepEqual(results, Array<boolean>(8).fill(true));
  t.true(sender.figures().made <= 8);
  await Promise.all([sender.close(), receiver.close()]);
});

test("thousands of transfers leave nothing behind: no file, no descriptor, no buffer more than the first had (S2-25, S2-52, S2-28)", async (t) => {
  t.timeout(60_000);
  const memory = sharedMemory(t);
  const [sender, receiver] = [await memory.open(), await memory.open()];
  const bytes = bytesOf(64 * 1024);
  const into = new Uint8Array(new SharedArrayBuffer(bytes.byteLength));
  const transfers = async (count: number): Promise<void> => {
    for (let done = 0; done < count; done += 1) {
      const lease = await leased(sender, bytes);
      lease.handOver();
      if ((await receiver.read(lease.ref, into)).kind !== "read") t.fail("a transfer failed");
      lease.confirm();
      lease.release();
    }
  };
  const descriptors = async () => (await readdir("/proc/self/fd")).length;
  await transfers(100);
  const [before, open] = [process.memoryUsage().arrayBuffers, await descriptors()];
  await transfers(2_000);
  t.true(process.memoryUsage().arrayBuffers - before < 2 * mib, "negative control: a buffer each would be 125 MiB");
  t.true((await descriptors()) - open < 20);
  t.like(sender.figures(), { made: 1, leased: 0, spareBytes: 64 * 1024 });
  t.like(sender.totals(), { created: 2_100, confirmed: 2_100, released: 2_100, expired: 0 });
  await Promise.all([sender.close(), receiver.close()]);
  t.deepEqual(await memory.entries(), []);
});
