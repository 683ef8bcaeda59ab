// What the wiring gives the actors, over a real broker: logs whose end nobody can read, or that were emptied.

import test from "ava";
import type { ModelWiring } from "../../actors/wiring/model-wiring.js";
import { wire } from "../../actors/wiring/wiring.js";
import { seededRandom } from "../../models/clock.js";
import type { Position } from "../../models/experience.js";
import { Counters, Telemetry } from "../../operations/metrics/telemetry.js";
import type { Ref } from "../../supervision/actor/ref.js";
import { systemClock } from "../../supervision/clock.js";
import { childPath, TOP_PATH } from "../../supervision/path.js";
import type { Bus } from "../../transport/bus/bus.js";
import { openLog } from "../../transport/log/log.js";
import { ensureStreams } from "../../transport/log/streams.js";
import { answersOf, taskFor } from "../models/small-world.js";
import { startCluster, text } from "../transport/fixture.js";
import { smallModel } from "./small-node.js";

const cluster = await startCluster();
test.after.always(() => cluster.end());
const { subjects } = cluster;

const nobody: Ref<unknown> = { path: childPath(TOP_PATH, "nobody"), tell: () => "dead" };

interface Scene {
  readonly bus: Bus;
  readonly counters: Counters;
  readonly wired: ModelWiring;
  readonly name: string;
}

/** A model of its own for each test, so that the logs are its own too. */
async function scene(name: string): Promise<Scene> {
  const bus = await cluster.bus();
  const small = smallModel();
  const model = { ...small, manifest: { ...small.manifest, name } };
  await ensureStreams(bus, subjects, name);
  const counters = new Counters();
  const telemetry = new Telemetry(bus, subjects, "n1", counters, systemClock);
  const identity = { node: "n1", incarnation: 1, origin: "n1-x" };
  const wiring = wire({ identity, bus, subjects, telemetry, clock: systemClock, vitals: () => ({}) }, [model]);
  const [wired] = wiring.models;
  if (wired === undefined) throw new Error("no model");
  return { bus, counters, wired, name };
}

/** One record with every row flagged, through the voter's own door. */
async function append({ wired, name }: Scene, batchId: string): Promise<void> {
  const record = {
    ...answersOf(smallModel(), [0, 1, 2], seededRandom(1)),
    model: name,
    learn: new Uint8Array([1, 0, 1]),
  };
  await wired.voter(nobody, nobody).append(batchId, record);
}

async function appendRubbish({ bus, name }: Scene): Promise<void> {
  await openLog(bus, systemClock).append(subjects.logSubject("experience", name), text("rubbish"), "rubbish");
}

test("a log whose end nobody can read does not keep a buffer from catching up, and the rubbish is reported", async (t) => {
  const running = await scene("m1");
  await append(running, "b1");
  await appendRubbish(running);
  const { source } = running.wired.buffer(nobody, nobody);
  const endSeq = await source.lastSeq();
  t.is(endSeq, 2);
  const reading = new AbortController();
  const read: (string | undefined)[] = [];
  for await (const { seq, record } of source.follow(1, reading.signal, () => 0)) {
    read.push(record?.kind);
    if (seq >= endSeq) break;
  }
  reading.abort();
  t.deepEqual(read, ["answers", undefined]);
  t.is(running.counters.get("log_unreadable"), 1);
});

test("nor does it keep a relay from reconciling", async (t) => {
  const running = await scene("m2");
  await append(running, "b1");
  await appendRubbish(running);
  const { newestRecords } = running.wired.relay();
  const seqs: number[] = [];
  for await (const { seq } of newestRecords()) seqs.push(seq);
  t.deepEqual(seqs, [1, 2]);
});

test("in an emptied log there is nothing to catch up with", async (t) => {
  const running = await scene("m3");
  await append(running, "b1");
  await openLog(running.bus, systemClock).purgeUpTo(subjects.stream("experience", "m3"), 1);
  t.is(await running.wired.buffer(nobody, nobody).source.lastSeq(), 0);
  for await (const record of running.wired.relay().newestRecords()) t.fail(`there is ${record.seq}`);
});

test("an append and a task are stored once under their ids, however often they are sent", async (t) => {
  const running = await scene("m4");
  await append(running, "b1");
  await append(running, "b1");
  t.is(await running.wired.buffer(nobody, nobody).source.lastSeq(), 1);
  const { publish } = running.wired.relay();
  const at: Position = { seq: 1, index: 0 };
  const outcomes = [await publish(taskFor(at, 0.4, "m4"), "1.0"), await publish(taskFor(at, 0.4, "m4"), "1.0")];
  t.deepEqual(outcomes, [
    { kind: "appended", seq: 1, duplicate: false },
    { kind: "appended", seq: 1, duplicate: true },
  ]);
});

test("a newly made model serves the source's head as version 0", async (t) => {
  const { wired } = await scene("m5");
  const latest = await wired.inference(nobody).heads.latest();
  t.deepEqual(latest, { seq: 0, version: 0, head: smallModel().calibration.head });
});
