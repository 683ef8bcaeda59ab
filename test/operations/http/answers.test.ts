// The routes over plain data: what each answers, and with which status.

import test from "ava";
import { VirtualClock } from "../../../supervision/virtual-clock.js";
import { asOperator, asViewer, local, scene, traceId } from "./http-scene.js";

test("figures are served while they are young; a silent observer makes them a 503 that says why (S1-38)", async (t) => {
  const { server, report, clock } = await scene();
  for (const url of ["/api/metrics", "/metrics", "/api/health", "/healthz"]) {
    const early = await server.inject({ url, headers: local });
    t.is(early.statusCode, 503, url);
  }
  t.is((await server.inject({ url: "/api/metrics", headers: local })).json().error.code, "no_figures");
  const { metrics } = report();
  const answer = await server.inject({ url: "/api/metrics", headers: local });
  t.is(answer.statusCode, 200);
  t.deepEqual(answer.json(), metrics);
  await clock.advance(5_001);
  const late = await server.inject({ url: "/api/metrics", headers: local });
  t.is(late.statusCode, 503);
  t.like(late.json().error, {
    code: "stale_figures",
    message: "the newest figures are 5 s old: the observer is silent",
  });
});

test("setting the clock back makes no old figures new (S1-38)", async (t) => {
  let setBackMs = 0;
  class SetBack extends VirtualClock {
    override nowMs(): number {
      return super.nowMs() - setBackMs;
    }
  }
  const { server, report, clock } = await scene({ clock: new SetBack(1_750_000_000_000) });
  report();
  setBackMs = 3_600_000;
  t.is((await server.inject({ url: "/api/metrics", headers: local })).statusCode, 200);
  await clock.advance(5_001);
  t.is((await server.inject({ url: "/api/metrics", headers: local })).statusCode, 503);
});

