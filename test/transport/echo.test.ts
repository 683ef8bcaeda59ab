// Followers that are not sent what they need not be sent: one that writes to the stream itself, and one that reads now and then. The
// decision alone, and against a real nats-server, where a keeper counts what is delivered.

import test from "ava";
import { systemClock } from "../../supervision/clock.js";
import { EchoWatch } from "../../transport/log/echo.js";
import type { FollowOptions } from "../../transport/log/follow.js";
import { openLog } from "../../transport/log/log.js";
import { ensureStreams } from "../../transport/log/streams.js";
import { until } from "../until.js";
import { startCluster, text } from "./fixture.js";

const model = "digits";
const waitMs = 60_000;

function heard(watch: EchoWatch, own: number): boolean {
  let isDue = false;
  for (let count = 0; count < own; count += 1) isDue = watch.heard(true);
  return isDue;
}

test("a follower rests once nothing but its reader's own came for a while, and another's message begins the count anew", (t) => {
  const watch = new EchoWatch();
  t.false(heard(watch, 31));
  t.false(watch.heard(false));
  t.false(heard(watch, 31));
  t.true(watch.heard(true));
});

test("it rests on while its reader keeps pace with the stream, and reads again when the reader is behind or writes no more", (t) => {
  const pacing = new EchoWatch();
  pacing.rest(100, 98);
  t.false(pacing.isOver(120, 118), "what was there a look ago is known; the newest may be on its way");
  t.false(pacing.isOver(150, 150));
  t.true(pacing.isOver(150, 150), "idle: others are to be heard at once");

  const behind = new EchoWatch();
  behind.rest(100, 100);
  t.false(behind.isOver(104, 103));
  t.true(behind.isOver(110, 103), "104 was there a look ago, and it is not known: somebody else wrote it");
});

/** A stream, and how many of its messages were sent to readers. */
async function scene(t: { teardown(fn: () => Promise<void>): void }) {
  const cluster = await startCluster();
  t.teardown(cluster.end);
  const bus = await cluster.bus();
  const ready = await ensureStreams(bus, cluster.subjects, model);
  if (ready.kind !== "ready") throw new Error(ready.why);
  const [stream, subject] = [cluster.subjects.stream("experience", model), cluster.subjects.experience(model)];
  const keeper = await cluster.keeper();
  let delivered = 0;
  keeper.subscribe("_INBOX.node.>", {}, (message) => {
    if (message.subject === subject) delivered += 1;
  });
  await keeper.flush();
  const log = openLog(bus, systemClock);
  let written = 0;
  const append = async (by: "me" | "you"): Promise<number> => {
    written += 1;
    const outcome = await log.append(subject, text(`${written}`), `${by}-${written}`);
    return outcome.kind === "appended" ? outcome.seq : Number.NaN;
  };
  return {
    cluster,
    log,
    stream,
    append,
    deliveredSoFar: async () => ((await keeper.flush()) ? delivered : Number.NaN),
  };
}

/** Folds as a buffer does (B1): its own at once if it is the next, all others as the log brings them. */
function folding({ log, stream, append }: Awaited<ReturnType<typeof scene>>, way: Pick<FollowOptions, "batch"> = {}) {
  const folded: number[] = [];
  const known = (): number => folded.at(-1) ?? 0;
  const echo = { isOwn: (id: string) => id.startsWith("me-"), known };
  const ending = new AbortController();
  const reading = (async () => {
    for await (const { seq } of log.follow(stream, { fromSeq: 1, signal: ending.signal, echo, ...way }))
      if (seq > known()) folded.push(seq);
  })();
  const write = async (): Promise<void> => {
    const seq = await append("me");
    if (seq === known() + 1) folded.push(seq);
  };
  const end = async (): Promise<void> => {
    ending.abort();
    await reading;
  };
  return { folded, known, write, end };
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

test("who writes everything is sent nothing of it any more; what another writes then comes, and everything is folded once, in order", async (t) => {
  const place = await scene(t);
  const { folded, known, write, end } = folding(place);
  let rested = 0;
  // Not all of it may be on its way back: so many cannot be.
  while (rested < 40) {
    const before = await place.deliveredSoFar();
    await write();
    rested = (await place.deliveredSoFar()) === before ? rested + 1 : 0;
  }
  const theirs = await place.append("you");
  await write();
  t.true(known() < theirs, "its own behind a gap is not folded at once");
  await until("the other's record is folded", waitMs, async () => {
    await write();
    return known() > theirs;
  });
  const last = await place.append("you");
  await until("all is folded", waitMs, () => known() === last);
  await end();
  t.deepEqual(folded, upTo(last));
});

test("kill -9 of the broker while a follower rests: nothing is missed, nothing comes twice", async (t) => {
  const place = await scene(t);
  const { folded, known, write, end } = folding(place);
  for (let count = 0; count < 60; count += 1) await write();
  await place.cluster.killAndRestart();
  await write();
  const last = await place.append("you");
  await until("all is folded", waitMs, () => known() === last);
  await end();
  t.deepEqual(folded, upTo(last));
});

test("a follower that is asked is sent nothing while nobody waits, and then all of it", async (t) => {
  const place = await scene(t);
  const options = { fromSeq: 1, signal: AbortSignal.timeout(waitMs), fetching: "asked", batch: 32 } as const;
  const followed = place.log.follow(place.stream, options)[Symbol.asyncIterator]();
  const read: number[] = [];
  const readUpTo = async (seq: number): Promise<void> => {
    while ((read.at(-1) ?? 0) < seq) read.push((await followed.next()).value?.seq ?? Number.NaN);
  };
  const first = readUpTo(1);
  await place.append("me");
  await first;
  for (let count = 0; count < 100; count += 1) await place.append("me");
  t.is(await place.deliveredSoFar(), 1);
  await readUpTo(101);
  t.deepEqual(read, upTo(101));
  await followed.return?.();
});
