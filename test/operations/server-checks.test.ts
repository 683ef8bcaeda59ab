// Substrate: none. What a doctor says of a server's facts, as pure judgements.
import test from "ava";
import {
  checkAppends,
  checkAuthentication,
  checkClocks,
  checkJetStream,
  checkListening,
  checkPayload,
  checkReplicas,
  checkRights,
  checkRoundTrip,
  checkSync,
  checkTls,
} from "../../operations/verbs/server-checks.js";
import type { ServerFacts } from "../../transport/bus/server-facts.js";
import { knownHoles } from "../../transport/server/server-holes.js";
import type { AccountLook, JetStreamAccount, MonitorFacts, MonitorLook } from "../../transport/server/server-look.js";
import { clocksApart, type StoringTried } from "../../transport/server/storing-trial.js";

const old = { version: "2.9.10", holes: knownHoles("2.9.10"), accepted: false };
const facts: ServerFacts = {
  version: "2.11.16",
  host: "10.0.0.1",
  payloadMaxBytes: 8 * 1024 ** 2,
  authRequired: true,
  tlsRequired: false,
  cluster: "",
  peers: [],
};
const unseen: MonitorLook = { kind: "unseen", url: "http://10.0.0.1:8222", why: "connect ECONNREFUSED" };
const seen = (given: Partial<MonitorFacts>): MonitorLook => ({
  kind: "seen",
  facts: { version: "2.11.16", storageMaxBytes: undefined, sync: { kind: "untold" }, clusterSize: undefined, ...given },
});
const account = (given: Partial<JetStreamAccount> = {}): AccountLook => ({
  kind: "account",
  account: {
    storageBytes: 0,
    reservedBytes: 0,
    storageMaxBytes: -1,
    streams: 0,
    streamsMax: -1,
    tiered: false,
    ...given,
  },
});
const stored = (given: Partial<Extract<StoringTried, { kind: "stored" }>["appends"]> = {}): StoringTried => ({
  kind: "stored",
  replicas: 1,
  appends: { medianMs: 1, longestMs: 2, aheadMs: 0, uncertainMs: 1, ...given },
});

test("a server with known holes is refused beyond loopback, unless somebody accepts them, and warned of on loopback", (t) => {
  const open = checkListening({ ...old, hosts: ["0.0.0.0", "127.0.0.1"] });
  t.is(open.status, "missing");
  t.regex(open.detail, /CVE-2025-30215/);
  t.regex(open.next ?? "", /--accept-known-holes/);
  t.is(checkListening({ ...old, hosts: ["0.0.0.0"], accepted: true }).status, "warning");
  t.is(checkListening({ ...old, hosts: ["127.0.0.1", "localhost", "::1"] }).status, "warning");
  t.is(
    checkListening({ version: "2.14.3", holes: knownHoles("2.14.3"), accepted: false, hosts: ["0.0.0.0"] }).status,
    "ok",
  );
  t.is(
    checkListening({ version: "?", holes: knownHoles("?"), accepted: false, hosts: ["10.0.0.1"] }).status,
    "missing",
  );
});

test("holes that need a setting are told, and refuse nothing by themselves", (t) => {
  const holes = knownHoles("2.11.16");
  t.true(holes.length > 0 && holes.every(({ needs }) => needs !== undefined));
  const check = checkListening({ version: "2.11.16", holes, accepted: false, hosts: ["0.0.0.0"] });
  t.is(check.status, "warning");
  t.regex(check.detail, /MQTT/);
});

test("a server that asks nobody who they are is refused where others can connect", (t) => {
  const open = { ...facts, authRequired: false };
  t.is(checkAuthentication(open, ["10.0.0.1"], false).status, "missing");
  t.is(checkAuthentication(open, ["127.0.0.1"], false).status, "warning");
  t.is(checkAuthentication(facts, ["10.0.0.1"], true).status, "ok");
  t.is(checkAuthentication(facts, ["10.0.0.1"], false).status, "warning", "let in without saying who one is");
  t.is(checkTls(false, ["10.0.0.1"]).status, "warning");
  t.is(checkTls(false, ["127.0.0.1"]).status, "ok");
  t.is(checkTls(true, ["10.0.0.1"]).status, "ok");
});

