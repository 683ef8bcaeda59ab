// A log that is being read before its reader is there.
//
// Owns: that the first item is asked for at once. Does not own: the log, how much is fetched ahead (transport/log/follow.ts).

/** The same source, with its first item asked for already. */
export function primed<T>(source: AsyncIterable<T>): AsyncIterable<T> {
  const iterator = source[Symbol.asyncIterator]();
  const first = iterator.next();
  // Who reads hears of a failure; until then it must not be the process's.
  first.catch(() => undefined);
  return {
    async *[Symbol.asyncIterator]() {
      for (let next = await first; !next.done; next = await iterator.next()) yield next.value;
    },
  };
}
