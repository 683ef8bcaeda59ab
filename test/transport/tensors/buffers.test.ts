// The memory of a node for large tensors: bounded, in order, used again.

import { setImmediate as eventLoopTurn } from "node:timers/promises";
import test from "ava";
import { VirtualClock } from "../../../supervision/virtual-clock.js";
import { type Held, TensorBuffers } from "../../../transport/tensors/buffers.js";
import { InOrder } from "../../../transport/tensors/in-order.js";
import { never } from "./exchange.js";

const bounds = { heldMax: 100, waitingMax: 2, spareMax: 60, spareMs: 1_000 };

function open(given: Partial<typeof bounds> = {}) {
  const clock = new VirtualClock();
  return { clock, buffers: new TensorBuffers(clock, { ...bounds, ...given }) };
}

async function held(buffers: TensorBuffers, bytes: number): Promise<Held> {
  const room = await buffers.take(bytes, never());
  if (room.kind !== "room") throw new Error(room.kind);
  return room.held;
}

test("(S2-23) beyond the bound others wait in the order of coming, small ones behind large ones; one more is refused", async (t) => {
  const { buffers } = open();
  const first = await held(buffers, 80);
  const order: string[] = [];
  const waiting = [60, 10].map(async (bytes) => {
    const own = await held(buffers, bytes);
    order.push(`${bytes}`);
    return own;
  });
  await eventLoopTurn();
  t.deepEqual(order, [], "10 bytes would fit, and are not the next");
  t.is((await buffers.take(1, never())).kind, "full");
  t.like(buffers.figures, { heldBytes: 80, waiting: 2 });
  first.release();
  for (const own of await Promise.all(waiting)) own.release();
  t.deepEqual(order, ["60", "10"]);
  t.like(buffers.figures, { heldBytes: 0, waiting: 0 });
});

test("(S2-23) more than there is at all is refused at once, not waited for", async (t) => {
  const { buffers } = open();
  t.is((await buffers.take(101, never())).kind, "full");
  t.false(buffers.fits(101));
});

test("who gives up while it waits makes room in the order for the next one", async (t) => {
  const { buffers } = open();
  const first = await held(buffers, 60);
  const over = new AbortController();
  const large = buffers.take(90, over.signal);
  const small = buffers.take(40, never());
  over.abort();
  t.is((await large).kind, "given_up");
  t.is((await small).kind, "room");
  first.release();
  t.is((await buffers.take(1, over.signal)).kind, "given_up");
});

test("(S2-52) a steady load makes no new buffers, whatever the sizes that take turns", async (t) => {
  const { buffers } = open();
  for (let i = 0; i < 1_000; i++) {
    const both = await Promise.all([held(buffers, 30), held(buffers, 20)]);
    for (const own of both) own.release();
  }
  t.like(buffers.figures, { heldBytes: 0, spareBytes: 50, made: 2 });
});

test("(S2-52) a buffer serves a tensor that is a little smaller, not one that is much smaller", async (t) => {
  const { buffers } = open();
  (await held(buffers, 50)).release();
  (await held(buffers, 40)).release();
  t.is(buffers.figures.made, 1);
  (await held(buffers, 10)).release();
  t.is(buffers.figures.made, 2);
});

test("(S2-25) spare buffers give way to held ones, keep to their own bound, and go when nobody needed them for a while", async (t) => {
  const { buffers, clock } = open();
  const [one, two] = [await held(buffers, 50), await held(buffers, 30)];
  one.release();
  two.release();
  t.is(buffers.figures.spareBytes, 30, "the one let go of last, within the bound");
  const whole = await held(buffers, 100);
  t.like(buffers.figures, { heldBytes: 100, spareBytes: 0 });
  whole.release();
  (await held(buffers, 50)).release();
  t.is(buffers.figures.spareBytes, 50);
  await clock.advance(bounds.spareMs);
  t.is(buffers.figures.spareBytes, 0);
});

test("a buffer goes back with its last holder, once; a mistake of a holder is an error and not another's bytes", async (t) => {
  const { buffers } = open();
  const own = await held(buffers, 10);
  own.retain();
  own.release();
  t.is(buffers.figures.heldBytes, 10);
  own.release();
  t.is(buffers.figures.heldBytes, 0);
  t.throws(() => own.release());
  t.throws(() => own.retain());
});

test("turns are given in order, and given up", async (t) => {
  const turns = new InOrder(1);
  const end = await turns.take(never());
  const over = new AbortController();
  const impatient = turns.take(over.signal);
  const patient = turns.take(never());
  over.abort();
  t.is(await impatient, undefined);
  end?.();
  const mine = await patient;
  t.truthy(mine);
  mine?.();
  t.truthy(await turns.take(never()));
});
