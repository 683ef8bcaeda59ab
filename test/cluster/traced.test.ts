// One request's whole way, as somebody sees it who may only listen: a process of its own, a telemetry user's password, NATS and msgpack.

import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFile, rm } from "node:fs/promises";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import test from "ava";
import { z } from "zod";
import { type Span, spanSchema } from "../../operations/traces/span.js";
import { spansOf } from "../../operations/traces/spans.js";
import { requestSpanId } from "../../operations/traces/trace-context.js";
import { systemClock } from "../../supervision/clock.js";
import { contextFile } from "../../transport/access/context.js";
import type { TelemetryEvent } from "../../transport/messages/events.js";
import type { InferenceReply } from "../../transport/messages/wire.js";
import { hardDigits, tensorOf } from "./pictures.js";
import { typedIn } from "./program.js";
import { model, type Running, startRunning } from "./running.js";

const listener = fileURLToPath(new URL("./telemetry-listener.js", import.meta.url));
const withinMs = 60_000;

const heardLine = z.object({ subject: z.string(), payload: z.record(z.string(), z.unknown()) });
const heardEvent = z.object({
  kind: z.string(),
  node: z.string(),
  actor: z.string(),
  incarnation: z.number(),
  atMs: z.number(),
  items: z.array(z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))),
});

let running: Running;
let child: ChildProcess;
const events: TelemetryEvent[] = [];
const waiting = new Set<() => void>();

test.before(async () => {
  running = await startRunning();
  const { cluster, natsUrl, users } = running.context;
  const { user, password } = users.telemetry;
  child = spawn(process.execPath, [listener, natsUrl, cluster, user], {
    env: { PATH: process.env.PATH, LISTENER_PASSWORD: password },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout as NonNullable<typeof child.stdout> });
  await once(lines, "line");
  lines.on("line", hear);
});

test.after.always(async () => {
  child?.kill("SIGKILL");
  await running?.stop();
});

function hear(line: string): void {
  const heard = heardLine.parse(JSON.parse(line));
  const event = heard.subject.includes(".telemetry.event.") ? heardEvent.parse(heard.payload) : undefined;
  if (event === undefined) return;
  events.push(event);
  for (const look of [...waiting]) look();
}

/** Resolves once what was heard is enough. */
function until(what: string, enough: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const cancel = systemClock.after(withinMs, () => reject(new Error(`not heard within ${withinMs} ms: ${what}`)));
    const look = (): void => {
      if (!enough()) return;
      cancel();
      waiting.delete(look);
      resolve();
    };
    waiting.add(look);
    look();
  });
}

const names = (event: TelemetryEvent, traceId: string): boolean => event.items.some((item) => item.traceId === traceId);
const kindsOf = (traceId: string): string[] => events.filter((event) => names(event, traceId)).map(({ kind }) => kind);
const spansHeard = (traceId: string): Span[] => events.flatMap(spansOf).filter((span) => span.traceId === traceId);

interface Asked {
  readonly traceId: string;
  readonly parent: string;
  readonly reply: InferenceReply;
}

/** Requests below the gate, each in a trace of the caller's; before them those that the source model answers alone. */
async function askSomethingHard(): Promise<Asked[]> {
  const pictures = await hardDigits(4);
  const [first] = pictures;
  if (first === undefined) return [];
  const { coldStart } = model.manifest.learning;
  await Promise.all(Array.from({ length: coldStart }, () => running.client.infer("digits", tensorOf(first.ink))));
  const asked: Asked[] = [];
  for (const { ink } of pictures) {
    const [traceId, parent] = [randomBytes(16).toString("hex"), randomBytes(8).toString("hex")];
    const outcome = await running.client.infer("digits", tensorOf(ink), { traceparent: `00-${traceId}-${parent}-01` });
    if (outcome.kind === "reply") asked.push({ traceId, parent, reply: outcome.reply });
  }
  return asked;
}

async function printed(
  ...words: readonly string[]
): Promise<{ readonly code: number | null; readonly stdout: string }> {
  return typedIn(running.store, ...words, "--context", contextFile(running.store)).ended;
}

const logLine = z.looseObject({
  time: z.string(),
  level: z.string(),
  message: z.string(),
  trace: z.string().nullable(),
  span: z.string().nullable(),
  node: z.string().nullable(),
  actor: z.string().nullable(),
  incarnation: z.number().nullable(),
  phase: z.string().nullable(),
  component: z.string().nullable(),
});

