// Damage to a whole cluster while it works: processes killed with -9, actors killed one by one. No answer is lost, none is logged twice,
// nothing is learned twice. The last tests take a protection away, or falsify the evidence, and must see the check fail.

import { readdir, rm } from "node:fs/promises";
import test, { type ExecutionContext } from "ava";
import { openLearner } from "../../models/learning/learner.js";
import { checksum, sourcePolicy } from "../../models/policy/policy.js";
import { LogFold } from "../../operations/log/log-fold.js";
import { replayModel } from "../../operations/log/replay.js";
import { systemClock } from "../../supervision/clock.js";
import type { Bus, RequestOutcome } from "../../transport/bus/bus.js";
import { encodeInferenceRequest, type InferenceReply } from "../../transport/messages/wire.js";
import { easyDigits, tensorOf } from "./pictures.js";
import { type Program, processesOf, start, survivors } from "./program.js";
import {
  actorOf,
  busAs,
  experiencesIn,
  folder,
  Heard,
  lookAt,
  model,
  nodeOf,
  nodeReady,
  type Running,
  type Sight,
  settledCommit,
  startRunning,
  statusOf,
  strike,
  temporaryStore,
} from "./running.js";
import { Traffic } from "./traffic.js";

let running: Running;
const { coldStart } = model.manifest.learning;
/** Of a test that runs a whole demo, or folds the log several times. */
const testWithinMs = 90_000;
const askAgainMs = 3;

test.before(async () => {
  running = await startRunning();
});

test.after.always(() => running?.stop());

/** kill -9 by the pid that the tree shows. Resolves when the next incarnation is ready. */
async function killNode(sight: Sight, heard: Heard, name: string): Promise<void> {
  const { pid, generation } = await nodeOf(sight, name);
  process.kill(pid, "SIGKILL");
  await nodeReady(heard, name, generation + 1);
  const next = await nodeOf(sight, name);
  if (next.pid === pid || next.generation !== generation + 1) throw new Error(`${name} is still ${pid}#${generation}`);
}

/** Each reply stands in the log, where it says, as it was given; and no id stands there twice. */
async function assertLogged(t: ExecutionContext, sight: Sight, replies: readonly InferenceReply[]): Promise<void> {
  const rows = await experiencesIn(sight);
  const places = new Map(rows.map((row) => [`${row.seq}.${row.index}`, row]));
  t.is(new Set(rows.map(({ id }) => id)).size, rows.length, "an id has two experiences");
  const wrong = replies.filter(({ id, answer, experience }) => {
    const row = places.get(`${experience?.seq}.${experience?.index}`);
    return row?.id !== id || row.record.answers[row.index] !== answer.index;
  });
  t.deepEqual(wrong, []);
}

test.serial(
  "kill -9 of the learning and the serving node under a demo of 2,000 loses nothing, and it ends clean (S0-44, S2-1, S2-47)",
  async (t) => {
    t.timeout(testWithinMs);
    const store = await temporaryStore();
    t.teardown(() => rm(store, { recursive: true, force: true }));
    const program: Program = start(store, "demo", "--requests", "2000", "--rate", "250", "--json");
    const sight = await lookAt(await program.ready);
    const processes = await processesOf(sight);
    const heard = await Heard.on(sight.operator, sight.subjects.all.telemetry);
    const cleanups = await Heard.on(sight.operator, sight.subjects.all.cleanup);
    await heard.until("300 answers", (events) => answersIn(events) >= 300);
    const struck = ["learning-1", "serving-1"];
    await Promise.all(struck.map((name) => killNode(sight, heard, name)));
    for (const name of struck) {
      const cleaned = cleanups.events.filter(
        ({ kind, node, incarnation }) => kind === "cleanup_confirmed" && node === name && incarnation === 1,
      );
      t.true(cleaned.length > 0, "the death is confirmed");
      t.true((cleaned[0]?.atMs ?? 0) <= Number((await statusOf(sight, name)).startedAtMs), "cleanup precedes restart");
    }
    processes.push(...(await processesOf(sight)));
    await sight.close();
    const { code, stdout, stderr } = await program.ended;
    t.is(code, 0, stderr);
    const report = JSON.parse(stdout);
    const refused = Object.values<number>(report.refused).reduce((sum, count) => sum + count, 0);
    t.is(report.answered + refused, 2_000);
    t.is(report.log.experiences, report.answered);
    t.true(report.replay.equal);
    t.true(report.restarts >= 2);
    t.log(`answered ${report.answered}, refused ${JSON.stringify(report.refused)}, retried ${report.retried}`);
    t.deepEqual(await survivors(processes, 0), []);
    const left = await readdir(store);
    t.deepEqual(
      left.filter((name) => name.startsWith("context") || name.includes("lock")),
      [],
    );
  },
);

