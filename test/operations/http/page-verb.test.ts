// The verb `page`, and what `up` says of the page: who is given which link.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { pageLines } from "../../../operations/cluster/up.js";
import { coloursFor } from "../../../operations/terminal/colours.js";
import type { Terminal } from "../../../operations/terminal/terminal.js";
import { showPage } from "../../../operations/verbs/page.js";
import { systemClock } from "../../../supervision/clock.js";
import { type ClusterContext, contextFile, readContext, writeContext } from "../../../transport/access/context.js";
import { tokens } from "./http-scene.js";

const nobody = { user: "", password: "" };
const users = { client: nobody, telemetry: nobody, operator: nobody };
const local = "http://127.0.0.1:7480";
const wide = "http://10.1.2.3:7480";

async function page(
  t: ExecutionContext,
  context: Partial<ClusterContext>,
  options: { operator?: boolean; json?: boolean } = {},
) {
  const store = await mkdtemp(join(tmpdir(), "driftmend-page-"));
  t.teardown(() => rm(store, { recursive: true, force: true }));
  await writeContext(store, {
    ...{
      cluster: "driftmend",
      natsUrl: "nats://127.0.0.1:1",
      httpUrl: local,
      pid: process.pid,
      users,
      httpTokens: tokens,
    },
    ...context,
  });
  const said: string[] = [];
  const terminal: Terminal = {
    print: (text) => said.push(text),
    note: (text) => said.push(`(${text})`),
    readInput: async () => new Uint8Array(),
    ...{ json: options.json === true, width: 100, self: "driftmend", colours: coloursFor(false), clock: systemClock },
    interrupted: new AbortController().signal,
  };
  const outcome = await showPage({ ...options, context: contextFile(store) }, terminal);
  return { outcome, said, store };
}

test("on loopback the link needs no token, the operator's has one in its fragment (S2-65)", async (t) => {
  t.deepEqual((await page(t, {})).said, [`${local}/`]);
  const operator = await page(t, {}, { operator: true });
  t.deepEqual(operator.said, [
    `${local}/#operator=${tokens.operator}`,
    "(whoever has this link may give orders to the cluster)",
  ]);
  const asJson = await page(t, {}, { operator: true, json: true });
  t.deepEqual(
    asJson.said.map((text) => JSON.parse(text)),
    [{ url: `${local}/#operator=${tokens.operator}`, operator: true }],
  );
});

test("beyond loopback the plain link carries the viewer's token (S2-65)", async (t) => {
  t.deepEqual((await page(t, { httpUrl: wide })).said, [`${wide}/#viewer=${tokens.viewer}`]);
});

test("without HTTP, and without a cluster, it says so and what to type", async (t) => {
  const none = await page(t, { httpUrl: "" });
  t.like(none.outcome, { kind: "failed", message: "this cluster serves no HTTP" });
  const gone = await page(t, { pid: 2 ** 22 - 3 });
  t.like(gone.outcome, { kind: "unreachable" });
});

test("tokens come back from the file as they were written, and only whole", async (t) => {
  const { store } = await page(t, {});
  const read = await readContext(contextFile(store));
  t.like(read, { kind: "found", context: { httpTokens: tokens } });
  const { store: old } = await page(t, { httpTokens: { viewer: tokens.viewer, operator: tokens.operator } });
  const before = await readContext(contextFile(old));
  t.deepEqual(before.kind === "found" ? before.context.httpTokens : undefined, {
    viewer: tokens.viewer,
    operator: tokens.operator,
  });
  const { store: other } = await page(t, { httpTokens: JSON.parse('{"viewer":"v"}') });
  const half = await readContext(contextFile(other));
  t.is(half.kind === "found" ? half.context.httpTokens : "unread", undefined);
});

test("`up` says where the page is, never a token, and warns beyond loopback (S2-65)", (t) => {
  const context = { cluster: "driftmend", natsUrl: "", pid: 1, users, httpTokens: tokens };
  t.deepEqual(pageLines({ ...context, httpUrl: "" }, "driftmend"), []);
  const [near = ""] = pageLines({ ...context, httpUrl: local }, "driftmend");
  const [far = ""] = pageLines({ ...context, httpUrl: wide }, "driftmend");
  t.regex(near, /^page http:\/\/127\.0\.0\.1:7480 .*driftmend page --operator/);
  t.regex(far, /beyond loopback everything needs a token: driftmend page /);
  for (const line of [near, far]) t.false(line.includes(tokens.viewer) || line.includes(tokens.operator));
});
