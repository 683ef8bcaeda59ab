// A sender and a receiver of large tensors over a real broker, each with a connection of its own and the rights of its role.

import { randomBytes } from "node:crypto";
import { systemClock } from "../../../supervision/clock.js";
import type { Bus } from "../../../transport/bus/bus.js";
import { type BufferBounds, TensorBuffers } from "../../../transport/tensors/buffers.js";
import { openChunkLine } from "../../../transport/tensors/chunk-line.js";
import { type TensorCount, TensorReceiver } from "../../../transport/tensors/receiver.js";
import type { Segments } from "../../../transport/tensors/segments.js";
import { TensorSender } from "../../../transport/tensors/sender.js";
import type { Cluster } from "../fixture.js";

export interface Exchange {
  readonly sender: TensorSender;
  readonly receiver: TensorReceiver;
  readonly counted: Map<TensorCount, number>;
  readonly buses: { readonly client: Bus; readonly node: Bus };
}

export const node = "serving-1";

export async function openExchange(
  t: { teardown(end: () => void): void },
  cluster: Cluster,
  given: {
    readonly bounds?: Partial<BufferBounds>;
    readonly segments?: Segments;
    readonly ownSegments?: Segments;
  } = {},
): Promise<Exchange> {
  const { subjects } = cluster;
  const clock = systemClock;
  const buses = { client: await cluster.bus("client"), node: await cluster.bus("node") };
  const { url } = cluster.broker;
  const lineOf = (role: "client" | "node") => {
    return openChunkLine({ url, ...cluster.credentials[role], name: `test-${role}-chunks`, clock });
  };
  const nodeLine = lineOf("node");
  await nodeLine.tried;
  const counted = new Map<TensorCount, number>();
  const receiver = new TensorReceiver({
    ...{ bus: buses.node, chunks: nodeLine, subjects, node, clock },
    buffers: new TensorBuffers(clock, given.bounds),
    count: (what, by = 1) => void counted.set(what, (counted.get(what) ?? 0) + by),
    ...(given.ownSegments === undefined ? {} : { segments: given.ownSegments }),
  });
  receiver.listen();
  await buses.node.flush();
  const sender = new TensorSender({
    ...{ bus: buses.client, line: () => lineOf("client"), subjects, clock },
    newId: () => randomBytes(16).toString("hex"),
    ...(given.segments === undefined ? {} : { segments: given.segments }),
  });
  t.teardown(() => {
    sender.close();
    receiver.close();
    nodeLine.close();
  });
  return { sender, receiver, counted, buses };
}

export const soon = { expiresAtMs: Number.MAX_SAFE_INTEGER, about: "test" };
export const never = (): AbortSignal => new AbortController().signal;

/** Bytes that differ from one place to the next and from one seed to another. */
export function patterned(length: number, seed = 1): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = seed >>> 0;
  for (let i = 0; i < words.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    words[i] = state;
  }
  return new Uint8Array(words.buffer, 0, length);
}