function answersIn(events: readonly { readonly kind: string; readonly items: readonly object[] }[]): number {
  return events.reduce((sum, { kind, items }) => sum + (kind === "vote" ? items.length : 0), 0);
}

test.serial("kill -9 of the learning node costs no reply, not even a second try (S2-1)", async (t) => {
  const heard = await Heard.on(running.operator, running.subjects.event("node_ready"));
  const traffic = new Traffic(running, { name: "learning", askers: 4, seed: 1 });
  await traffic.more(coldStart + 100);
  await killNode(running, heard, "learning-1");
  await traffic.more(100);
  await traffic.stop();
  t.deepEqual(traffic.refused, []);
  t.is(traffic.retried, 0);
  t.is(traffic.replies.length, traffic.sent);
  await assertLogged(t, running, traffic.replies);
});

test.serial("learning goes on after it: everything enqueued is committed", async (t) => {
  const commit = await settledCommit(running);
  t.is(commit?.incarnation, 2);
  t.is(commit?.updateSeq, (await running.log.state("update")).lastSeq);
});

test.serial(
  "a serving node that comes back is warm at its first reply; until then it is not_ready, by name (S0-6, S2-45)",
  async (t) => {
    t.timeout(testWithinMs);
    const heard = await Heard.on(running.operator, running.subjects.all.telemetry);
    const [digit] = await easyDigits(1);
    const { pid, generation } = await nodeOf(running, "serving-1");
    process.kill(pid, "SIGKILL");
    const codes: string[] = [];
    let first: InferenceReply | undefined;
    // Bounded by the test's own time: a start takes as long as the machine is slow.
    for (let tries = 0; first === undefined; tries += 1) {
      const input = tensorOf(digit?.ink ?? new Float32Array(784));
      const outcome = await running.client.infer("digits", input, {
        id: `first.${tries}`,
        retries: 0,
        deadlineMs: 300,
      });
      if (outcome.kind === "reply") first = outcome.reply;
      else {
        codes.push(outcome.kind === "refusal" ? outcome.refusal.code : outcome.why);
        // Or this test would take the CPU that the node needs to come back.
        await systemClock.delay(askAgainMs);
      }
    }
    t.is(first?.mode, "ensemble");
    t.true(codes.includes("not_ready"), [...new Set(codes)].join());
    t.deepEqual(
      [...new Set(codes)].filter((code) => !["not_ready", "timeout", "no_responders"].includes(code)),
      [],
    );
    await nodeReady(heard, "serving-1", generation + 1);
    const started = heard.events.flatMap(({ kind, node, actor }) =>
      kind === "started" && node === "serving-1" ? [actor.slice(actor.lastIndexOf("/") + 1)] : [],
    );
    const order = ["buffer", "voter", "relay", "inference", "intake"];
    t.deepEqual(
      started.filter((name) => order.includes(name)),
      order,
    );
    heard.stop();
  },
);