test("JetStream must be on, with room for the log and for its streams", (t) => {
  const look = (given: Partial<JetStreamAccount>, monitor: MonitorLook = unseen) =>
    checkJetStream(account(given), monitor).status;
  t.is(checkJetStream({ kind: "off", description: "not enabled" }, unseen).status, "missing");
  t.is(checkJetStream({ kind: "unavailable", why: "timeout" }, unseen).status, "missing");
  t.is(checkJetStream({ kind: "unavailable", why: "denied" }, unseen).status, "warning", "not everybody may ask");
  t.is(look({}), "ok");
  t.is(look({ storageMaxBytes: 10 * 1024 ** 2 }), "missing");
  t.is(look({ storageMaxBytes: 500 * 1024 ** 2 }), "warning");
  t.is(look({ storageMaxBytes: 8 * 1024 ** 3, reservedBytes: 8 * 1024 ** 3 }), "missing", "reserved is not free");
  t.is(
    look({}, seen({ storageMaxBytes: 10 * 1024 ** 2 })),
    "missing",
    "the server's bound counts where the account has none",
  );
  t.is(look({ streamsMax: 8 }), "missing");
  t.is(look({ streamsMax: 12, streams: 9 }), "warning", "a cluster that has its streams already needs no more");
});

test("how often records reach the disk is told only as far as it can be seen", (t) => {
  t.is(checkSync("2.9.10", unseen).status, "warning");
  t.regex(checkSync("2.9.10", unseen).detail, /cannot be seen/);
  t.regex(checkSync("2.9.10", seen({})).detail, /does not tell/);
  t.is(checkSync("2.11.16", seen({ sync: { kind: "always" } })).status, "ok");
  t.regex(checkSync("2.11.16", seen({ sync: { kind: "every", ms: 120_000 } })).detail, /every 120 s/);
});

test("max_payload, round trip and append have a comfortable and a needed measure", (t) => {
  t.is(checkPayload(8 * 1024 ** 2).status, "ok");
  t.is(checkPayload(1024 ** 2).status, "warning", "the default of nats-server");
  t.is(checkPayload(256 * 1024).status, "missing");
  t.is(checkRoundTrip(0.4).status, "ok");
  t.is(checkRoundTrip(40).status, "warning");
  t.is(checkRoundTrip(undefined).status, "missing");
  t.is(checkAppends(stored()).status, "ok");
  t.is(checkAppends(stored({ medianMs: 60 })).status, "warning");
  t.is(checkAppends(stored({ medianMs: 400 })).status, "missing");
  t.is(checkAppends({ kind: "unavailable", why: "denied" }).status, "warning");
  t.is(checkAppends({ kind: "unavailable", why: "timeout" }).status, "missing");
  t.is(checkAppends({ kind: "refused", code: 10_047, description: "no space" }).status, "missing");
});

test("clocks are compared with the round trip accounted for", (t) => {
  // Sent at 1,000, acknowledged 100 ms later: the server stored it at 1,050 of this clock, give or take half the way.
  t.deepEqual(clocksApart({ sentAtMs: 1_000, tookMs: 100 }, 1_050), { aheadMs: 0, uncertainMs: 51 });
  t.deepEqual(clocksApart({ sentAtMs: 1_000, tookMs: 2 }, 31_001), { aheadMs: 30_000, uncertainMs: 2 });
  t.is(checkClocks(stored({ aheadMs: -900, uncertainMs: 700 })).status, "ok", "a slow way explains it");
  t.is(checkClocks(stored({ aheadMs: -900, uncertainMs: 2 })).status, "warning");
  t.regex(checkClocks(stored({ aheadMs: -900, uncertainMs: 2 })).detail, /900 ms behind/);
  t.is(checkClocks(stored({ aheadMs: 60_000 })).status, "missing");
});

test("so many replicas as are asked for must be possible", (t) => {
  const few: StoringTried = {
    kind: "too_few_servers",
    description: "replicas > 1 not supported in non-clustered mode",
  };
  t.is(checkReplicas(few, 3, facts).status, "missing");
  t.is(checkReplicas(stored(), 1, facts).status, "ok");
  const clustered = { ...facts, cluster: "east", peers: ["10.0.0.1:4222", "10.0.0.2:4222"] };
  t.is(checkReplicas(stored(), 3, clustered).status, "ok");
  t.is(checkReplicas(stored(), 1, clustered).status, "warning", "a cluster could keep three");
  t.is(checkReplicas({ kind: "unavailable", why: "denied" }, 3, facts).status, "warning");
});

test("what a user may not do of its role is named", (t) => {
  t.is(checkRights("node", { kind: "tried", tried: 30, denied: [] }).status, "ok");
  const check = checkRights("node", {
    kind: "tried",
    tried: 30,
    denied: [{ operation: "publish", pattern: "driftmend.wal.>" }],
  });
  t.is(check.status, "missing");
  t.regex(check.detail, /publish to driftmend\.wal\.>/);
});
