// The words that verbs share: flags of a client, of a node, of a cluster, and how a verb's work is run.
//
// Owns: these flags and their help. Does not own: the verbs (client-grammar.ts, cli.ts), what a flag's value means (flags.ts).

import { type Command, Option } from "commander";
import { executionProviders } from "../../models/serving/execution-provider.js";
import { logLevels } from "../../supervision/logger.js";
import type { Outcome } from "../cluster/outcome.js";
import { overflowPolicies } from "../overflow.js";
import type { Terminal } from "../terminal/terminal.js";
import { guardrailsOf, natsUrl, otlpUrl, shmPlace, timeoutsOf, traceWord, wholeNumber } from "./flags.js";

/** A verb that runs a cluster ends by its own rules and gives the exit code itself. */
export type Work = (terminal: Terminal) => Promise<Outcome | number>;
export type Run = (options: { readonly json?: boolean }, work: Work) => Promise<void>;

export function verb(parent: Command, usage: string, description: string): Command {
  return parent.command(usage).description(description).option("--json", "machine-readable output on stdout");
}

/** A verb of a client: it finds the cluster by its context file, or by address. */
export function clientVerb(parent: Command, usage: string, description: string): Command {
  return verb(parent, usage, description)
    .option("--context <file>", "context file of the cluster (default: .driftmend/context.json)")
    .addOption(timeoutOption())
    .option("--nats <url>", "address of the cluster, instead of a context file", natsUrl)
    .option("--user <name>", "user for --nats")
    .addOption(passwordOption("password for --nats"))
    .addOption(nkeyOption("file with the user's nkey seed, for --nats, instead of a password"))
    .addOption(tlsOption("ca"))
    .addOption(tlsOption("cert"))
    .addOption(tlsOption("key"))
    .option("--cluster <name>", "name of the cluster, with --nats");
}

/** What a node runs with beside its defaults; `up` and `demo` pass it on to theirs. */
export function settable(command: Command): Command {
  return command
    .addOption(timeoutOption())
    .addOption(
      new Option("--overflow <policy>", "who goes when too many requests are open on a node (default: reject)").choices(
        overflowPolicies,
      ),
    )
    .option("--trace <what>", "what is traced: off, errors, all, or a part of all, as in 0.1 (default: all)", traceWord)
    .option("--otlp <url>", "send spans to an OpenTelemetry collector, as in http://127.0.0.1:4318", otlpUrl)
    .addOption(
      new Option("--log-level <level>", "least level of log lines on stderr (default: warn)").choices(logLevels),
    )
    .addOption(shmOption())
    .addOption(
      new Option(
        "--ep <provider>",
        "where models compute; cuda falls back to cpu with a warning, and its answers may differ in their last bits (default: cpu)",
      ).choices(executionProviders),
    )
    .option("--open-max <n>", "requests open at once on a node (default: 1024)", wholeNumber(1, 1_000_000))
    .option("--guardrail <name=value>", "tighten a guardrail, as in klLimit=0.02; may be given again", guardrailsOf)
    .option("--operations <file>", "YAML with health checks and who is told of alerts (docs/health.md, docs/alerts.md)")
    .option("--unsafe-guardrails", "let --guardrail and manifests loosen guardrails beyond what is shipped");
}

/** Of whoever sends or receives large tensors. */
export function shmOption(): Option {
  const help = "where shared memory is, for large tensors on one host, or off: they go in chunks (default: /dev/shm)";
  return new Option("--shm <dir>", help).argParser(shmPlace);
}

function timeoutOption(): Option {
  return new Option("--timeout <name=duration>", "a timeout, as in append=2s; may be given again (see config)")
    .env("DRIFTMEND_TIMEOUT")
    .argParser(timeoutsOf);
}

/** A password on the command line is seen by every user of the machine, so it may come from the environment. */
export function passwordOption(description: string): Option {
  return new Option("--password <secret>", description).env("DRIFTMEND_PASSWORD");
}

/** A file: a seed on the command line would be seen by every user of the machine. */
export function nkeyOption(description: string): Option {
  return new Option("--nkey <file>", description).env("DRIFTMEND_NKEY");
}

const tlsHelp = {
  ca: "PEM file of the authority that signed the server's certificate (default: the system's)",
  cert: "PEM file of a certificate to show the server, where it asks for one",
  key: "PEM file of that certificate's key",
} as const;

export function tlsOption(what: keyof typeof tlsHelp): Option {
  return new Option(`--tls-${what} <file>`, tlsHelp[what]).env(`DRIFTMEND_TLS_${what.toUpperCase()}`);
}

export function oneMore(word: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), word];
}
