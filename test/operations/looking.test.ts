// Substrate: none. What a look inside, a fault, a watch and a doctor's visit show, as pure text.
import test from "ava";
import { exitCodeOf } from "../../operations/cluster/outcome.js";
import { nodeIn, rolesIn } from "../../operations/discovery.js";
import { renderReceipt, renderReplay } from "../../operations/terminal/answer.js";
import { plain } from "../../operations/terminal/colours.js";
import { renderAlert, renderEvent, renderMetrics, timeOfDay } from "../../operations/terminal/events.js";
import { renderStatus } from "../../operations/terminal/status.js";
import { findTarget } from "../../operations/verbs/chaos.js";
import { renderChecks } from "../../operations/verbs/doctor.js";
import {
  checkClock,
  checkDisk,
  checkLearner,
  checkLibrary,
  checkNode,
  checkServer,
  checkSharedMemory,
  isAtLeast,
  parseVersion,
} from "../../operations/verbs/doctor-checks.js";
import type { TreeNode } from "../../transport/messages/look-orders.js";

test("a status shows whatever a node says of itself, nested and aligned (S2-56, S2-57, S2-62)", (t) => {
  const status = {
    state: "ready",
    pid: 22_905,
    uptimeMs: 65_000,
    startedAtMs: 0,
    requests: 12_345,
    memory: { size: 100, capacity: 10_000, hitRatio: 0.987654 },
    log: { bytes: 2_048, streams: [] },
    nothing: {},
  };
  t.is(
    renderStatus("serving-1", status, 80, plain),
    [
      "serving-1",
      "  state        ready",
      "  pid          22905",
      "  uptimeMs     1 m 05 s",
      "  startedAtMs  1970-01-01T00:00:00.000Z",
      "  requests     12,345",
      "  memory",
      "    size      100",
      "    capacity  10,000",
      "    hitRatio  0.9877",
      "  log",
      "    bytes    2.0 KiB",
      "    streams  none",
      "  nothing      none",
    ].join("\n"),
  );
});

test("a status that nests for ever, or carries escape sequences, stays readable", (t) => {
  const deep = Array.from({ length: 40 }).reduce<Record<string, unknown>>((inner) => ({ deeper: inner }), {
    "\u001b[2J": 1,
  });
  const text = renderStatus("n", deep, 60, plain);
  t.true(text.split("\n").length < 12);
  t.false(text.includes("\u001b"));
});

const leaf = (name: string): TreeNode => ({
  name,
  kind: "actor",
  generation: 1,
  state: "running",
  restarts: 0,
  children: [],
});
const branch = (name: string, kind: TreeNode["kind"], children: readonly TreeNode[]): TreeNode => ({
  ...leaf(name),
  kind,
  children,
});
const tree = branch("driftmend", "root", [
  branch("serving-1", "node", [branch("digits", "supervisor", [leaf("inference")]), leaf("beacon")]),
  branch("learning-1", "node", [leaf("digits-updater"), leaf("beacon")]),
]);

for (const [text, node, path] of [
  ["serving-1/digits/inference", "serving-1", "digits/inference"],
  ["inference", "serving-1", "digits/inference"],
  ["digits/inference", "serving-1", "digits/inference"],
  ["updater", "learning-1", "digits-updater"],
  ["learning-1/beacon", "learning-1", "beacon"],
] as const)
  test(`the target "${text}" is ${path} of ${node}`, (t) => {
    t.deepEqual(findTarget(tree, text), { kind: "actor", node, path });
  });

test("a node's name is the whole node", (t) => {
  t.deepEqual(findTarget(tree, "serving-1"), { kind: "node", node: "serving-1", joined: false });
});

test("a name in two places is not guessed, one in none is answered with the list", (t) => {
  t.like(findTarget(tree, "beacon"), { kind: "unclear", next: "say which: serving-1/beacon, learning-1/beacon" });
  t.like(findTarget(tree, "voter"), { kind: "unclear", message: 'there is no "voter" in the tree' });
});

