// What the wire format costs, against moving the same bytes once.
import { Buffer } from "node:buffer";
import type { Clock } from "../models/clock.js";
import { encodeMessage } from "../transport/messages/codec.js";
import { encodeInferenceRequest, parseInferenceRequest } from "../transport/messages/wire.js";
import { interleave } from "./interleave.js";
import { type Spread, spreadOf } from "./statistics.js";

export interface CodecCost {
  readonly what: string;
  readonly us: Spread;
}

const megabyte = 1024 * 1024;
const largeCount = 100;
const smallCount = 10_000;

export async function measureCodec(rounds: number, clock: Clock): Promise<CodecCost[]> {
  const large = { dt: "<f4", sh: [megabyte / 4], data: new Float32Array(megabyte / 4).fill(0.5) } as const;
  const small = { dt: "<f4", sh: [1, 28, 28], data: new Float32Array(784).fill(0.5) } as const;
  const largeBytes = encodeInferenceRequest({ input: large });
  const smallBytes = encodeInferenceRequest({ input: small });
  const from = Buffer.from(large.data.buffer);
  const into = Buffer.alloc(megabyte);
  const room = Buffer.alloc(largeBytes.length + 64);
  const contenders = [
    { name: "memcpy 1 MiB (Buffer.copy into the same memory)", count: largeCount, work: each(() => from.copy(into)) },
    {
      name: "memcpy 1 MiB into new memory (Buffer.concat)",
      count: largeCount,
      work: each(() => Buffer.concat([from], megabyte)),
    },
    { name: "encode 1 MiB", count: largeCount, work: each(() => encodeInferenceRequest({ input: large })) },
    {
      name: "encode 1 MiB into the same memory",
      count: largeCount,
      work: each(() => encodeMessage({ v: 1 }, { input: large }, room)),
    },
    { name: "decode 1 MiB, aligned: a view", count: largeCount, work: decoding(largeBytes, 0) },
    { name: "decode 1 MiB, not aligned: a copy", count: largeCount, work: decoding(largeBytes, 1) },
    { name: "encode a 28x28 request", count: smallCount, work: each(() => encodeInferenceRequest({ input: small })) },
    { name: "decode a 28x28 request, aligned", count: smallCount, work: decoding(smallBytes, 0) },
    { name: "decode a 28x28 request, not aligned", count: smallCount, work: decoding(smallBytes, 1) },
  ];
  const timed = await interleave(contenders, rounds, clock);
  return timed.map(({ name, us }) => ({ what: name, us: spreadOf(us) }));
}

/** `offset` bytes past a boundary of 64: payloads arrive wherever the connection's buffer has them. */
function decoding(payload: Uint8Array, offset: number): (count: number) => void {
  const space = new Uint8Array(new ArrayBuffer(payload.length + 64));
  const bytes = space.subarray(offset, offset + payload.length);
  bytes.set(payload);
  return each(() => {
    if (parseInferenceRequest(bytes).kind !== "ok") throw new Error("the codec refuses its own bytes");
  });
}

function each(work: () => unknown): (count: number) => void {
  return (count) => {
    for (let done = 0; done < count; done += 1) work();
  };
}
