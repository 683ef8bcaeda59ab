// A tensor on its way out of another process's segment, which may still be written: the reader follows the writer, both work at once.
//
// Owns: how far may be read, when a writer is given up. Does not own: opening the file (segment-place.ts), the turns of several tensors.
//
// G5. Bytes count as read only when, after the last of them, the segment still belongs to this tensor, is complete, and has their checksum.
// G6. While the writer does nothing the reader holds no turn, so others are read; after the timeout `chunkTry` it is given up.

import type { Clock } from "../../models/clock.js";
import { type Copied, copyFrom } from "./segment-copy.js";
import { readState } from "./segment-state.js";

/** `layout`: not as this version writes segments; `abandoned`: its writer gave up, or does nothing. */
export type Unreadable = "layout" | "missing" | "size" | "checksum" | "abandoned" | "given_up";

export interface ReadingDeps {
  readonly clock: Clock;
  readonly stallMs: number;
  readonly isGivenUp: () => boolean;
  readonly inTurn: (copy: () => Promise<Copied>) => Promise<Copied>;
}

/** A writer makes two megabytes in that time. */
const pauseMs = 1;

/** Fills `into` from the segment named `id`; undefined when all is there and right. `crc`: of all bytes, where the message named it. */
export async function readSegment(
  fd: number,
  id: string,
  into: Uint8Array,
  crc: number | undefined,
  { clock, stallMs, isGivenUp, inTurn }: ReadingDeps,
): Promise<Unreadable | undefined> {
  let [from, sum, movedAtMs] = [0, 0, clock.monotonicMs()];
  for (;;) {
    const state = readState(fd, into.byteLength);
    if (state === undefined) return "layout";
    if (state.id !== id) return "missing";
    if (state.bytes !== into.byteLength || state.written > state.bytes) return "size";
    if (state.ending === "failed") return "abandoned";
    const until = state.written;
    if (from < until) {
      const stretch = { from, until, crc: sum };
      const copied = await inTurn(() => copyFrom(fd, into, stretch, isGivenUp));
      if (copied.kind !== "copied") return copied.kind === "short" ? "size" : "given_up";
      [from, sum, movedAtMs] = [until, copied.crc, clock.monotonicMs()];
    } else if (state.ending === "complete") {
      return sum === state.crc && sum === (crc ?? sum) ? undefined : "checksum";
    } else {
      if (isGivenUp()) return "given_up";
      if (clock.monotonicMs() - movedAtMs >= stallMs) return "abandoned";
      await clock.delay(pauseMs);
    }
  }
}
