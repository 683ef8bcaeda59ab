// Who may ask what: decided on the head of a request alone.

import test from "ava";
import { Access, type Knock } from "../../../operations/http/access.js";
import type { Needs } from "../../../operations/http/route.js";
import { VirtualClock } from "../../../supervision/virtual-clock.js";
import { asClient, asOperator, asViewer, tokens } from "./http-scene.js";

const plain: Knock = {
  ...{ method: "GET", host: "127.0.0.1:7480", origin: undefined, authorization: undefined },
  ...{ fetchSite: undefined, fetchMode: undefined, remoteAddress: "127.0.0.1" },
};

function judged(knock: Partial<Knock>, needs: Needs, reach: "loopback" | "network" = "loopback"): string {
  const verdict = new Access({ reach, tokens }, new VirtualClock()).judge({ ...plain, ...knock }, needs);
  return verdict.kind === "granted" ? verdict.as : `${verdict.status} ${verdict.code}`;
}

test("on loopback anybody reads and only the operator orders (S2-65)", (t) => {
  t.is(judged({}, "viewer"), "anybody");
  t.is(judged(asViewer, "viewer"), "viewer");
  t.is(judged({}, "operator"), "401 token_needed");
  t.is(judged(asViewer, "operator"), "403 operator_only");
  t.is(judged(asOperator, "operator"), "operator");
});

test("beyond loopback nothing is read without a token, but for what holds no figures (S2-65)", (t) => {
  const host = "10.1.2.3:7480";
  t.is(judged({ host }, "viewer", "network"), "401 token_needed");
  t.is(judged({ host, ...asViewer }, "viewer", "network"), "viewer");
  t.is(judged({ host, ...asOperator }, "viewer", "network"), "operator");
  t.is(judged({ host }, "nothing", "network"), "anybody");
  // Asking by loopback's name does not help: the reach is the listener's.
  t.is(judged({}, "viewer", "network"), "401 token_needed");
});

test("beyond loopback a client asks for inferences and sees nothing else, a viewer the other way round (S2-65)", (t) => {
  const host = "10.1.2.3:7480";
  t.is(judged({ host }, "client", "network"), "401 token_needed");
  t.is(judged({ host, ...asClient }, "client", "network"), "client");
  t.is(judged({ host, ...asOperator }, "client", "network"), "operator");
  t.is(judged({ host, ...asViewer }, "client", "network"), "403 client_only");
  t.is(judged({ host, ...asClient }, "viewer", "network"), "403 viewer_only");
  t.is(judged({ host, ...asClient }, "operator", "network"), "403 operator_only");
  t.is(judged({ host }, "token", "network"), "401 token_needed");
  t.is(judged({ host, ...asClient }, "token", "network"), "client");
  t.is(judged({ host, ...asViewer }, "token", "network"), "viewer");
});

test("on loopback inferences are asked for without a token, and a client's gives no orders (S2-65)", (t) => {
  t.is(judged({}, "client"), "anybody");
  t.is(judged(asClient, "viewer"), "client");
  t.is(judged(asClient, "operator"), "403 operator_only");
  const withoutClient = new Access(
    { reach: "network", tokens: { viewer: tokens.viewer, operator: tokens.operator } },
    new VirtualClock(),
  );
  for (const authorization of [asClient.authorization, "Bearer undefined"])
    t.like(withoutClient.judge({ ...plain, authorization }, "client"), { kind: "refused", code: "wrong_token" });
});

test("a wrong token is refused, also where none is needed", (t) => {
  for (const authorization of [
    "Bearer wrong",
    "Bearer ",
    "Basic dXNlcjpwYXNz",
    tokens.operator,
    `Bearer ${tokens.operator}x`,
  ])
    t.is(judged({ authorization }, "viewer"), "401 wrong_token", authorization);
  t.is(judged({ authorization: `bearer ${tokens.operator}` }, "operator"), "operator");
});

