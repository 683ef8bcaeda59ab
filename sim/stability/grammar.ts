// The words of `stability`: its flags, their values and their help.
//
// Owns: this verb's part of the command line. Does not own: what it does (verb.ts, imported when it runs), which flags do not go together
// (options.ts).

import { type Command, Option } from "commander";
import { durationFrom, durationMs, positiveNumber, probability, wholeNumber } from "../../operations/verbs/flags.js";
import { type Run, verb } from "../../operations/verbs/grammar.js";

/** `searchPath`: the PATH variable's value, where nats-server is looked for. */
export function stabilityVerb(root: Command, run: Run, searchPath: string): void {
  verb(root, "stability", "run for hours under load and kills on a cluster of its own, and assert that it holds")
    .option("--duration <d>", "end after so long, as in 10m or 8h", durationMs)
    .option("--requests <n>", "end after so many requests; of both limits the first", wholeNumber(1))
    .option("--rate <r>", "requests per second, sent by the clock whatever comes back", positiveNumber, 200)
    .option("--enable-chaos-testing", "kill the learning node now and then (SIGKILL)")
    .option(
      "--worker-crash-probability <p>",
      "of a kill in each iteration, a second's worth of requests, with --enable-chaos-testing (default: 0.01)",
      probability,
    )
    .option("--seed <s>", "seed of the stream and of the kills", wholeNumber(0), 1)
    .addOption(
      new Option("--sample-every <d>", "how often a sample is written, from 1s on")
        .argParser(durationFrom(1_000))
        .default(300_000, "5m"),
    )
    .option(
      "--grace <d>",
      "without kills at the end, so that everything can be repaired (default: 30s, a quarter of a short run)",
      durationMs,
    )
    .option("--serving <n>", "serving nodes", wholeNumber(1, 64), 1)
    .option("--model <dir>", "folder of a model of digits (default: the one that is shipped)")
    .option("--store <dir>", "where the log is kept; in the default store it goes at the end", ".driftmend")
    .option(
      "--report <dir>",
      "where report.html, report.json, series.json, samples.jsonl and history.jsonl go (default: a folder in .driftmend/stability)",
    )
    .option("--nats-server <file>", "the nats-server to start")
    .action((options) =>
      run(options, async (terminal) => {
        const { runStabilityVerb } = await import("./verb.js");
        return runStabilityVerb({ ...options, searchPath }, terminal);
      }),
    );
}
