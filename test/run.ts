// `npm test`: makes sure that the real nats-server is there, runs ava on the compiled tests, and ends with one line that says how many
// passed and how many failed. Patterns given on the command line narrow the run: `npm test -- dist/test/models/*.test.js`.

import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { delimiter, dirname } from "node:path";
import { createInterface } from "node:readline";
import { systemClock } from "../supervision/clock.js";
import { findServer, NoServerBinary } from "../transport/server-binary.js";

/** Most files of real processes wait more than they compute. */
const filesAtOnce = Math.max(3, availableParallelism());
/** Without a result for so long something hangs: a test that failed and left a process or a connection behind. */
const idleLimitMs = 110_000;

const patterns = process.argv.slice(2);
const files = patterns.length > 0 ? patterns : ["dist/test/**/*.test.js"];

let server: string;
try {
  server = await findServer({ searchPath: process.env.PATH ?? "", mayFetch: true });
} catch (error) {
  if (!(error instanceof NoServerBinary)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}

const ava = spawn(
  process.execPath,
  [
    "node_modules/ava/entrypoints/cli.mjs",
    "--tap",
    `--concurrency=${filesAtOnce}`,
    // Earlier than this run ends itself: ava then names what is pending.
    `--timeout=${(0.8 * idleLimitMs) / 1_000}s`,
    ...files,
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

let passed = 0;
let failed = 0;
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
  if (/^ok \d+/.test(line)) passed += 1;
  else if (/^not ok \d+/.test(line)) failed += 1;
}
cancelIdle();
const code = await new Promise<number>((resolve) => {
  if (ava.exitCode !== null) resolve(ava.exitCode);
  else ava.once("exit", (status) => resolve(status ?? 1));
});
process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
process.exit(failed > 0 || passed === 0 ? 1 : code);
