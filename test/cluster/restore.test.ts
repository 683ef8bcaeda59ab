// `driftmend snapshots` against a whole cluster: what is listed, going back as a new version, refusals by name, and replay afterwards.

import test from "ava";
import { decodePolicy } from "../../models/policy/policy-snapshot.js";
import type { WhatIf } from "../../operations/log/what-if.js";
import { systemClock } from "../../supervision/clock.js";
import { contextFile } from "../../transport/access/context.js";
import { openSnapshots } from "../../transport/log/snapshot.js";
import { easyDigits, tensorOf } from "./pictures.js";
import { ask, typedIn } from "./program.js";
import { Heard, model, nodeOf, nodeReady, type Running, settledCommit, startRunning } from "./running.js";
import { Traffic } from "./traffic.js";

let running: Running;
const testWithinMs = 120_000;

interface Listed {
  readonly seq: number;
  readonly version: number;
  readonly updateSeq: number;
  readonly experienceSeq: number;
  readonly bytes: number;
  readonly sha256: string;
  readonly intact: boolean;
}

test.before(async () => {
  running = await startRunning();
  // Enough drifting digits for a few snapshots.
  const traffic = new Traffic(running, { name: "learn", askers: 6, seed: 3 });
  const heard = await Heard.on(running.operator, running.subjects.event("update"));
  await heard.until("100 updates", (events) => events.reduce((sum, { items }) => sum + items.length, 0) >= 100);
  heard.stop();
  await traffic.stop();
  await settledCommit(running);
});

test.after.always(() => running?.stop());

async function listed(): Promise<readonly Listed[]> {
  const said = (await ask(running.store, "snapshots", "digits")) as { model: string; snapshots: Listed[] };
  return said.snapshots;
}

async function commitOf(updateSeq: number) {
  const reading = new AbortController();
  try {
    for await (const { commit } of running.log.commits(1, reading.signal))
      if (commit.updateSeq === updateSeq) return commit;
    throw new Error(`no commit stands at update ${updateSeq}`);
  } finally {
    reading.abort();
  }
}

async function typed(...words: readonly string[]) {
  return typedIn(running.store, ...words, "--context", contextFile(running.store)).ended;
}

test.serial("snapshots are listed with version, positions, size and checksum, newest first", async (t) => {
  const snapshots = await listed();
  t.true(snapshots.length >= 3 && snapshots.length <= 5);
  t.deepEqual(
    snapshots.map(({ seq }) => seq),
    snapshots.map(({ seq }) => seq).toSorted((one, other) => other - one),
  );
  for (const { updateSeq, version, sha256, intact, bytes } of snapshots) {
    const commit = await commitOf(updateSeq);
    t.is(commit.version, version);
    t.regex(sha256, /^[0-9a-f]{64}$/);
    t.true(intact);
    t.true(bytes > 100_000);
  }
  const { stdout, code } = await typed("snapshots", "digits");
  t.is(code, 0);
  t.is(stdout.trim().split("\n").length, snapshots.length + 1);
});

test.serial(
  "restore brings a snapshot's parameters back as a new version, which is served, and replay is equal",
  async (t) => {
    t.timeout(testWithinMs);
    const before = await settledCommit(running);
    const target = (await listed()).at(-1);
    if (target === undefined) return t.fail();
    // Before the restore, whose own snapshot may be one too many for the oldest.
    const at = { stream: running.subjects.stream("snapshot", "digits"), subject: running.subjects.snapshots("digits") };
    const found = await openSnapshots(running.operator, systemClock, at).at(target.seq);
    const decoded = found.kind === "snapshot" ? decodePolicy(found.bytes, model) : undefined;
    const said = (await ask(running.store, "snapshots", "restore", "digits", `${target.seq}`)) as {
      version: number;
      updateSeq: number;
      from: object;
    };
    t.is(said.version, (before?.version ?? 0) + 1);
    t.deepEqual(said.from, { snapshot: target.seq, updateSeq: target.updateSeq, version: target.version });
    const restored = await commitOf(said.updateSeq);
    t.is(decoded?.kind, "policy");
    t.deepEqual(restored.served, decoded?.kind === "policy" ? decoded.policy.served : undefined);
    t.notDeepEqual(restored.served, before?.served);
    const [digit] = await easyDigits(1);
    const served = async (): Promise<number> => {
      const outcome = await running.client.infer("digits", tensorOf(digit?.ink ?? new Float32Array(784)));
      return outcome.kind === "reply" ? outcome.reply.modelVersion : 0;
    };
    let version = await served();
    for (const untilMs = systemClock.monotonicMs() + 30_000; version < said.version; version = await served())
      if (systemClock.monotonicMs() > untilMs) break;
    t.true(version >= said.version, `served is version ${version}`);
    t.like(await ask(running.store, "replay", "digits", "--verify"), { equal: true });
  },
);

test.serial("restore --until goes back to the state behind any update, also between two snapshots", async (t) => {
  t.timeout(testWithinMs);
  const target = await commitOf((await listed()).map(({ updateSeq }) => updateSeq).at(-1) ?? 0);
  // The commit before that snapshot's.
  let earlier: typeof target | undefined;
  const reading = new AbortController();
  for await (const { commit } of running.log.commits(1, reading.signal)) {
    if (commit.updateSeq >= target.updateSeq) break;
    earlier = commit;
  }
  reading.abort();
  if (earlier === undefined) return t.fail("there is no earlier commit");
  const said = (await ask(running.store, "snapshots", "restore", "digits", "--until", `${earlier.updateSeq}`)) as {
    updateSeq: number;
  };
  t.deepEqual((await commitOf(said.updateSeq)).served, earlier.served);
  t.like(await ask(running.store, "replay", "digits", "--verify"), { equal: true });
});

