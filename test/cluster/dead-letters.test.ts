// Poison against a real node process over a real broker: it ends as one dead letter, its neighbours are answered, and the command line
// finds it, runs it again and resolves it.

import { closeSync, openSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test, { type ExecutionContext } from "ava";
import { seededRandom } from "../../models/clock.js";
import { readBook } from "../../operations/dead-letters/dead-letter-book.js";
import { systemClock } from "../../supervision/clock.js";
import { silentLogger } from "../../supervision/logger.js";
import { type ProcessTree, startProcesses } from "../../supervision/process/process-root.js";
import { writeContext } from "../../transport/access/context.js";
import { makePasswords } from "../../transport/access/credentials.js";
import { DriftmendClient } from "../../transport/client.js";
import { openLog } from "../../transport/log/log.js";
import { decodeExperience } from "../../transport/log/records.js";
import { type Cluster, startCluster } from "../transport/fixture.js";
import { type Picture, someDigits, tensorOf } from "./pictures.js";
import { type Poison, poisoned } from "./poison.js";
import { ask, typedIn } from "./program.js";

const program = fileURLToPath(new URL("./poisonable-node.js", import.meta.url));
const pictures = await someDigits(12);
const testWithinMs = 120_000;
const deadlineMs = 60_000;

interface Scene {
  readonly cluster: Cluster;
  readonly store: string;
  readonly client: DriftmendClient;
  readonly processes: ProcessTree;
  readonly cured: string;
  /** Of the node's process. */
  readonly deaths: () => number;
  /** Resolves at that many deaths. */
  died(count: number): Promise<void>;
}

async function scene(t: ExecutionContext, isWatched = true): Promise<Scene> {
  t.timeout(testWithinMs);
  const credentials = makePasswords();
  const cluster = await startCluster({ credentials });
  const store = await mkdtemp(join(tmpdir(), "driftmend-poison-"));
  const cured = join(store, "cured");
  const output = openSync(join(store, "node.log"), "a", 0o600);
  const { node, client, telemetry, operator } = credentials;
  let deaths = 0;
  const waiting = new Set<() => void>();
  const flightDir = isWatched ? join(store, "flight") : "";
  const given = [program, cluster.broker.url, node.password, cured, flightDir].map((word) => `'${word}'`).join(" ");
  const spec = {
    id: "serving-1",
    role: "serving",
    // A core file for each death would fill the disk of whoever runs the tests.
    command: "/bin/sh",
    args: ["-c", `ulimit -c 0; exec '${process.execPath}' ${given} "$1"`, "sh"],
    env: { PATH: process.env.PATH ?? "" },
    spawnArgs: (generation: number) => ({ args: [`${generation}`] }),
    shutdownMs: 8_000,
    output,
  };
  const processes = await startProcesses([spec], {
    clock: systemClock,
    random: seededRandom(3),
    log: silentLogger,
    intensity: { restarts: 50, withinMs: 60_000 },
    onEvent: (event) => {
      if (event.kind !== "crashed") return;
      deaths += 1;
      for (const wake of waiting) wake();
    },
  });
  const asking = await DriftmendClient.connect({
    ...client,
    cluster: "driftmend",
    url: cluster.broker.url,
    clock: systemClock,
  });
  const users = { client, telemetry, operator };
  await writeContext(store, {
    cluster: "driftmend",
    natsUrl: cluster.broker.url,
    httpUrl: "",
    pid: process.pid,
    users,
  });
  t.teardown(async () => {
    await asking.close();
    await processes.stop();
    await cluster.end();
    closeSync(output);
    await rm(store, { recursive: true, force: true });
  });
  const died = async (count: number): Promise<void> => {
    while (deaths < count) await new Promise<void>((resolve) => waiting.add(resolve));
  };
  return { cluster, store, client: asking, processes, cured, deaths: () => deaths, died };
}

function askFor({ client }: Scene, id: string, picture: Picture | undefined, poison?: Poison) {
  const ink = picture?.ink ?? new Float32Array(784);
  return client.infer("digits", tensorOf(poison === undefined ? ink : poisoned(ink, poison)), { id, deadlineMs });
}

async function lettersIn({ cluster }: Scene) {
  const read = await readBook(await cluster.bus("operator"), systemClock, cluster.subjects);
  if (read.kind !== "book") throw new Error(read.why);
  return [...read.book.values()];
}

/** Ids of all experiences in the log. */
async function idsIn({ cluster }: Scene): Promise<string[]> {
  const log = openLog(await cluster.bus(), systemClock);
  const stream = cluster.subjects.stream("experience", "digits");
  const state = await log.state(stream);
  if (state.kind !== "state") throw new Error(state.why);
  const ids: string[] = [];
  for (let seq = 1; seq <= state.state.lastSeq; seq += 1) {
    const found = await log.get(stream, seq);
    const record = found.kind === "found" ? decodeExperience(found.message.bytes) : undefined;
    if (record?.kind === "ok" && record.value.kind === "answers") ids.push(...record.value.ids);
  }
  return ids;
}

test.serial(
  "(S1-48, S1-49) a message that crashes its actor at every try is one dead letter; its neighbours are answered",
  async (t) => {
    const running = await scene(t);
    const [bad, ...good] = await Promise.all([
      askFor(running, "bad", pictures[0], "throw"),
      ...pictures.map((picture, index) => askFor(running, `good.${index}`, picture)),
    ]);
    t.deepEqual(bad?.kind === "refusal" ? bad.refusal.code : bad?.kind, "internal");
    t.true(good.every((outcome) => outcome.kind === "reply"));
    t.is(running.deaths(), 0, "the process lives on");
    await askFor(running, "bad", pictures[0], "throw");
    const letters = await lettersIn(running);
    t.is(letters.length, 1, "also when it was given up twice");
    const [entry] = letters;
    t.like(entry?.letter, {
      jobId: "bad",
      model: "digits",
      phase: "inference",
      state: "exhausted",
      cause: "crash in turn: this picture is poison",
      attempts: 3,
      node: "serving-1",
    });
    t.regex(entry?.letter.traceId ?? "", /^[0-9a-f]{32}$/);
    t.true(Math.abs((entry?.letter.atMs ?? 0) - systemClock.nowMs()) < testWithinMs);
    t.is(entry?.letter.payload.kind, "request");
  },
);

test.serial(
  "(S1-48) a request that ends the whole process at every try ends it no more than maxDeliver times",
  async (t) => {
    const running = await scene(t);
    const outcomes = await Promise.all([
      askFor(running, "bad", pictures[0], "abort"),
      ...pictures.map((picture, index) => askFor(running, `good.${index}`, picture)),
    ]);
    const [bad, ...good] = outcomes;
    t.is(bad?.kind === "refusal" ? bad.refusal.code : bad?.kind, "internal");
    t.true(good.every((outcome) => outcome.kind === "reply"));
    t.is(running.deaths(), 3);
    t.is((await askFor(running, "bad", pictures[0], "abort")).kind, "refusal");
    t.is(running.deaths(), 3, "and never again");
    const letters = await lettersIn(running);
    t.is(letters.length, 1);
    t.like(letters[0]?.letter, { jobId: "bad", state: "condemned", attempts: 3, phase: "inference" });
    const ids = await idsIn(running);
    t.false(ids.includes("bad"));
    t.is(new Set(ids).size, pictures.length);
  },
);

test.serial(
  "negative control: without the flight record, the same request takes the node down again and again",
  async (t) => {
    const running = await scene(t, false);
    const asking = askFor(running, "bad", pictures[0], "abort");
    await running.died(6);
    t.is((await lettersIn(running)).length, 0);
    await writeFile(running.cured, "");
    t.is((await asking).kind, "reply");
  },
);

test.serial(
  "(S1-50, S1-51, S1-52) dlq: the list in pages, one requeue under the same id, a resolution that stays",
  async (t) => {
    const running = await scene(t);
    const { store } = running;
    for (const id of ["one", "two", "three"]) await askFor(running, id, pictures[0], id === "two" ? "abort" : "throw");
    const dlq = (...words: readonly string[]) => ask(store, "dlq", ...words) as Promise<Record<string, unknown>>;
    const idsOf = (page: Record<string, unknown>) =>
      (page.entries as { readonly jobId: string }[]).map(({ jobId }) => jobId);
    const first = await dlq("ls", "--limit", "2");
    t.deepEqual(idsOf(first), ["three", "two"]);
    const second = await dlq("ls", "--limit", "2", "--cursor", `${first.cursor}`);
    t.deepEqual(idsOf(second), ["one"]);
    t.is(second.cursor, null);
    const shown = await dlq("show", "two");
    t.like(shown, { jobId: "two", investigated: false, resolution: null, requeued_at: null, state: "condemned" });

    await writeFile(running.cured, "");
    t.like(await dlq("requeue", "two"), { seq: shown.id, jobId: "two" });
    const again = await typedIn(
      process.cwd(),
      "dlq",
      "requeue",
      `${shown.id}`,
      "--context",
      join(store, "context.json"),
    ).ended;
    t.is(again.code, 1);
    t.regex(again.stderr, /is requeued already, at 20/);
    const answered = await askFor(running, "two", pictures[0], "abort");
    t.is(answered.kind, "reply");
    const ids = await idsIn(running);
    t.is(ids.filter((id) => id === "two").length, 1, "the job and its asker's next try are one experience");

    await dlq("resolve", "two", "--note", "a picture with marks in its corners");
    await running.cluster.killAndRestart();
    const entry = await dlq("show", `${shown.id}`);
    t.like(entry, { investigated: true, resolution: "a picture with marks in its corners" });
    t.true(Number(entry.requeued_at) > 0);
    t.is(
      (await typedIn(process.cwd(), "dlq", "show", "nobody", "--context", join(store, "context.json")).ended).code,
      1,
    );
  },
);