test.serial(
  "(S1-60, S1-61, S1-66, S1-67, S1-68) one request's whole way is heard under its trace, and read back from all nodes",
  async (t) => {
    const { gate } = model.manifest.learning;
    const asked = await askSomethingHard();
    const learns = asked.find(({ reply }) => reply.mode === "ensemble" && reply.confidence < gate);
    if (learns === undefined) return t.fail("no request was below the gate");
    const { traceId, parent, reply } = learns;
    t.is(reply.traceId, traceId, "the caller's trace is the reply's");
    await until(`the update of ${traceId} as spans`, () => spansHeard(traceId).some(({ name }) => name === "update"));
    await until(`the commit of ${traceId}`, () => kindsOf(traceId).includes("commit"));

    const kinds = kindsOf(traceId);
    for (const kind of ["spans", "vote", "update_enqueued", "update", "commit"]) t.true(kinds.includes(kind), kind);
    const spans = spansHeard(traceId);
    const [infer, update] = ["infer", "update"].map((name) => spans.find((span) => span.name === name));
    t.like(infer, { parentSpanId: parent, spanId: requestSpanId(traceId, reply.id), node: "serving-1" });
    t.like(update, { parentSpanId: infer?.spanId, node: "learning-1" });
    for (const job of [infer, update]) {
      const phases = spans.filter(({ parentSpanId, name }) => parentSpanId === job?.spanId && name.includes("."));
      const sum = phases.reduce((total, { startMs, endMs }) => total + endMs - startMs, 0);
      const whole = (job?.endMs ?? 0) - (job?.startMs ?? 0);
      t.true(Math.abs(sum - whole) <= 0.05 * whole, `phases of ${job?.name}: ${sum} of ${whole} ms`);
    }

    const logs = await printed("logs", "--trace", traceId, "--json");
    t.is(logs.code, 0);
    const lines = logs.stdout
      .trimEnd()
      .split("\n")
      .map((line) => logLine.parse(JSON.parse(line)));
    t.true(lines.every(({ trace }) => trace === traceId));
    const atModel = lines.find(({ phase, component }) => phase === "model" && component === "inference");
    t.like(atModel, { node: "serving-1", actor: "digits/inference", incarnation: 1, section: "compute" });
    t.is(typeof atModel?.utilisation, "number");
    t.is(typeof atModel?.active, "number");
    t.true(new Set(lines.map(({ node }) => node)).size >= 2);
    t.deepEqual(
      lines.map(({ time }) => time),
      lines.map(({ time }) => time).sort(),
    );

    const shown = await printed("trace", traceId.slice(0, 12), "--json");
    t.is(z.array(spanSchema).parse(JSON.parse(shown.stdout)).length, spans.length);
    const tree = await printed("trace", traceId);
    for (const word of ["infer.model", "update.step", "critical path"]) t.true(tree.stdout.includes(word), word);
  },
);

test.serial(
  "(S1-60) a request that is refused is heard as such under its trace, and so is one with a broken traceparent",
  async (t) => {
    const traceId = randomBytes(16).toString("hex");
    const wrong = { dt: "<f4", sh: [2], data: new Float32Array(2) } as const;
    const refused = await running.client.infer("digits", wrong, { traceparent: `00-${traceId}-${"ab".repeat(8)}-01` });
    t.is(refused.kind === "refusal" && refused.refusal.traceId, traceId);
    await until(`the refusal of ${traceId}`, () => spansHeard(traceId).length > 0);
    t.true(spansHeard(traceId).every(({ status }) => status === "error"));
    const broken = `00-${"0".repeat(32)}-${"ab".repeat(8)}-01`;
    const outcome = await running.client.infer("digits", wrong, { traceparent: broken });
    if (outcome.kind !== "refusal") return t.fail();
    t.regex(outcome.refusal.traceId ?? "", /^(?!0+$)[0-9a-f]{32}$/, "a trace of its own");
  },
);

test.serial(
  "(S1-68, S1-70) profile shows phases of both kinds of job, and takes a .cpuprofile of a node on demand",
  async (t) => {
    const { stdout } = await printed("profile", "--phases", "--json");
    const { jobs } = z
      .object({
        jobs: z.array(z.object({ job: z.string(), jobs: z.number(), jobMs: z.number(), phasesMs: z.number() })),
      })
      .parse(JSON.parse(stdout));
    t.true(jobs.some(({ job }) => job === "infer"));
    for (const { jobMs, phasesMs } of jobs) t.true(Math.abs(phasesMs - jobMs) <= 0.05 * jobMs);
    const out = `${running.store}/serving.cpuprofile`;
    t.is((await printed("profile", "serving-1", "--for", "200ms", "--out", out)).code, 0);
    const profile = z
      .object({ nodes: z.array(z.unknown()), startTime: z.number(), endTime: z.number(), samples: z.array(z.number()) })
      .parse(JSON.parse(await readFile(out, "utf8")));
    t.true(profile.nodes.length > 0 && profile.endTime > profile.startTime);
    await rm(out);
  },
);
