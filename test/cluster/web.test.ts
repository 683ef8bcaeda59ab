// The HTTP interface of a cluster that a person started: every address answers, orders need the token, and it is back on the same address
// after its actor and after its node were killed.

import { readFile, rm } from "node:fs/promises";
import test from "ava";
import { systemClock } from "../../supervision/clock.js";
import { hardDigits, tensorOf } from "./pictures.js";
import { ask, processesOf, start } from "./program.js";
import { lookAt, temporaryStore } from "./running.js";

const withinMs = 60_000;

/** Asks again until it is served: nobody is told when a listener is back. */
async function served(url: string, path: string, status = 200): Promise<Response> {
  const untilMs = systemClock.monotonicMs() + withinMs;
  for (let last = "nothing"; systemClock.monotonicMs() < untilMs; await systemClock.delay(50)) {
    try {
      const answer = await fetch(`${url}${path}`);
      if (answer.status === status) return answer;
      last = `${answer.status} ${await answer.text()}`;
    } catch (error) {
      last = String(error);
    }
    if (systemClock.monotonicMs() >= untilMs) throw new Error(`${path}: ${last}`);
  }
  throw new Error(`${path} was not served within ${withinMs} ms`);
}

const figures = ["/v2/models/digits/ready", "/metrics", "/api/metrics", "/api/health", "/healthz"];
const documents = [
  "/api/series",
  "/api/tree",
  "/api/learning",
  "/api/queues",
  "/api/alerts",
  "/api/traces",
  "/api/stability",
  "/openapi.json",
];

test("a cluster is seen and struck over HTTP, and the interface survives its actor and its node (S0-7, S0-8, S1-38, S1-39, S1-40, S2-65)", async (t) => {
  const store = await temporaryStore();
  t.teardown(() => rm(store, { recursive: true, force: true }));
  const program = start(store, "up", "--json", "--http", "0");
  t.teardown(() => program.child.kill("SIGKILL"));
  const context = await program.ready;
  const { httpUrl: url, httpTokens: tokens } = context;
  if (tokens === undefined) throw new Error("context.json has no tokens");
  t.regex(url, /^http:\/\/127\.0\.0\.1:\d+$/);

  for (const path of [...figures, ...documents]) await served(url, path);
  const metrics = (await (await served(url, "/api/metrics")).json()) as { nodes: { node: string }[]; cluster: string };
  t.is(metrics.cluster, "driftmend");
  t.deepEqual(metrics.nodes.map(({ node }) => node).sort(), ["learning-1", "operations-1", "serving-1"]);
  t.regex(await (await served(url, "/metrics")).text(), /^# HELP [\s\S]*driftmend_/);

  const sight = await lookAt(context);
  const [picture] = await hardDigits(1);
  if (picture === undefined) throw new Error("no digit is hard");
  const asked = await sight.client.infer("digits", tensorOf(picture.ink));
  if (asked.kind !== "reply") throw new Error(`the request was not answered: ${asked.kind}`);
  const { traceId } = asked.reply;
  const spanNames = async (): Promise<string[]> => {
    const { spans } = (await (await served(url, `/api/traces/${traceId}`)).json()) as { spans: { name: string }[] };
    return spans.map(({ name }) => name);
  };
  t.true((await spanNames()).includes("infer.remember"));
  t.regex(await (await served(url, "/api/traces?limit=5")).text(), new RegExp(traceId));

  const strike = { node: "learning-1", target: "learning-1", mode: "sigkill" };
  const post = (headers: Record<string, string>, body: object = strike) =>
    fetch(`${url}/api/chaos`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
  const operator = { authorization: `Bearer ${tokens.operator}` };
  t.is((await post({})).status, 401);
  t.is((await post({ authorization: `Bearer ${tokens.viewer}` })).status, 403);
  t.is((await post({ ...operator, origin: "http://evil.example" })).status, 403);
  const done = await post({ ...operator, origin: url });
  t.is(done.status, 200);
  t.like(await done.json(), { target: "learning-1", mode: "sigkill", generationBefore: 1, generationAfter: 2 });

  t.like(await ask(store, "chaos", "kill", "web"), { generationBefore: 1, generationAfter: 2 });
  await served(url, "/api/tree");
  t.like(await ask(store, "chaos", "kill", "operations-1"), { mode: "sigkill", generationAfter: 2 });
  for (const path of [...figures, ...documents]) await served(url, path);
  t.deepEqual(await ask(store, "page", "--operator"), { url: `${url}/#operator=${tokens.operator}`, operator: true });

  t.true((await spanNames()).includes("infer.remember"), "what a dead node had put together is put together again");

  const lines = await Promise.all(
    (await processesOf(sight)).map(async ({ pid }) => readFile(`/proc/${pid}/cmdline`, "utf8")),
  );
  await sight.close();
  program.child.kill("SIGTERM");
  const { code, stdout, stderr } = await program.ended;
  t.is(code, 130);
  t.like(JSON.parse(stdout), { ready: true, httpUrl: url });
  for (const secret of Object.values(tokens)) {
    t.true(lines.length >= 5 && lines.every((line) => !line.includes(secret)), "no token on a command line");
    t.false(`${stdout}${stderr}`.includes(secret), "no token in what was said");
  }
});
