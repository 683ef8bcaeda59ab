// Who writes, when several want to. Real processes over a real broker: a standby takes over, a writer that slept is fenced. And many
// writers in one process under random interleavings with fixed seeds: one history, whatever the order of events.

import test from "ava";
import type { UpdaterStore } from "../../actors/learning/updater.js";
import { type Random, seededRandom } from "../../models/clock.js";
import { openLearner } from "../../models/learning/learner.js";
import { FencedError, ModelWriter } from "../../operations/log/model-writer.js";
import type { Commit } from "../../transport/log/records.js";
import { parseEvent, type TelemetryEvent } from "../../transport/messages/events.js";
import { MemoryStore } from "../actors/memory-store.js";
import { smallModel } from "../actors/small-node.js";
import { foldedStraight, learn } from "../actors/writing-node.js";
import { wrapped } from "./wrapped-store.js";
import { commitThat, feed, openLab, replayed, settledChain } from "./writing-root.js";

const testWithinMs = 120_000;

test.serial(
  "kill -9 of the leading writer: the standby goes on behind its last commit, in one chain (S0-39, S0-47)",
  async (t) => {
    t.timeout(testWithinMs);
    const lab = await openLab(t);
    const first = await lab.start("learning-1");
    await feed(lab.log, 30, 11);
    const led = (await settledChain(lab.log)).at(-1);
    t.is(led?.node, "learning-1");
    await lab.start("learning-2");
    const pid = first.tree().children[0]?.pid;
    if (pid === undefined) return t.fail();
    process.kill(pid, "SIGKILL");
    await feed(lab.log, 30, 12);
    const chain = await settledChain(lab.log);
    t.is(chain.at(-1)?.node, "learning-2");
    const writers = chain.map(({ node }) => node);
    t.deepEqual(writers, writers.toSorted(), "one after the other");
    t.true((await replayed(lab)).equal);
  },
);

test.serial(
  "a writer stopped before its commit, and woken after another took over, is refused and stands by again (law 3)",
  async (t) => {
    t.timeout(testWithinMs);
    const lab = await openLab(t);
    const crashes: TelemetryEvent[] = [];
    const heard = new Promise<void>((resolve) => {
      lab.bus.subscribe(lab.subjects.event("crashed"), {}, ({ data }) => {
        const event = parseEvent(data);
        if (event.kind !== "ok" || event.value.node !== "learning-1") return;
        crashes.push(event.value);
        resolve();
      });
    });
    const sleeper = await lab.start("learning-1", { faults: ["stopped before commit"] });
    await feed(lab.log, 20, 13);
    await commitThat(lab.log, ({ node }) => node === "learning-1");
    await lab.start("learning-2");
    const taken = (await settledChain(lab.log)).at(-1);
    t.is(taken?.node, "learning-2");
    process.kill(sleeper.tree().children[0]?.pid ?? 0, "SIGCONT");
    await heard;
    t.regex(String(crashes[0]?.items[0]?.cause), /fenced|lease was lost/);
    await feed(lab.log, 20, 14);
    const chain = await settledChain(lab.log);
    const after = chain.slice(chain.findIndex(({ node }) => node === "learning-2"));
    t.deepEqual([...new Set(after.map(({ node }) => node))], ["learning-2"], "the sleeper wrote nothing more");
    t.is(sleeper.tree().children[0]?.generation, 1, "its process lives, its actor stands by as a new incarnation");
    t.true((await replayed(lab)).equal);
  },
);

const model = smallModel({ snapshotEvery: 3 });