test.serial(
  "killing any actor under load: every request is answered, and the receipt says that nothing was lost",
  async (t) => {
    const traffic = new Traffic(running, { name: "actors", askers: 8, seed: 2 });
    for (const name of ["updater", "inference", "buffer", "voter", "relay", "intake"]) {
      await traffic.more(60);
      const { node, path } = await actorOf(running, name);
      const receipt = await strike(running, { node, path, mode: "kill" });
      t.is(receipt.lost, 0, name);
      t.is(receipt.generationAfter, receipt.generationBefore + 1, name);
      t.truthy(receipt.repairMs, name);
    }
    await traffic.more(60);
    await traffic.stop();
    t.deepEqual(traffic.refused, []);
    t.is(traffic.replies.length, traffic.sent);
    t.log(`${traffic.sent} requests, ${traffic.retried} second tries`);
    await assertLogged(t, running, traffic.replies);
  },
);

test.serial("an actor that crashes in the middle of its work costs no reply either", async (t) => {
  const traffic = new Traffic(running, { name: "crashes", askers: 8, seed: 4 });
  for (const name of ["voter", "inference", "buffer", "updater"]) {
    await traffic.more(60);
    const { node, path } = await actorOf(running, name);
    t.is((await strike(running, { node, path, mode: "crash" })).lost, 0, name);
  }
  await traffic.more(60);
  await traffic.stop();
  t.deepEqual(traffic.refused, []);
  await assertLogged(t, running, traffic.replies);
});

test.serial(
  "kill -9 of the broker under load: every request is answered once it is back, and stands in the log once",
  async (t) => {
    const traffic = new Traffic(running, { name: "broker", askers: 8, seed: 8 });
    await traffic.more(60);
    const { pid } = await nodeOf(running, "nats-server");
    process.kill(pid, "SIGKILL");
    await traffic.more(100);
    await traffic.stop();
    t.deepEqual(traffic.refused, []);
    await assertLogged(t, running, traffic.replies);
    const next = await nodeOf(running, "nats-server");
    t.is(next.generation, 2);
    t.not(next.pid, pid);
  },
);

/** Asks `count` requests whose first reply always gets lost, and then again; kills the serving node in the middle. */
async function askTwice(name: string, count: number, idOfTry: (id: string, time: number) => string) {
  const before = (await experiencesIn(running)).length;
  const heard = await Heard.on(running.operator, running.subjects.all.telemetry);
  const [digit] = await easyDigits(1);
  const input = tensorOf(digit?.ink ?? new Float32Array(784));
  const deaf = await busAs(running.context, "client");
  let answered = 0;
  for (let index = 0; index < count; index += 1) {
    const [first, second] = [0, 1].map((time) => idOfTry(`${name}.${index}`, time));
    deaf.publish(running.subjects.infer("digits"), encodeInferenceRequest({ input, id: first }), {
      replyTo: deaf.inbox(),
    });
    await heard.find(
      `the vote on ${first}`,
      ({ kind, items }) => kind === "vote" && items.some(({ id }) => id === first),
    );
    if (index === count / 2) await killNode(running, heard, "serving-1");
    const outcome = await running.client.infer("digits", input, { id: second ?? "", deadlineMs: 15_000 });
    if (outcome.kind === "reply") answered += 1;
  }
  heard.stop();
  await deaf.close();
  return { answered, experiences: (await experiencesIn(running)).length - before };
}

test.serial(
  "a reply that got lost is asked for again under its id: experiences in the log = answers, over a kill -9 too",
  async (t) => {
    t.deepEqual(await askTwice("same", 10, (id) => id), { answered: 10, experiences: 10 });
  },
);

test.serial(
  "negative control: without the protection of the id the count of experiences gives the repeats away",
  async (t) => {
    const { answered, experiences } = await askTwice("fresh", 10, (id, time) => `${id}.${time}`);
    t.is(answered, 10);
    t.is(experiences, 20);
  },
);