test("without tokens of its own a node gives no orders to anybody", (t) => {
  const access = new Access({ reach: "loopback", tokens: undefined }, new VirtualClock());
  t.is(access.judge(plain, "viewer").kind, "granted");
  t.is(access.judge({ ...plain, ...asOperator }, "operator").kind, "refused");
  t.is(access.judge({ ...plain, authorization: "Bearer undefined" }, "operator").kind, "refused");
});

test("a foreign name that resolves to this machine reads nothing", (t) => {
  for (const host of [
    "evil.example",
    "evil.example:7480",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "127.0.0.1@evil.example",
    "[::2]:7480",
    "0.0.0.0:7480",
  ])
    t.regex(judged({ host }, "viewer"), /^40[03] (foreign_host|bad_host)$/, host);
  for (const host of ["localhost", "LOCALHOST:7480", "127.0.0.1", "127.8.9.1:80", "[::1]:7480"])
    t.is(judged({ host }, "viewer"), "anybody", host);
  t.is(judged({ host: undefined }, "viewer"), "400 bad_host");
  t.is(judged({ host: "a b" }, "viewer", "network"), "400 bad_host");
});

test("a page of another origin is refused, whatever token it has", (t) => {
  for (const origin of [
    "http://evil.example",
    "null",
    "http://127.0.0.1:3000",
    "https://localhost:7480",
    "file://",
    "http://127.0.0.1:7480@evil.example",
  ])
    t.is(judged({ ...asOperator, method: "POST", origin }, "operator"), "403 foreign_origin", origin);
  t.is(judged({ ...asOperator, method: "POST", origin: "http://127.0.0.1:7480" }, "operator"), "operator");
  t.is(judged({ host: "localhost:80", origin: "http://localhost" }, "viewer"), "anybody");
});

test("a browser's own word on where a request comes from counts; a followed link is let in", (t) => {
  t.is(judged({ fetchSite: "cross-site", fetchMode: "no-cors" }, "viewer"), "403 foreign_origin");
  t.is(judged({ fetchSite: "same-site", fetchMode: "cors" }, "viewer"), "403 foreign_origin");
  t.is(
    judged({ fetchSite: "cross-site", fetchMode: "navigate", method: "POST", ...asOperator }, "operator"),
    "403 foreign_origin",
  );
  t.is(judged({ fetchSite: "cross-site", fetchMode: "navigate" }, "nothing"), "anybody");
  t.is(judged({ fetchSite: "same-origin", fetchMode: "cors" }, "viewer"), "anybody");
});

test("who tries too many tokens is told to wait, and a right one is taken all the same", async (t) => {
  const clock = new VirtualClock();
  const access = new Access({ reach: "network", tokens }, clock);
  const tried = (authorization: string, remoteAddress = "10.0.0.9") => {
    const verdict = access.judge({ ...plain, host: "10.0.0.1", authorization, remoteAddress }, "viewer");
    return verdict.kind === "granted" ? 200 : verdict.status;
  };
  const answers = Array.from({ length: 21 }, (_, n) => tried(`Bearer guess-${n}`));
  t.deepEqual(answers, [...Array.from({ length: 20 }, () => 401), 429]);
  t.is(tried("Bearer guess", "10.0.0.10"), 401, "another address has its own count");
  t.is(tried(asViewer.authorization), 200);
  await clock.advance(60_000);
  t.is(tried("Bearer guess"), 401);
});

test("the count of wrong tries is bounded, however many addresses try", (t) => {
  const access = new Access({ reach: "network", tokens }, new VirtualClock());
  const tried = (remoteAddress: string) =>
    access.judge({ ...plain, host: "h", authorization: "Bearer x", remoteAddress }, "viewer");
  for (let n = 0; n < 20; n += 1) tried("first");
  for (let n = 0; n < 1_100; n += 1) tried(`address-${n}`);
  const verdict = tried("first");
  t.is(verdict.kind === "refused" && verdict.status, 401, "it was forgotten among so many");
});
