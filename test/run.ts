// `npm test`: makes sure that the real nats-server is there, runs ava on the compiled tests, and ends with one line that says how many
// passed and how many failed. What failed beside others is run once more alone, and named. Patterns given on the command line narrow the
// run: `npm test -- dist/test/models/*.test.js`.
//
// ava runs each file in a thread of its own, a few at once, rooms in the order below; what a test starts (nodes, nats-server, browsers) are
// real processes. It computes more than it waits, on two cores 95 % of the time, so what costs CPU costs minutes: most of it are the
// starts of clusters (one CPU second each, two without the pack; one cluster serves a file, several where the file is about starts and ends), then
// a thread's start for each file (0.2 s), then what the tests themselves compute.

import { execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { delimiter, dirname } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { packedEntry } from "../operations/packed/pack.js";
import { systemClock } from "../supervision/clock.js";
import { findServer, NoServerBinary } from "../transport/server/server-binary.js";

/** Most files of real processes wait more than they compute. */
const filesAtOnce = Math.max(3, availableParallelism());
/** Without a result for so long something hangs: a test that failed and left a process or a connection behind. */
const idleLimitMs = 110_000;
/** More than these did not fail for want of a CPU. */
const filesAgainMax = 3;

/** The longest files first, so that none of them is left to run alone at the end. */
const longFirst = ["soak", "cluster", "page", "writer", "sim"].map((room) => `dist/test/${room}/**/*.test.js`);
/** In every thread before its file: source-positions.ts. */
const preloaded = "--import=./dist/test/source-positions.js";

const patterns = process.argv.slice(2);
const files = patterns.length > 0 ? patterns : [...longFirst, "dist/test/**/*.test.js"];

let server: string;
try {
  server = await findServer({ searchPath: process.env.PATH ?? "", mayFetch: true });
} catch (error) {
  if (!(error instanceof NoServerBinary)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}

// Nodes start from the pack, as those of a person do; a build without it costs every cluster of the run a second of CPU.
const entry = fileURLToPath(new URL("../cli.js", import.meta.url));
if (packedEntry(entry) === entry)
  execFileSync(process.execPath, ["dist/operations/packed/build.js"], { stdio: "inherit" });

interface Tally {
  passed: number;
  /** Titles. */
  readonly failed: string[];
  readonly code: number;
}

async function run(patterns: readonly string[], atOnce: number): Promise<Tally> {
  const ava = spawn(
    process.execPath,
    [
      "node_modules/ava/entrypoints/cli.mjs",
      "--tap",
      `--concurrency=${atOnce}`,
      `--node-arguments=${preloaded}`,
      // Earlier than this run ends itself: ava then names what is pending.
      `--timeout=${(0.8 * idleLimitMs) / 1_000}s`,
      ...patterns,
    ],
    {
      stdio: ["ignore", "pipe", "inherit"],
      // ONNX Runtime would leave a log file for each process of the run.
      env: {
        ...process.env,
        ORT_DISABLE_TELEMETRY: "1",
        PATH: `${dirname(server)}${delimiter}${process.env.PATH ?? ""}`,
      },
    },
  );
  const tally = { passed: 0, failed: [] as string[] };
  let cancelIdle = (): void => undefined;
  const expectMore = (): void => {
    cancelIdle();
    cancelIdle = systemClock.after(idleLimitMs, () => {
      process.stderr.write(`no result for ${idleLimitMs / 1_000} s: something hangs, the run is ended\n`);
      ava.kill("SIGKILL");
    });
  };
  for await (const line of createInterface({ input: ava.stdout })) {
    expectMore();
    process.stdout.write(`${line}\n`);
    if (/^ok \d+/.test(line)) tally.passed += 1;
    else if (/^not ok \d+/.test(line)) tally.failed.push(line.replace(/^not ok \d+ - /, ""));
  }
  cancelIdle();
  const code = await new Promise<number>((resolve) => {
    if (ava.exitCode !== null) resolve(ava.exitCode);
    else ava.once("exit", (status) => resolve(status ?? 1));
  });
  return { ...tally, code };
}

/** The file of a title, as ava prefixes it: `cluster › mend › ...` is of test/cluster/mend.test.ts. */
function fileOf(title: string): string | undefined {
  const words = title.split(" › ");
  return words
    .map((_, index) => `dist/test/${words.slice(0, index + 1).join("/")}.test.js`)
    .find((file) => existsSync(file));
}

/**
 * What failed beside other files of real processes is run once more, alone. A test that needs the whole machine to pass is named either
 * way; one that fails alone too has failed.
 */
async function again(first: Tally): Promise<Tally> {
  const files = first.failed.map(fileOf);
  const known = [...new Set(files.filter((file) => file !== undefined))];
  if (known.length === 0 || known.length > filesAgainMax || files.includes(undefined)) return first;
  process.stdout.write(`\n# once more, alone: ${known.join(", ")}\n`);
  const second = await run(known, 1);
  // Of few files ava leaves out the words that they share.
  const recovered = first.failed.filter((title) => !second.failed.some((still) => title.endsWith(still)));
  for (const title of recovered) process.stdout.write(`# failed beside others, passed alone: ${title}\n`);
  return { passed: first.passed + recovered.length, failed: second.failed, code: second.code };
}

const tally = await again(await run(files, filesAtOnce));
process.stdout.write(`\n${tally.passed} passed, ${tally.failed.length} failed\n`);
process.exit(tally.failed.length > 0 || tally.passed === 0 ? 1 : tally.code);
