#!/usr/bin/env node
// What a person types: verbs, flags, and what comes back (contract.md, Command line).
//
// Owns: argv, environment, standard streams, the signals of client verbs, exit codes; nobody else touches them.
// Does not own: what a verb does (operations/verbs/, operations/up.ts, sim/demo.ts, node.ts).
//
// I1. A verb's modules are imported when it runs: `--help` is quick, and a client loads neither TensorFlow.js nor ONNX Runtime.
// I2. Whatever goes wrong, stdout stays clean: stderr says what, where, and what to type next.
import { readFileSync } from "node:fs";
import { basename, relative } from "node:path";
import { Command, CommanderError, Option } from "commander";
import { GuardrailError } from "./models/guard-limits.js";
import { overflowPolicies } from "./operations/overflow.js";
import { forcedExitCode } from "./operations/patience.js";
import { coloursFor } from "./operations/terminal/colours.js";
import type { Terminal } from "./operations/terminal/terminal.js";
import type { ChaosOptions } from "./operations/verbs/chaos.js";
import type { ChaosRunOptions } from "./operations/verbs/chaos-run.js";
import type { ClusterOptions } from "./operations/verbs/cluster.js";
import type { ListOptions, ResolveOptions } from "./operations/verbs/dlq.js";
import type { DrainOptions } from "./operations/verbs/drain.js";
import {
  amounts,
  byteSize,
  durationMs,
  guardrailsOf,
  natsUrl,
  positiveNumber,
  probability,
  someOf,
  timeoutsOf,
  wholeNumber,
} from "./operations/verbs/flags.js";
import type { InferOptions } from "./operations/verbs/infer.js";
import { exitCodeOf, type Outcome } from "./operations/verbs/outcome.js";
import type { ReplayOptions } from "./operations/verbs/replay.js";
import type { NodeOptions } from "./operations/verbs/run-options.js";
import type { RestoreOptions } from "./operations/verbs/snapshots.js";
import { systemClock } from "./supervision/clock.js";
import type { FaultMode } from "./transport/chaos-orders.js";

const roles = ["serving", "learning", "operations"] as const;
const faultModes: readonly FaultMode[] = ["crash", "kill", "hang", "slow", "sigkill", "sigstop"];
const inputBytesMax = 64 * 1024 * 1024;
const pipedWidth = 160;
const logMaxHelp =
  "bound of each model's experience log, as in 64MiB (default: 512MiB); beyond it requests are refused";
/** Room for a few records: less would refuse everything. */
const logMaxLow = 64 * 1024;

/** A verb that runs a cluster ends by its own rules and gives the exit code itself. */
type Work = (terminal: Terminal) => Promise<Outcome | number>;
type Run = (options: { readonly json?: boolean }, work: Work) => Promise<void>;