/** Lets one waiting call go on at a time, chosen by the seed. */
class Interleaving {
  readonly #random: Random;
  readonly #waiting: (() => void)[] = [];
  running = 0;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  pass(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  chance(share: number): boolean {
    return this.#random() < share;
  }

  /** Until everybody has finished. */
  async drive(): Promise<void> {
    while (this.running > 0) {
      const [next] = this.#waiting.splice(Math.floor(this.#random() * this.#waiting.length), 1);
      next?.();
      // Everything that this one does before its next call happens now.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

/** Every call of a writer waits for its turn before it takes effect, and its answer may come late. */
function interleaved(store: UpdaterStore, order: Interleaving): UpdaterStore {
  const gate = async <T>(call: () => Promise<T>): Promise<T> => {
    await order.pass();
    const result = await call();
    await order.pass();
    return result;
  };
  return wrapped(store, {
    startingPoint: () => gate(() => store.startingPoint()),
    lastCommit: () => gate(() => store.lastCommit()),
    commit: (commit, expected) => gate(() => store.commit(commit, expected)),
    saveSnapshot: (policy, behind) => gate(() => store.saveSnapshot(policy, behind)),
  });
}

/** Recovers and writes until everything is committed; a failure or a chance death is the end of one try, and the next one begins. */
async function write(name: string, store: UpdaterStore, order: Interleaving, lastSeq: number): Promise<number> {
  const learner = await openLearner("wasm");
  let fenced = 0;
  for (let incarnation = 1; ; incarnation += 1) {
    const ended = new AbortController();
    try {
      const deps = { model, node: name, nodeIncarnation: incarnation, store, learner, nowMs: () => 0 };
      const writer = await ModelWriter.recover({ ...deps, signal: ended.signal });
      while (writer.policy.updateSeq < lastSeq) {
        const next = await writer.updates.next();
        if (next.done) throw new Error("the updates ended");
        await writer.advance([next.value]);
        if (order.chance(0.05)) throw new Error("killed");
      }
      return fenced;
    } catch (error) {
      if (error instanceof FencedError) fenced += 1;
    } finally {
      ended.abort();
    }
  }
}

/** What is wrong with a chain: two links that follow the same one, or an update that is covered twice or not at all. */
function audit(links: readonly { readonly commit: Commit; readonly expected: number }[]): string[] {
  const wrong: string[] = [];
  const successors = new Map<number, number>();
  let at = { updateSeq: 0, version: 0 };
  for (const { commit, expected } of links) {
    const rivals = (successors.get(expected) ?? 0) + 1;
    successors.set(expected, rivals);
    if (rivals > 1) wrong.push(`${rivals} commits follow link ${expected}`);
    if (commit.updateSeq < at.updateSeq || commit.version < at.version)
      wrong.push(`update ${commit.updateSeq} after ${at.updateSeq}`);
    at = commit;
  }
  return wrong;
}

async function contest(seed: number, isFenced: boolean) {
  const store = new MemoryStore(model);
  learn(model, store, 10, seed);
  const order = new Interleaving(seed);
  const links: { commit: Commit; expected: number }[] = [];
  const recording = wrapped(store, {
    commit: async (commit, expected) => {
      const outcome = await store.commit(commit, isFenced ? expected : store.chain.lastSeq);
      if (outcome.kind === "committed") links.push({ commit, expected });
      return outcome;
    },
  });
  const writers = ["a", "b", "c"].map(async (name) => {
    order.running += 1;
    try {
      return await write(name, interleaved(recording, order), order, store.updateLog.lastSeq);
    } finally {
      order.running -= 1;
    }
  });
  await order.drive();
  const fenced = (await Promise.all(writers)).reduce((sum, each) => sum + each, 0);
  return { store, links, fenced };
}

const seeds = [1, 2, 3, 5, 8, 13, 21, 34];

test.serial(
  "three writers under random interleavings: no two commit behind the same link, and the end is the fold of the log (S2-39)",
  async (t) => {
    t.timeout(testWithinMs);
    let fenced = 0;
    for (const seed of seeds) {
      const contested = await contest(seed, true);
      fenced += contested.fenced;
      t.deepEqual(audit(contested.links), [], `seed ${seed}`);
      const straight = await foldedStraight(model, contested.store);
      t.is(contested.store.chain.entries.at(-1)?.checksum, straight.checksum, `seed ${seed}`);
    }
    t.true(fenced > 0, "somebody was fenced, or nothing was contested");
  },
);

test.serial(
  "negative control: without the expected sequence there are two histories, and the audit says so (S2-39)",
  async (t) => {
    t.timeout(testWithinMs);
    const wrong: string[] = [];
    for (const seed of seeds) wrong.push(...audit((await contest(seed, false)).links));
    t.true(wrong.length > 0);
    t.log(`${wrong.length} violations, first: ${wrong[0]}`);
  },
);
