// Shared memory whose system says no, otherwise than by being full when it is asked: nothing of that may end a process, or keep a lease.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, open, readdir, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import test, { type ExecutionContext } from "ava";
import { VirtualClock } from "../../../supervision/virtual-clock.js";
import { TensorReceiver } from "../../../transport/tensors/receiver.js";
import { noLeases } from "../../../transport/tensors/segment-leases.js";
import { type Segment, SegmentPool, spareMs } from "../../../transport/tensors/segment-pool.js";
import { sweepSegments } from "../../../transport/tensors/segment-sweep.js";
import { spoil, writeSegment } from "../../../transport/tensors/segment-writing.js";
import type { Segments } from "../../../transport/tensors/segments.js";
import { timeoutDefaults } from "../../../transport/timeouts.js";
import { never } from "./exchange.js";
import { scene, subjects } from "./scene.js";
import { bytesOf, sharedMemory, shm } from "./shared-memory.js";
import type { Told } from "./unwilling-process.js";

const mib = 1024 * 1024;
const program = fileURLToPath(new URL("./unwilling-process.js", import.meta.url));

/** Runs the unwilling process under a shell that makes its system so first. */
async function unwilling(t: ExecutionContext, shell: readonly string[], script: string, args: readonly string[]) {
  const [command = "", ...words] = [...shell, "sh", "-c", script, "sh", process.execPath, program, ...args];
  const child: ChildProcess = spawn(command, words, { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  t.teardown(() => child.kill("SIGKILL"));
  const ended = once(child, "exit").then(([code]) => `it ended with ${code} and told nothing`);
  const told = once(child, "message").then(([message]) => message as Told);
  return Promise.race([told, ended]);
}

/** A file whose memory cannot be written: EIO at the first byte, which is no descriptor's fault. */
async function failing(t: ExecutionContext): Promise<Segment> {
  const handle = await open("/proc/self/mem", "r+");
  t.teardown(() => handle.close());
  return { id: "a".repeat(32), fd: handle.fd, bytes: 1_000 };
}

test("(S2-34, S2-19) a process whose system does not let it write a segment is told so by name, lives on, and the tensor goes in chunks", async (t) => {
  t.timeout(60_000);
  const memory = sharedMemory(t);
  // Blocks of 512 bytes: half of what it leases. EFBIG, for which nobody waits as for ENOSPC.
  const told = await unwilling(t, [], 'ulimit -f 8192; exec "$@"', [shm, memory.cluster, `${8 * mib}`]);
  t.deepEqual(told, {
    opened: "open",
    leased: { kind: "full", why: "failed" },
    left: [0, 0, 0],
    whole: true,
    by: "chunks",
  });
  t.deepEqual(await memory.entries(), [], "nothing is left, the cluster's directory included");
});

for (const [size, opened] of [
  ["1m", "open"],
  ["4k", "full"],
] as const)
  test(`(S2-34) on a small mount of ${size}, as engines of containers give one, large tensors go in chunks`, async (t) => {
    t.timeout(60_000);
    const dir = await mkdtemp(join(tmpdir(), "driftmend-shm-"));
    t.teardown(() => rm(dir, { recursive: true, force: true }));
    // A mount that nobody else sees, and that ends with the process.
    const private_ = process.geteuid?.() === 0 ? ["unshare", "-m"] : ["unshare", "-rm"];
    const [first = "", ...words] = private_;
    const mount = `mount -t tmpfs -o size=${size} tmpfs ${dir}`;
    const mayMount = await promisify(execFile)(first, [...words, "sh", "-c", mount]).then(
      () => true,
      () => false,
    );
    if (!mayMount) t.log("skipped: this user may mount nothing here");
    if (!mayMount) return t.pass();
    const fill = opened === "full" ? `head -c 4096 /dev/zero > ${dir}/other;` : "";
    const told = await unwilling(t, private_, `${mount} && ${fill} exec "$@"`, [dir, "small", `${2 * mib}`]);
    t.like(told, { opened, whole: true, by: "chunks" });
    if (opened === "open") t.like(told, { leased: { kind: "full", why: "space" }, left: [0, 0, 0] });
    return undefined;
  });

test("(S2-34) EIO while a segment is written, or spoilt, is an outcome", async (t) => {
  const segment = await failing(t);
  t.deepEqual(
    await writeSegment(
      segment,
      bytesOf(1_000),
      () => false,
      () => t.fail("it never began"),
    ),
    { kind: "full", why: "failed" },
  );
  t.false(spoil(segment, 1_000), "and such a file is not used again");
});

test("a descriptor that was closed is a mistake of ours, and no outcome", async (t) => {
  const handle = await open("/dev/null", "r");
  t.teardown(() => handle.close());
  const segment = { id: "a".repeat(32), fd: handle.fd, bytes: 10 };
  const writing = writeSegment(
    segment,
    bytesOf(10),
    () => false,
    () => undefined,
  );
  await t.throwsAsync(writing, { code: "EBADF" });
});

test("(S2-34, S2-59) a directory that became something else costs leases; spare files, records and the end of it cost no process", async (t) => {
  const clock = new VirtualClock();
  const memory = sharedMemory(t, clock);
  const segments = await memory.open();
  const bytes = bytesOf(5 * mib);
  const outcome = await segments.lease(bytes);
  if (outcome.kind !== "leased") return t.fail(outcome.kind);
  const [owner = ""] = await readdir(memory.root);
  await rename(join(memory.root, owner), join(memory.root, ".moved"));
  await writeFile(join(memory.root, owner), "in its place");
  t.deepEqual(await outcome.lease.written, {
    kind: "written",
    crc: (await scene().sender.offer(bytes, about)).ref.crc,
  });
  t.deepEqual(await segments.read(outcome.lease.ref), { kind: "refused", why: "denied" });
  outcome.lease.release();
  t.deepEqual(await segments.lease(bytes), { kind: "full", why: "failed" }, "ENOTDIR, for a spare file's new name too");
  t.like(segments.figures(), { leased: 0, spare: 0, leasedBytes: 0 });
  t.deepEqual(segments.leases(), []);
  await clock.advance(spareMs + 1_000);
  t.like(await sweepSegments(shm, memory.cluster, clock.nowMs()), { swept: [], alive: [] });
  await segments.close();
});

const about = { expiresAtMs: 60_000, about: "a test" };

test("(S2-59) spare files whose names cannot be removed give their memory back", async (t) => {
  const clock = new VirtualClock();
  const memory = sharedMemory(t, clock);
  const holder = await memory.open();
  const [owner = ""] = await readdir(memory.root);
  const place = {
    kind: "place",
    host: "",
    dir: shm,
    root: memory.root,
    owner,
    pid: 1,
    started: "",
    namespaces: "",
  } as const;
  const pool = new SegmentPool(place, clock, mib, () => undefined);
  const taken = pool.take("b".repeat(32), 1_000);
  if (taken.kind !== "taken") return t.fail(taken.why);
  await writeSegment(
    taken.segment,
    bytesOf(1_000),
    () => false,
    () => undefined,
  );
  const [was, moved] = [join(memory.root, owner), join(memory.root, ".moved")];
  await rename(was, moved);
  await writeFile(was, "in its place");
  pool.putBack(taken.segment);
  await clock.advance(spareMs);
  t.like(pool.figures, { leased: 0, spare: 0 });
  const file = await open(join(moved, taken.segment.id), "r");
  t.teardown(() => file.close());
  t.is((await file.stat()).size, 0);
  await holder.close();
});

test("(S2-28) a fetch that breaks by a mistake of ours keeps neither memory nor its sender", async (t) => {
  const { link, clock, buffers } = scene();
  const segments: Segments = {
    ...{ kind: "open", host: "here", leases: () => [], totals: () => noLeases, close: async () => undefined },
    figures: () => ({ leased: 0, spare: 0, leasedBytes: 0, spareBytes: 0, made: 0 }),
    lease: async () => ({ kind: "given_up" }),
    read: () => Promise.reject(new Error("a mistake")),
  };
  const receiver = new TensorReceiver({ bus: link, subjects, node: "n2", clock, buffers, segments });
  const ref = { id: "c".repeat(32), bytes: 10, crc: 0, ask: "_INBOX.x", host: "here", file: "f" };
  await t.throwsAsync(receiver.fetch(ref, { bytes: 10, offset: 0 }, never()), { message: "a mistake" });
  t.like(receiver.figures, { heldBytes: 0, fetching: 0 });
  const told = link.published.length;
  await clock.advance(10 * timeoutDefaults.chunkTry);
  t.is(link.published.length, told, "nobody is told any more that it is wanted");
});
