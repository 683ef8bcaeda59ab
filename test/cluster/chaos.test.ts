// Faults of a real cluster as its operator injects them: a root, two serving nodes, a learning and an operations node, the broker, and the
// verbs as processes of their own.

import { once } from "node:events";
import { readFile, rm } from "node:fs/promises";
import test from "ava";
import { contextFile } from "../../transport/access/context.js";
import type { ActiveChaos, ChaosReceipt, Halted } from "../../transport/messages/chaos-orders.js";
import type { TreeNode } from "../../transport/messages/look-orders.js";
import { until } from "../until.js";
import { ask, type Ended, type Program, processesOf, start, survivors, typedIn } from "./program.js";
import { Heard, lookAt, nodeOf, type Sight, temporaryStore, treeOf } from "./running.js";

const withinMs = 40_000;
let store = "";
let program: Program;
let sight: Sight;

test.before(async (t) => {
  t.timeout(120_000);
  store = await temporaryStore();
  program = start(store, "up", "--json", "--serving", "2", "--keep", "operations=1");
  sight = await lookAt(await program.ready);
});

test.after.always(async () => {
  await sight?.close();
  program?.child.kill("SIGTERM");
  await program?.ended;
  await rm(store, { recursive: true, force: true });
});

/** A verb that is not waited for. */
function typed(...words: readonly string[]) {
  return typedIn(store, ...words, "--context", contextFile(store));
}

function kill(...words: readonly string[]): Promise<unknown> {
  return ask(store, "chaos", "kill", ...words);
}

async function active(): Promise<ActiveChaos> {
  return (await ask(store, "chaos", "ls")) as ActiveChaos;
}

function untilActive(target: string) {
  return until(`a fault of ${target}`, withinMs, async () =>
    (await active()).faults.find((fault) => fault.target === target),
  );
}

function untilAllUp() {
  return until("every node is up", withinMs, async () => {
    const { children } = await treeOf(sight);
    return children.every(({ state }) => state === "running");
  });
}

/** The state letter of a process: T is stopped by a signal. */
async function stateOf(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3);
}

test.serial("an actor, a node and the broker are killed, and each receipt and the tree say why (S0-40)", async (t) => {
  t.timeout(120_000);
  const actor = (await kill("serving-1/digits/relay")) as ChaosReceipt;
  t.like(actor, { generationBefore: 1, generationAfter: 2, lost: 0, cause: "killed: chaos kill" });
  const crash = (await kill("updater", "--mode", "crash")) as ChaosReceipt;
  t.like(crash, { lost: 0, cause: "crash in outside: chaos crash" });
  const node = (await kill("serving-2")) as ChaosReceipt;
  t.like(node, { mode: "sigkill", generationAfter: 2, cause: "signal SIGKILL", lost: null, inFlight: null });
  t.true((node.detectMs ?? -1) >= 0 && (node.repairMs ?? -1) > 0);
  const broker = (await kill("nats-server")) as ChaosReceipt;
  t.like(broker, { mode: "sigkill", generationBefore: 1, generationAfter: 2, cause: "signal SIGKILL", lost: null });
  await untilAllUp();
  const tree = (await ask(store, "tree")) as TreeNode;
  t.like(tree.intensity, { restarts: 20, withinMs: 60_000, left: 19 });
  const child = (name: string) => tree.children.find((each) => each.name === name);
  t.like(child("nats-server"), { lastExit: "signal SIGKILL", restarts: 1 });
  t.like(child("serving-2"), { lastExit: "signal SIGKILL", strategy: "one_for_one", intensity: { left: 10 } });
  const model = child("serving-1")?.children.find(({ name }) => name === "digits");
  t.like(model, { kind: "supervisor", strategy: "one_for_one", intensity: { restarts: 10, withinMs: 10_000 } });
  const relay = model?.children.find(({ name }) => name === "relay");
  t.like(relay, { generation: 2, restarts: 1, lastExit: "killed: chaos kill", mailbox: { depth: 0 } });
});

test.serial("the guard refuses by name what leaves a pool under its minimum, unless it is forced", async (t) => {
  t.timeout(180_000);
  await untilAllUp();
  const hang = typed("chaos", "kill", "serving-1/digits/inference", "--mode", "hang", "--for", "10m", "--json");
  const fault = await untilActive("digits/inference");
  t.like(fault, { node: "serving-1", mode: "hang", by: "operator" });
  const other = await typed("chaos", "kill", "serving-2").ended;
  t.is(other.code, 1);
  t.regex(other.stderr, /under_minimum: pool serving has 1 of 2 up and keeps at least 1: .* add --force/);
  const lasting = await typed("chaos", "kill", "serving-2/digits/voter", "--mode", "slow", "--for", "1s").ended;
  t.is(lasting.code, 1);
  t.regex(lasting.stderr, /under_minimum/);
  const kept = await typed("chaos", "kill", "operations-1").ended;
  t.is(kept.code, 1);
  t.regex(kept.stderr, /under_minimum: pool operations has 1 of 1 up and keeps at least 1/);
  const second = await typed("chaos", "kill", "serving-1/digits/inference").ended;
  t.is(second.code, 1);
  t.regex(second.stderr, /already_faulted: serving-1\/digits\/inference has a fault already/);
  t.like(await kill("serving-2", "--force"), { mode: "sigkill", cause: "signal SIGKILL" });
  t.like(await ask(store, "chaos", "halt"), { faults: 1, schedules: 0, silent: [] } satisfies Halted & { silent: [] });
  const { code, stdout } = await hang.ended;
  t.is(code, 0);
  t.like(JSON.parse(stdout), { generationBefore: fault.node === "serving-1" ? 1 : 0, generationAfter: 1, lost: 0 });
  t.deepEqual((await active()).faults, []);
  await untilAllUp();
  // The negative control: without a fault of the other node the same kill is allowed.
  t.like(await kill("serving-2"), { mode: "sigkill" });
  await untilAllUp();
});

