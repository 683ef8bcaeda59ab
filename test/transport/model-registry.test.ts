// Models on their way through a real nats-server: pieces, records, the fence, what is swept.

import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import { type ModelPackage, packModel, unpackModel } from "../../models/adoption/model-package.js";
import { sha256 } from "../../models/manifest.js";
import { digitsFolder } from "../../operations/cluster/local-cluster.js";
import { entry } from "../../operations/cluster/up.js";
import { systemClock } from "../../supervision/clock.js";
import { VirtualClock } from "../../supervision/virtual-clock.js";
import type { Bus } from "../../transport/bus/bus.js";
import { lastSubjects, store, streamState } from "../../transport/log/jetstream.js";
import { type AddedModel, modelBounds } from "../../transport/log/model-records.js";
import { type ModelRegistry, openModelRegistry } from "../../transport/log/model-registry.js";
import { ensureModelsStream, ensureStreams } from "../../transport/log/streams.js";
import { header, streamKinds } from "../../transport/subjects.js";
import { type Cluster, startCluster } from "./fixture.js";

let cluster: Cluster;
let node: Bus;
let registry: ModelRegistry;
const folders: string[] = [];

test.before(async () => {
  cluster = await startCluster();
  node = await cluster.bus();
  await ensureModelsStream(node, cluster.subjects);
  registry = openModelRegistry(node, systemClock, cluster.subjects);
});

test.after.always(async () => {
  await cluster?.end();
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "driftmend-registry-"));
  folders.push(folder);
  return folder;
}

/** A package that no node would load, but that travels as any other. */
function someModel(
  name: string,
  bytes: number,
): { readonly package: ModelPackage; readonly parts: readonly Uint8Array[] } {
  const whole = new Uint8Array(bytes).map((_, i) => (i * 31 + name.length) % 251);
  const files = [
    { file: "manifest.json", bytes: 5 },
    { file: "model.onnx", bytes: bytes - 5 },
  ];
  const parts = [whole.subarray(0, 5), whole.subarray(5)];
  return { package: { name, files, bytes, sha256: sha256(whole) }, parts };
}

async function uploaded(name: string, bytes = 3 * modelBounds.pieceBytes + 17): Promise<AddedModel> {
  const { package: packed, parts } = someModel(name, bytes);
  const outcome = await registry.upload(packed, parts);
  if (outcome.kind !== "uploaded") throw new Error(outcome.why);
  return outcome.added;
}

async function standingOf(name: string) {
  const read = await registry.standings();
  if (read.kind !== "standings") throw new Error(read.why);
  return read.standings.get(name);
}

test.serial(
  "an operator sends a whole folder, and a node has it again, byte for byte, readable by its owner alone",
  async (t) => {
    const operator = openModelRegistry(await cluster.bus("operator"), systemClock, cluster.subjects);
    const folder = digitsFolder(entry);
    const { package: packed, parts } = await packModel(folder);
    let sent = 0;
    const outcome = await operator.upload(packed, parts, (bytes) => {
      sent = bytes;
    });
    if (outcome.kind !== "uploaded") return t.fail(outcome.why);
    t.is(sent, packed.bytes);
    t.is(await standingOf("digits"), undefined, "pieces alone are nothing");
    t.is((await operator.say(outcome.added, 0)).kind, "committed");
    const added = (await standingOf("digits"))?.served;
    if (added === undefined) return t.fail("it is not served");
    const fetched = await registry.fetch(added);
    if (fetched.kind !== "fetched") return t.fail(JSON.stringify(fetched));
    const place = join(await emptyFolder(), "cache", added.sha256);
    await unpackModel(added, fetched.bytes, place);
    for (const { file } of added.files)
      t.deepEqual(await readFile(join(place, file)), await readFile(join(folder, file)), file);
    t.is((await stat(place)).mode & 0o777, 0o700);
    t.is((await stat(join(place, "manifest.json"))).mode & 0o777, 0o600);
    t.deepEqual(await readdir(join(place, "..")), [added.sha256], "nothing temporary is left");
    t.is((await packModel(place)).package.sha256, packed.sha256, "the same files have the same identity");
  },
);

test.serial(
  "of two who add different models under one name at once one is refused, and their pieces do not mix",
  async (t) => {
    const other = openModelRegistry(await cluster.bus("operator"), systemClock, cluster.subjects);
    const [mine, theirs] = [someModel("twins", 700_000), someModel("twins", 600_001)];
    const [one, two] = await Promise.all([
      registry.upload(mine.package, mine.parts),
      other.upload(theirs.package, theirs.parts),
    ]);
    if (one.kind !== "uploaded" || two.kind !== "uploaded") return t.fail("not uploaded");
    const said = await Promise.all([registry.say(one.added, 0), other.say(two.added, 0)]);
    t.deepEqual(said.map(({ kind }) => kind).sort(), ["committed", "fenced"]);
    const served = (await standingOf("twins"))?.served;
    t.is(served?.upload, said[0]?.kind === "committed" ? one.added.upload : two.added.upload);
    if (served === undefined) return;
    const fetched = await registry.fetch(served);
    t.is(fetched.kind === "fetched" ? sha256(fetched.bytes) : fetched.kind, served.sha256);
  },
);

