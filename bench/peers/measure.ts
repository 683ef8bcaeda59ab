// driftmend beside what else one would serve a model with: rounds against every contender at every load, interleaved.
//
// Owns: the contenders and their order, the rounds, what is read before and after each. Does not own: the processes (lab.ts, ../lab.ts).
//
// M1. Rounds are interleaved: every contender at every load, then all again, so that the machine's weather meets all of them.
// M2. Before anything is timed every contender has answered scored requests, and its answers were right.
// M3. A round begins when the brokers and the learning node are idle; the wait is bounded, and what it could not reach is counted.
import type { LoadReport } from "../conversation.js";
import type { Contender, Lab } from "../lab.js";
import { cpuMs } from "../machine.js";
import { settled } from "../settled.js";
import type { PeerLab } from "./lab.js";
import { nameOf, type Peer } from "./peer.js";

export const peers: readonly Peer[] = [
  { wire: "in process", way: "in thread" },
  { wire: "fastify json", way: "unbatched" },
  { wire: "fastify binary", way: "unbatched" },
  { wire: "fastify binary", way: "batched" },
  { wire: "moleculer", way: "unbatched" },
  { wire: "moleculer", way: "batched" },
  { wire: "grpc", way: "unbatched" },
  { wire: "grpc", way: "batched" },
  { wire: "work queue", way: "unbatched" },
  { wire: "work queue", way: "batched" },
];

export interface PeersPlan {
  readonly rounds: number;
  readonly roundMs: number;
  readonly warmUpMs: number;
  /** Experiences in driftmend's memory before the first round. */
  readonly prefill: number;
}

export interface PeerRound {
  readonly rps: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** User and system time per answered request, us, of all threads. */
  readonly serverUs: number;
  readonly brokerUs: number;
  readonly loadUs: number;
  /** Rows in a run of the model, on average. */
  readonly batch: number;
  readonly refused: number;
}

export interface PeerCell {
  readonly name: string;
  readonly inFlight: number;
  readonly rounds: PeerRound[];
}

export interface PeersMeasured {
  readonly cells: readonly PeerCell[];
  /** Share of right answers before the first round, by contender. */
  readonly accuracy: ReadonlyMap<string, number>;
  readonly restless: number;
}

/** Whoever answers: a peer, or one of the set-up of driftmend. */
interface Measurable {
  readonly name: string;
  readonly pids: { readonly server: number; readonly broker: number; readonly load: number };
  counted(): Promise<{ readonly runs: number; readonly rows: number }>;
  load(bounds: {
    readonly inFlight: number;
    readonly durationMs: number;
    readonly requests: number;
    readonly scored: boolean;
  }): Promise<Extract<LoadReport, { kind: "loaded" }>>;
}

export const loads = [1, 16, 64] as const;
const scoredRequests = 500;
const rightLeast = 0.9;
const unlimited = Number.MAX_SAFE_INTEGER;

export async function measurePeers(
  lab: Lab,
  peerLab: PeerLab,
  plan: PeersPlan,
  note: (line: string) => void,
): Promise<PeersMeasured> {
  const contenders = [...peers.map((peer) => ofPeer(peerLab, peer)), ...lab.contenders.map((each) => ofLab(lab, each))];
  const accuracy = await warmedUp(contenders, plan, note);
  const cells = loads.flatMap((inFlight) =>
    contenders.map((contender) => ({ contender, cell: { name: contender.name, inFlight, rounds: [] as PeerRound[] } })),
  );
  const background = [lab.pids.broker, lab.pids.learning, peerLab.pids.broker];
  let restless = 0;
  for (let round = 1; round <= plan.rounds; round += 1) {
    for (const { contender, cell } of cells) {
      if (!(await settled(background))) restless += 1;
      cell.rounds.push(await measureRound(contender, cell.inFlight, plan.roundMs));
    }
    note(`peers: round ${round} of ${plan.rounds}`);
  }
  return { cells: cells.map(({ cell }) => cell), accuracy, restless };
}

function ofPeer(lab: PeerLab, peer: Peer): Measurable {
  return {
    name: nameOf(peer),
    pids: { server: lab.pidOf(peer), broker: lab.pids.broker, load: lab.pids.load },
    counted: () => lab.counted(peer),
    load: ({ scored: _, ...bounds }) => lab.load(peer, bounds),
  };
}

function ofLab(lab: Lab, contender: Contender): Measurable {
  return {
    name: contender.name === "full loop" ? "driftmend" : contender.name.replace("bare ", "bare nats, "),
    pids: { server: contender.pid, broker: lab.pids.broker, load: lab.pids.load },
    counted: () => contender.counted(),
    load: (bounds) => lab.load({ subject: contender.subject, ...bounds }),
  };
}

/** Fills driftmend's memory, and throws when anybody answers wrongly. */
async function warmedUp(contenders: readonly Measurable[], plan: PeersPlan, note: (line: string) => void) {
  const accuracy = new Map<string, number>();
  for (const contender of contenders) {
    const { name, load } = contender;
    note(`peers: ${name}`);
    if (name === "driftmend") await load({ inFlight: 64, durationMs: 60_000, requests: plan.prefill, scored: false });
    const bounds = { inFlight: 16, durationMs: 60_000 };
    const { right } = await load({ ...bounds, requests: scoredRequests, scored: true });
    accuracy.set(name, right / scoredRequests);
    if (right < rightLeast * scoredRequests)
      throw new Error(`${name} answers wrongly: ${right} of ${scoredRequests} are right`);
    await load({ ...bounds, durationMs: plan.warmUpMs, requests: unlimited, scored: false });
  }
  return accuracy;
}

async function measureRound(contender: Measurable, inFlight: number, durationMs: number): Promise<PeerRound> {
  const before = await costs(contender);
  const report = await contender.load({ inFlight, durationMs, requests: unlimited, scored: false });
  const after = await costs(contender);
  const { answered, refused, seconds, p50Ms, p99Ms } = report;
  const usEach = (whose: "server" | "broker" | "load"): number => ((after[whose] - before[whose]) * 1000) / answered;
  return {
    rps: answered / seconds,
    p50Ms,
    p99Ms,
    refused,
    batch: (after.rows - before.rows) / (after.runs - before.runs),
    serverUs: usEach("server"),
    brokerUs: usEach("broker"),
    loadUs: usEach("load"),
  };
}

async function costs({ pids, counted }: Measurable) {
  const { runs, rows } = await counted();
  const [server, broker, load] = [await cpuMs(pids.server), await cpuMs(pids.broker), await cpuMs(pids.load)];
  return { runs, rows, server, broker, load };
}
