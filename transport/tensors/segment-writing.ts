// A tensor on its way into its segment: whoever reads it may begin at once and follow the writing.
//
// Owns: the order of bytes and state. Does not own: the turns of several tensors, what becomes of the segment (segments.ts).
//
// G4. `complete` is followed by nothing but `failed`, when the lease has ended; `failed` is the last word of a lease.

import { copyInto } from "./segment-copy.js";
import { isFull, isSystemError } from "./segment-place.js";
import type { PoolFull, Segment } from "./segment-pool.js";
import { type SegmentState, writeState } from "./segment-state.js";

export type Written =
  /** CRC-32 of all bytes. */
  | { readonly kind: "written"; readonly crc: number }
  | { readonly kind: "given_up" }
  /** What was free when the segment was taken has gone to somebody else meanwhile, or the system does not let it be written. */
  | PoolFull;

/**
 * The bytes are nobody's any more: whoever still reads them learns it, though another tensor's state may come to stand elsewhere. False where
 * the system does not let that be written: then the file must not be used again.
 */
export function spoil({ fd, id }: Segment, bytes: number): boolean {
  try {
    writeState(fd, { id, bytes, written: 0, ending: "failed", crc: 0 });
    return true;
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return false;
  }
}

/** `onBegun`: from now on it can be read. */
export async function writeSegment(
  segment: Segment,
  bytes: Uint8Array,
  isGivenUp: () => boolean,
  onBegun: () => void,
): Promise<Written> {
  const { fd, id } = segment;
  const all = bytes.byteLength;
  const say = (written: number, ending: SegmentState["ending"] = "", crc = 0): void =>
    writeState(fd, { id, bytes: all, written, ending, crc });
  try {
    if (isGivenUp()) return { kind: "given_up" };
    say(0);
    onBegun();
    const copied = await copyInto(fd, bytes, isGivenUp, (written) => {
      if (written < all) say(written);
    });
    if (copied.kind === "copied") {
      say(all, "complete", copied.crc);
      return { kind: "written", crc: copied.crc };
    }
    say(0, "failed");
    return { kind: "given_up" };
  } catch (error) {
    if (!isSystemError(error)) throw error;
    // The place of the state was the first that was written: it can mostly still be, and a reader that follows need not find out by silence.
    spoil(segment, all);
    return { kind: "full", why: isFull(error) ? "space" : "failed" };
  }
}
