// A text as numbers: hashed bag of words (Weinberger et al., ICML 2009, without signs).
//
// Owns: what a word is and which bucket it falls into. Does not own: which texts.

export const buckets = 1024;
/** Of a long text only the beginning is read. */
const wordsMax = 4000;

/** [buckets]: log(1 + count) of the words of each bucket, of unit length; zeros for a text without words. */
export function featuresOf(text: string): Float32Array {
  const counts = new Float64Array(buckets);
  let words = 0;
  for (const [word] of text.toLowerCase().matchAll(/[a-z][a-z'-]{1,24}|\d+|[$!%]/g)) {
    // Numbers differ from mail to mail; that there is one, and how long, does not.
    const bucket = hash(/^\d/.test(word) ? `#${Math.min(word.length, 9)}` : word) % buckets;
    counts[bucket] = (counts[bucket] ?? 0) + 1;
    if (++words >= wordsMax) break;
  }
  const features = Float32Array.from(counts, (count) => Math.log1p(count));
  const length = Math.hypot(...features);
  return length === 0 ? features : features.map((value) => value / length);
}

/** FNV-1a, 32 bits. */
function hash(word: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < word.length; i++) value = Math.imul(value ^ word.charCodeAt(i), 0x01000193) >>> 0;
  return value;
}
