// What V8 is told of every node's process. What it compiled is good under the same flags only, so the pack is compiled under them (build.ts).

/**
 * Small on purpose, in MiB: most of what a request leaves behind are buffers outside the heap. They are freed where the young generation is
 * collected, and before that press for a collection of everything; with V8's 16 MiB that costs a serving node an eighth of its time.
 */
const youngGeneration = "--max-semi-space-size=4";

/** In front of the file that a node's process runs. */
export const nodeFlags: readonly string[] = [youngGeneration];
