// Letting a connection go whose server vanished without a word: a cut cable, a machine without power.
//
// Owns: the one thing that is done to the client library from outside. Does not own: finding out that nobody answers (the library's pings),
// the next connection (the library's list of servers).
//
// The client library (3.3.1) flushes a connection that it found dead before it closes it. Where the kernel's buffer is full that ends never,
// or after a quarter of an hour, and until then it does not go on to another server. What the library does with an error of the transport
// is what is wanted. That is reached by name, because no interface leads there; the versions are pinned, and a test with a server that
// vanishes (test/transport/vanished-peer.test.ts) says when the names no longer fit.

import type { Clock } from "../../models/clock.js";

/** Longer than it takes to close a connection whose peer is there. */
const closesWithinMs = 250;

/** `connection`: of the client library, which called it stale; let go when it has the same transport after a while, and not a new one. */
export function letGo(connection: object, clock: Clock, isConnected: () => boolean): void {
  const stale = transportOf(connection);
  clock.after(closesWithinMs, () => {
    if (isConnected() && transportOf(connection) === stale) abandon(stale);
  });
}

function abandon(transport: unknown): void {
  const close = fieldOf(transport, "close");
  if (typeof close === "function") close.call(transport, new Error("the server does not answer"));
}

function transportOf(connection: object): unknown {
  return fieldOf(fieldOf(connection, "protocol"), "transport");
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}
