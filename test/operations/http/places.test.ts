// Where HTTP is served, with which tokens, and what of it stands on disk: the page, the reports, the story of learning.

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import {
  addressText,
  chooseAddress,
  HttpPortError,
  parseHttpAddress,
  reachOf,
  type Tried,
  urlOf,
} from "../../../operations/http/http-address.js";
import { environmentOf, makeTokens, tokensIn } from "../../../operations/http/http-tokens.js";
import { keptMax, LearningBook } from "../../../operations/http/learning-book.js";
import { readPage } from "../../../operations/http/page-file.js";
import { StabilityShelf } from "../../../operations/http/stability-shelf.js";
import { VirtualClock } from "../../../supervision/virtual-clock.js";
import type { Commit } from "../../../transport/log/records.js";

test("an address is a port of loopback, or a host and a port", (t) => {
  const read = (text: string) => {
    const parsed = parseHttpAddress(text);
    return parsed.kind === "address" ? addressText(parsed.address) : "refused";
  };
  t.deepEqual(["7480", "0", "0.0.0.0:80", "localhost:1", "[::1]:7480", "some-host.example:65535", ":8080"].map(read), [
    "127.0.0.1:7480",
    "127.0.0.1:0",
    "0.0.0.0:80",
    "localhost:1",
    "[::1]:7480",
    "some-host.example:65535",
    "127.0.0.1:8080",
  ]);
  for (const wrong of ["", "host", "65536", "1:2:3", "::1:80", "-1", "a b:80", "http://x:80", "7480 ", "[::1]"])
    t.is(read(wrong), "refused", wrong);
});

test("loopback is told from the network, and every address of the machine is the network", (t) => {
  const reach = (host: string) => reachOf({ host, port: 1 });
  t.deepEqual(
    ["127.0.0.1", "127.1.2.3", "::1", "localhost"].map(reach),
    Array.from({ length: 4 }, () => "loopback"),
  );
  t.deepEqual(
    ["0.0.0.0", "::", "10.0.0.1", "host.example", "127.0.0.1.example"].map(reach),
    Array.from({ length: 5 }, () => "network"),
  );
  t.is(
    urlOf({ host: "0.0.0.0", port: 80 }, () => "10.0.0.7"),
    "http://10.0.0.7:80",
  );
  t.is(
    urlOf({ host: "0.0.0.0", port: 80 }, () => undefined),
    "http://127.0.0.1:80",
  );
  t.is(urlOf({ host: "::1", port: 7480 }), "http://[::1]:7480");
});

test("the default gives way where it is taken; what was asked for does not", async (t) => {
  const tried: number[] = [];
  const taken = async ({ port }: { readonly port: number }): Promise<Tried> => {
    tried.push(port);
    return port === 0 ? { kind: "free", port: 40_001 } : { kind: "refused", why: "this port is taken" };
  };
  t.deepEqual(await chooseAddress(undefined, taken), { host: "127.0.0.1", port: 40_001 });
  t.deepEqual(tried, [7480, 0]);
  const error = await t.throwsAsync(chooseAddress({ host: "127.0.0.1", port: 9_000 }, taken), {
    instanceOf: HttpPortError,
  });
  t.is(
    error?.message,
    "--http 127.0.0.1:9000: this port is taken; give another one, --http 0 for any free port, or --no-http",
  );
});

test("a port that somebody listens on is found taken, and 0 becomes one that is free", async (t) => {
  const holder = createServer();
  await new Promise<void>((resolve) => {
    holder.listen(0, "127.0.0.1", resolve);
  });
  t.teardown(() => holder.close());
  const address = holder.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  await t.throwsAsync(chooseAddress({ host: "127.0.0.1", port }), { message: /this port is taken/ });
  const free = await chooseAddress({ host: "127.0.0.1", port: 0 });
  t.true(free.port > 0 && free.port !== port);
});

test("of several that choose at once each gets a port of its own, though none listens yet", async (t) => {
  const chosen = await Promise.all(Array.from({ length: 8 }, () => chooseAddress(undefined)));
  t.is(new Set(chosen.map(({ port }) => port)).size, 8);
  const [first] = chosen;
  await t.throwsAsync(chooseAddress(first), { message: /another cluster has this port/ });
});

test("tokens are random, travel in the environment, and weak ones are not taken", (t) => {
  const [one, other] = [makeTokens(), makeTokens()];
  t.is(new Set([one.viewer, one.operator, other.viewer, other.operator]).size, 4);
  t.true(Buffer.from(one.operator, "base64url").length === 32);
  t.deepEqual(tokensIn(environmentOf(one)), { kind: "tokens", tokens: one });
  t.deepEqual(tokensIn({}), { kind: "none" });
  const { viewer, operator } = one;
  for (const weak of [
    { viewer, operator: "" },
    { viewer, operator: "short" },
    { viewer, operator: viewer },
    { viewer, operator: `${operator} ` },
  ])
    t.is(tokensIn(environmentOf(weak)).kind, "refused");
  t.notRegex(
    JSON.stringify(tokensIn(environmentOf({ viewer, operator: "short" }))),
    new RegExp(viewer),
    "a refusal repeats no token",
  );
});

