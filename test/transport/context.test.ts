// Context files: of a cluster here, of one user of a cluster anywhere, of a former version, and damaged ones.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { accessAs, type ClusterContext, contextText, nobody, readContext } from "../../transport/access/context.js";
import { makeCredentials, makeNkey, makePassword } from "../../transport/access/credentials.js";

async function read(t: ExecutionContext, text: string) {
  const folder = await mkdtemp(join(tmpdir(), "driftmend-context-"));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, "context.json");
  await writeFile(file, text, { mode: 0o600 });
  return readContext(file);
}

const { client, telemetry, operator } = makeCredentials();
const here: ClusterContext = {
  ...{ cluster: "driftmend", natsUrl: "nats://127.0.0.1:4222", httpUrl: "", pid: process.pid },
  users: { client, telemetry, operator },
};

test("a context is read as it was written, keys and certificates included", async (t) => {
  const tls = { caFile: "/etc/nats/ca.pem" };
  t.like(await read(t, contextText({ ...here, tls })), { kind: "found", context: { ...here, tls } });
});

test("a context of one user has nobody else in it, needs no process here, and is that user's alone (S2-65)", async (t) => {
  const shop = makePassword("shop");
  const context: ClusterContext = {
    ...here,
    pid: 0,
    only: "client",
    users: { client: shop, telemetry: nobody, operator: nobody },
  };
  const text = contextText(context);
  t.false(text.includes("telemetry") || text.includes("operator"));
  const found = await read(t, text);
  t.like(found, { kind: "found", context });
  t.deepEqual(accessAs(context, "client"), { url: context.natsUrl, ...shop, inboxPrefix: "_INBOX.shop" });
  t.deepEqual(accessAs(context, "operator"), { url: context.natsUrl });
});

test("a context of a former version, where the operator has a password, is still read", async (t) => {
  const former = { ...here, users: { client, telemetry, operator: makePassword("operator") } };
  t.like(await read(t, JSON.stringify(former)), { kind: "found", context: former });
});

test("a context with a damaged key, without a user, or for nobody is refused by a clear sentence without its secrets (S2-65)", async (t) => {
  const key = makeNkey("operator").nkey.slice(0, -1);
  const damaged: readonly (readonly [object, RegExp])[] = [
    [
      { ...here, users: { ...here.users, operator: { user: "operator", nkey: key } } },
      /operator with user and nkey or password/,
    ],
    [{ ...here, users: { client } }, /users must name client and telemetry/],
    [{ ...here, only: "operator", users: { client } }, /it is for operator, and users does not name that one/],
    [{ ...here, only: "root" }, /it is for root/],
    [{ natsUrl: here.natsUrl }, /cluster, natsUrl or pid is missing/],
  ];
  for (const [given, words] of damaged) {
    const found = await read(t, JSON.stringify(given));
    t.regex(found.kind === "damaged" ? found.message : found.kind, words);
    t.false(JSON.stringify(found).includes(key));
  }
});
