// The servers that an address names, and how closely a connection watches the one it has.
//
// Owns: the spelling of several servers. Does not own: which is chosen when (bus.ts).

/** "a,b" names two servers. */
export function serversIn(url: string): string[] {
  return url.split(",").map((each) => each.trim());
}

/** Milliseconds between two pings; a connection counts as broken after about three without a word. With several servers there is another. */
export function pingEveryMs(servers: readonly string[]): number {
  return servers.length > 1 ? 1_000 : 5_000;
}