/** The whole grammar; `run` is given the work of the verb that was typed. */
function grammar(run: Run): Command {
  const root = new Command("driftmend")
    .description("An inference cluster that mends two kinds of damage by itself: crashes and drift.")
    .version(version(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .configureHelp({ subcommandTerm: usageOf })
    .showHelpAfterError("Type the same with --help to see what is possible.")
    .exitOverride();
  clusterVerbs(root, run);
  requestVerbs(root, run);
  lookVerbs(root, run);
  orderVerbs(root, run);
  chaosVerbs(root, run);
  deadLetterVerbs(root, run);
  checkVerbs(root, run);
  snapshotVerbs(root, run);
  return root;
}

/** "infer MODEL FILE": a verb's line in the list of verbs. */
function usageOf(command: Command): string {
  const words = command.registeredArguments.map((word) => (word.required ? word.name() : `[${word.name()}]`));
  return [command.name(), ...words.map((word) => word.toUpperCase())].join(" ");
}

function clusterVerbs(root: Command, run: Run): void {
  upVerb(root, "up", "run a cluster on this machine until Ctrl-C").action((options) =>
    run(options, async (terminal) => {
      const { runUp } = await import("./operations/up.js");
      return runUp(withPath(options), terminal);
    }),
  );
  upVerb(root, "demo", "up, and drifting digits: accuracy with and without adaptation")
    .option("--requests <n>", "end after so many requests", wholeNumber(1))
    .option("--duration <d>", "end after so long, as in 90s or 8h", durationMs)
    .option("--rate <r>", "requests per second at most", positiveNumber)
    .option("--seed <s>", "seed of the stream", wholeNumber(0), 1)
    .option("--report <file>", "write the JSON report to a file too")
    .option("--chaos", "kill the learning process now and then (SIGKILL)")
    .option("--enable-chaos-testing", "the same as --chaos")
    .option(
      "--worker-crash-probability <p>",
      "of a kill in each iteration of 10 requests, with --chaos (default: 0.01)",
      probability,
    )
    .action((options) =>
      run(options, async (terminal) => {
        const { runDemo } = await import("./sim/demo.js");
        return runDemo(withPath(options), terminal);
      }),
    );
  settable(verb(root, "node", "one node that joins a cluster anywhere, until Ctrl-C"))
    .requiredOption("--role <roles>", `what it does: ${roles.join(", ")}, separated by commas`, someOf(roles))
    .requiredOption("--nats <url>", "address of the cluster's NATS server", natsUrl)
    .option("--user <name>", "user of the nodes")
    .addOption(passwordOption("password of the nodes"))
    .option("--cluster <name>", "name of the cluster", "driftmend")
    .option("--name <name>", "name of this node (default: made from its role)")
    .option("--model <dir>", "folder of a model; give it several times for several (default: the digits)", oneMore)
    .option("--log-max <size>", logMaxHelp, byteSize(logMaxLow))
    .option("--flight-dir <dir>", "where to note which requests are in a model, so that a poison one is found")
    .addOption(new Option("--incarnation <n>").argParser(wholeNumber(1)).default(1).hideHelp())
    .addOption(new Option("--run <id>").hideHelp())
    .addOption(new Option("--spent <json>").hideHelp())
    .addOption(new Option("--spare").hideHelp())
    .action((options: NodeOptions) =>
      run(options, async (terminal) => {
        const { runNode } = await import("./node.js");
        return runNode(options, terminal);
      }),
    );
}

function upVerb(root: Command, name: string, description: string): Command {
  return settable(verb(root, name, description))
    .option("--serving <n>", "serving nodes", wholeNumber(1, 64), 1)
    .option("--model <dir>", "folder of the model (default: the digits)")
    .option("--store <dir>", "where the log and context.json are kept", ".driftmend")
    .option("--keep <pools>", "what faults must leave up, as in serving=2 (default: all but one)", amounts(roles))
    .option("--log-max <size>", logMaxHelp, byteSize(logMaxLow))
    .option("--cluster <name>", "name of the cluster", "driftmend")
    .option("--nats <url>", "use a running NATS server with JetStream instead of starting one", natsUrl)
    .option("--user <name>", "user for --nats")
    .addOption(passwordOption("password for --nats"))
    .option("--nats-server <file>", "the nats-server to start")
    .option("--no-spare", "keep no process ready to take over from the learning node");
}

/** What a node runs with beside its defaults; `up` and `demo` pass it on to theirs. */
function settable(command: Command): Command {
  return command
    .addOption(timeoutOption())
    .addOption(
      new Option("--overflow <policy>", "who goes when too many requests are open on a node (default: reject)").choices(
        overflowPolicies,
      ),
    )
    .option("--open-max <n>", "requests open at once on a node (default: 1024)", wholeNumber(1, 1_000_000))
    .option("--guardrail <name=value>", "tighten a guardrail, as in klLimit=0.02; may be given again", guardrailsOf)
    .option("--unsafe-guardrails", "let --guardrail and manifests loosen guardrails beyond what is shipped");
}

function timeoutOption(): Option {
  return new Option("--timeout <name=duration>", "a timeout, as in append=2s; may be given again (see config)")
    .env("DRIFTMEND_TIMEOUT")
    .argParser(timeoutsOf);
}

function requestVerbs(root: Command, run: Run): void {
  clientVerb(root, "infer <model> <file>", "one inference; FILE is .npy, .png, or - (.npy on stdin)")
    .option("--explain", "show the neighbours that were asked")
    .option("--id <id>", "id of the request; the same id again is the same request")
    .option("--priority <p>", "0 to 10; under pressure the low ones go first", wholeNumber(0, 10))
    .option("--deadline <d>", "answered or refused within this, as in 5s", durationMs)
    .action((model: string, file: string, options: InferOptions) =>
      run(options, async (terminal) =>
        (await import("./operations/verbs/infer.js")).infer(model, file, options, terminal),
      ),
    );
  clientVerb(root, "feedback <model> <request-id> <label>", "a late true label for an earlier request").action(
    (model: string, id: string, label: string, options: ClusterOptions) =>
      run(options, async (terminal) =>
        (await import("./operations/verbs/infer.js")).feedback(model, id, label, options, terminal),
      ),
  );
}

function lookVerbs(root: Command, run: Run): void {
  clientVerb(root, "tree", "the supervision tree: pids, generations, restarts").action((options: ClusterOptions) =>
    run(options, async (terminal) => (await import("./operations/verbs/look.js")).tree(options, terminal)),
  );
  clientVerb(root, "status", "nodes, models, memory, updates").action((options: ClusterOptions) =>
    run(options, async (terminal) => (await import("./operations/verbs/look.js")).status(options, terminal)),
  );
  clientVerb(root, "guardrails <model>", "what keeps learning from making it worse: settings and counts").action(
    (model: string, options: ClusterOptions) =>
      run(options, async (terminal) =>
        (await import("./operations/verbs/guardrails.js")).showGuardrails(model, options, terminal),
      ),
  );
  clientVerb(root, "watch [subject]", "telemetry and alerts as they happen, until Ctrl-C").action(
    (subject: string | undefined, options: ClusterOptions) =>
      run(options, async (terminal) => (await import("./operations/verbs/watch.js")).watch(subject, options, terminal)),
  );
}

function orderVerbs(root: Command, run: Run): void {
  clientVerb(root, "drain <node>", "let a node finish what is in flight and leave")
    .option("--restart", "start it again then: node after node it is a rolling restart")
    .action((node: string, options: DrainOptions) =>
      run(options, async (terminal) => (await import("./operations/verbs/drain.js")).drain(node, options, terminal)),
    );
}

function chaosVerbs(root: Command, run: Run): void {
  const chaos = root.command("chaos").description("inject faults and read their receipts").helpCommand(false);
  clientVerb(chaos, "kill <target>", "one fault; TARGET is a node or an actor of `tree`, as in updater or learning-1")
    .addOption(
      new Option("--mode <mode>", "the fault (default: kill for an actor, sigkill for a node)").choices(faultModes),
    )
    .option("--for <d>", "how long hang, slow or sigstop last, as in 5s", durationMs)
    .option("--force", "also when it leaves a pool under its minimum, or the target has a fault already")
    .action((target: string, options: ChaosOptions) =>
      run(options, async (terminal) =>
        (await import("./operations/verbs/chaos.js")).chaosKill(target, options, terminal),
      ),
    );
  clientVerb(chaos, "run", "a seeded schedule of faults over actors, nodes and broker, with a report")
    .option("--probability <p>", "of a fault in each iteration", probability, 0.01)
    .addOption(new Option("--duration <d>", "end after so long, as in 2m").argParser(durationMs).default(60_000, "1m"))
    .option("--seed <s>", "seed of the schedule", wholeNumber(0), 1)
    .addOption(new Option("--every <d>", "one iteration every so often").argParser(durationMs).default(100, "100ms"))
    .option(
      "--targets <kinds>",
      "actors, nodes, broker, separated by commas (default: all)",
      someOf(["actors", "nodes", "broker"]),
    )
    .option(
      "--modes <modes>",
      `only these of ${faultModes.join(", ")} (default: kill, crash, sigkill, seldom sigstop)`,
      someOf(faultModes),
    )
    .action((options: ChaosRunOptions) =>
      run(options, async (terminal) => (await import("./operations/verbs/chaos-run.js")).chaosRun(options, terminal)),
    );
  clientVerb(chaos, "ls", "every fault that is active, and every schedule that runs").action(
    (options: ClusterOptions) =>
      run(options, async (terminal) =>
        (await import("./operations/verbs/chaos-active.js")).chaosList(options, terminal),
      ),
  );
  clientVerb(chaos, "halt", "end every active fault and every running schedule").action((options: ClusterOptions) =>
    run(options, async (terminal) => (await import("./operations/verbs/chaos-active.js")).chaosHalt(options, terminal)),
  );
}

function deadLetterVerbs(root: Command, run: Run): void {
  const dlq = root
    .command("dlq")
    .description("jobs the cluster gave up on: look, run again, resolve")
    .helpCommand(false);
  const verbs = () => import("./operations/verbs/dlq.js");
  clientVerb(dlq, "ls", "the dead letters, newest first")
    .option("--model <name>", "of one model only")
    .option("--limit <n>", "how many", wholeNumber(1, 1_000), 50)
    .option("--cursor <id>", "those older than this one", wholeNumber(1))
    .action((options: ListOptions) =>
      run(options, async (terminal) => (await verbs()).listDeadLetters(options, terminal)),
    );
  clientVerb(dlq, "show <id>", "one dead letter whole; ID is from the list, or the job's own").action(
    (id: string, options: ClusterOptions) =>
      run(options, async (terminal) => (await verbs()).showDeadLetter(id, options, terminal)),
  );
  clientVerb(dlq, "requeue <id>", "run the job again, once, under its own id").action(
    (id: string, options: ClusterOptions) =>
      run(options, async (terminal) => (await verbs()).requeueDeadLetter(id, options, terminal)),
  );
  clientVerb(dlq, "resolve <id>", "say what was found out about it")
    .requiredOption("--note <text>", "what was found out, or done")
    .action((id: string, options: ResolveOptions) =>
      run(options, async (terminal) => (await verbs()).resolveDeadLetter(id, options, terminal)),
    );
}

function checkVerbs(root: Command, run: Run): void {
  clientVerb(root, "replay <model>", "fold the log again, compare with the committed chain")
    .requiredOption("--verify", "compare; it is the only thing replay does")
    .option("--until <seq>", "fold the updates up to this sequence only", wholeNumber(1))
    .option("--model <dir>", "folder of the model (default: the digits)")
    .action((model: string, options: ReplayOptions) =>
      run(options, async (terminal) => {
        const { replay } = await import("./operations/verbs/replay.js");
        return replay(model, options, terminal);
      }),
    );
  settable(verb(root, "config", "every timeout and bound: value, source, what it bounds"))
    .option("--context <file>", "context file of the cluster (default: .driftmend/context.json)")
    .action((options) =>
      run(options, async (terminal) => (await import("./operations/verbs/config.js")).config(options, terminal)),
    );
  verb(root, "doctor", "can a cluster run here, and if not, what to type")
    .option("--store <dir>", "where the log would be kept", ".driftmend")
    .option("--nats-server <file>", "the nats-server to look at")
    .action((options) =>
      run(options, async (terminal) =>
        (await import("./operations/verbs/doctor.js")).doctor(withPath(options), terminal),
      ),
    );
}

function snapshotVerbs(root: Command, run: Run): void {
  const snapshots = clientVerb(root, "snapshots <model>", "the snapshots that are kept of a model").helpCommand(false);
  snapshots.action((model: string, options: ClusterOptions) =>
    run(options, async (terminal) =>
      (await import("./operations/verbs/snapshots.js")).listSnapshots(model, options, terminal),
    ),
  );
  clientVerb(snapshots, "restore <model>", "go back to snapshot SEQ, as a new committed version")
    .argument("[seq]", "a snapshot's sequence", wholeNumber(1))
    .option("--until <update>", "go back to the state behind this update instead", wholeNumber(1))
    .action((model: string, seq: number | undefined, _: unknown, command: Command) => {
      // The verb above takes the same options, and what is typed may end up with it.
      const options: RestoreOptions & { json?: boolean } = command.optsWithGlobals();
      return run(options, async (terminal) => {
        const { restoreSnapshot } = await import("./operations/verbs/snapshots.js");
        return restoreSnapshot(model, seq, options, terminal);
      });
    });
}

function verb(parent: Command, usage: string, description: string): Command {
  return parent.command(usage).description(description).option("--json", "machine-readable output on stdout");
}

/** A verb of a client: it finds the cluster by its context file, or by address. */
function clientVerb(parent: Command, usage: string, description: string): Command {
  return verb(parent, usage, description)
    .option("--context <file>", "context file of the cluster (default: .driftmend/context.json)")
    .addOption(timeoutOption())
    .option("--nats <url>", "address of the cluster, instead of a context file", natsUrl)
    .option("--user <name>", "user for --nats")
    .addOption(passwordOption("password for --nats"))
    .option("--cluster <name>", "name of the cluster, with --nats");
}

/** A password on the command line is seen by every user of the machine, so it may come from the environment. */
function passwordOption(description: string): Option {
  return new Option("--password <secret>", description).env("DRIFTMEND_PASSWORD");
}

function oneMore(word: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), word];
}

