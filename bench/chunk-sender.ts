// The sending process of the bench of chunks: argv is the server; the credential is in the environment.

import { randomBytes } from "node:crypto";
import { setImmediate as eventLoopTurn } from "node:timers/promises";
import { systemClock } from "../supervision/clock.js";
import { connectBus } from "../transport/bus/bus.js";
import type { TensorRef } from "../transport/messages/tensor-ref.js";
import { inboxPrefixOf, subjectsOf } from "../transport/subjects.js";
import { openChunkLine } from "../transport/tensors/chunk-line.js";
import { type Offer, TensorSender } from "../transport/tensors/sender.js";

export type SenderTask =
  /** Offers so many bytes; the ones of before are let go. */
  | { readonly kind: "offer"; readonly bytes: number; readonly count: number }
  /** Messages of 1 MiB, as fast as they go. */
  | { readonly kind: "flood"; readonly subject: string; readonly messages: number };

export interface Offered {
  readonly refs: readonly TensorRef[];
}

const clock = systemClock;
const subjects = subjectsOf("driftmend");
const credential = JSON.parse(process.env.BENCH_CREDENTIAL ?? "{}");
const inboxPrefix = inboxPrefixOf(credential.user);
const to = { url: process.argv[2] ?? "", ...credential, clock };
const bus = await connectBus({ ...to, inboxPrefix, name: "bench-sender" });
const line = () => openChunkLine({ ...to, name: "bench-sender-chunks" });
const sender = new TensorSender({ bus, line, subjects, clock, newId: () => randomBytes(16).toString("hex") });
/** What the bare wire carries best (bench/NOTES.md); chunks have a size of their own. */
const whole = new Uint8Array(randomBytes(1024 * 1024));
let offers: readonly Offer[] = [];

function filled(bytes: number): Uint8Array {
  const data = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += whole.byteLength) data.set(whole.subarray(0, bytes - at), at);
  return data;
}

process.on("message", async (task: SenderTask) => {
  if (task.kind === "flood") {
    for (let sent = 0; sent < task.messages; sent += 1) {
      bus.publish(task.subject, whole);
      await eventLoopTurn();
    }
    return;
  }
  for (const offer of offers) offer.release();
  const about = { about: "bench", expiresAtMs: Number.MAX_SAFE_INTEGER };
  const data = filled(task.bytes);
  offers = await Promise.all(Array.from({ length: task.count }, () => sender.offer(data, about)));
  const offered: Offered = { refs: offers.map(({ ref }) => ref) };
  process.send?.(offered);
});
process.send?.({ refs: [] } satisfies Offered);
