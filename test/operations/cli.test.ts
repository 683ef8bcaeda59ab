// Substrate: the real command line as a real process, in an empty folder, without any cluster.
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";
import { timeoutDefaults, timeoutNames } from "../../transport/timeouts.js";

const cli = fileURLToPath(new URL("../../cli.js", import.meta.url));
let folder = "";

test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), "driftmend-cli-"));
});
test.after.always(() => rm(folder, { recursive: true, force: true }));

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** All tests of this file begin at once; so many processes run at once, that each has its time also on a busy machine. */
const atOnce = 4;
const waiting: (() => void)[] = [];
let running = 0;

async function driftmend(...words: readonly string[]): Promise<Ended> {
  if (running >= atOnce) await new Promise<void>((resolve) => waiting.push(resolve));
  else running += 1;
  try {
    return await ended(words);
  } finally {
    const next = waiting.shift();
    if (next === undefined) running -= 1;
    else next();
  }
}

function ended(words: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [cli, ...words], { cwd: folder, timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === "number" ? error.code : error === null ? 0 : -1, stdout, stderr });
    });
  });
}

const usageErrors: readonly (readonly [words: readonly string[], says: RegExp])[] = [
  [[], /Usage: driftmend/],
  [["teleport"], /unknown command 'teleport'/],
  [["tree", "--colour"], /unknown option '--colour'/],
  [["infer", "digits"], /missing required argument 'file'/],
  [["infer", "no such model", "x.npy"], /MODEL.*no such model/],
  [["infer", "digits", "x.npy", "--priority", "11"], /--priority.*whole number from 0 to 10/],
  [["infer", "digits", "x.npy", "--deadline", "banana"], /--deadline.*banana.*90s/],
  [["chaos", "kill", "updater", "--mode", "hang", "--for", "banana"], /--for.*banana.*90s/],
  [["chaos", "kill", "updater", "--mode", "tickle"], /--mode.*Allowed choices are crash/],
  [["chaos", "kill", "updater", "--for", "5s"], /--for goes with a fault that lasts/],
  [["chaos", "run", "--probability", "2"], /--probability.*number from 0 to 1/],
  [["chaos", "run", "--targets", "moons"], /--targets.*actors, nodes, broker/],
  [["chaos", "run", "--targets", "broker", "--modes", "hang"], /no target of broker takes hang/],
  [["demo", "--worker-crash-probability", "0.1"], /--worker-crash-probability goes with --chaos/],
  [["up", "--keep", "serving"], /--keep.*serving=2,learning=1/],
  [["up", "--keep", "baking=1"], /--keep.*serving, learning, operations/],
  [["demo", "--duration", "0s"], /--duration.*too short/],
  [["demo", "--requests", "-3"], /--requests.*whole number of 1 or more/],
  [["demo", "--rate", "fast"], /--rate.*number above 0/],
  [["up", "--serving", "0"], /--serving.*from 1 to 64/],
  [["node", "--role", "serving"], /required option '--nats/],
  [["node", "--role", "serving,baking", "--nats", "nats://127.0.0.1:4222"], /--role.*serving, learning, operations/],
  [["tree", "--nats", "http://127.0.0.1"], /--nats.*nats:\/\//],
  [["tree", "--nats", "nats://me:secret@127.0.0.1"], /--nats.*--user and --password/],
  [["tree", "--user", "me"], /--user goes with --nats/],
  [["tree", "--nats", "nats://127.0.0.1:1", "--context", "x.json"], /--context and --nats/],
  [["watch", "a..b"], /SUBJECT.*a\.\.b/],
  [["up", "--timeout", "lunch=1h"], /no timeout "lunch".*append, appendTry/],
  [["up", "--timeout", "append=soon"], /--timeout.*soon/],
  [["demo", "--guardrail", "klLimit"], /--guardrail.*NAME=VALUE/],
  [["node", "--guardrail", "mood=1"], /no guardrail "mood".*klLimit/],
  [["up", "--guardrail", "klLimit=3"], /--guardrail: klLimit 3 is looser.*--unsafe-guardrails/],
  [["up", "--overflow", "panic"], /--overflow.*Allowed choices are reject, shed-lowest, shed-oldest/],
  [["node", "--ep", "tpu"], /--ep.*Allowed choices are cpu, cuda/],
  [["config", "--open-max", "0"], /--open-max.*from 1/],
  [["replay", "digits"], /replay needs --verify or --what-if/],
  [["replay", "digits", "--verify", "--what-if", "gate=0.8"], /two questions/],
  [["replay", "digits", "--what-if", "stage.haed=false"], /no setting "stage.haed"[\s\S]*did you mean stages.head\?/],
  [["replay", "digits", "--what-if", "gate=high"], /gate takes a number, not "high"/],
  [["replay", "digits", "--what-if", "gate=2"], /gate=2/],
  [["up", "--http", "banana"], /--http.*PORT or HOST:PORT/],
  [
    ["node", "--role", "serving", "--nats", "nats://127.0.0.1:1", "--http", "0"],
    /--http goes with the role operations/,
  ],
  [
    ["node", "--role", "operations", "--nats", "nats://127.0.0.1:1", "--http", "0.0.0.0:0"],
    /--http 0\.0\.0\.0:0 is beyond loopback.*DRIFTMEND_HTTP_VIEWER and DRIFTMEND_HTTP_OPERATOR/,
  ],
  [["feedback", "digits", "id"], /one of LABEL, --reward and --show/],
];

for (const [words, says] of usageErrors)
  test(`"driftmend ${words.join(" ")}" is wrong usage: exit code 2, said on stderr, stdout empty`, async (t) => {
    const { code, stdout, stderr } = await driftmend(...words);
    t.is(code, 2, stderr);
    t.is(stdout, "");
    t.regex(stderr, says);
  });

const verbs = [
  "up",
  "demo",
  "node",
  "infer",
  "feedback",
  "tree",
  "status",
  "guardrails",
  "watch",
  "drain",
  "config",
  "chaos",
  "chaos kill",
  "chaos run",
  "chaos ls",
  "chaos halt",
  "replay",
  "strategies",
  "doctor",
  "auth init",
  "eval",
];

for (const verb of verbs)
  test(`"driftmend ${verb} --help" explains itself on stdout`, async (t) => {
    const { code, stdout, stderr } = await driftmend(...verb.split(" "), "--help");
    t.is(code, 0);
    t.is(stderr, "");
    t.regex(stdout, new RegExp(`Usage: driftmend ${verb}`));
    if (verb !== "chaos") t.regex(stdout, /--json/);
  });

test("the list of verbs names all that are built, and fits 80 columns", async (t) => {
  const { code, stdout } = await driftmend("--help");
  t.is(code, 0);
  for (const verb of verbs) t.regex(stdout, new RegExp(`^  ${verb.split(" ")[0]}\\b`, "m"));
  t.true(
    stdout.split("\n").every((line) => line.length <= 80),
    stdout,
  );
});

test("(S2-63) strategies lists every way to vote and marks the one that the model uses", async (t) => {
  const { code, stdout } = await driftmend("strategies", "--json");
  t.is(code, 0);
  const { model, strategies }: { model: string; strategies: { name: string; used: boolean }[] } = JSON.parse(stdout);
  t.is(model, "digits");
  t.deepEqual(
    strategies.map(({ name, used }) => [name, used]),
    [
      ["majority", false],
      ["weighted", false],
      ["confidence", false],
      ["ensemble", true],
    ],
  );
  t.regex((await driftmend("strategies")).stdout, /^\* ensemble /m);
});

test("the version is the package's", async (t) => {
  const { code, stdout } = await driftmend("--version");
  t.is(code, 0);
  t.regex(stdout, /^\d+\.\d+\.\d+\n$/);
});

test("(S2-54) config lists every timeout and bound: value, source, and what it bounds", async (t) => {
  const { code, stdout, stderr } = await driftmend(
    "config",
    "--json",
    "--timeout",
    "append=2s,commit=9s",
    "--open-max",
    "7",
  );
  t.is(code, 0, stderr);
  const { cluster, settings }: { cluster: null; settings: readonly Readonly<Record<string, unknown>>[] } =
    JSON.parse(stdout);
  t.is(cluster, null);
  const of = (name: string) => settings.find((each) => each.name === name);
  for (const name of timeoutNames) t.like(of(name), { kind: "timeout", unit: "ms" });
  t.like(of("append"), { value: 2_000, from: "flag" });
  t.like(of("commit"), { value: 9_000, from: "flag" });
  t.like(of("commitTry"), { value: timeoutDefaults.commitTry, from: "default" });
  t.like(of("open-max"), { value: 7, from: "flag" });
  t.like(of("klLimit"), { value: "0.5", from: "default", kind: "guardrail" });
  for (const { bounds } of settings) t.regex(String(bounds), /\w+ \w+/);
  const plain = await driftmend("config");
  t.regex(plain.stdout, /^append +1500 ms +default +all tries of an append/m);
});

for (const verb of [
  ["tree"],
  ["status", "--json"],
  ["watch"],
  ["chaos", "kill", "updater"],
  ["chaos", "run"],
  ["chaos", "ls", "--json"],
  ["chaos", "halt"],
  ["feedback", "digits", "id", "7"],
])
  test(`"driftmend ${verb.join(" ")}" without a cluster ends with 3 and the line that starts one`, async (t) => {
    const { code, stdout, stderr } = await driftmend(...verb);
    t.is(code, 3);
    t.is(stdout, "");
    t.regex(stderr, /no cluster here.*\.driftmend\/context\.json\n {2}-> start a cluster with: driftmend up/);
  });

test("an address where nobody listens ends with 3", async (t) => {
  const { code, stdout, stderr } = await driftmend("tree", "--nats", "nats://127.0.0.1:1");
  t.is(code, 3);
  t.is(stdout, "");
  t.regex(stderr, /no NATS server answers at nats:\/\/127\.0\.0\.1:1/);
});

test("the context file of a cluster that is gone ends with 3", async (t) => {
  const file = join(folder, "gone.json");
  const user = { user: "u", password: "p" };
  const users = { client: user, telemetry: user, operator: user };
  await writeFile(
    file,
    JSON.stringify({ cluster: "driftmend", natsUrl: "nats://127.0.0.1:1", httpUrl: "", pid: 2 ** 22 + 7, users }),
  );
  const { code, stderr } = await driftmend("tree", "--context", file);
  t.is(code, 3);
  t.regex(stderr, /is gone/);
});

test("a damaged context file ends with 3 and is named", async (t) => {
  const file = join(folder, "damaged.json");
  await writeFile(file, "{");
  const { code, stderr } = await driftmend("status", "--context", file);
  t.is(code, 3);
  t.regex(stderr, /damaged\.json cannot be read: it is not JSON/);
});

test("a file that is no picture ends with 1, named, before any cluster is looked for", async (t) => {
  const file = join(folder, "letter.txt");
  await writeFile(file, "Dear model,");
  const { code, stdout, stderr } = await driftmend("infer", "digits", file);
  t.is(code, 1);
  t.is(stdout, "");
  t.regex(stderr, /letter\.txt: it is neither an \.npy array nor a PNG/);
  t.is((await driftmend("infer", "digits", join(folder, "nothing.npy"))).code, 1);
});

test("a store where no folder can be made, a folder as input and a folder that is no model end with 1, named, and at once", async (t) => {
  const up = await driftmend("up", "--store", "/proc/driftmend");
  t.is(up.code, 1, up.stderr);
  t.regex(up.stderr, /\/proc\/driftmend/);
  const input = await driftmend("infer", "digits", folder);
  t.is(input.code, 1);
  t.regex(input.stderr, /it is a directory\n {2}-> check the path/);
  const added = await driftmend("model", "add", folder);
  t.is(added.code, 1);
  t.regex(added.stderr, /manifest\.json: cannot be read\n {2}-> give the folder of a model/);
  const checked = await driftmend("config", "check", "none.yaml");
  t.is(checked.code, 1);
  t.regex(checked.stderr, /none\.yaml: there is no such file/);
});

(existsSync("/dev/full") ? test : test.skip)(
  "what cannot be printed is a failure that is told, unless the reader left",
  async (t) => {
    const typed = (behind: string): Promise<Ended> =>
      new Promise((resolve) => {
        const line = `"$0" "$1" config ${behind}`;
        execFile(
          "bash",
          ["-o", "pipefail", "-c", line, process.execPath, cli],
          { cwd: folder },
          (error, stdout, stderr) =>
            resolve({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr }),
        );
      });
    const full = await typed("> /dev/full");
    t.is(full.code, 1);
    t.regex(full.stderr, /could not be written: ENOSPC/);
    t.deepEqual(await typed("| true"), { code: 0, stdout: "", stderr: "" });
  },
);

test("doctor prints one JSON document and nothing else", async (t) => {
  const { stdout, code } = await driftmend("doctor", "--json");
  const report: {
    readonly ok: boolean;
    readonly checks: readonly { readonly name: string; readonly status: string }[];
  } = JSON.parse(stdout);
  t.is(code, report.ok ? 0 : 1);
  t.deepEqual(
    report.checks.map(({ name }) => name),
    ["node", "nats-server", "tensorflow.js", "onnxruntime-node", "hnswlib-node", "/dev/shm", "clock", "store"],
  );
});

test("doctor without a nats-server ends with 1 and what to type", async (t) => {
  const { stdout, stderr, code } = await driftmend("doctor", "--nats-server", join(folder, "none"));
  t.is(code, 1);
  t.regex(stdout, /missing +nats-server/);
  t.regex(stderr, /apt install nats-server/);
});
