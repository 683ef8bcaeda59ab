// What a person types to look back: log lines, traces, profiles.
//
// Owns: these verbs and their flags. Does not own: what they do (the files beside this one).

import { type Command, Option } from "commander";
import { lineLevels } from "../../transport/messages/log-lines.js";
import { durationMs, wholeNumber } from "./flags.js";
import { clientVerb, type Run } from "./grammar.js";
import type { LogsOptions } from "./logs.js";
import type { ProfileOptions } from "./profile.js";
import type { TraceOptions } from "./trace.js";

export function traceVerbs(root: Command, run: Run): void {
  clientVerb(root, "logs", "what the nodes logged, in order of time; with a trace also its events and spans")
    .option("--trace <id>", "of one trace; the beginning of its id is enough")
    .option("--node <name>", "of one node")
    .addOption(new Option("--level <level>", "the least level").choices(lineLevels))
    .option("--follow", "go on with what comes, until Ctrl-C")
    .action((options: LogsOptions) =>
      run(options, async (terminal) => (await import("./logs.js")).logs(options, terminal)),
    );
  clientVerb(root, "trace [id]", "a trace as a tree of spans, or the newest traces; the beginning of an id is enough")
    .option("--last <n>", "the newest traces (default: 20)", wholeNumber(1, 10_000))
    .addOption(new Option("--slowest [n]", "the slowest traces (default: 20)").argParser(wholeNumber(1, 10_000)))
    .action((id: string | undefined, options: TraceOptions) =>
      run(options, async (terminal) => (await import("./trace.js")).trace(id, options, terminal)),
    );
  clientVerb(root, "profile [node]", "a CPU profile of a node, or where the time of jobs went")
    .addOption(new Option("--for <d>", "how long (default: 5s)").argParser(durationMs))
    .option("--out <file>", "where the profile is written (default: NODE.cpuprofile)")
    .option("--phases", "the phases of the jobs of the recent past, in a table")
    .action((node: string | undefined, options: ProfileOptions) =>
      run(options, async (terminal) => (await import("./profile.js")).profile(node, options, terminal)),
    );
}
