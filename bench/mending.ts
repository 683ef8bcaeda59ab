// How long damage lasts: from a kill until the work it stopped goes on, seen from outside.
//
//   node dist/bench/mending.js [--rounds 20] [--only actor|spare|cold|standby|broker|serving]     prints one table
//
// Owns: what is killed, and between which two moments is measured. Does not own: the load (steady-load.ts), the aims.
//
// M1. Every round begins with whole machinery: the node is ready, its spare warm, and updates are being applied.
// M2. The next applied update is a commit of a later incarnation, or of another node, that covers more updates than the last one before, as
//     the weights stream shows it to an operator.
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Clock, seededRandom } from "../models/clock.js";
import { systemClock } from "../supervision/clock.js";
import { silentLogger } from "../supervision/logger.js";
import { startTree } from "../supervision/tree/system.js";
import type { Bus } from "../transport/bus/bus.js";
import type { Commit } from "../transport/log/records.js";
import { encodeLookRequest, parseTree, type TreeNode } from "../transport/messages/look-orders.js";
import { subjectsOf } from "../transport/subjects.js";
import { isOf, type Mended, openScene, pidOf, restMs, waitMs } from "./mending-scene.js";
import { servingKills } from "./serving-kills.js";
import { quantile } from "./statistics.js";

/** A commit by somebody else that covers more updates: that he begins is a commit too, and applies nothing. */
function appliedAfter(last: Commit, isAnother: (commit: Commit) => boolean): (commit: Commit) => boolean {
  return (commit) => commit.updateSeq > last.updateSeq && isAnother(commit);
}

/** SIGKILL of the learning node until its next incarnation is ready, and until it commits. */
async function nodeKills(clock: Clock, searchPath: string, rounds: number, spare: boolean): Promise<readonly Mended[]> {
  const scene = await openScene(clock, searchPath, { learning: 1, spare });
  const { events, commits } = scene;
  const valuesMs: number[] = [];
  const readyMs: number[] = [];
  try {
    for (let from = 0; valuesMs.length < rounds; ) {
      const ready = await events.next(from, isOf("started", "learning-1"), "learning-1 is ready");
      if (spare) await events.next(from, isOf("spare_warm", "learning-1"), "the spare is warm");
      await clock.delay(restMs);
      const { what: before } = await commits.next(commits.entries.length, () => true, "a steady commit");
      from = events.entries.length;
      const killedAtMs = clock.monotonicMs();
      process.kill(pidOf(ready.what), "SIGKILL");
      const next = await commits.next(
        0,
        appliedAfter(before, ({ incarnation }) => incarnation > before.incarnation),
        "the next incarnation",
      );
      valuesMs.push(next.atMs - killedAtMs);
      readyMs.push((await events.next(from, isOf("started", "learning-1"), "it is ready again")).atMs - killedAtMs);
    }
  } finally {
    await scene.close();
  }
  const which = `SIGKILL of the learning node, ${spare ? "hot spare" : "no spare"}`;
  return [
    { what: `${which}, to its next applied update`, aimMs: spare ? 150 : 300, valuesMs },
    { what: `${which}, to the next incarnation ready`, aimMs: undefined, valuesMs: readyMs },
  ];
}

/** Two learning nodes: from the exit of the one that leads to the first commit of the other. */
async function takeovers(clock: Clock, searchPath: string, rounds: number): Promise<Mended> {
  const scene = await openScene(clock, searchPath, { learning: 2, spare: false });
  const { events, commits } = scene;
  const valuesMs: number[] = [];
  const pids = (node: string): number => {
    const found = events.entries.map(({ what }) => what).filter(isOf("started", node));
    return pidOf(found.at(-1));
  };
  try {
    while (valuesMs.length < rounds) {
      await clock.delay(restMs);
      const { what: leading } = await commits.next(commits.entries.length, () => true, "a steady commit");
      const from = events.entries.length;
      const fromCommit = commits.entries.length;
      process.kill(pids(leading.node), "SIGKILL");
      const exit = await events.next(from, isOf("crashed", leading.node), "its exit");
      const next = await commits.next(
        fromCommit,
        appliedAfter(leading, ({ node }) => node !== leading.node),
        "a commit of the other",
      );
      valuesMs.push(next.atMs - exit.atMs);
      await events.next(from, isOf("started", leading.node), "the killed one stands by");
    }
  } finally {
    await scene.close();
  }
  return { what: "exit of the leading learning node to the standby's first applied update", aimMs: 100, valuesMs };
}

/** kill -9 of the broker: from the last answer before to the first one after. */
async function brokerOutages(clock: Clock, searchPath: string, rounds: number): Promise<Mended> {
  const scene = await openScene(clock, searchPath, { learning: 1, spare: false });
  const { load, operator } = scene;
  const valuesMs: number[] = [];
  try {
    while (valuesMs.length < rounds) {
      await clock.delay(restMs);
      const pid = await brokerPid(operator);
      process.kill(pid, "SIGKILL");
      const killedAtMs = clock.monotonicMs();
      // What had left the broker may still be on its way; an outage of no request would be a measurement of nothing.
      await load.answered((atMs) => atMs > killedAtMs + 20);
      const lastBefore = load.answeredAtMs.filter((atMs) => atMs <= killedAtMs + 20).at(-1) ?? killedAtMs;
      const firstAfter = load.answeredAtMs.find((atMs) => atMs > killedAtMs + 20) ?? Number.NaN;
      valuesMs.push(firstAfter - lastBefore);
    }
  } finally {
    await scene.close();
  }
  return { what: "kill -9 of the broker: last answer before to first answer after", aimMs: 200, valuesMs };
}