test("a receipt for a whole process does not make up what was not measured", (t) => {
  const unmeasured = { inFlight: null, redelivered: null, refused: null, lost: null, detectMs: null };
  const receipt = {
    target: "learning-1",
    mode: "sigkill",
    generationBefore: 1,
    generationAfter: 2,
    leasesCleaned: 1,
    repairMs: 312.4,
    ...unmeasured,
  };
  const text = renderReceipt(receipt, plain);
  t.regex(text, /messages +not measured/);
  t.regex(text, /noticed +not seen/);
  t.regex(text, /mended +after 312 ms/);
  t.notRegex(text, /0 lost/);
});

test("a replay says equal or NOT equal, with both checksums", (t) => {
  const end = { from: 0, returnsToSource: 0, comparedAt: 70, at: { updateSeq: 70, version: 68, checksum: "aa" } };
  const result = {
    model: "digits",
    updates: 70,
    versions: 68,
    checksum: "aa",
    committedChecksum: "aa",
    equal: true,
    ...end,
  };
  t.regex(
    renderReplay(result, plain),
    /70 updates folded into 68 versions\n {2}folded +aa\n {2}committed +aa\n {2}equal/,
  );
  t.regex(renderReplay({ ...result, committedChecksum: "bb", equal: false }, plain), /NOT equal/);
  const between = { ...result, from: 20, at: { updateSeq: 72, version: 69, checksum: "cc" } };
  t.regex(
    renderReplay(between, plain),
    /behind update 20[\s\S]+commit at update 70: none stands at update 72[\s\S]+version 69, cc/,
  );
});

test("an event gives one line an item, an alert says fired or resolved, metrics are pairs", (t) => {
  const origin = { node: "serving-1", actor: "voter", incarnation: 2, atMs: 1_000 };
  const lines = renderEvent({ kind: "vote", ...origin, items: [{ label: "7" }, { label: "8", missing: null }] }, plain);
  t.deepEqual(
    lines.map((line) => line.split(/ {2,}/).slice(1)),
    [
      ["vote", "serving-1/voter#2", "label 7"],
      ["vote", "serving-1/voter#2", "label 8"],
    ],
  );
  t.is(renderEvent({ kind: "drain", ...origin, items: [] }, plain).length, 1);
  const alert = {
    name: "node_silent",
    severity: "critical",
    state: "fired",
    node: "ops",
    atMs: 1,
    message: "learning-1",
    value: 2,
    threshold: 1,
  } as const;
  t.regex(renderAlert(alert, plain), /alert critical +ops +node_silent fired: learning-1 \(2, limit 1\)$/);
  t.regex(
    renderMetrics({ node: "ops", incarnation: 1, atMs: 1, values: { requests: 3 } }, plain),
    /metrics +ops#1 +requests 3$/,
  );
});

test("a time beyond the calendar is no crash", (t) => {
  t.is(timeOfDay(32_707_040), "09:05:07.040");
  t.is(timeOfDay(1e300), "--:--:--.---");
});

const ping = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

test("a node is who says so for this cluster, and nobody else", (t) => {
  t.is(nodeIn(ping({ metadata: { cluster: "driftmend", node: "serving-1" } }), "driftmend"), "serving-1");
  for (const other of [
    {},
    null,
    [],
    7,
    { metadata: null },
    { metadata: { cluster: "x", node: "a" } },
    { metadata: { cluster: "driftmend", node: "a.b" } },
  ])
    t.is(nodeIn(ping(other), "driftmend"), undefined);
  t.is(nodeIn(new TextEncoder().encode("{"), "driftmend"), undefined);
  t.deepEqual(rolesIn(ping({ metadata: { role: "serving,learning" } })), ["serving", "learning"]);
  for (const none of [{}, { metadata: { role: 7 } }, { metadata: { role: "" } }]) t.deepEqual(rolesIn(ping(none)), []);
});

test("versions are compared by number, not by spelling", (t) => {
  t.deepEqual(parseVersion("v2.9.10-RC1"), [2, 9, 10]);
  t.is(parseVersion("latest"), undefined);
  t.false(isAtLeast([2, 9, 10], [2, 11, 16]));
  t.true(isAtLeast([2, 11, 16], [2, 11, 16]));
  t.true(isAtLeast([3, 0, 0], [2, 11, 16]));
});