test.serial(
  "what is not what its record says is refused by name: a piece too few, one too short, one that was altered",
  async (t) => {
    const whole = await uploaded("damaged");
    const cases: readonly [AddedModel, string][] = [
      [{ ...whole, bytes: whole.bytes + modelBounds.pieceBytes, pieces: whole.pieces + 1 }, "size"],
      [{ ...whole, upload: "0".repeat(32) }, "missing"],
      [{ ...whole, sha256: "0".repeat(64) }, "checksum"],
      [{ ...whole, bytes: whole.bytes - 1 }, "size"],
    ];
    for (const [record, why] of cases) t.like(await registry.fetch(record), { kind: "refused", why });
    const subject = cluster.subjects.modelPieces("damaged", "short");
    await store(node, subject, new Uint8Array(modelBounds.pieceBytes), {
      timeoutMs: 2_000,
      headers: { [header.position]: "0" },
    });
    t.like(await registry.fetch({ ...whole, upload: "short" }), { kind: "refused", why: "missing" }, "sent by half");
    t.is((await registry.fetch(whole)).kind, "fetched", "the control: as it was sent it is taken");
  },
);

test.serial(
  "pieces that no record names go: at once behind a newer record, after a while otherwise; those of what is served stay",
  async (t) => {
    const left = await uploaded("swept", 1_000);
    const served = await uploaded("swept", 2_000);
    t.is((await registry.say(served, 0)).kind, "committed");
    const halfway = await uploaded("halfway", 1_000);
    const read = await registry.standings();
    if (read.kind !== "standings") return t.fail();
    const uploads = async (name: string): Promise<readonly string[]> => {
      const listed = await lastSubjects(
        node,
        cluster.subjects.modelsStream,
        cluster.subjects.modelPieces(name, "x").replace(/x$/, "*"),
      );
      return listed.kind === "subjects" ? listed.subjects.map((subject) => subject.split(".").at(-1) ?? "") : [];
    };
    await registry.sweep(read.standings);
    t.deepEqual(await uploads("swept"), [served.upload]);
    t.not(left.upload, served.upload);
    t.deepEqual(await uploads("halfway"), [halfway.upload], "somebody may be sending");
    const later = openModelRegistry(node, new VirtualClock(systemClock.nowMs() + 3_600_000), cluster.subjects);
    await later.sweep(read.standings);
    t.deepEqual(await uploads("halfway"), []);
    t.deepEqual(await uploads("swept"), [served.upload]);
  },
);

test.serial(
  "a record goes directly behind the one it names and is stored once, whatever else the stream took since",
  async (t) => {
    const added = await uploaded("fenced");
    const first = await registry.say(added, 0);
    if (first.kind !== "committed") return t.fail(first.kind);
    await uploaded("beside");
    const removal = { kind: "removed", name: "fenced", sha256: added.sha256 } as const;
    const mine = await registry.say({ ...removal, atMs: 1 }, first.seq);
    if (mine.kind !== "committed") return t.fail(mine.kind);
    t.is((await registry.say({ ...removal, atMs: 2 }, first.seq)).kind, "fenced", "somebody went on from there");
    t.is((await standingOf("fenced"))?.seq, mine.seq, "the newest record is the one that was said");
    const heads: number[] = [];
    const over = new AbortController();
    for await (const { seq, name } of registry.follow(1, over.signal)) {
      if (name === "fenced") heads.push(seq);
      if (seq >= mine.seq) over.abort();
    }
    t.deepEqual(heads, [first.seq, mine.seq]);
  },
);

test.serial(
  "a record whose acknowledgement got lost is found, also when another stands behind it already",
  async (t) => {
    const added = await uploaded("unheard");
    const subject = cluster.subjects.modelHead("unheard");
    let lost = 0;
    const deaf: Bus = new Proxy(node, {
      get: (target, property) => {
        const value: unknown = Reflect.get(target, property, target);
        if (property !== "request") return typeof value === "function" ? value.bind(target) : value;
        return async (...given: Parameters<Bus["request"]>) => {
          const outcome = await target.request(...given);
          if (given[0] !== subject || lost > 0) return outcome;
          lost += 1;
          const seq = (await standingOf("unheard"))?.seq ?? 0;
          await registry.say({ kind: "removed", name: "unheard", sha256: added.sha256, atMs: 1 }, seq);
          return { kind: "timeout" };
        };
      },
    });
    const said = await openModelRegistry(deaf, systemClock, cluster.subjects).say(added, 0);
    t.is(said.kind, "committed");
    t.is(lost, 1);
    const standing = await standingOf("unheard");
    t.true(said.kind === "committed" && said.seq < (standing?.seq ?? 0));
    t.is(standing?.served, undefined, "and what was said behind it counts");
  },
);