test.serial("a writer that recovers across a restore has the committed bits, and learns on", async (t) => {
  t.timeout(testWithinMs);
  const heard = await Heard.on(running.operator, running.subjects.all.telemetry);
  const { pid, generation } = await nodeOf(running, "learning-1");
  process.kill(pid, "SIGKILL");
  await nodeReady(heard, "learning-1", generation + 1);
  const traffic = new Traffic(running, { name: "on", askers: 6, seed: 4, requests: 150 });
  await traffic.done();
  t.is((await settledCommit(running))?.incarnation, generation + 1);
  t.like(await ask(running.store, "replay", "digits", "--verify"), { equal: true });
  heard.stop();
});

test.serial("a restore that cannot be is refused by name, and says what to type next", async (t) => {
  const refusals = [
    [["9999"], 1, /snapshot 9999 of digits: it is not kept/],
    [["--until", "999999"], 1, /update 999999 is not committed yet; the last one is \d+/],
    [[], 2, /say what to go back to/],
    [["1", "--until", "2"], 2, /say what to go back to/],
    [["zero"], 2, /whole number/],
  ] as const;
  const commit = await settledCommit(running);
  for (const [words, code, message] of refusals) {
    const ended = await typed("snapshots", "restore", "digits", ...words);
    t.is(ended.code, code, ended.stderr);
    t.regex(ended.stderr, message);
    t.is(ended.stdout, "");
  }
  const stranger = await typed("snapshots", "restore", "letters", "1");
  t.is(stranger.code, 1);
  t.regex(stranger.stderr, /nobody writes letters now/);
  t.regex((await typed("snapshots", "letters")).stderr, /the cluster has no model "letters"/);
  t.is((await settledCommit(running))?.version, commit?.version);
});

test.serial(
  "replay --until between two commits compares the one before, says so, and gives the parameters there",
  async (t) => {
    t.timeout(testWithinMs);
    const reading = new AbortController();
    const positions: number[] = [];
    const { lastSeq } = await running.log.state("update");
    for await (const { commit } of running.log.commits(1, reading.signal)) {
      positions.push(commit.updateSeq);
      if (commit.updateSeq >= lastSeq) break;
    }
    reading.abort();
    // Of updates that came one by one each has a commit of its own; then any position will do.
    const gap = positions.findIndex((at, index) => at > 0 && (positions[index + 1] ?? at) > at + 1);
    const [before = 1, asked = before + 1] = gap < 0 ? [lastSeq, lastSeq] : [positions[gap]];
    const said = await ask(running.store, "replay", "digits", "--verify", "--until", `${asked}`);
    t.like(said, { equal: true, comparedAt: before, at: { updateSeq: asked } });
    const { stdout } = await typed("replay", "digits", "--verify", "--until", `${asked}`);
    if (gap >= 0) t.regex(stdout, new RegExp(`commit at update ${before}: none stands at update ${asked}`));
  },
);

test.serial(
  "replay --what-if folds the log under another setting beside the recorded one, and writes nothing",
  async (t) => {
    t.timeout(testWithinMs);
    const sizes = async () =>
      Promise.all((["experience", "update", "weights", "snapshot"] as const).map((kind) => running.log.state(kind)));
    const before = await sizes();
    const frozen = (await ask(running.store, "replay", "digits", "--what-if", "stages.head=false")) as WhatIf;
    const commit = (await settledCommit(running)) ?? t.fail();
    t.is(frozen.recorded.checksum, commit.checksum, "the recorded side is the committed chain");
    t.deepEqual(frozen.changes, [{ key: "stages.head", recorded: true, instead: false }]);
    t.true(frozen.recorded.applied > 50);
    t.is(frozen.instead.applied, 0);
    t.is(frozen.instead.refused.disabled, frozen.updates - restoresIn(frozen));
    const { rows, notCompared, reproduced } = frozen.answers;
    t.true(rows > 100 && notCompared === 0 && reproduced === rows, JSON.stringify(frozen.answers));
    const { stdout } = await typed("replay", "digits", "--what-if", "snapshotEvery=3", "--what-if", "gate=0.9");
    for (const line of [
      /gate +0.7 +0.9/,
      /steps applied/,
      new RegExp(`answers that change +0 of ${rows.toLocaleString("en")}`),
      /heads apart +0/,
      /as recorded: embeddings/,
    ])
      t.regex(stdout, line);
    t.deepEqual(await sizes(), before);
    const wrong = await typed("replay", "digits", "--what-if", "stages.heed=false");
    t.is(wrong.code, 2);
    t.regex(wrong.stderr, /did you mean stages.head\?/);
  },
);

/** Entries that are no task: a restore brings its parameters along, whatever the settings. */
function restoresIn({ updates, recorded }: WhatIf): number {
  const steps = recorded.applied + recorded.duplicates + Object.values(recorded.refused).reduce((sum, n) => sum + n, 0);
  return updates - steps;
}