test("/metrics is the text of the very figures that /api/metrics gives (S0-8, S1-38)", async (t) => {
  const { server, report } = await scene();
  const { metrics } = report();
  const answer = await server.inject({ url: "/metrics", headers: local });
  t.is(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
  t.is(answer.body, `driftmend_update_rate ${metrics.vitals.updateRate}\n`);
});

test("health is 200 while healthy or degraded and 503 when unhealthy, its whole body each time (S0-7, S1-39)", async (t) => {
  const { server, report } = await scene();
  for (const [status, code] of [
    ["healthy", 200],
    ["degraded", 200],
    ["unhealthy", 503],
  ] as const) {
    const { health } = report(status);
    const answer = await server.inject({ url: "/api/health", headers: local });
    t.is(answer.statusCode, code, status);
    t.deepEqual(answer.json(), health);
    t.true(answer.json().recommendations.length > 0 && answer.json().checks.length > 0);
    const live = await server.inject({ url: "/healthz", headers: local });
    t.is(live.statusCode, code);
    t.deepEqual(live.json(), { status });
  }
});

test("health of a silent observer is a 503 too, as an error", async (t) => {
  const { server } = await scene();
  const answer = await server.inject({ url: "/api/health", headers: local });
  t.is(answer.statusCode, 503);
  t.is(answer.json().error.code, "no_figures");
  t.is(answer.headers["retry-after"], "1");
  const { queues, deadLetters } = (await server.inject({ url: "/api/queues", headers: local })).json();
  t.is(queues, null, "not what a dead observer said last");
  t.true(deadLetters.entries.length > 0, "the dead letters are read without it");
});

test("the tree, the series, learning, queues and traces are as their sources tell them", async (t) => {
  const { server, sources, report } = await scene();
  report();
  const body = async (url: string) => (await server.inject({ url, headers: local })).json();
  t.deepEqual({ kind: "found", value: await body("/api/tree") }, await sources.tree());
  t.is((await body("/api/series")).marks[0].label, "Worker Crash");
  t.is((await body("/api/learning")).models[0].updates[1].guard, "kl");
  const queues = await body("/api/queues?limit=1");
  t.is(queues.queues[0].depth, 3);
  t.is(queues.deadLetters.entries[0].payload.base64, "aGk=");
  t.is(queues.deadLetters.cursor, 1);
  t.is((await body("/api/traces?limit=5")).traces[0].traceId, traceId);
  t.is((await body(`/api/traces/${traceId}`)).logs[0].message, "slow");
});

test("what is asked wrongly is refused with the place and what to do", async (t) => {
  const { server } = await scene();
  for (const url of [
    "/api/traces?limit=0",
    "/api/traces?limit=many",
    "/api/traces/xyz",
    "/api/queues?before=-1",
    "/api/stability/a.b",
  ]) {
    const answer = await server.inject({ url, headers: local });
    t.is(answer.statusCode, 400, url);
    t.is(answer.json().error.code, "bad_request", url);
    t.truthy(answer.json().error.next);
  }
  for (const node of ["a.b", "*", ">", "", "serving 1", "x".repeat(33), "\u00e9"]) {
    const answer = await server.inject({
      ...{ method: "POST", url: "/api/chaos", headers: { ...local, ...asOperator } },
      payload: { node, target: "intake", mode: "kill" },
    });
    t.is(answer.statusCode, 400, node);
    t.regex(answer.json().error.message, /^body\.node: is no node's name/);
  }
  const unknown = await server.inject({ url: `/api/traces/${"0".repeat(32)}`, headers: local });
  t.is(unknown.statusCode, 404);
  t.is(unknown.json().error.message, "there is no such trace");
});

test("an order is carried out for the operator and for nobody else (S2-65)", async (t) => {
  const { server, ordered } = await scene();
  const order = { node: "learning-1", target: "digits-updater", mode: "kill" };
  const post = (headers: Record<string, string>) =>
    server.inject({ method: "POST", url: "/api/chaos", headers: { ...local, ...headers }, payload: order });
  t.is((await post({})).statusCode, 401);
  t.is((await post({})).headers["www-authenticate"], 'Bearer realm="driftmend"');
  t.is((await post(asViewer)).statusCode, 403);
  t.is((await post({ ...asOperator, origin: "http://evil.example" })).statusCode, 403);
  t.is((await post({ ...asOperator, host: "evil.example" })).statusCode, 403);
  t.deepEqual(ordered, [], "nothing was done so far");
  const done = await post({ ...asOperator, origin: "http://127.0.0.1:7480" });
  t.is(done.statusCode, 200);
  t.like(done.json(), { target: "digits-updater", generationAfter: 2, lost: 0 });
  t.deepEqual(ordered, ["kill learning-1/digits-updater -"]);
});

test("alerts are acknowledged and silenced, dead letters run again, by their orders", async (t) => {
  const { server, ordered } = await scene();
  const post = (url: string, payload?: object) =>
    server.inject({
      method: "POST",
      url,
      headers: { ...local, ...asOperator },
      ...(payload === undefined ? {} : { payload }),
    });
  t.is((await post("/api/alerts/ack", { fingerprint: "kl_drift:digits", note: "I look" })).statusCode, 200);
  t.is((await post("/api/alerts/silence", { matches: "kl_drift", for: "1h", note: "tests" })).statusCode, 200);
  t.is((await post("/api/dlq/1/requeue")).statusCode, 200);
  t.deepEqual(ordered, ["ack kl_drift:digits I look", "silence kl_drift 3600000 tests", "requeue 1"]);
  for (const wrong of [
    { matches: "x", for: "soon" },
    { matches: "x", for: "0s" },
    { matches: "x", for: "400h" },
    { matches: "", for: "1h" },
    { for: "1h" },
    { matches: "x", for: "1h", by: "me" },
  ])
    t.is((await post("/api/alerts/silence", wrong)).statusCode, 400, JSON.stringify(wrong));
  t.is(ordered.length, 3);
});

test("what the cluster declines is a conflict with its own reason; a silence is a 503", async (t) => {
  const { server } = await scene({
    sources: {
      fault: async () => ({ kind: "declined", code: "under_minimum", message: "one learning node must stay" }),
      tree: async () => ({ kind: "unavailable", message: "no node of the cluster answers" }),
    },
  });
  const order = { node: "root", target: "learning-1", mode: "sigkill" };
  const declined = await server.inject({
    method: "POST",
    url: "/api/chaos",
    headers: { ...local, ...asOperator },
    payload: order,
  });
  t.is(declined.statusCode, 409);
  t.like(declined.json().error, { code: "under_minimum", message: "one learning node must stay" });
  t.is((await server.inject({ url: "/api/tree", headers: local })).statusCode, 503);
});

test("the page comes with a policy that names its script and its style by hash, and nothing else", async (t) => {
  const { server } = await scene();
  const page = await server.inject({ url: "/", headers: local });
  t.is(page.statusCode, 200);
  const policy = String(page.headers["content-security-policy"]);
  t.regex(policy, /script-src 'sha256-[A-Za-z0-9+/=]{44}';/);
  t.regex(policy, /style-src 'sha256-[A-Za-z0-9+/=]{44}';/);
  t.regex(policy, /default-src 'none'/);
  t.notRegex(policy, /unsafe/);
});

test("a stability report is shut in: no origin, nobody to talk to", async (t) => {
  const { server } = await scene();
  const report = await server.inject({ url: "/api/stability/run-1", headers: local });
  t.is(report.statusCode, 200);
  t.regex(String(report.headers["content-type"]), /^text\/html/);
  const policy = String(report.headers["content-security-policy"]);
  t.regex(policy, /sandbox allow-scripts$/);
  t.notRegex(policy, /allow-same-origin|connect-src/);
  for (const url of ["/api/stability/..%2f..%2fcontext.json", "/api/stability/%2e%2e", "/api/stability/run-2"])
    t.true([400, 404].includes((await server.inject({ url, headers: local })).statusCode), url);
});

test("every answer carries the security headers, an error and an unknown path too", async (t) => {
  const { server } = await scene();
  for (const url of ["/", "/api/tree", "/api/metrics", "/nothing/here", "/%zz"]) {
    const { headers } = await server.inject({ url, headers: local });
    t.is(headers["x-content-type-options"], "nosniff", url);
    t.is(headers["x-frame-options"], "DENY", url);
    t.is(headers["cross-origin-resource-policy"], "same-origin", url);
    t.is(headers["cache-control"], "no-store", url);
    t.regex(String(headers["content-security-policy"]), /frame-ancestors 'none'/, url);
    t.is(headers["access-control-allow-origin"], undefined, url);
  }
});