test("a doctor's visit names what is missing, what is only a warning, and what to type for each", (t) => {
  const statuses = (...checks: readonly { readonly status: string }[]) => checks.map(({ status }) => status);
  t.deepEqual(statuses(checkNode("v20.19.0", "linux", 2), checkNode("v18.0.0", "linux", 2)), ["ok", "missing"]);
  const server = (version: string) => checkServer({ path: "/usr/sbin/nats-server", version }, "");
  t.deepEqual(statuses(checkServer(undefined, "apt"), server("v2.9.10"), server("v2.11.16"), server("odd")), [
    "missing",
    "warning",
    "ok",
    "warning",
  ]);
  t.regex(server("v2.9.10").detail, /known authorisation holes/);
  t.deepEqual(
    statuses(checkLibrary("onnxruntime-node", "serves", undefined), checkLibrary("onnxruntime-node", "serves", "no")),
    ["ok", "missing"],
  );
  const space = (freeBytes: number) => ({ freeBytes, totalBytes: 2 ** 30 });
  t.deepEqual(statuses(checkSharedMemory(undefined), checkSharedMemory(space(1)), checkSharedMemory(space(2 ** 30))), [
    "warning",
    "warning",
    "ok",
  ]);
  t.deepEqual(
    statuses(checkDisk("/s", undefined), checkDisk("/s", 1), checkDisk("/s", 2 ** 29), checkDisk("/s", 2 ** 31)),
    ["missing", "missing", "warning", "ok"],
  );
  const now = Date.UTC(2026, 0);
  t.deepEqual(statuses(checkClock(0, 0), checkClock(now, 1), checkClock(now, -900)), ["warning", "ok", "warning"]);
});

test("the doctor says whether the largest tensor goes by shared memory, of which engines of containers give 64 MiB (S2-34)", (t) => {
  const mib = 2 ** 20;
  const docker = checkSharedMemory({ freeBytes: 60 * mib, totalBytes: 64 * mib });
  t.is(docker.status, "warning");
  t.regex(docker.detail, /^only 60\.0 MiB of 64\.0 MiB free; tensors of 256\.0 MiB, the largest, go in chunks$/);
  t.regex(docker.next ?? "", /--shm-size=512m/);
  const large = checkSharedMemory({ freeBytes: 512 * mib, totalBytes: 512 * mib });
  t.deepEqual(large, { name: "/dev/shm", status: "ok", detail: "512.0 MiB of 512.0 MiB free" });
  t.regex(checkSharedMemory({ freeBytes: 200 * mib, totalBytes: 256 * mib }).detail, /go in chunks/);
});

test("the doctor says which backend learns and why not another", (t) => {
  const tried = [
    { backend: "tfjs-node", available: false, why: "not installed" },
    { backend: "wasm", available: true, why: "agrees with plain arithmetic" },
  ];
  t.is(checkLearner("wasm", tried).detail, "wasm (agrees with plain arithmetic; tfjs-node: not installed)");
  t.like(checkLearner(undefined, tried.slice(0, 1)), { status: "missing", next: "npm ci" });
});

test("a doctor's visit is readable at 80 columns and cuts nothing that must be typed", (t) => {
  const next =
    "install it with apt install nats-server on Debian, or brew install nats-server on macOS, or name one with --nats-server FILE";
  const text = renderChecks(
    [{ name: "nats-server", status: "missing", detail: "not found", next }, checkNode("v20.19.0", "linux", 2)],
    80,
    plain,
  );
  t.true(
    text.split("\n").every((line) => line.length <= 80),
    text,
  );
  t.true(text.replaceAll(/\s+/g, " ").includes(`-> ${next}`));
});

test("each ending has its exit code", (t) => {
  const said = { message: "", next: "" };
  t.deepEqual(
    [
      exitCodeOf({ kind: "done" }),
      exitCodeOf({ kind: "failed", ...said }),
      exitCodeOf({ kind: "usage", ...said }),
      exitCodeOf({ kind: "unreachable", ...said }),
      exitCodeOf({ kind: "interrupted" }),
    ],
    [0, 1, 2, 3, 130],
  );
});
