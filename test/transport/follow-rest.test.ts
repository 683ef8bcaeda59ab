// How often a follower that rests looks at its stream: against a server that is played, under a clock that is told what time it is.

import test from "ava";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import type { BusEvent } from "../../transport/bus/bus.js";
import { follow } from "../../transport/log/follow.js";
import { header, jetStreamApi } from "../../transport/subjects.js";
import { answered, noHeaders, playedBus } from "./played-bus.js";

const stream = "test-experience-digits";

/** A server with one stream, one reader, and nothing in it but what the reader wrote. */
function server() {
  const listeners = new Set<(event: BusEvent) => void>();
  let [looks, written, delivered] = [0, 0, 0];
  const bus = playedBus({
    request: async (subject) => {
      if (subject !== jetStreamApi.streamInfo(stream)) {
        delivered = 0;
        return answered({});
      }
      looks += 1;
      return answered({ created: "then", state: { last_seq: written } });
    },
    onEvent: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  });
  /** What the reader wrote comes back, as far as somebody listens. */
  const echo = (count: number): void => {
    for (let n = 0; n < count; n += 1) {
      written += 1;
      delivered += 1;
      const ack = `$JS.ACK.${stream}.c.1.${written}.${delivered}.0.0`;
      const headers = { ...noHeaders, get: (name: string) => (name === header.messageId ? "me" : undefined) };
      const message = { subject: "x", data: new Uint8Array(), headers, replyTo: ack, respond: () => false };
      for (const handler of [...bus.handlers.values()]) void handler(message);
    }
  };
  return {
    bus,
    echo,
    emit: (event: BusEvent): void => {
      for (const listener of listeners) listener(event);
    },
    looksIn: async (clock: VirtualClock, ms: number): Promise<number> => {
      const before = looks;
      for (let at = 0; at < ms; at += 10) {
        written += 1;
        await clock.advance(10);
      }
      return looks - before;
    },
    written: () => written,
  };
}

test("a follower that rests again after a reconnect looks as often as before: what the broken rest still does is void", async (t) => {
  const clock = new VirtualClock();
  const { bus, echo, emit, looksIn, written } = server();
  const ending = new AbortController();
  const options = { fromSeq: 1, signal: ending.signal, echo: { isOwn: () => true, known: written } };
  const reading = (async () => {
    let read = 0;
    for await (const _ of follow(bus, clock, stream, options)) read += 1;
    return read;
  })();
  await clock.advance(1);
  echo(32);
  await clock.advance(10);
  const before = await looksIn(clock, 1_000);
  t.is(before, 10, "one look in a tenth of a second");
  emit({ kind: "disconnected", server: "" });
  emit({ kind: "reconnected", server: "", outageMs: 1 });
  await clock.advance(1);
  echo(32);
  t.is(await looksIn(clock, 1_000), before);
  ending.abort();
  t.is(await reading, 64);
});