test.serial("a log is purged only while the newest record about its model says so", async (t) => {
  await ensureStreams(node, cluster.subjects, "short-lived");
  const added = await uploaded("short-lived", 1_000);
  const { sha256: of, name } = added;
  const first = await registry.say(added, 0);
  t.deepEqual(await registry.purgeLog(name), { kind: "refused" }, "it is served");
  const second = await registry.say(
    { kind: "removed", name, sha256: of, atMs: 1 },
    first.kind === "committed" ? first.seq : 0,
  );
  t.deepEqual(await registry.purgeLog(name), { kind: "refused" }, "its log is kept");
  await registry.say({ kind: "purged", name, atMs: 2 }, second.kind === "committed" ? second.seq : 0);
  t.deepEqual(await registry.purgeLog(name), { kind: "purged" });
  for (const kind of streamKinds)
    t.like(await lastSubjects(node, cluster.subjects.stream(kind, name), ">"), {
      kind: "unavailable",
      why: "no_stream",
    });
  t.deepEqual(await registry.purgeLog(name), { kind: "purged" }, "twice is once");
});

/** Writes down which streams are deleted, and has the broker silent from the `silentFrom`th on. */
function watched(bus: Bus, deleted: string[], silentFrom: number): Bus {
  const request: Bus["request"] = async (subject, ...rest) => {
    if (!subject.includes(".STREAM.DELETE.")) return bus.request(subject, ...rest);
    deleted.push(subject.split(".").at(-1) ?? "");
    return deleted.length < silentFrom ? bus.request(subject, ...rest) : { kind: "timeout" };
  };
  return new Proxy(bus, {
    get: (target, key) => {
      const value: unknown = key === "request" ? request : Reflect.get(target, key);
      return typeof value === "function" && key !== "request" ? value.bind(target) : value;
    },
  });
}

test.serial("a purge that ends in the middle leaves what is still a log, and the next one ends it", async (t) => {
  const name = "halves";
  await ensureStreams(node, cluster.subjects, name);
  await registry.say({ kind: "purged", name, atMs: 1 }, 0);
  const deleted: string[] = [];
  const halting = openModelRegistry(watched(node, deleted, 2), systemClock, cluster.subjects);
  t.like(await halting.purgeLog(name), { kind: "unavailable" });
  t.is(deleted.length, 2);
  const experience = cluster.subjects.stream("experience", name);
  t.is((await streamState(node, experience)).kind, "state", "whoever asks whether there is a log is told so");
  t.deepEqual(await registry.purgeLog(name), { kind: "purged" });
  t.like(await streamState(node, experience), { kind: "unavailable", why: "no_stream" });
});

test.serial("a log that was begun after the word that the last one goes is left alone", async (t) => {
  const name = "again";
  await ensureStreams(node, cluster.subjects, name);
  await registry.say({ kind: "purged", name, atMs: 1 }, 0);
  t.deepEqual(await registry.purgeLog(name), { kind: "purged" });
  // As a node does that is started with a model of this name.
  await ensureStreams(node, cluster.subjects, name);
  t.deepEqual(await registry.purgeLog(name), { kind: "purged" });
  for (const kind of streamKinds)
    t.is((await streamState(node, cluster.subjects.stream(kind, name))).kind, "state", kind);
});

test.serial("a reader who begins gets every record in its order, then each new one", async (t) => {
  const read = await registry.standings();
  if (read.kind !== "standings") return t.fail();
  const ending = new AbortController();
  const records = registry.follow(1, ending.signal)[Symbol.asyncIterator]();
  const seen: number[] = [];
  while (seen.at(-1) !== read.nextSeq - 1) seen.push((await records.next()).value.seq);
  t.deepEqual(
    seen,
    [...seen].sort((a, b) => a - b),
  );
  const next = records.next();
  const added = await uploaded("late", 1_000);
  await registry.say(added, 0);
  t.like((await next).value, { name: "late", record: { kind: "added", sha256: added.sha256 } });
  ending.abort();
});

test.serial("a client may neither read nor write models; telemetry may not either (S2-65)", async (t) => {
  for (const role of ["client", "telemetry"] as const) {
    const bus = await cluster.bus(role);
    const closed = openModelRegistry(bus, systemClock, cluster.subjects);
    const { package: packed, parts } = someModel("stolen", 1_000);
    t.like(await closed.upload(packed, parts), { kind: "unavailable" });
    t.like(await closed.say({ kind: "purged", name: "digits", atMs: 1 }, 0), { kind: "unavailable" });
  }
  t.is((await standingOf("digits"))?.served?.name, "digits");
});

test("a package whose checksum does not agree is not unpacked, and one that is there already is replaced whole", async (t) => {
  const { package: packed, parts } = someModel("mine", 100);
  const folder = join(await emptyFolder(), "place");
  await t.throwsAsync(unpackModel(packed, new Uint8Array(100), folder));
  await unpackModel(packed, Buffer.concat(parts), folder);
  await writeFile(join(folder, "stray"), "");
  await unpackModel(packed, Buffer.concat(parts), folder);
  t.deepEqual(await readdir(folder), ["manifest.json", "model.onnx"]);
});
