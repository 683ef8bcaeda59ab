// bench/RESULTS.md: the figures of one run, and what they do not say.
import type { MessageRates } from "./actor-messages.js";
import { type LearningCosts, learningLines } from "./learning-results.js";
import type { Machine } from "./machine.js";
import { mendingRows } from "./mending.js";
import type { Mended } from "./mending-scene.js";
import type { OnnxFloor } from "./onnx-floor.js";
import { type Cell, figureOf, type Serving, type ServingPlan, servingRatios } from "./serving.js";
import { spread, table } from "./tables.js";
import type { CodecCost } from "./tensor-codec.js";
import { type TensorTransfers, tensorLines } from "./tensor-results.js";

export interface Figures {
  readonly machine: Machine;
  readonly atIso: string;
  readonly tookSeconds: number;
  readonly plan: ServingPlan & { readonly innerRounds: number };
  readonly onnx: readonly OnnxFloor[];
  readonly codec: readonly CodecCost[];
  readonly tensors: TensorTransfers;
  readonly learning: LearningCosts;
  readonly messages: readonly MessageRates[];
  readonly serving: Serving;
  readonly mending: readonly Mended[];
  /** Tables of telemetry-cost.ts. */
  readonly telemetry: string;
}

export function renderResults(figures: Figures): string {
  return [
    "# Benchmark",
    "",
    "Written by `npm run bench`. Every figure is a median over interleaved rounds, with the least and the most beside it.",
    "",
    ...machineLines(figures),
    "",
    ...ratioLines(figures),
    "",
    ...servingLines(figures),
    "",
    ...onnxLines(figures),
    "",
    ...learningLines(figures.learning),
    "",
    ...messageLines(figures),
    "",
    ...codecLines(figures),
    "",
    ...tensorLines(figures.tensors),
    "",
    ...mendingLines(figures),
    "",
    ...telemetryLines(figures),
    "",
    ...limits,
    "",
  ].join("\n");
}

function machineLines({ machine, atIso, tookSeconds, plan }: Figures): string[] {
  return [
    "## Machine",
    "",
    `- ${machine.cpu}, ${machine.cores} cores, ${machine.system}`,
    `- Node ${machine.node}, nats-server ${machine.natsServer}`,
    `- load average before the run: ${machine.loadBefore.toFixed(1)}`,
    `- commit ${machine.commit}, ${atIso}, ${tookSeconds.toFixed(0)} s`,
    `- serving: ${plan.rounds} rounds of ${plan.roundMs / 1000} s at each load; the rest: ${plan.innerRounds} rounds`,
  ];
}

function telemetryLines({ telemetry }: Figures): string[] {
  return [
    "## Metrics and traces",
    "",
    "One cluster, 64 requests in flight, every request traced; between rounds its nodes turn distributions, pools, phases and spans off or on",
    "(`node dist/bench/telemetry-cost.js`). Counters, other events and the times of the stations are taken in any case.",
    "",
    telemetry.trim(),
  ];
}

function mendingLines({ mending }: Figures): string[] {
  return [
    "## Mending",
    "",
    "From the kill until the work it stopped goes on, seen from outside, under 200 drifting digits a second; the killed and the load share the cores.",
    "",
    ...table(["what", "rounds", "median", "p99", "aim"], mendingRows(mending)),
  ];
}

function ratioLines({ serving }: Figures): string[] {
  const { rps64, rps16, p50At1, cpu64 } = servingRatios(serving);
  return [
    "## Full loop against bare NATS and ONNX Runtime",
    "",
    "Ratios are taken round by round. The full loop decodes, checks, embeds, asks 5 neighbours among " +
      `${serving.remembered} experiences, votes, appends to the log, waits for the acknowledgement, and replies.`,
    "",
    ...table(
      ["ratio", "median", "least - most"],
      [
        ["throughput, 64 in flight, full / bare batched", ...spread(rps64, 2)],
        ["throughput, 16 in flight, full / bare batched", ...spread(rps16, 2)],
        ["p50, 1 in flight, full / bare unbatched", ...spread(p50At1, 2)],
        ["serving CPU per request, 64 in flight, full / bare batched", ...spread(cpu64, 2)],
      ],
    ),
  ];
}

