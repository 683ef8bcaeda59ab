// The comparison that matters: the full loop against NATS and ONNX Runtime alone, under the same load.
//
// Owns: the rounds, what is read before and after each, the ratios. Does not own: the processes (lab.ts).
//
// S1. Rounds are interleaved: every contender at every load, then all again. Ratios are taken round by round.
// S2. A round begins when the broker and the learning node are idle, so that nobody pays for an earlier round; the wait is bounded and
//     what it could not reach is counted.
// S3. Before anything is timed every contender has answered scored requests, and its answers were right.
import { type Contender, type ContenderName, contenderNames, type Lab } from "./lab.js";
import { cpuMs } from "./machine.js";
import { settled } from "./settled.js";
import { ratiosOf, type Spread, spreadOf } from "./statistics.js";

export interface ServingPlan {
  readonly rounds: number;
  readonly roundMs: number;
  readonly warmUpMs: number;
  /** Experiences in memory before the first round. */
  readonly prefill: number;
}

export interface Round {
  readonly rps: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** User and system time per answered request, us: of the contender, and of who works beside it. */
  readonly servingUs: number;
  readonly brokerUs: number;
  readonly learningUs: number;
  readonly loadUs: number;
  /** Rows in a run of the model, on average. */
  readonly batch: number;
  readonly refused: number;
}

export interface Cell {
  readonly contender: ContenderName;
  readonly inFlight: number;
  readonly rounds: Round[];
}

export interface Serving {
  readonly cells: readonly Cell[];
  readonly accuracy: Readonly<Record<ContenderName, number>>;
  /** In the memory when the first round began. */
  readonly remembered: number;
  /** Rounds that began although the machine was not idle yet (S2). */
  readonly restless: number;
}

export const loads = [1, 16, 64] as const;
const scoredRequests = 500;
const fillInFlight = 8;
const fillLeast = 500;
const fillsMax = 40;
const unlimited = Number.MAX_SAFE_INTEGER;

export async function measureServing(lab: Lab, plan: ServingPlan, note: (line: string) => void): Promise<Serving> {
  note(`serving: filling the memory with ${plan.prefill} experiences`);
  const full = contenderCalled(lab, "full loop");
  await fill(lab, full, plan.prefill);
  const accuracy = { "bare unbatched": 0, "bare batched": 0, "full loop": 0 };
  for (const contender of lab.contenders) {
    const { right } = await closedLoop(lab, contender, 16, { requests: scoredRequests, scored: true });
    accuracy[contender.name] = right / scoredRequests;
    if (accuracy[contender.name] < 0.9)
      throw new Error(`${contender.name} answers wrongly: ${right} of ${scoredRequests}`);
    await closedLoop(lab, contender, 16, { durationMs: plan.warmUpMs });
  }
  const remembered = await lab.remembered();
  const cells = loads.flatMap((inFlight) =>
    lab.contenders.map(({ name }): Cell => ({ contender: name, inFlight, rounds: [] })),
  );
  let restless = 0;
  for (let round = 1; round <= plan.rounds; round += 1) {
    for (const cell of cells) {
      if (!(await settled([lab.pids.broker, lab.pids.learning]))) restless += 1;
      cell.rounds.push(await measureRound(lab, contenderCalled(lab, cell.contender), cell.inFlight, plan.roundMs));
    }
    note(`serving: round ${round} of ${plan.rounds}: ${cells.map(lastRps).join("  ")}`);
  }
  return { cells, accuracy, remembered, restless };
}

/** Of a full micro-batch only some rows are remembered, so this takes as many requests as it takes. */
async function fill(lab: Lab, full: Contender, wanted: number): Promise<void> {
  for (let left = wanted, tries = 0; left > 0; tries += 1) {
    if (tries === fillsMax)
      throw new Error(`the memory holds ${wanted - left} of ${wanted} experiences after ${tries} fills`);
    await closedLoop(lab, full, fillInFlight, { requests: Math.max(left, fillLeast) });
    left = wanted - (await lab.remembered());
  }
}

function lastRps({ contender, inFlight, rounds }: Cell): string {
  return `${contender} ${inFlight}: ${rounds.at(-1)?.rps.toFixed(0)}/s`;
}

function contenderCalled(lab: Lab, name: ContenderName): Contender {
  const found = lab.contenders.find((contender) => contender.name === name);
  if (found === undefined) throw new Error(`no contender "${name}"`);
  return found;
}

interface Bounds {
  readonly requests?: number;
  readonly durationMs?: number;
  readonly scored?: boolean;
}

function closedLoop(lab: Lab, { subject }: Contender, inFlight: number, bounds: Bounds): ReturnType<Lab["load"]> {
  return lab.load({ subject, inFlight, requests: unlimited, durationMs: 60_000, scored: false, ...bounds });
}

async function measureRound(lab: Lab, contender: Contender, inFlight: number, durationMs: number): Promise<Round> {
  const before = await costs(lab, contender);
  const report = await closedLoop(lab, contender, inFlight, { durationMs });
  const after = await costs(lab, contender);
  const { answered, refused, seconds, p50Ms, p99Ms } = report;
  const usEach = (whose: keyof typeof before.cpu): number => ((after.cpu[whose] - before.cpu[whose]) * 1000) / answered;
  return {
    rps: answered / seconds,
    p50Ms,
    p99Ms,
    refused,
    batch: (after.rows - before.rows) / (after.runs - before.runs),
    servingUs: usEach("serving"),
    brokerUs: usEach("broker"),
    learningUs: usEach("learning"),
    loadUs: usEach("load"),
  };
}

async function costs({ pids }: Lab, contender: Contender) {
  const { runs, rows } = await contender.counted();
  const [serving, broker, learning, load] = await Promise.all(
    [contender.pid, pids.broker, pids.learning, pids.load].map(cpuMs),
  );
  return { runs, rows, cpu: { serving: serving ?? 0, broker: broker ?? 0, learning: learning ?? 0, load: load ?? 0 } };
}

export interface ServingRatios {
  readonly rps64: Spread;
  readonly rps16: Spread;
  readonly p50At1: Spread;
  readonly cpu64: Spread;
}

export function servingRatios({ cells }: Serving): ServingRatios {
  const values = (contender: ContenderName, inFlight: number, figure: keyof Round): number[] =>
    roundsOf(cells, contender, inFlight).map((round) => round[figure]);
  const [unbatched, batched, full] = contenderNames;
  return {
    rps64: ratiosOf(values(full, 64, "rps"), values(batched, 64, "rps")),
    rps16: ratiosOf(values(full, 16, "rps"), values(batched, 16, "rps")),
    p50At1: ratiosOf(values(full, 1, "p50Ms"), values(unbatched, 1, "p50Ms")),
    cpu64: ratiosOf(values(full, 64, "servingUs"), values(batched, 64, "servingUs")),
  };
}

export function figureOf(cell: Cell, figure: keyof Round): Spread {
  return spreadOf(cell.rounds.map((round) => round[figure]));
}

function roundsOf(cells: readonly Cell[], contender: ContenderName, inFlight: number): readonly Round[] {
  return cells.find((cell) => cell.contender === contender && cell.inFlight === inFlight)?.rounds ?? [];
}