test.serial("a fault whose injector is killed still ends by itself", async (t) => {
  t.timeout(120_000);
  const ended = await Heard.on(sight.operator, sight.subjects.event("chaos_ended"));
  const injector = typed("chaos", "kill", "serving-1/digits/buffer", "--mode", "hang", "--for", "6s");
  const { endsAtMs } = await untilActive("digits/buffer");
  injector.child.kill("SIGKILL");
  await injector.ended;
  t.like(
    (await active()).faults.map(({ target }) => target),
    ["digits/buffer"],
    "it outlives its injector",
  );
  const event = await ended.find("the end of the fault", ({ actor }) => actor === "digits/buffer");
  ended.stop();
  t.true(event.atMs >= (endsAtMs ?? 0) - 1_000, "and lasts its time");
  t.deepEqual((await active()).faults, []);
});

test.serial("a stopped node is listed by the root, and halt wakes it up in the same process", async (t) => {
  t.timeout(120_000);
  await untilAllUp();
  const { pid, generation } = await nodeOf(sight, "learning-1");
  const stopped = typed("chaos", "kill", "learning-1", "--mode", "sigstop", "--for", "10m", "--json");
  t.like(await untilActive("learning-1"), { node: "learning-1", mode: "sigstop" });
  t.is(await stateOf(pid), "T");
  const halted = typed("chaos", "halt", "--json");
  const { code, stdout } = await halted.ended;
  t.is(code, 0);
  t.like(JSON.parse(stdout), { faults: 1 });
  t.not(await stateOf(pid), "T");
  t.like(JSON.parse((await stopped.ended).stdout), { generationBefore: generation, generationAfter: generation });
  t.is((await nodeOf(sight, "learning-1")).pid, pid);
});

interface Report {
  readonly iterations: number;
  readonly endedBy: string;
  readonly faults: readonly {
    readonly target: string;
    readonly mode: string;
    readonly pidBefore: number | null;
    readonly pidAfter: number | null;
    readonly lost: number | null;
    readonly mended: boolean;
  }[];
  readonly totals: { readonly injected: number; readonly lost: number; readonly notMended: number };
}

const reportOf = ({ stdout }: Ended): Report => JSON.parse(stdout);

test.serial("a seeded run strikes actors and nodes, loses nothing, and all of it runs again", async (t) => {
  t.timeout(180_000);
  await untilAllUp();
  const ended = await typed(
    ...["chaos", "run", "--probability", "0.15", "--duration", "6s", "--seed", "7"],
    ...["--targets", "actors,nodes", "--json"],
  ).ended;
  t.is(ended.code, 0, ended.stderr);
  const report = reportOf(ended);
  t.like(report, { iterations: 60, endedBy: "duration", totals: { lost: 0, notMended: 0 } });
  t.true(report.totals.injected > 0);
  t.is(report.faults.length, report.totals.injected);
  for (const fault of report.faults) {
    t.true(fault.mended, fault.target);
    if (fault.mode === "sigkill" && fault.pidAfter !== null) t.not(fault.pidAfter, fault.pidBefore);
  }
  await untilAllUp();
});

test.serial("halt ends a running schedule, and Ctrl-C ends one with its report and 130", async (t) => {
  t.timeout(120_000);
  const words = ["chaos", "run", "--probability", "0", "--duration", "1h", "--json"];
  const first = typed(...words);
  await until("the schedule is listed", withinMs, async () => (await active()).schedules.length > 0);
  t.like(await ask(store, "chaos", "halt"), { faults: 0, schedules: 1 });
  const halted = await first.ended;
  t.is(halted.code, 0, halted.stderr);
  t.is(reportOf(halted).endedBy, "halted");
  const second = typed(...words);
  await once(second.child.stderr ?? t.fail(), "data");
  await until("the schedule is listed", withinMs, async () => (await active()).schedules.length > 0);
  second.child.kill("SIGINT");
  const interrupted = await second.ended;
  t.is(interrupted.code, 130, interrupted.stderr);
  t.is(reportOf(interrupted).endedBy, "interrupted");
  t.deepEqual((await active()).schedules, []);
});

test.serial("a stopped node wakes up though its root was killed, and nothing stays behind", async (t) => {
  t.timeout(120_000);
  const { pid } = await nodeOf(sight, "learning-1");
  const { pid: byHand } = await nodeOf(sight, "operations-1");
  const processes = await processesOf(sight);
  const stopped = typed("chaos", "kill", "learning-1", "--mode", "sigstop", "--for", "15s");
  await untilActive("learning-1");
  // Its streams stay open as long as a child holds them: only the exit says that the root is gone.
  const gone = once(program.child, "exit");
  // The negative control: a process that was stopped without a lease stays as it is.
  process.kill(byHand, "SIGSTOP");
  program.child.kill("SIGKILL");
  await gone;
  t.is(await stateOf(pid), "T", "it is stopped when its root is gone");
  const leased = processes.filter((each) => each.pid !== byHand);
  t.is(leased.length, processes.length - 1);
  t.deepEqual(await survivors(leased, withinMs), []);
  t.is(await stateOf(byHand), "T");
  process.kill(byHand, "SIGCONT");
  t.deepEqual(await survivors(processes, withinMs), []);
  stopped.child.kill("SIGKILL");
  await stopped.ended;
});
