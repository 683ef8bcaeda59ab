// `npm run bench`: all measurements in one run on one machine, then bench/RESULTS.md.
//
//   --quick   fewer and shorter rounds, about 3 minutes; prints the figures and leaves bench/RESULTS.md alone
//   --peers   driftmend beside fastify, gRPC, moleculer and a work queue instead, then bench/PEERS.md; about 8 minutes
//   --rounds N, --seconds S   of the peers: so many rounds, each so long; with --quick to try it out
//
// R1. It ends by itself: at the latest after `endsAfterMs`, at SIGINT or SIGTERM at once, each time without processes or files left.
// R2. What it prints on the way goes to stderr, the figures to stdout or to the file.
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { loadModel, type Model } from "../models/manifest.js";
import { digitsFolder } from "../operations/cluster/local-cluster.js";
import { entry } from "../operations/cluster/up.js";
import { systemClock as clock } from "../supervision/clock.js";
import { findServer } from "../transport/server/server-binary.js";
import { measureMessages } from "./actor-messages.js";
import { measureSteps } from "./guarded-steps.js";
import { measureHeartbeats } from "./heartbeats.js";
import { openLab } from "./lab.js";
import type { LearningCosts } from "./learning-results.js";
import { describeMachine } from "./machine.js";
import { measureMending } from "./mending.js";
import { measureOnnx } from "./onnx-floor.js";
import { peersFile, runPeers } from "./peers/run.js";
import { measureRecall } from "./recall.js";
import { type Figures, renderResults } from "./results.js";
import { measureServing, type Serving } from "./serving.js";
import { measureStages } from "./stage-cost.js";
import { measureTelemetry } from "./telemetry-share.js";
import { measureChunks } from "./tensor-chunks.js";
import { measureCodec } from "./tensor-codec.js";
import { measureTensorTransfer } from "./tensor-transfer.js";

const { values: flags } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    peers: { type: "boolean", default: false },
    rounds: { type: "string" },
    seconds: { type: "string" },
  },
});
const { PATH: searchPath = "" } = process.env;
const endsAfterMs = 20 * 60_000;
const resultsFile = fileURLToPath(new URL("../../bench/RESULTS.md", import.meta.url));

const plan = flags.quick
  ? {
      rounds: 2,
      roundMs: 600,
      warmUpMs: 200,
      prefill: 10_000,
      innerRounds: 3,
      onnxRoundMs: 60,
      kills: 2,
      telemetryRounds: 2,
      tensorTransfers: 1_000,
      remembered: [10_000],
    }
  : {
      rounds: 6,
      roundMs: 2_200,
      warmUpMs: 1_000,
      prefill: 10_000,
      innerRounds: 7,
      onnxRoundMs: 250,
      kills: 20,
      telemetryRounds: 12,
      tensorTransfers: 10_000,
      remembered: [10_000, 100_000],
    };

function note(line: string): void {
  process.stderr.write(`${line}\n`);
}

async function measure(binary: string, ended: Promise<never>): Promise<Figures> {
  const beganAtMs = clock.monotonicMs();
  const folder = digitsFolder(entry);
  const machine = await describeMachine(binary, folder);
  const model = await loadModel(folder);
  note("codec");
  const codec = await measureCodec(plan.innerRounds, clock);
  note("large tensors through shared memory");
  const onOneHost = await Promise.race([
    measureTensorTransfer({ rounds: plan.innerRounds, transfers: plan.tensorTransfers }, clock),
    ended,
  ]);
  note("large tensors in chunks");
  const chunked = await Promise.race([measureChunks(plan.innerRounds), ended]);
  note("messages between actors");
  const messages = await measureMessages(plan.innerRounds, clock);
  note("ONNX Runtime alone");
  const onnx = await measureOnnx(model, plan.innerRounds, plan.onnxRoundMs, clock);
  const learning = await measureLearning(model);
  const serving = await serve(binary, folder, model.manifest.name, ended);
  const mending = await Promise.race([
    measureMending({ rounds: plan.kills, actorRounds: 100 * plan.kills }, { clock, searchPath, note }),
    ended,
  ]);
  note("metrics and traces, on and off");
  const telemetry = await Promise.race([measureTelemetry(plan.telemetryRounds), ended]);
  const tookSeconds = (clock.monotonicMs() - beganAtMs) / 1000;
  return {
    machine,
    atIso: new Date(clock.nowMs()).toISOString(),
    tookSeconds,
    plan,
    onnx,
    codec,
    tensors: { ...onOneHost, chunked },
    learning,
    messages,
    serving,
    mending,
    telemetry,
  };
}

async function measureLearning(model: Model): Promise<LearningCosts> {
  note("learning: stages of adaptation");
  const stages = await measureStages(model, plan.innerRounds, plan.onnxRoundMs, clock);
  note("learning: steps");
  const { calibration, manifest } = model;
  const steps = await measureSteps(calibration, manifest.learning, plan.innerRounds, plan.onnxRoundMs, clock);
  note("learning: heartbeats beside a memory that takes in");
  const lateness = await measureHeartbeats(model, plan.innerRounds, clock);
  note(`learning: a memory of ${plan.remembered.join(" and ")}`);
  const recalls = await measureRecall(model, plan.remembered, plan.innerRounds, clock);
  return { stages, steps, recalls, lateness };
}

async function serve(binary: string, folder: string, modelName: string, ended: Promise<never>): Promise<Serving> {
  note("serving: starting a broker, two bare responders, the load generator and a cluster");
  const store = await mkdtemp(join(tmpdir(), "driftmend-bench-"));
  const lab = await openLab({ binary, store, model: folder, modelName, searchPath });
  try {
    return await Promise.race([measureServing(lab, plan, note), ended]);
  } finally {
    await lab.close();
  }
}

/** Rejects when somebody or the time says that it is enough. */
function theEnd(): Promise<never> {
  const ended = new Promise<never>((_, reject) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const)
      process.once(signal, () => reject(new Error(`ended by ${signal}`)));
    clock.after(endsAfterMs, () => reject(new Error(`not done after ${endsAfterMs / 1000} s`)));
  });
  ended.catch(() => undefined);
  return ended;
}

/** Rounds as long as they have to be for a CPU time that is counted in steps of 10 ms. */
function peersPlan() {
  const given = { rounds: Number(flags.rounds ?? 5), roundMs: 1_000 * Number(flags.seconds ?? 2) };
  if (!(given.rounds >= 1 && given.roundMs > 0)) throw new Error("--rounds and --seconds are numbers above 0");
  return { ...given, warmUpMs: Math.min(1_000, given.roundMs), prefill: flags.quick ? 1_000 : plan.prefill };
}

async function main(): Promise<number> {
  const ended = theEnd();
  try {
    const binary = await findServer({ searchPath, mayFetch: false });
    const text = flags.peers
      ? await runPeers({ binary, folder: digitsFolder(entry), searchPath, plan: peersPlan(), note, ended })
      : renderResults(await measure(binary, ended));
    const file = flags.peers ? peersFile : resultsFile;
    if (flags.quick) process.stdout.write(text);
    else {
      await writeFile(file, text);
      note(`written: ${file}`);
    }
    return 0;
  } catch (error) {
    note(`bench: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  }
}

const code = await main();
process.stdout.write("", () => process.exit(code));
