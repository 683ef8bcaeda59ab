// What is done to a cluster on several hosts, and what is asked of it while it lasts.
//
// Owns: the faults, the questions that belong to each. Does not own: the hosts (lan.ts), what the logs must say afterwards (verdict.ts).
//
// F1. A fault is struck under load, stands until every client has answers again, is repaired, and is over when no critical check of the
//     cluster's health fails and the requests that waited are done. What does not happen in its time is a failed check by name; the run goes on.
// F2. nats-server 2.9.10 makes a copy of its own of what a leader was sent while it was cut off, and keeps it: that server then has other
//     messages at some places than the others (copies.ts). So a server that was cut off comes back with an empty store.

import type { HealthReport } from "../../operations/health/health-report.js";
import { systemClock as clock } from "../../supervision/clock.js";
import { streamState } from "../../transport/log/jetstream.js";
import { openLease } from "../../transport/log/lease.js";
import { encodeLookRequest, parseActorLook } from "../../transport/messages/look-orders.js";
import { model, statusOf } from "../cluster/running.js";
import { until } from "../until.js";
import type { Lan } from "./lan.js";
import type { Seen } from "./loads.js";
import { askFrom } from "./outside.js";
import { answers, leaderOf } from "./servers.js";
import { cluster, flowing, subjects, type World } from "./world.js";

export interface Scene {
  readonly world: World;
  readonly lan: Lan;
  readonly searchPath: string;
  readonly directory: string;
  /** The server of a host that was cut off comes back with what it had: the control of F2. */
  readonly keepStore: boolean;
  /** How long a cut stands at least. */
  readonly cutMs: number;
  readonly note: (text: string) => void;
}

export interface Check {
  readonly name: string;
  readonly passed: boolean;
  readonly said: string;
}

export interface FaultReport {
  readonly fault: FaultName;
  /** What was struck, in words. */
  readonly struck: string;
  /** From the blow to the end of everything. */
  readonly seconds: number;
  /** Until every client had answers again, the fault still standing. */
  readonly flowsAgainMs: number;
  /** From the repair until no critical check failed and nothing was left waiting. */
  readonly settledMs: number;
  readonly seen: Seen;
  readonly checks: readonly Check[];
}

export const faultNames = [
  "server_killed",
  "host_cut",
  "serving_killed",
  "writer_killed",
  "host_killed",
  "scaled_out",
  "servers_killed",
] as const;
export type FaultName = (typeof faultNames)[number];

const flowWithinMs = 45_000;
const settledWithinMs = 60_000;
/** Warnings about rates and trends look back over a minute and more. */
const healthyWithinMs = 180_000;
/** Of a load of some dozens a second, so few are under way at any moment. */
const openMax = 10;
const modelName = model.manifest.name;

/** What a fault does; `repair` is undone by the end of the fault at the latest. */
interface Blow {
  readonly struck: string;
  /** Stands at least so long. */
  readonly standsMs?: number;
  readonly questions?: () => Promise<readonly Check[]>;
  repair(): Promise<unknown>;
}

const blows: Readonly<Record<FaultName, (scene: Scene) => Promise<Blow>>> = {
  server_killed: async ({ world }) => {
    const name = await leadingServer(world);
    await world.servers.named(name).end("SIGKILL");
    return {
      struck: `kill -9 of the server on ${name}, which led the experience log`,
      repair: () => restart(world, name),
    };
  },
  host_cut: async (scene) => {
    const { world, lan, cutMs } = scene;
    const writer = await writerOf(world);
    const host = hostOf(writer);
    await lan.cut(host);
    return {
      struck: `the cable of host ${host}, where ${writer} wrote the model, cut for ${cutMs / 1000} s`,
      standsMs: cutMs,
      questions: async () => [await refusedThere(scene, host), await writesElsewhere(world, writer)],
      repair: async () => {
        await world.servers.named(host).end("SIGKILL");
        await lan.mend(host);
        if (!scene.keepStore) await world.servers.named(host).forget();
        await restart(world, host);
      },
    };
  },
  serving_killed: async ({ world }) => killNode(world, "serving-b"),
  writer_killed: async ({ world }) => {
    const writer = await writerOf(world);
    const blow = await killNode(world, writer);
    return { ...blow, questions: async () => [await writesElsewhere(world, writer)] };
  },
  host_killed: async ({ world }) => {
    const host = hostOf(await writerOf(world));
    const nodes = world.nodes.filter(({ name }) => hostOf(name) === host);
    await Promise.all([world.servers.named(host).end("SIGKILL"), ...nodes.map((node) => node.end("SIGKILL"))]);
    return {
      struck: `kill -9 of everything on host ${host}: its server, ${nodes.map(({ name }) => name).join(", ")}`,
      repair: async () => {
        await restart(world, host);
        await Promise.all(nodes.map((node) => node.start()));
      },
    };
  },
  scaled_out: (scene) => scaleOut(scene),
  servers_killed: async ({ world }) => {
    await Promise.all(world.servers.all.map((server) => server.end("SIGKILL")));
    for (const server of world.servers.all) server.start();
    return { struck: "kill -9 of all three servers at once; started again at once", repair: () => Promise.resolve() };
  },
};

