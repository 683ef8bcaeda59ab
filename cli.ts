#!/usr/bin/env node
// What a person types: verbs, flags, and what comes back (contract.md, Command line).
//
// Owns: argv, environment, standard streams, the signals of client verbs, exit codes; nobody else touches them.
// Does not own: what a verb does (operations/verbs/, operations/cluster/up.ts, sim/demo.ts, node.ts).
//
// I1. A verb's modules are imported when it runs: `--help` is quick, and a client loads neither TensorFlow.js nor ONNX Runtime.
// I2. Whatever goes wrong, stdout stays clean: stderr says what, where, and what to type next.
import { readFileSync } from "node:fs";
import { basename, relative } from "node:path";
import { Command, CommanderError, Option } from "commander";
import { GuardrailError } from "./models/learning/guard-limits.js";
import type { ModelError } from "./models/manifest.js";
import { nameSources } from "./models/source-positions.js";
import { AccessError } from "./operations/cluster/listening.js";
import { exitCodeOf, type Outcome } from "./operations/cluster/outcome.js";
import { forcedExitCode } from "./operations/cluster/patience.js";
import { meterSwitches, type NodeOptions, type UpOptions } from "./operations/cluster/run-options.js";
import { HttpAccessError } from "./operations/http/http-tokens.js";
import { OperationsFileError } from "./operations/operations-file-error.js";
import { coloursFor } from "./operations/terminal/colours.js";
import type { Terminal } from "./operations/terminal/terminal.js";
import { clientVerbs } from "./operations/verbs/client-grammar.js";
import {
  amounts,
  byteSize,
  durationMs,
  httpAddress,
  listenAddress,
  natsUrl,
  positiveNumber,
  probability,
  someOf,
  wholeNumber,
} from "./operations/verbs/flags.js";
import {
  nkeyOption,
  oneMore,
  passwordOption,
  type Run,
  settable,
  tlsOption,
  verb,
} from "./operations/verbs/grammar.js";
import { methodNames } from "./sim/evaluation/methods/names.js";
import { stabilityVerb } from "./sim/stability/grammar.js";
import { unseenVariants, variants } from "./sim/stream.js";
import { systemClock } from "./supervision/clock.js";
import { tensorBytesMax } from "./transport/tensors/bounds.js";

const roles = ["serving", "learning", "operations"] as const;
/** One tensor and its header. */
const inputBytesMax = tensorBytesMax + 1024 * 1024;
const pipedWidth = 160;
const logMaxHelp =
  "bound of each model's experience log, as in 64MiB (default: 512MiB); beyond it requests are refused";
const httpRateHelp =
  "requests a minute over HTTP from one address with one token (default: 600000 on loopback, 6000 beyond)";
const replicasHelp = "copies of every stream, each on a server of its own (default: 1; 3 for three servers)";
/** Room for a few records: less would refuse everything. */
const logMaxLow = 64 * 1024;