async function folder(t: ExecutionContext): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), "driftmend-http-"));
  t.teardown(() => rm(made, { recursive: true, force: true }));
  return made;
}

test("the page is one file; one that refers to another is not served", async (t) => {
  const file = join(await folder(t), "page.html");
  t.is((await readPage(file)).kind, "absent");
  await writeFile(file, '<link rel="icon" href="data:,"><style>a{}</style><script type="module">1</script>');
  const page = await readPage(file);
  // echo -n 1 | openssl dgst -sha256 -binary | base64
  t.regex(
    page.kind === "page" ? page.policy : "",
    /script-src 'sha256-a4ayc\/80\/OGda4BO\/1o\/V0etpOqiLx1JwB5S3beHW0s='/,
  );
  await writeFile(file, '<script type="module" src="/main.js"></script>');
  t.is((await readPage(file)).kind, "absent");
});

test("reports of stability runs are found by name, newest first; what is no report is passed by", async (t) => {
  const clock = new VirtualClock(1_000_000);
  const reports = join(await folder(t), "stability");
  const shelf = new StabilityShelf(clock, reports);
  const none = await shelf.list();
  t.deepEqual(none, { kind: "found", value: { v: 1, running: null, reports: [] } });
  for (const [name, head] of [
    ["run-1", '{"startedAtMs":5,"passed":true}'],
    ["run-2", '{"startedAtMs":9,"passed":null}'],
    ["half", "{"],
    ["other", "[]"],
  ] as const) {
    await mkdir(join(reports, name), { recursive: true });
    await writeFile(join(reports, name, "report.json"), head);
  }
  await writeFile(join(reports, "run-1", "report.html"), "<p>1</p>");
  await writeFile(join(reports, "..", "report.html"), "secret");
  await writeFile(join(reports, "notes.txt"), "no folder");
  const list = await shelf.list();
  t.deepEqual(list.kind === "found" ? list.value.reports.map(({ id, passed }) => [id, passed]) : [], [
    ["run-2", null],
    ["run-1", true],
  ]);
  t.deepEqual(await shelf.html("run-1"), { kind: "found", value: "<p>1</p>" });
  for (const id of ["run-2", "..", ".", "../stability/run-1", "run-1/../run-1"])
    t.is((await shelf.html(id)).kind, "missing", id);
});

test("a run under way is shown until it has been silent for a while", async (t) => {
  const clock = new VirtualClock(1_000_000);
  const shelf = new StabilityShelf(clock, undefined);
  shelf.heard({ kind: "stability", node: "s", actor: "s", incarnation: 1, atMs: 1_000_000, items: [{ kills: 3 }] });
  const running = async () => {
    const list = await shelf.list();
    return list.kind === "found" ? list.value.running : undefined;
  };
  t.deepEqual(await running(), { kills: 3 });
  await clock.advance(30_000);
  t.is(await running(), null);
});

const event = (kind: string, actor: string, items: readonly Record<string, string | number>[]) => ({
  ...{ kind, node: "n", actor, incarnation: 1, atMs: 7, items },
});

test("the story of learning: commits, updates and who answers, each bounded", (t) => {
  const book = new LearningBook(["digits", "digits-b"]);
  const commit: Commit = {
    ...{ model: "digits", version: 1, updateSeq: 4, experienceSeq: 9, node: "n", incarnation: 1, backend: "wasm" },
    ...{ checksum: "", served: new Float32Array(0), counters: { applied: 1, refused: {}, duplicates: 0 }, atMs: 5 },
  };
  book.committed(commit);
  book.committed({ ...commit, model: "unknown" });
  book.heard(
    event("update", "digits-updater", [
      { traceId: "t", kind: "applied", kl: 0.1, learningRate: 0.01 },
      { traceId: "u", kind: "refused", guard: "kl" },
      { kind: "duplicate" },
    ]),
  );
  book.heard(event("update", "stranger", [{ kind: "applied" }]));
  // Every node tells of the same return; the domain's name holds a dash.
  for (let node = 0; node < 3; node += 1) book.heard(event("domain_to_source", "buffer", [{ about: "digits-2" }]));
  book.heard(event("domain_adapted", "buffer", [{ about: "digits-2" }]));
  const { commits, updates, returns } = book.story("digits");
  t.deepEqual(commits, [{ version: 1, atMs: 5, updateSeq: 4 }]);
  t.deepEqual(updates, [
    { atMs: 7, traceId: "t", kind: "applied", kl: 0.1, rate: 0.01 },
    { atMs: 7, traceId: "u", kind: "refused", guard: "kl" },
  ]);
  t.deepEqual(returns, [
    { atMs: 7, domain: "2", to: "source" },
    { atMs: 7, domain: "2", to: "adapted" },
  ]);
  for (let version = 2; version < keptMax + 10; version += 1) book.committed({ ...commit, version });
  t.is(book.story("digits").commits.length, keptMax);
  t.is(book.story("digits").commits.at(-1)?.version, keptMax + 9);
});