function withPath<T extends object>(options: T): T & { readonly searchPath: string } {
  return { ...options, searchPath: process.env.PATH ?? "" };
}

function version(): string {
  const found: { readonly version?: string } = JSON.parse(
    readFileSync(new URL("../package.json", import.meta.url), "utf8"),
  );
  return found.version ?? "unknown";
}

function terminalOf(json: boolean, { interrupted, insisted }: Signals): Terminal {
  const { stdout, stderr } = process;
  const { NO_COLOR: noColour = "", TERM: kind = "" } = process.env;
  // Of a pipe isTTY is undefined, whatever the types say; an undefined switch would leave the choice to the library.
  const colourful = stdout.isTTY === true && noColour === "" && kind !== "dumb";
  return {
    print: (text) => void stdout.write(`${text}\n`),
    note: (text) => void stderr.write(`${text}\n`),
    readInput,
    json,
    self: selfOf(process.argv[1] ?? ""),
    width: stdout.isTTY ? Math.max(stdout.columns, 40) : pipedWidth,
    colours: coloursFor(colourful),
    clock: systemClock,
    interrupted,
    insisted,
  };
}

/** What to type to get here again: the linked name, or the file. */
function selfOf(script: string): string {
  return basename(script) === "cli.js" ? `node ${relative(process.cwd(), script)}` : "driftmend";
}