/** The whole grammar; `run` is given the work of the verb that was typed. */
function grammar(run: Run): Command {
  const root = new Command("driftmend")
    .description("An inference cluster that mends two kinds of damage by itself: crashes and drift.")
    .version(version(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .configureHelp({ subcommandTerm: usageOf })
    .showHelpAfterError("Type the same with --help to see what is possible.")
    // An address that is refused for the password in it is not said again: what is typed here ends in journals.
    .configureOutput({ outputError: (words, write) => write(words.replace(/\/\/[^\s']*@/g, "//...@")) })
    .exitOverride();
  clusterVerbs(root, run);
  clientVerbs(root, run, process.env.PATH ?? "");
  soakVerb(root, run);
  stabilityVerb(root, run, process.env.PATH ?? "");
  evalVerb(root, run);
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
      const { runUp } = await import("./operations/cluster/up.js");
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
    .requiredOption("--nats <url>", "address of the cluster's NATS server; of several with commas between", natsUrl)
    .option("--replicas <n>", replicasHelp, wholeNumber(1, 5))
    .option("--user <name>", "user of the nodes")
    .addOption(passwordOption("password of the nodes"))
    .addOption(nkeyOption("file with the nodes' nkey seed, instead of a password"))
    .addOption(tlsOption("ca"))
    .addOption(tlsOption("cert"))
    .addOption(tlsOption("key"))
    .option("--cluster <name>", "name of the cluster", "driftmend")
    .option("--name <name>", "name of this node (default: made from its role)")
    .option("--model <dir>", "folder of a model; give it several times for several (default: the digits)", oneMore)
    .option("--log-max <size>", logMaxHelp, byteSize(logMaxLow))
    .option(
      "--http <address>",
      "serve HTTP on HOST:PORT or PORT, as an operations node (default: not at all)",
      httpAddress,
    )
    .option("--http-rate <n>", httpRateHelp, wholeNumber(1))
    .option("--flight-dir <dir>", "where to note which requests are in a model, so that a poison one is found")
    .addOption(new Option("--incarnation <n>").argParser(wholeNumber(1)).default(1).hideHelp())
    .addOption(new Option("--run <id>").hideHelp())
    .addOption(new Option("--model-cache <dir>").hideHelp())
    .addOption(new Option("--spent <json>").hideHelp())
    .addOption(new Option("--spare").hideHelp())
    .addOption(new Option("--meter-switch <what>").choices(meterSwitches).hideHelp())
    .addOption(new Option("--http-reports <dir>").hideHelp())
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
    .option("--model <dir>", "folder of a model; give it several times for several (default: the digits)", oneMore)
    .option("--store <dir>", "where the log and context.json are kept", ".driftmend")
    .option("--keep <pools>", "what faults must leave up, as in serving=2 (default: all but one)", amounts(roles))
    .option("--log-max <size>", logMaxHelp, byteSize(logMaxLow))
    .option("--cluster <name>", "name of the cluster", "driftmend")
    .option("--nats <url>", "use a running NATS server with JetStream instead of starting one", natsUrl)
    .option("--replicas <n>", `${replicasHelp}; with --nats`, wholeNumber(1, 5))
    .option("--user <name>", "user for --nats")
    .addOption(passwordOption("password for --nats"))
    .addOption(nkeyOption("file with the user's nkey seed, for --nats, instead of a password"))
    .option("--nats-server <file>", "the nats-server to start")
    .option("--listen <address>", "where that server listens: HOST or HOST:PORT (default: loopback)", listenAddress)
    .option("--tls-cert <file>", "PEM file of that server's certificate; with --nats, of one to show it")
    .option("--tls-key <file>", "PEM file of that certificate's key")
    .option("--tls-ca <file>", "PEM file of the authority that signed it, and its clients' with --tls-verify")
    .option("--tls-verify", "let in only who has a certificate of --tls-ca")
    .option("--accept-known-holes", "listen beyond loopback with a server that has known security holes")
    .option("--plaintext", "listen beyond loopback without TLS")
    .option(
      "--http <address>",
      "serve HTTP on HOST:PORT or PORT (default: 7480 on loopback, or any free port)",
      httpAddress,
    )
    .option("--no-http", "serve no HTTP")
    .option("--http-rate <n>", httpRateHelp, wholeNumber(1))
    .option("--no-spare", "keep no process ready to take over from the learning node");
}

function soakVerb(root: Command, run: Run): void {
  verb(root, "soak", "kill everything under load on a cluster of its own, and check that nothing was lost")
    .option("--seed <s>", "seed of the faults and of the stream", wholeNumber(0), 1)
    .option("--actor-kills <n>", "kills and crashes of actors", wholeNumber(0), 2_000)
    .option("--node-kills <n>", "kill -9 of node processes", wholeNumber(0), 100)
    .option(
      "--stops <n>",
      "SIGSTOPs of nodes, every other one longer than the writer's lease lives",
      wholeNumber(0),
      10,
    )
    .option("--broker-kills <n>", "kill -9 of the broker", wholeNumber(0), 10)
    .option("--rate <r>", "requests per second", positiveNumber, 40)
    .option("--serving <n>", "serving nodes", wholeNumber(1, 8), 1)
    .option("--store <dir>", "keep the log here (default: a temporary directory that goes when all is well)")
    .option("--report <file>", "write the JSON report to a file too")
    .option("--nats-server <file>", "the nats-server to start")
    .action((options) =>
      run(options, async (terminal) => {
        const { runSoakVerb } = await import("./sim/soak/verb.js");
        return runSoakVerb(withPath(options), terminal);
      }),
    );
}

function evalVerb(root: Command, run: Run): void {
  verb(root, "eval", "compare methods of adaptation on the same drifting streams")
    .argument("[model]", "folder of the model (default: the digits)")
    .option(
      "--streams <names>",
      `which of ${variants.join(", ")} (default: these), ${unseenVariants.join(", ")}`,
      someOf([...variants, ...unseenVariants]),
    )
    .option("--methods <names>", `which of ${methodNames.join(", ")} (default: every one)`, someOf(methodNames))
    .option("--seeds <n>", "seeds 1 to n of each stream (default: 3)", wholeNumber(1, 100))
    .option("--requests <n>", "of each stream and seed (default: 4500)", wholeNumber(1, 100_000))
    .option("--micro-batch <n>", "requests that driftmend's stages answer at once", wholeNumber(1, 64), 1)
    .option("--quick", "one seed, 900 requests, short drifts: a look within two minutes")
    .option("--report <dir>", "write report.json and report.html there")
    .action((model, options) =>
      run(options, async (terminal) => {
        const { runEvalVerb } = await import("./sim/evaluation/verb.js");
        return runEvalVerb(model, options, terminal);
      }),
    );
}

function version(): string {
  const found: { readonly version?: string } = JSON.parse(
    readFileSync(new URL("../package.json", import.meta.url), "utf8"),
  );
  return found.version ?? "unknown";
}

function withPath<T extends object>(options: T): T & Pick<UpOptions, "searchPath" | "environment"> {
  return { ...options, searchPath: process.env.PATH ?? "", environment: process.env };
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

/**
 * Aborted when stdout takes no more. A reader that left, as in `driftmend watch | head`, is no failure: the verb ends as by Ctrl-C, so that `demo | head`
 * drains and leaves nothing behind, and the exit code is 0; 1 where the disk behind stdout is full.
 */
const unheard = new AbortController();
let unheardCode = 0;

function leaveUnheard(error: Error): void {
  if (unheard.signal.aborted) return;
  if (!("code" in error && error.code === "EPIPE")) {
    unheardCode = 1;
    process.stderr.write(`driftmend: what was to be printed could not be written: ${error.message}\n`);
  }
  unheard.abort();
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
  unheard.signal.addEventListener("abort", () => first.abort(), { once: true });
  return { interrupted: first.signal, insisted: second.signal };
}

/** Told by its shape: the class would bring the reading of models into every verb's start (I1). */
function isModelError(error: Error): error is Error & Pick<ModelError, "file" | "problem" | "action"> {
  return error.name === "ModelError" && "file" in error && "problem" in error && "action" in error;
}

/** An error of ours or of the system is about the world and says what it means; any other is our bug and shows where. */
function explain(error: unknown): Outcome {
  if (!(error instanceof Error)) return { kind: "failed", message: String(error), next: "driftmend doctor" };
  if (isModelError(error)) return { kind: "failed", message: `${error.file}: ${error.problem}`, next: error.action };
  if (error instanceof GuardrailError)
    return { kind: "usage", message: error.message, next: "driftmend config lists the guardrails" };
  if (error instanceof HttpAccessError)
    return {
      kind: "usage",
      message: error.message,
      next: "driftmend node --help; driftmend up makes the tokens itself",
    };
  if (error instanceof AccessError) return { kind: "usage", message: error.message, next: error.next };
  if (error instanceof OperationsFileError)
    return {
      kind: "failed",
      message: error.message,
      next: "driftmend config check FILE; docs/health.md, docs/alerts.md",
    };
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
    const outcome = await work(terminalOf(json === true, signals())).catch(explain);
    // Only a verb that was cut short by it ends as the reader did: what had failed before has failed.
    const isCut = unheard.signal.aborted && typeof outcome === "object" && outcome.kind === "interrupted";
    end(isCut ? 0 : outcome);
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

nameSources();
// ONNX Runtime would report to its maker from here, and leave a log file per process in the directory for temporary files.
process.env.ORT_DISABLE_TELEMETRY ??= "1";
process.stdout.on("error", leaveUnheard);
// Whoever stops reading the log does not end the cluster that writes it; unheard of, this error would end the process, in the middle of a drain.
process.stderr.on("error", () => undefined);
void main(process.argv).then((exitCode) => {
  // What was written must have left before the process does. What was lost by the last write is told here first, and as an event too late.
  process.stdout.write("", (lost) => {
    if (lost instanceof Error) leaveUnheard(lost);
    process.stderr.write("", () => process.exit(exitCode === 0 ? unheardCode : exitCode));
  });
});