test.serial("after all of it the committed parameters are the fold of the log", async (t) => {
  const traffic = new Traffic(running, { name: "fold", askers: 4, seed: 6, requests: 200 });
  await traffic.done();
  await settledCommit(running);
  const { equal, checksum: folded, committedChecksum } = await replay(running.operator);
  t.true(equal);
  t.is(folded, committedChecksum);
});

test.serial("negative control: a commit with one other digit in its checksum is not equal", async (t) => {
  const commit = await settledCommit(running);
  const last = commit?.checksum ?? t.fail();
  const forged = `${last.startsWith("0") ? "1" : "0"}${last.slice(1)}`;
  const result = await replay(rewriting(running.operator, last, forged));
  t.is(result.committedChecksum, forged);
  t.false(result.equal);
});

test.serial(
  "negative control: a fold that leaves one update out, or takes one twice for two, is not equal",
  async (t) => {
    t.timeout(testWithinMs);
    const commit = await settledCommit(running);
    if (commit === undefined) return t.fail();
    const entries: Update[] = [];
    for await (const update of running.log.updates(1, AbortSignal.timeout(10_000))) {
      entries.push(update);
      if (update.seq >= commit.updateSeq) break;
    }
    t.is(await foldOf(commit.backend, entries), commit.checksum);
    const place = Math.floor(entries.length / 2);
    const middle = entries[place];
    if (middle?.entry.kind !== "task") return t.fail();
    const { task } = middle.entry;
    const replaced = (...between: readonly Update[]): Update[] => entries.toSpliced(place, 1, ...between);
    t.not(await foldOf(commit.backend, replaced()), commit.checksum, "left out");
    // Between two sequences nobody else stands, so that everything else stays as it was.
    const again = (index: number): Update => ({
      seq: middle.seq + 0.5,
      entry: { kind: "task", task: { ...task, experience: { ...task.experience, index } } },
    });
    t.is(
      await foldOf(commit.backend, replaced(middle, again(task.experience.index))),
      commit.checksum,
      "a repeat is skipped",
    );
    t.not(await foldOf(commit.backend, replaced(middle, again(60_000))), commit.checksum, "a repeat nobody recognises");
  },
);

type Update = { readonly seq: number; readonly entry: Parameters<LogFold["apply"]>[0]["entry"] };

async function foldOf(backend: string, entries: readonly Update[]): Promise<string> {
  const reading = new AbortController();
  const learner = await openLearner(backend === "wasm" ? "wasm" : "auto");
  try {
    const fold = new LogFold(sourcePolicy(model), running.log.experiences(1, reading.signal), learner, model);
    for (const update of entries) await fold.apply(update);
    return checksum(fold.policy);
  } finally {
    reading.abort();
    learner.close();
  }
}

function replay(bus: Bus) {
  return replayModel({ bus, subjects: running.subjects, model: "digits", folder, clock: systemClock });
}

/** The bus, but with some text of equal length replaced in the stored messages that it fetches. */
function rewriting(bus: Bus, from: string, to: string): Bus {
  const rewrite = (data: Uint8Array): Uint8Array => {
    const said = JSON.parse(new TextDecoder().decode(data));
    if (typeof said.message?.data !== "string") return data;
    const bytes = Buffer.from(said.message.data, "base64");
    const at = bytes.indexOf(from);
    if (at >= 0) bytes.write(to, at);
    said.message.data = bytes.toString("base64");
    return new TextEncoder().encode(JSON.stringify(said));
  };
  const request: Bus["request"] = async (subject, data, options): Promise<RequestOutcome> => {
    const outcome = await bus.request(subject, data, options);
    if (outcome.kind !== "reply" || !subject.includes("MSG.GET")) return outcome;
    return { ...outcome, data: rewrite(outcome.data) };
  };
  return new Proxy(bus, {
    get: (target, name) => {
      if (name === "request") return request;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
