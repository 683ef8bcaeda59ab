// Truncation with a tiny bound, over restarts of the writer: the log shrinks, what the oldest kept snapshot needs stays, and the fold from
// there gives the committed bits. A real nats-server; the writer in this process.

import test from "ava";
import { openLearner } from "../../models/learning/learner.js";
import type { Model } from "../../models/manifest.js";
import { ModelLog } from "../../operations/log/model-log.js";
import { ModelWriter, type WriterStore } from "../../operations/log/model-writer.js";
import { ReplayError } from "../../operations/log/replay.js";
import { systemClock } from "../../supervision/clock.js";
import { openLog } from "../../transport/log/log.js";
import { feed, type Lab, model, openLab, replayed } from "./writing-root.js";

const testWithinMs = 120_000;
const { manifest } = model;
const small: Model = {
  ...model,
  manifest: { ...manifest, learning: { ...manifest.learning, snapshotEvery: 4, capacity: 30 } },
};
/** Half of it is reached after a few dozen records. */
const experienceMaxBytes = 200_000;

function openSmall({ bus, subjects }: Lab): ModelLog {
  return new ModelLog(bus, subjects, small, systemClock, () => undefined, { experienceMaxBytes });
}

/** One life of a writer: recovers, applies what is there in portions of `portion`, and is gone. */
async function live(store: WriterStore, lastSeq: number, portion: number): Promise<void> {
  const ended = new AbortController();
  const learner = await openLearner();
  try {
    const deps = { model: small, node: "n1", nodeIncarnation: 1, store, learner, nowMs: () => 0, signal: ended.signal };
    const writer = await ModelWriter.recover(deps);
    while (writer.policy.updateSeq < lastSeq) {
      const queue = [];
      while (queue.length < portion && writer.policy.updateSeq + queue.length < lastSeq) {
        const next = await writer.updates.next();
        if (!next.done) queue.push(next.value);
      }
      for (let rest = await writer.advance(queue); rest.rest.length > 0; ) rest = await writer.advance(rest.rest);
    }
    await writer.takeBack();
  } finally {
    ended.abort();
    learner.close();
  }
}

async function liveOften(lab: Lab, lives: number, storeOf: (log: ModelLog) => WriterStore): Promise<void> {
  for (let life = 1; life <= lives; life += 1) {
    await feed(lab.log, 8, 100 + life);
    // Each life has a log of its own, which knows of no snapshot that an earlier one stored.
    await live(storeOf(openSmall(lab)), (await lab.log.state("update")).lastSeq, 3);
  }
}

test.serial(
  "a writer that has just started truncates as one that has run for long, and replays are equal (G2)",
  async (t) => {
    t.timeout(testWithinMs);
    const lab = await openLab(t);
    await liveOften(lab, 6, (log) => log);
    const [updates, experience, snapshots] = [
      await lab.log.state("update"),
      await lab.log.state("experience"),
      await lab.log.snapshots(),
    ];
    t.is(snapshots.length, 5);
    const oldest = snapshots.at(-1)?.place;
    t.is(updates.firstSeq, (oldest?.updateSeq ?? 0) + 1, "updates are kept from the oldest snapshot on");
    t.true(experience.firstSeq > 1, "experience is truncated");
    t.true(experience.firstSeq <= (oldest?.experienceSeq ?? 0) + 1, "and kept from the oldest snapshot on");
    t.true(
      experience.firstSeq <= experience.lastSeq - small.manifest.learning.capacity + 1,
      "and as much as a memory holds",
    );
    const whole = await replayed(lab);
    t.true(whole.equal);
    t.is(oldest?.updateSeq, whole.from);
    // Updates come in threes here, so that a position between two commits is one behind, or two.
    const between = await Promise.all([1, 2, 3].map((more) => replayed(lab, whole.from + more)));
    t.true(between.every(({ equal }) => equal));
    t.deepEqual(
      between.map(({ at }) => at.updateSeq - whole.from),
      [1, 2, 3],
    );
    t.true(between.some(({ at, comparedAt }) => comparedAt < at.updateSeq));
    await t.throwsAsync(replayed(lab, whole.from - 1), { instanceOf: ReplayError, message: /kept from update \d+ on/ });
  },
);

test.serial(
  "negative control: truncated up to the newest snapshot instead, the oldest one cannot be folded on from",
  async (t) => {
    t.timeout(testWithinMs);
    const lab = await openLab(t);
    await liveOften(lab, 5, (log) => log);
    const [newest] = await lab.log.snapshots();
    // One that nobody has applied: whoever reads on finds that what it asked for is gone.
    await feed(lab.log, 1, 300);
    const stream = lab.subjects.stream("update", "digits");
    await openLog(lab.bus, systemClock).purgeUpTo(stream, newest?.place?.updateSeq ?? 0);
    const result = await replayed(lab).then(
      ({ equal }) => equal,
      () => false,
    );
    t.false(result);
  },
);

test.serial(
  "a snapshot of a writer that was overtaken is refused, and the log is not truncated by it (N3)",
  async (t) => {
    const lab = await openLab(t);
    await feed(lab.log, 8, 200);
    const late: (() => Promise<unknown>)[] = [];
    const log = openSmall(lab);
    await live(
      {
        startingPoint: () => log.startingPoint(),
        lastCommit: () => log.lastCommit(),
        commit: (commit, expected) => log.commit(commit, expected),
        updates: (from, signal) => log.updates(from, signal),
        experiences: (from, signal) => log.experiences(from, signal),
        state: (kind) => log.state(kind),
        truncate: () => log.truncate(),
        saveSnapshot: async (policy, behind) => {
          // Only asked for once another one has stored its own.
          late.push(() => log.saveSnapshot(policy, behind));
          return { kind: "stored", seq: behind };
        },
      },
      8,
      8,
    );
    await feed(lab.log, 8, 201);
    await live(openSmall(lab), 16, 8);
    const before = await lab.log.snapshots();
    t.deepEqual(await late[0]?.(), { kind: "fenced" });
    t.deepEqual(await lab.log.snapshots(), before);
  },
);