async function readInput(): Promise<Uint8Array> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of process.stdin) {
    parts.push(part);
    length += part.length;
    if (length > inputBytesMax) break;
  }
  return Buffer.concat(parts);
}

type Signals = Pick<Terminal, "interrupted"> & { readonly insisted: AbortSignal };

/** Longer than an end by force takes. */
const insistedMs = 3_000;

/** The first SIGINT or SIGTERM asks for an orderly end, the second for one by force, whatever the verb is busy with. */
function signals(): Signals {
  const [first, second] = [new AbortController(), new AbortController()];
  const stop = (): void => {
    if (!first.signal.aborted) {
      first.abort();
      return;
    }
    second.abort();
    systemClock.after(insistedMs, () => process.exit(forcedExitCode));
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, stop);
  return { interrupted: first.signal, insisted: second.signal };
}

/** An error of ours or of the system is about the world and says what it means; any other is our bug and shows where. */
function explain(error: unknown): Outcome {
  if (!(error instanceof Error)) return { kind: "failed", message: String(error), next: "driftmend doctor" };
  if (error instanceof GuardrailError)
    return { kind: "usage", message: error.message, next: "driftmend config lists the guardrails" };
  const foreseen =
    "code" in error || !["Error", "TypeError", "RangeError", "ReferenceError", "SyntaxError"].includes(error.name);
  if (foreseen) return { kind: "failed", message: error.message, next: "driftmend doctor looks at this machine" };
  return {
    kind: "failed",
    message: `a bug in driftmend: ${error.stack ?? error.message}`,
    next: "report it with this text",
  };
}

async function main(argv: readonly string[]): Promise<number> {
  let code = 0;
  const end = (outcome: Outcome | number): void => {
    code = typeof outcome === "number" ? outcome : exitCodeOf(outcome);
    if (typeof outcome === "object" && "message" in outcome)
      process.stderr.write(`driftmend: ${outcome.message}\n  -> ${outcome.next}\n`);
  };
  const run: Run = async ({ json }, work) => {
    end(await work(terminalOf(json === true, signals())).catch(explain));
  };
  try {
    await grammar(run).parseAsync(argv);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // Help and version that were asked for end with 0; commander has printed already whatever there is to say.
    return error.exitCode === 0 ? 0 : exitCodeOf({ kind: "usage", message: error.message, next: "" });
  }
  return code;
}

// ONNX Runtime would report to its maker from here, and leave a log file per process in the directory for temporary files.
process.env.ORT_DISABLE_TELEMETRY ??= "1";
// A reader that left, as in `driftmend watch | head`, is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
const exitCode = await main(process.argv);
// What was written must have left before the process does.
process.stdout.write("", () => process.stderr.write("", () => process.exit(exitCode)));