/** One fault from the blow to health. */
export async function strike(fault: FaultName, scene: Scene): Promise<FaultReport> {
  const { world } = scene;
  const beganAtMs = clock.monotonicMs();
  const blow = await blows[fault](scene);
  scene.note(`${fault}: ${blow.struck}`);
  const checks: Check[] = [];
  const [flows, asked] = await Promise.all([
    checked("every client has answers again while it stands", checks, () =>
      flowing(world, "answers again", flowWithinMs),
    ),
    answersTo(blow),
    clock.delay(blow.standsMs ?? 0),
  ]);
  checks.push(...asked);
  const repairedAtMs = clock.monotonicMs();
  await checked("what was struck comes back", checks, async () => void (await blow.repair()));
  await checked("settled: no critical check fails, nothing waits", checks, () => settled(world));
  const settledMs = clock.monotonicMs() - repairedAtMs;
  await checked("every client has answers after the repair", checks, () => flowing(world, "answers", flowWithinMs));
  const endedAtMs = clock.monotonicMs();
  return {
    fault,
    struck: blow.struck,
    seconds: (endedAtMs - beganAtMs) / 1000,
    flowsAgainMs: flows,
    settledMs,
    seen: world.loads.seen(beganAtMs, endedAtMs),
    checks,
  };
}

/** Questions that could not be asked to the end are a failed check too. */
async function answersTo({ questions }: Blow): Promise<readonly Check[]> {
  try {
    return (await questions?.()) ?? [];
  } catch (error) {
    return [{ name: "what belongs to it can be asked", passed: false, said: String(error) }];
  }
}

/** Milliseconds that it took. */
async function checked(name: string, checks: Check[], work: () => Promise<void>): Promise<number> {
  const beganAtMs = clock.monotonicMs();
  try {
    await work();
    const tookMs = clock.monotonicMs() - beganAtMs;
    checks.push({ name, passed: true, said: `after ${(tookMs / 1000).toFixed(1)} s` });
    return tookMs;
  } catch (error) {
    checks.push({ name, passed: false, said: error instanceof Error ? error.message : String(error) });
    return clock.monotonicMs() - beganAtMs;
  }
}

async function settled(world: World): Promise<void> {
  await healthOf(world, settledWithinMs, (health) => health.status !== "unhealthy" && world.loads.open <= openMax);
}

/** Every node is heard, and nothing critical or worth a warning stands. */
export async function healthy(world: World): Promise<void> {
  await healthOf(world, healthyWithinMs, ({ status }) => status === "healthy");
}

async function healthOf(world: World, withinMs: number, wanted: (health: HealthReport) => boolean): Promise<void> {
  const seen: { last: HealthReport | undefined } = { last: undefined };
  try {
    await until("the cluster's health", withinMs, async () => {
      seen.last = await world.health();
      return seen.last !== undefined && wanted(seen.last);
    });
  } catch (error) {
    const failing = seen.last?.checks.filter(({ status }) => status !== "pass") ?? [];
    const words = failing.map(({ name, about, message }) => `${name} (${about}): ${message}`);
    const open = `${world.loads.open} requests open`;
    throw new Error(`${error instanceof Error ? error.message : String(error)}; ${[open, ...words].join("; ")}`);
  }
}

async function leadingServer(world: World): Promise<string> {
  const stream = subjects.stream("experience", modelName);
  return until("the experience log has a leader", flowWithinMs, () => leaderOf(world.bus, stream, cluster));
}

async function restart(world: World, name: string): Promise<void> {
  world.servers.named(name).start();
  await answers(world.servers.named(name));
}

