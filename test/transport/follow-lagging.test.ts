// A follower whose consumer stands on a copy that lags for good: against servers that are played, under a clock that is told what time it is.

import test from "ava";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import type { Incoming } from "../../transport/bus/bus.js";
import { type CopyBehind, follow } from "../../transport/log/follow.js";
import { jetStreamApi } from "../../transport/subjects.js";
import { answered, noHeaders, playedBus } from "./played-bus.js";

const stream = "test-experience-digits";
const beatEveryMs = 500;
const noMessageFound = { error: { code: 404, err_code: 10_037, description: "no message found" } };

/** A stream of `copies.length` servers: each consumer stands on the next of them, and shows what that copy has. The leader has `end`. */
function servers(copies: readonly number[], end: number, leaderHas: number, clock: VirtualClock) {
  let [consumers, wantedFrom] = [0, 1];
  /** By their inbox, the consumers that have delivered what their copy has. */
  const fetched = new Set<string>();
  const say = (inbox: string, message: Pick<Incoming, "subject" | "headers"> & Partial<Incoming>): void =>
    void bus.handlers.get(inbox)?.({ data: new Uint8Array(), replyTo: "", respond: () => false, ...message });
  const fetches = (inbox: string, copy: number): void => {
    const from = wantedFrom;
    for (let seq = fetched.has(inbox) ? copy + 1 : from; seq <= copy; seq += 1) {
      const replyTo = `$JS.ACK.${stream}.c.1.${seq}.${seq - from + 1}.0.${copy - seq}`;
      say(inbox, { subject: "experience", headers: noHeaders, replyTo });
    }
    fetched.add(inbox);
    for (const beat of [1, 2, 3])
      clock.after(beat * beatEveryMs, () => say(inbox, { subject: inbox, headers: { ...noHeaders, status: 100 } }));
    clock.after(4 * beatEveryMs, () => say(inbox, { subject: inbox, headers: { ...noHeaders, status: 408 } }));
  };
  const bus = playedBus({
    publish: (_, __, options) => {
      const inbox = options?.replyTo ?? "";
      const copy = copies[(consumers - 1) % copies.length] ?? 0;
      clock.after(1, () => fetches(inbox, copy));
      return true;
    },
    request: async (subject, data) => {
      const body = data.byteLength === 0 ? {} : JSON.parse(Buffer.from(data).toString());
      if (subject === jetStreamApi.streamInfo(stream)) return answered({ created: "then", state: { last_seq: end } });
      if (subject === jetStreamApi.messageGet(stream))
        return answered(body.seq <= leaderHas ? { message: { seq: body.seq, subject: "experience" } } : noMessageFound);
      consumers += 1;
      wantedFrom = body.config.opt_start_seq;
      return answered({ cluster: { leader: `server-${consumers}` } });
    },
  });
  return { bus, consumers: () => consumers };
}

interface Reading {
  readonly seqs: readonly number[];
  readonly consumers: number;
  /** What was told of copies that are behind. */
  readonly behind: readonly string[];
}

/** What is read in `ms`, and by how many consumers. */
async function readFor(ms: number, copies: readonly number[], end: number, leaderHas = end): Promise<Reading> {
  const clock = new VirtualClock();
  const { bus, consumers } = servers(copies, end, leaderHas, clock);
  const ending = new AbortController();
  const seqs: number[] = [];
  const behind: string[] = [];
  const onCopyBehind = ({ server, seq }: CopyBehind): void => void behind.push(`${server} lacks ${seq}`);
  const options = { fromSeq: 1, signal: ending.signal, onCopyBehind };
  const reading = (async () => {
    for await (const { seq } of follow(bus, clock, stream, options)) seqs.push(seq);
  })();
  for (let at = 0; at < ms; at += 10) await clock.advance(10);
  const made = consumers();
  ending.abort();
  await reading;
  return { seqs, consumers: made, behind };
}

test("a consumer on a copy without anything is replaced within a second, its server is named, and everything is read from another", async (t) => {
  t.deepEqual(await readFor(1_000, [0, 3], 3), { seqs: [1, 2, 3], consumers: 2, behind: ["server-1 lacks 1"] });
});

test("one on a copy that stopped in the middle is replaced at the end of its fetch, and nothing is read twice", async (t) => {
  t.deepEqual(await readFor(3_000, [2, 5], 5), {
    ...{ seqs: [1, 2, 3, 4, 5], consumers: 2 },
    behind: ["server-1 lacks 3"],
  });
});

test("several copies in a row that lag are passed by one after the other", async (t) => {
  t.deepEqual(await readFor(3_000, [0, 0, 0, 2], 2), {
    ...{ seqs: [1, 2], consumers: 4 },
    behind: ["server-1 lacks 1", "server-2 lacks 1", "server-3 lacks 1"],
  });
});

test("the control: where the leader shows nothing more either, as in a stream that was purged, the consumer stays", async (t) => {
  t.deepEqual(await readFor(10_000, [0, 3], 3, 0), { seqs: [], consumers: 1, behind: [] });
});

test("the control: what a reader does not fetch is no fault of its copy", async (t) => {
  const clock = new VirtualClock();
  const { bus, consumers } = servers([1], 1, 5, clock);
  const ending = new AbortController();
  const behind: CopyBehind[] = [];
  const options = {
    fromSeq: 1,
    signal: ending.signal,
    fetching: "asked",
    onCopyBehind: (c: CopyBehind) => void behind.push(c),
  } as const;
  const reading = follow(bus, clock, stream, options)[Symbol.asyncIterator]();
  const first = reading.next();
  for (let at = 0; at < 7_000; at += 10) await clock.advance(10);
  t.is((await first).value?.seq, 1);
  t.deepEqual([consumers(), behind], [1, []]);
  ending.abort();
});
