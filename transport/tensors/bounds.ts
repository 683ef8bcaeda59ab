// How much of large tensors may be where, at once: every bound of the room in one place.
//
// Owns: these numbers. Does not own: waits (timeouts.ts), what is done at a bound (the files beside this one).

const kib = 1024;
const mib = 1024 * kib;

/** A tensor of up to so many bytes travels inside its message; any larger one goes by reference. */
export const inlineBytesMax = 512 * kib;

/** One tensor at most: as much as a model may take (models/manifest.ts), at four bytes an element. */
export const tensorBytesMax = 256 * mib;

/**
 * One chunk at most. Where the server takes less in a message, chunks are smaller. A nats-server spends on 100 MB in chunks of 1/4, 1, 2 and 4 MiB
 * 300, 230, 180 and 170 ms of its processors: it makes a buffer for each message. Four on their way in a window still overlap.
 */
export const chunkBytesMax = 2 * mib;
/** What a message needs beside the chunk in it: its headers. */
export const chunkRoomBytes = kib;

/** Of one tensor, what a receiver lets be on its way. */
export const windowBytes = 8 * mib;
/**
 * Tensors that one receiver pulls at once. Together with the window it keeps what a server holds for the receiver's connection under the
 * 64 MiB at which nats-server takes it for a slow consumer and closes it.
 */
export const pullsMax = 4;

/** Bytes that one node holds of large tensors, those that are being received and those of open requests; whoever comes then waits in order. */
export const heldBytesMax = 512 * mib;
/** Tensors that wait for room on one node; whoever comes then is refused `overloaded`. */
export const waitingMax = 64;
/** Bytes of buffers that are kept for the next tensors, and for how long nobody needs them. */
export const spareBytesMax = 256 * mib;
export const spareMs = 30_000;

/** While others wait for its turn or its memory, a tensor must grow by so much within the timeout `chunks`: no sender holds a place with drops. */
export const paceBytes = mib;

/** Ranges of one tensor that were asked for and not sent yet; a receiver that keeps to its window needs a few. */
export const rangesMax = 32;

/** Bytes that are copied, checked or converted at a stretch: a millisecond or two of the event loop. */
export const sliceBytes = mib;