function servingLines({ serving, plan }: Figures): string[] {
  const { accuracy } = serving;
  const right = Object.entries(accuracy).map(([name, share]) => `${name} ${(100 * share).toFixed(1)} %`);
  return [
    "## Serving",
    "",
    "One broker, one load generator (raw NATS client, closed loop, requests encoded before), each contender a process. " +
      `CPU is user and system time of all threads. Right answers before the first round: ${right.join(", ")}.`,
    "",
    ...table(
      ["contender", "in flight", "requests/s", "", "p50 ms", "", "p99 ms", "", "batch", "serving CPU us", ""],
      serving.cells.map((cell) => [
        ...nameOf(cell),
        ...spread(figureOf(cell, "rps"), 0),
        ...spread(figureOf(cell, "p50Ms"), 2),
        ...spread(figureOf(cell, "p99Ms"), 2),
        figureOf(cell, "batch").median.toFixed(1),
        ...spread(figureOf(cell, "servingUs"), 0),
      ]),
    ),
    "",
    "Who else spends CPU, us per request (medians):",
    "",
    ...table(
      ["contender", "in flight", "broker", "learning node", "load generator"],
      serving.cells.map((cell) => [
        ...nameOf(cell),
        ...(["brokerUs", "learningUs", "loadUs"] as const).map((whose) => figureOf(cell, whose).median.toFixed(0)),
      ]),
    ),
    "",
    `Refused requests: ${sum(serving.cells, "refused")}. Rounds that began before broker and learning node were idle: ` +
      `${serving.restless} of ${plan.rounds * serving.cells.length}.`,
  ];
}

function nameOf({ contender, inFlight }: Cell): string[] {
  return [contender, `${inFlight}`];
}

function sum(cells: readonly Cell[], figure: "refused"): number {
  return cells.reduce((total, cell) => total + cell.rounds.reduce((below, round) => below + round[figure], 0), 0);
}

function onnxLines({ onnx }: Figures): string[] {
  return [
    "## ONNX Runtime alone, in process, one thread",
    "",
    "The source graph has its constants folded; the adaptable graph takes normalisation and head as inputs and also gives " +
      "embedding, moments and density.",
    "",
    ...table(
      ["batch", "source, inferences/s", "", "adaptable, inferences/s", "", "adaptable / source", ""],
      onnx.map(({ batch, source, adaptable, ratio }) => [
        `${batch}`,
        ...spread(source, 0),
        ...spread(adaptable, 0),
        ...spread(ratio, 2),
      ]),
    ),
  ];
}

function messageLines({ messages }: Figures): string[] {
  return [
    "## Messages between two actors, per second",
    "",
    "Flood: all are told at once, until the last is handled. Ask: 64 outstanding. The call is the same handler called as a function " +
      "(for asks: through a promise).",
    "",
    ...table(
      ["", "driftmend", "", "bare nact", "", "call", "", "driftmend / nact", ""],
      messages.map(({ what, driftmend, nact, call, ratio }) => [
        what,
        ...spread(driftmend, 0),
        ...spread(nact, 0),
        ...spread(call, 0),
        ...spread(ratio, 1),
      ]),
    ),
    "",
    ...erlangLines(messages),
  ];
}

function erlangLines(messages: readonly MessageRates[]): string[] {
  const rows = messages.flatMap(({ what, erlang }) =>
    erlang.kind === "absent" ? [] : [[what, erlang.release, ...spread(erlang.rate, 0), ...spread(erlang.ratio, 2)]],
  );
  const absent = messages.flatMap(({ erlang }) => (erlang.kind === "absent" ? [erlang.why] : []));
  if (rows.length === 0) return [`Erlang is not compared: ${absent[0] ?? "nothing was measured"}.`];
  return [
    "The same in Erlang, in the same rounds: casts to and calls of a gen_server, one scheduler (`erl +S 1:1`, `bench/erlang/messages.erl`).",
    "",
    ...table(["", "OTP", "Erlang", "", "driftmend / Erlang", ""], rows),
  ];
}

function codecLines({ codec }: Figures): string[] {
  return [
    "## Codec, us",
    "",
    "Decoding includes the walk over foreign bytes and every check of a request.",
    "",
    ...table(
      ["", "median", "least - most"],
      codec.map(({ what, us }) => [what, ...spread(us, 2)]),
    ),
  ];
}

const limits = [
  "## Not measured",
  "",
  "- Networks: everything runs on one machine over loopback and shares its cores, the load generator included.",
  "- Durability against power loss: the broker writes to the file system and syncs at its own interval, not per record.",
  "- Drifting input: the load is clean digits, of which few give update tasks. The learning node runs and follows the log.",
  "- More than one serving node, larger models, GPUs, and the client library (the load generator is a raw client).",
  "- Long runs: rounds last seconds, so slow growth does not show here.",
];
