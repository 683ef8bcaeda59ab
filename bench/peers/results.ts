// bench/PEERS.md: driftmend beside its peers, and what the figures do not say.
import type { Machine } from "../machine.js";
import { ratiosOf, type Spread, spreadOf } from "../statistics.js";
import { spread, table } from "../tables.js";
import type { PeerCell, PeerRound, PeersMeasured, PeersPlan } from "./measure.js";

export interface PeersFigures {
  readonly machine: Machine;
  readonly atIso: string;
  readonly tookSeconds: number;
  readonly plan: PeersPlan;
  readonly versions: Readonly<Record<string, string>>;
  readonly measured: PeersMeasured;
}

export function renderPeers(figures: PeersFigures): string {
  const { machine, atIso, tookSeconds, plan, versions, measured } = figures;
  return [
    "# Peers",
    "",
    "Written by `npm run bench -- --peers`. The same digits model in one process each, one load at a time, every figure a median over " +
      "interleaved rounds with the least and the most beside it.",
    "",
    "## Machine",
    "",
    `- ${machine.cpu}, ${machine.cores} cores, ${machine.system}`,
    `- Node ${machine.node}, nats-server ${machine.natsServer}, ${Object.entries(versions)
      .map((each) => each.join(" "))
      .join(", ")}`,
    `- load average before the run: ${machine.loadBefore.toFixed(1)}`,
    `- commit ${machine.commit}, ${atIso}, ${tookSeconds.toFixed(0)} s`,
    `- ${plan.rounds} rounds of ${plan.roundMs / 1000} s for each contender at each load`,
    "",
    ...contenderLines,
    "",
    ...[1, 16, 64].flatMap((inFlight) => loadLines(measured.cells, inFlight)),
    ...batchingLines(measured.cells),
    "",
    ...checkedLines(measured, plan),
    "",
    ...limits,
    "",
  ].join("\n");
}

const contenderLines = [
  "## Contenders",
  "",
  "- **in process**: no wire; the load itself runs the model, on what is queued.",
  "- **bare nats**: request and reply, msgpack; no validation, no memory, no log. Batched: takes what is queued while a run is in flight, " +
    "the model in a worker thread. The same batching stands behind every contender called batched; the others run the model once per request " +
    "in the thread that talks.",
  "- **fastify**: HTTP/1.1, connections stay open; the picture as JSON numbers or as bytes.",
  "- **moleculer**: a service over NATS, its own JSON serializer, the picture in base64.",
  "- **grpc**: a unary call, the picture as bytes, one HTTP/2 connection.",
  "- **work queue**: a JetStream stream on disk with work-queue retention; each request is stored, taken, answered, acknowledged.",
  "- **driftmend**: decodes and checks, runs the adaptable graph, asks 5 neighbours among its experiences, votes, appends to the log, waits for " +
    "the acknowledgement, replies.",
];

function loadLines(cells: readonly PeerCell[], inFlight: number): string[] {
  const at = cells.filter((cell) => cell.inFlight === inFlight);
  return [
    `## ${inFlight} in flight`,
    "",
    ...table(
      [
        "contender",
        "requests/s",
        "",
        "p50 ms",
        "",
        "p99 ms",
        "",
        "batch",
        "server CPU us",
        "",
        "broker CPU us",
        "load CPU us",
      ],
      at.map((cell) => [
        cell.name,
        ...spread(figureOf(cell, "rps"), 0),
        ...spread(figureOf(cell, "p50Ms"), 2),
        ...spread(figureOf(cell, "p99Ms"), 2),
        figureOf(cell, "batch").median.toFixed(1),
        ...spread(figureOf(cell, "serverUs"), 0),
        figureOf(cell, "brokerUs").median.toFixed(0),
        figureOf(cell, "loadUs").median.toFixed(0),
      ]),
    ),
    "",
  ];
}

const pairs = [
  ["bare nats, batched", "bare nats, unbatched"],
  ["work queue, batched", "work queue"],
  ["grpc, batched", "grpc"],
  ["driftmend", "bare nats, unbatched"],
  ["driftmend", "bare nats, batched"],
] as const;

/** Batching of queue operations: what it brings, round by round. */
function batchingLines(cells: readonly PeerCell[]): string[] {
  const cellOf = (name: string, inFlight: number): PeerCell | undefined =>
    cells.find((cell) => cell.name === name && cell.inFlight === inFlight);
  const rows = pairs.flatMap(([above, below]) =>
    [16, 64].flatMap((inFlight) => {
      const [over, under] = [cellOf(above, inFlight), cellOf(below, inFlight)];
      if (over === undefined || under === undefined) return [];
      const rps = ({ rounds }: PeerCell): number[] => rounds.map((round) => round.rps);
      const batch = figureOf(over, "batch").median.toFixed(1);
      return [[`${above} / ${below}`, `${inFlight}`, ...spread(ratiosOf(rps(over), rps(under)), 2), batch]];
    }),
  );
  return [
    "## Throughput against throughput",
    "",
    ...table(["ratio", "in flight", "median", "least - most", "batch"], rows),
  ];
}

function checkedLines({ cells, accuracy, restless }: PeersMeasured, plan: PeersPlan): string[] {
  const right = Array.from(accuracy, ([name, share]) => `${name} ${(100 * share).toFixed(1)} %`);
  const refused = cells.reduce((total, { rounds }) => total + rounds.reduce((sum, each) => sum + each.refused, 0), 0);
  return [
    "## Checked",
    "",
    `Right answers before the first round: ${right.join(", ")}. Refused requests: ${refused}. Rounds that began before the brokers and the ` +
      `learning node were idle: ${restless} of ${plan.rounds * cells.length}.`,
  ];
}

function figureOf(cell: PeerCell, figure: keyof PeerRound): Spread {
  return spreadOf(cell.rounds.map((round) => round[figure]));
}

const limits = [
  "## Not measured",
  "",
  "- Networks: everything runs on one machine over loopback and shares its cores, load and brokers included.",
  "- The best that each peer could be made to do: each is set up as its documentation has it, without tuning, one connection where that is usual.",
  "- The load's share: bare nats and driftmend are asked by a raw client that decodes no answer in a timed round; every other contender by its own " +
    "client library, and every answer is read. The column load CPU tells how much that is.",
  "- Equal work: only driftmend validates, remembers, logs and adapts; only it and the work queue store a request.",
  "- Users and permissions: the peers' NATS server has none, driftmend's has them.",
  "- Large tensors, several serving processes, GPUs, long runs.",
];
