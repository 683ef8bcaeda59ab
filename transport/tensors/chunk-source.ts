// Where a receiver's chunks come from: a line of their own, or the connection that everything else uses.
//
// Owns: what a receiver of chunks is, and the source over a bus. Does not own: the line (chunk-line.ts), what is done with chunks (receiver.ts).

import type { Bus } from "../bus/bus.js";
import { type ChunkHead, headIn } from "./chunk-messages.js";

/** Takes chunks, one after the other: `begins`, and then its bytes in pieces, in their order. */
export interface ChunkSink {
  /** `bytes` in all. A message without bytes has no pieces. */
  begins(subject: string, head: ChunkHead, bytes: number): void;
  /** Of the chunk that began last. Good during the call only. */
  piece(bytes: Uint8Array): void;
}

export interface ChunkSource {
  /** One listener at a time; returns what ends it. */
  listen(subject: string, sink: ChunkSink): () => void;
}

export function chunksOver(bus: Bus): ChunkSource {
  return {
    listen: (pattern, sink) => {
      const { unsubscribe } = bus.subscribe(pattern, {}, ({ subject, headers, data }) => {
        sink.begins(subject, headIn(headers), data.byteLength);
        if (data.byteLength > 0) sink.piece(data);
      });
      return unsubscribe;
    },
  };
}
