// A reader that follows the writing of a segment, on the real /dev/shm: what it takes, what it never takes, whom it does not wait for.

import { type FileHandle, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import test, { type ExecutionContext } from "ava";
import { systemClock } from "../../../supervision/clock.js";
import { VirtualClock } from "../../../supervision/virtual-clock.js";
import { readSegment } from "../../../transport/tensors/segment-reading.js";
import { readState, writeState } from "../../../transport/tensors/segment-state.js";
import { writeSegment } from "../../../transport/tensors/segment-writing.js";
import type { SegmentLease, Segments } from "../../../transport/tensors/segments.js";
import { timeoutDefaults } from "../../../transport/timeouts.js";
import { bytesOf, type SharedMemory, sharedMemory } from "./shared-memory.js";

const mib = 1024 * 1024;
const inTurn = <T>(copy: () => Promise<T>): Promise<T> => copy();
const now = { clock: systemClock, stallMs: timeoutDefaults.chunkTry, isGivenUp: () => false, inTurn };

async function leased(segments: Segments, bytes: Uint8Array): Promise<SegmentLease> {
  const outcome = await segments.lease(bytes);
  if (outcome.kind !== "leased") throw new Error(outcome.kind);
  return outcome.lease;
}

function opened(t: ExecutionContext, { root }: SharedMemory, file: string, flags = "r+"): Promise<FileHandle> {
  const opening = open(join(root, file), flags);
  t.teardown(() => opening.then((handle) => handle.close()));
  return opening;
}

const idOf = ({ ref }: SegmentLease): string => ref.file.split("/")[1] ?? "";

test("a reader begins while the tensor is written, and has it whole when it is (S2-22)", async (t) => {
  const memory = sharedMemory(t);
  const [sender, receiver] = [await memory.open(), await memory.open()];
  const bytes = bytesOf(16 * mib);
  const lease = await leased(sender, bytes);
  let isWritten = false;
  void lease.written.then(() => {
    isWritten = true;
  });
  const reading = receiver.read(lease.ref);
  await receiver.read({ ...lease.ref, bytes: 1 });
  t.false(isWritten, "negative control: it was read from before it was written");
  const read = await reading;
  t.is(read.kind === "read" ? Buffer.compare(read.bytes, bytes) : read.why, 0);
  t.deepEqual(await lease.written, { kind: "written", crc: crc32(bytes) });
});

test("(S2-27) a lease that ends while it is written ends its reading, and the file is used again only when nobody writes into it", async (t) => {
  const memory = sharedMemory(t);
  const [sender, receiver] = [await memory.open(), await memory.open()];
  const lease = await leased(sender, bytesOf(16 * mib));
  const reading = receiver.read(lease.ref);
  lease.release();
  t.is(sender.figures().leased, 1, "it is still being written");
  t.deepEqual(await lease.written, { kind: "given_up" });
  t.like(sender.figures(), { leased: 0, spare: 1 });
  t.deepEqual(await reading, { kind: "refused", why: "abandoned" });
});

test("(S2-27) a writer that died is given up after the timeout `chunkTry`; meanwhile others are read", async (t) => {
  const clock = new VirtualClock();
  const memory = sharedMemory(t, clock);
  const segments = await memory.open();
  const [dead, whole] = [await leased(segments, bytesOf(1_000)), await leased(segments, bytesOf(1_000, 2))];
  await Promise.all([dead.written, whole.written]);
  const { fd } = await opened(t, memory, dead.ref.file);
  writeState(fd, { id: idOf(dead), bytes: 1_000, written: 600, ending: "", crc: 0 });
  const begunAtMs = clock.monotonicMs();
  let isOver = false;
  const reading = segments.read(dead.ref).finally(() => {
    isOver = true;
  });
  t.is((await segments.read(whole.ref)).kind, "read", "its turn is not taken by one that waits");
  while (!isOver) await clock.advance(1);
  t.deepEqual(await reading, { kind: "refused", why: "abandoned" });
  // Its file is closed before it is refused, in a time of the system's own.
  t.true(clock.monotonicMs() - begunAtMs >= timeoutDefaults.chunkTry, "and not before");
});

test("(S2-27) whoever still reads a tensor when its file is used again never takes the other one's bytes, also of another length", async (t) => {
  const memory = sharedMemory(t);
  const segments = await memory.open();
  const bytes = bytesOf(1_000);
  const lease = await leased(segments, bytes);
  await lease.written;
  const { fd } = await opened(t, memory, lease.ref.file);
  const into = new Uint8Array(1_000);
  t.is(await readSegment(fd, idOf(lease), into, undefined, now), undefined);
  lease.release();
  t.is(await readSegment(fd, idOf(lease), into, undefined, now), "abandoned");
  for (const length of [1_000, 300]) {
    const next = await leased(segments, bytesOf(length, 9));
    await next.written;
    t.is(segments.figures().made, 1, "in the same file");
    t.not(await readSegment(fd, idOf(lease), into, undefined, now), undefined, `${length} bytes`);
    next.release();
  }
  // Negative control: were its state still there, and even the checksum right, nothing else would refuse what is another tensor's now.
  const mixed = new Uint8Array(1_000);
  writeState(fd, { id: idOf(lease), bytes: 1_000, written: 1_000, ending: "complete", crc: 0 });
  t.is(await readSegment(fd, idOf(lease), mixed, undefined, now), "checksum");
  writeState(fd, { id: idOf(lease), bytes: 1_000, written: 1_000, ending: "complete", crc: crc32(mixed) });
  t.is(await readSegment(fd, idOf(lease), mixed, undefined, now), undefined);
  t.not(Buffer.compare(mixed, bytes), 0);
});

test("a segment of another layout, and a state that says what cannot be, are refused by name", async (t) => {
  const memory = sharedMemory(t);
  const segments = await memory.open();
  const lease = await leased(segments, bytesOf(1_000));
  await lease.written;
  const { fd } = await opened(t, memory, lease.ref.file);
  const good = readState(fd, 1_000);
  if (good === undefined) return t.fail();
  t.like(good, { id: idOf(lease), written: 1_000, ending: "complete", crc: crc32(bytesOf(1_000)) });
  for (const [wrong, why] of [
    [{ ...good, written: 2 ** 40 }, "size"],
    [{ ...good, id: "f".repeat(32) }, "missing"],
    [{ ...good, crc: good.crc ^ 1 }, "checksum"],
    [{ ...good, ending: "failed" }, "abandoned"],
  ] as const) {
    writeState(fd, wrong);
    t.deepEqual(await segments.read(lease.ref), { kind: "refused", why }, JSON.stringify(wrong));
  }
  writeState(fd, good);
  t.is((await segments.read({ ...lease.ref, crc: good.crc })).kind, "read");
  t.deepEqual(await segments.read({ ...lease.ref, crc: good.crc ^ 1 }), { kind: "refused", why: "checksum" });
  await writeFile(join(memory.root, lease.ref.file), bytesOf(2_000));
  t.deepEqual(await segments.read(lease.ref), { kind: "refused", why: "layout" }, "as version 1 wrote them");
});

test("a lease without an end that a timer could have does not end at once", async (t) => {
  const segments = await sharedMemory(t).open();
  const outcome = await segments.lease(bytesOf(10), { expiresAtMs: Number.MAX_SAFE_INTEGER });
  if (outcome.kind !== "leased") return t.fail(outcome.kind);
  await Promise.race([
    systemClock.delay(50),
    new Promise((resolve) => outcome.lease.ended.addEventListener("abort", resolve)),
  ]);
  t.false(outcome.lease.ended.aborted);
});

test("(S2-34) shared memory that is full in the middle of the writing ends the lease by name", async (t) => {
  const { fd } = await open("/dev/full", "r+").then((handle) => {
    t.teardown(() => handle.close());
    return handle;
  });
  const segment = { id: "a".repeat(32), fd, bytes: 1_000 };
  let hasBegun = false;
  const outcome = await writeSegment(
    segment,
    bytesOf(1_000),
    () => false,
    () => {
      hasBegun = true;
    },
  );
  t.deepEqual(outcome, { kind: "full", why: "space" });
  t.false(hasBegun);
});