/** An actor of a small tree, killed with a message in its mailbox: until its next incarnation has handled it. */
async function actorKills(clock: Clock, rounds: number): Promise<Mended> {
  const quiet = { random: seededRandom(1), log: silentLogger, onEvent: () => undefined };
  let handled: (atMs: number) => void = () => undefined;
  const worker = {
    id: "worker",
    restart: "permanent" as const,
    behaviour: () => ({ init: () => undefined, receive: () => handled(clock.monotonicMs()) }),
  };
  const intensity = { restarts: Number.MAX_SAFE_INTEGER, withinMs: 1 };
  const tree = await startTree(
    { id: "bench", strategy: "one_for_one", intensity, children: [worker] },
    { node: "bench", incarnation: 1, clock, ...quiet },
  );
  const ref = tree.ref<string>("worker");
  const valuesMs: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const killedAtMs = clock.monotonicMs();
    const next = new Promise<number>((resolve) => {
      handled = resolve;
    });
    const receipt = tree.kill("worker", "kill");
    ref.tell("next");
    valuesMs.push((await next) - killedAtMs);
    await receipt;
  }
  await tree.stop();
  return { what: "kill of an actor to its next message handled", aimMs: 0.025, valuesMs };
}

async function brokerPid(operator: Bus): Promise<number> {
  const subject = subjectsOf("mending").actor("root", "tree");
  const outcome = await operator.request(subject, encodeLookRequest(), { timeoutMs: waitMs });
  const parsed = outcome.kind === "reply" ? parseTree(outcome.data) : undefined;
  if (parsed?.kind !== "ok" || parsed.value.kind !== "reply") throw new Error("the cluster does not show its tree");
  return pidOf(parsed.value.reply.children.find(({ name }: TreeNode) => name === "nats-server"));
}

type Section = (plan: MendingPlan, clock: Clock, searchPath: string) => Promise<readonly Mended[]>;

const sections: Readonly<Record<string, Section>> = {
  actor: async ({ actorRounds }, clock) => [await actorKills(clock, actorRounds)],
  spare: ({ rounds }, clock, searchPath) => nodeKills(clock, searchPath, rounds, true),
  cold: ({ rounds }, clock, searchPath) => nodeKills(clock, searchPath, rounds, false),
  standby: async ({ rounds }, clock, searchPath) => [await takeovers(clock, searchPath, rounds)],
  broker: async ({ rounds }, clock, searchPath) => [await brokerOutages(clock, searchPath, rounds)],
  serving: async ({ rounds }, clock, searchPath) => [
    ...(await servingKills(clock, searchPath, Math.ceil(rounds / 2), 1)),
    ...(await servingKills(clock, searchPath, Math.ceil(rounds / 2), 2)),
  ],
};

export interface MendingPlan {
  /** Of each kind of kill but the actors'. */
  readonly rounds: number;
  readonly actorRounds: number;
  /** One section alone. */
  readonly only?: string | undefined;
}

export async function measureMending(
  plan: MendingPlan,
  { clock, searchPath, note }: { readonly clock: Clock; readonly searchPath: string; note(line: string): void },
): Promise<readonly Mended[]> {
  const rows: Mended[] = [];
  for (const [name, measure] of Object.entries(sections)) {
    if (plan.only !== undefined && plan.only !== name) continue;
    note(`mending: ${name}`);
    rows.push(...(await measure(plan, clock, searchPath)));
  }
  return rows;
}

/** Rows for people: what, rounds, median, p99, aim. */
export function mendingRows(rows: readonly Mended[]): readonly (readonly string[])[] {
  return rows.map(({ what, aimMs, valuesMs }) => {
    const sorted = Float64Array.from(valuesMs).sort();
    return [what, `${sorted.length}`, shown(quantile(sorted, 0.5)), shown(quantile(sorted, 0.99)), shown(aimMs)];
  });
}

function shown(ms: number | undefined): string {
  if (ms === undefined) return "";
  return ms < 1 ? `${(ms * 1000).toFixed(0)} us` : `${ms.toFixed(0)} ms`;
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { rounds: { type: "string", default: "20" }, only: { type: "string" } } });
  const note = (line: string): void => void process.stderr.write(`${line}\n`);
  const { PATH: searchPath = "" } = process.env;
  const plan = { rounds: Number(values.rounds), actorRounds: 2_000, only: values.only };
  const rows = await measureMending(plan, { clock: systemClock, searchPath, note });
  for (const row of [["what", "rounds", "median", "p99", "aim"], ...mendingRows(rows)]) note(row.join(" | "));
  return 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await main();