async function killNode(world: World, name: string): Promise<Blow> {
  await world.node(name).end("SIGKILL");
  return { struck: `kill -9 of ${name}`, repair: () => world.node(name).start() };
}

/** "learning-b" runs on host b. */
function hostOf(node: string): string {
  return node.slice(node.lastIndexOf("-") + 1);
}

/** The node that holds the model's lease. */
async function writerOf({ bus }: World): Promise<string> {
  const lease = openLease(bus, clock, subjects.leaseBucket, modelName);
  return until("somebody writes the model", flowWithinMs, async () => {
    const view = await lease.look();
    return view.kind === "held" ? view.owner.node : undefined;
  });
}

async function writesElsewhere(world: World, before: string): Promise<Check> {
  const name = "the standby writes the model";
  try {
    const beganAtMs = clock.monotonicMs();
    const now = await until(name, flowWithinMs, async () => {
      const writer = await writerOf(world);
      return writer === before ? undefined : writer;
    });
    return { name, passed: true, said: `${now}, after ${((clock.monotonicMs() - beganAtMs) / 1000).toFixed(1)} s` };
  } catch (error) {
    return { name, passed: false, said: error instanceof Error ? error.message : String(error) };
  }
}

/** Whoever asks in the host that is cut off is told no by name, in time: there is no quorum there. */
async function refusedThere({ world, lan, searchPath, directory }: Scene, name: string): Promise<Check> {
  const host = lan.hosts.find((each) => each.name === name);
  const deadlineMs = 5_000;
  const said = await askFrom({
    prefix: host?.prefix ?? [],
    urls: world.servers.urls(name),
    searchPath,
    directory,
    deadlineMs,
  });
  const passed = said.kind === "refused" && said.tookMs <= deadlineMs + said.startMs;
  return { name: "who asks in the cut host is refused by name in its deadline", passed, said: JSON.stringify(said) };
}

/** One more serving node takes its share; it then drains, and leaves nothing open. */
async function scaleOut({ world }: Scene): Promise<Blow> {
  const extra = world.node("serving-x");
  const others = world.nodes.filter((node) => node !== extra && node.running && node.place.role === "serving");
  const names = [...others, extra];
  const dueSeq = await logEnd(world);
  const startMs = await extra.start();
  const counts = async () => Promise.all(names.map(({ name }) => answeredBy(world, name)));
  return {
    struck: `a further serving node, ready after ${(startMs / 1000).toFixed(1)} s`,
    questions: async () => {
      const caughtUpTo = await foldedTo(world, extra.name);
      const before = await counts();
      await flowing(world, "a while of traffic", flowWithinMs, 60);
      const shares = (await counts()).map((count, index) => count - (before[index] ?? 0));
      const fair = shares.reduce((sum, share) => sum + share, 0) / shares.length;
      return [
        {
          name: "its memory had caught up with the log when it said that it is ready",
          passed: caughtUpTo >= dueSeq,
          said: `experience ${caughtUpTo}, the log stood at ${dueSeq} when it was started`,
        },
        {
          name: "requests shift to it",
          passed: shares.every((share) => share > fair / 3),
          said: names.map(({ name }, index) => `${name} ${shares[index]}`).join(", "),
        },
      ];
    },
    repair: async () => {
      const code = await extra.end("SIGTERM");
      if (code !== 0) throw new Error(`the drain ended with ${code}`);
    },
  };
}

async function answeredBy({ bus }: World, node: string): Promise<number> {
  const status = await statusOf({ operator: bus, subjects }, node);
  return Number(status.answered ?? 0);
}

/** The newest record of the experience log. */
async function logEnd({ bus }: World): Promise<number> {
  return until("the experience log answers", flowWithinMs, async () => {
    const outcome = await streamState(bus, subjects.stream("experience", modelName));
    return outcome.kind === "state" ? outcome.state.lastSeq : undefined;
  });
}

/** Up to which record of the experience log a node's memory has folded; -1 when it does not say. */
async function foldedTo({ bus }: World, node: string): Promise<number> {
  const subject = subjects.actor(node, `${modelName}/buffer`);
  const outcome = await bus.request(subject, encodeLookRequest(), { timeoutMs: bus.timeouts.look });
  const parsed = outcome.kind === "reply" ? parseActorLook(outcome.data) : undefined;
  const isAnswer = parsed?.kind === "ok" && parsed.value.kind === "reply";
  return isAnswer ? Number(parsed.value.reply.summary.lastSeq ?? -1) : -1;
}
