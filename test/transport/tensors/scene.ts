// A sender and a receiver over a link in one process, under a clock that is told what time it is.

import type { ExecutionContext } from "ava";
import { VirtualClock } from "../../../supervision/virtual-clock.js";
import type { TensorRef } from "../../../transport/messages/tensor-ref.js";
import { header, subjectsOf } from "../../../transport/subjects.js";
import { TensorBuffers } from "../../../transport/tensors/buffers.js";
import { type Fetched, type TensorCount, TensorReceiver } from "../../../transport/tensors/receiver.js";
import type { Segments } from "../../../transport/tensors/segments.js";
import { TensorSender } from "../../../transport/tensors/sender.js";
import { never } from "./exchange.js";
import { Link, type Message } from "./link.js";

export const subjects = subjectsOf("test");

export function scene(segments?: Segments) {
  const link = new Link();
  const clock = new VirtualClock();
  const counted = new Map<TensorCount, number>();
  const count = (what: TensorCount): void => void counted.set(what, (counted.get(what) ?? 0) + 1);
  const buffers = new TensorBuffers(clock);
  const receiver = new TensorReceiver({ bus: link, subjects, node: "n1", clock, buffers, count });
  receiver.listen();
  let made = 0;
  const newId = (): string => `${++made}`.padStart(32, "0");
  const sender = new TensorSender({
    bus: link,
    subjects,
    clock,
    newId,
    ...(segments === undefined ? {} : { segments }),
  });
  const fetch = (ref: TensorRef, signal = never()): Promise<Fetched> =>
    receiver.fetch(ref, { bytes: ref.bytes, offset: 0 }, signal);
  return { link, clock, counted, buffers, receiver, sender, fetch };
}

export const isChunk = ({ headers }: Message): boolean => headers[header.offset] !== undefined;
export const offsetOf = ({ headers }: Message): number => Number(headers[header.offset]);

/** Lets time pass until it is settled; a promise that never is fails the test by its timeout. */
export async function settled<T>(work: Promise<T>, clock: VirtualClock, stepMs = 100): Promise<T> {
  let isOver = false;
  const done = work.finally(() => {
    isOver = true;
  });
  while (!isOver) await clock.advance(stepMs);
  return done;
}

export function isWhole(t: ExecutionContext, fetched: Fetched, bytes: Uint8Array): void {
  const held = fetched.kind === "fetched" ? fetched.held.bytes : new Uint8Array();
  t.is(Buffer.compare(held, bytes), 0, fetched.kind === "fetched" ? "equal bytes" : JSON.stringify(fetched));
}
