// What a person types to a cluster that runs: requests, looks, orders, faults, dead letters, snapshots, checks.
//
// Owns: these verbs and their flags. Does not own: what they do (the files beside this one), the verbs that run a cluster (cli.ts).
//
// I1. A verb's modules are imported when it runs: a client loads neither TensorFlow.js nor ONNX Runtime.

import { type Command, Option } from "commander";
import { roles as credentialRoles } from "../../transport/access/credentials.js";
import type { FaultMode } from "../../transport/messages/chaos-orders.js";
import type { NoteOptions, SilenceOptions } from "./alerts.js";
import { authVerbs } from "./auth-grammar.js";
import type { ChaosOptions } from "./chaos.js";
import type { ChaosRunOptions } from "./chaos-run.js";
import type { ClusterOptions } from "./cluster.js";
import type { ListOptions, ResolveOptions } from "./dlq.js";
import type { DrainOptions } from "./drain.js";
import { durationMs, fromTo, monitorUrl, oneAccepted, probability, someOf, valueRange, wholeNumber } from "./flags.js";
import { clientVerb, type Run, settable, shmOption, verb } from "./grammar.js";
import type { FeedbackOptions, InferOptions } from "./infer.js";
import type { LeasesOptions } from "./leases.js";
import type { TopOptions } from "./metrics.js";
import type { ModelInitOptions } from "./model-init.js";
import type { RemoveOptions } from "./models.js";
import type { PageOptions } from "./page.js";
import type { ReplayOptions } from "./replay.js";
import type { RestoreOptions } from "./snapshots.js";
import { traceVerbs } from "./trace-grammar.js";

const faultModes: readonly FaultMode[] = ["crash", "kill", "hang", "slow", "sigkill", "sigstop"];

export function clientVerbs(root: Command, run: Run, searchPath: string): void {
  requestVerbs(root, run);
  lookVerbs(root, run);
  orderVerbs(root, run);
  chaosVerbs(root, run);
  deadLetterVerbs(root, run);
  alertVerbs(root, run);
  snapshotVerbs(root, run);
  modelVerbs(root, run);
  checkVerbs(root, run, searchPath);
  authVerbs(root, run);
  traceVerbs(root, run);
}

function modelVerbs(root: Command, run: Run): void {
  const model = root.command("model").description("models of your own: make, add, list, remove").helpCommand(false);
  verb(model, "init <file.onnx>", "make an ONNX classifier a model that the cluster serves and adapts")
    .requiredOption("--labels <labels>", "the classes in the order of the output: a,b,c or a file with one a line")
    .requiredOption("--data <file.npz>", "clean labelled examples: x [rows, ...] and y [rows] of class numbers")
    .requiredOption("--out <dir>", "the model folder to write")
    .option("--name <name>", "name of the model (default: made from the file's)")
    .option("--accept <dt:scale>", "a type that requests may have, as in |u1:1/255; may be given again", oneAccepted)
    .option("--range <low:high>", "values taken, at the model's scale (default: made from the data)", valueRange)
    .option("--force", "write over a model in --out")
    .action((file: string, options: ModelInitOptions) =>
      run(options, async (terminal) => (await import("./model-init.js")).modelInit(file, options, terminal)),
    );
  const verbs = () => import("./models.js");
  clientVerb(model, "add <dir>", "serve the model in DIR beside the others; nothing is restarted").action(
    (folder: string, options: ClusterOptions) =>
      run(options, async (terminal) => (await verbs()).addModel(folder, options, terminal)),
  );
  clientVerb(model, "ls", "the models of the cluster, and on how many nodes each is up").action(
    (options: ClusterOptions) => run(options, async (terminal) => (await verbs()).listModels(options, terminal)),
  );
  clientVerb(model, "show <name>", "one model: where it is up, what it is made of").action(
    (name: string, options: ClusterOptions) =>
      run(options, async (terminal) => (await verbs()).showModel(name, options, terminal)),
  );
  clientVerb(model, "rm <name>", "serve an added model no more: what is open is answered, its log is kept")
    .option("--purge-log", "its log, what it learned and remembers, goes too")
    .action((name: string, options: RemoveOptions) =>
      run(options, async (terminal) => (await verbs()).removeModel(name, options, terminal)),
    );
}

function requestVerbs(root: Command, run: Run): void {
  clientVerb(root, "infer <model> <file>", "one inference; FILE is .npy, .png, or - (.npy on stdin)")
    .option("--explain", "show the neighbours that were asked")
    .option("--id <id>", "id of the request; the same id again is the same request")
    .option("--priority <p>", "0 to 10; under pressure the low ones go first", wholeNumber(0, 10))
    .option("--deadline <d>", "answered or refused within this, as in 5s", durationMs)
    .addOption(shmOption())
    .action((model: string, file: string, options: InferOptions) =>
      run(options, async (terminal) => (await import("./infer.js")).infer(model, file, options, terminal)),
    );
  clientVerb(
    root,
    "feedback <model> <request-id> [label]",
    "a late true label for an earlier request, or what its answer was worth",
  )
    .option("--reward <r>", "-1 (a bad answer) to 1 (the right one), when the label is not known", fromTo(-1, 1))
    .option("--show", "what the memory has of it: label, confidence, priority")
    .action((model: string, id: string, label: string | undefined, options: FeedbackOptions) =>
      run(options, async (terminal) => (await import("./infer.js")).feedback(model, id, label, options, terminal)),
    );
}

function lookVerbs(root: Command, run: Run): void {
  clientVerb(root, "tree", "the supervision tree: pids, generations, restarts").action((options: ClusterOptions) =>
    run(options, async (terminal) => (await import("./look.js")).tree(options, terminal)),
  );
  clientVerb(root, "status", "nodes, models, memory, updates").action((options: ClusterOptions) =>
    run(options, async (terminal) => (await import("./look.js")).status(options, terminal)),
  );
  clientVerb(root, "leases", "large tensors in shared memory: who holds which, for how long; what became of the others")
    .addOption(shmOption())
    .action((options: LeasesOptions) =>
      run(options, async (terminal) => (await import("./leases.js")).leases(options, terminal)),
    );
  figureVerbs(root, run);
  verb(root, "page", "the link to the cluster's page; with --operator, one that may give orders")
    .option("--operator", "put the operator's token into the link: whoever has it may kill nodes")
    .option("--context <file>", "context file of the cluster (default: .driftmend/context.json)")
    .action((options: PageOptions) =>
      run(options, async (terminal) => (await import("./page.js")).showPage(options, terminal)),
    );
  clientVerb(root, "guardrails <model>", "what keeps learning from making it worse: settings and counts").action(
    (model: string, options: ClusterOptions) =>
      run(options, async (terminal) => (await import("./guardrails.js")).showGuardrails(model, options, terminal)),
  );
  clientVerb(root, "watch [subject]", "telemetry and alerts as they happen, until Ctrl-C").action(
    (subject: string | undefined, options: ClusterOptions) =>
      run(options, async (terminal) => (await import("./watch.js")).watch(subject, options, terminal)),
  );
}

function figureVerbs(root: Command, run: Run): void {
  const verbs = () => import("./metrics.js");
  const metrics = clientVerb(
    root,
    "metrics",
    "vitals, models, pools, jobs and phases, queues, logs, nodes",
  ).helpCommand(false);
  metrics.action((options: ClusterOptions) =>
    run(options, async (terminal) => (await verbs()).metrics(options, terminal)),
  );
  clientVerb(metrics, "reset-peaks", "let the highest utilization of the pools count anew").action(
    (_: ClusterOptions, command: Command) => {
      // The verb above takes the same options, and what is typed may end up with it.
      const options: ClusterOptions = command.optsWithGlobals();
      return run(options, async (terminal) => (await verbs()).resetPeaks(options, terminal));
    },
  );
  clientVerb(root, "top", "nodes, pools, jobs, queues and models, redrawn every second until q or Ctrl-C")
    .option("--once", "one look, and end")
    .action((options: TopOptions) =>
      run(options, async (terminal) => {
        const [{ top }, { processScreen }] = await Promise.all([verbs(), import("../terminal/live-screen.js")]);
        return top(options, terminal, processScreen());
      }),
    );
  clientVerb(root, "subjects", "the queues: where each is, how deep, how old its oldest message").action(
    (options: ClusterOptions) => run(options, async (terminal) => (await verbs()).listSubjects(options, terminal)),
  );
}

function orderVerbs(root: Command, run: Run): void {
  clientVerb(root, "drain <node>", "let a node finish what is in flight and leave")
    .option("--restart", "start it again then: node after node it is a rolling restart")
    .action((node: string, options: DrainOptions) =>
      run(options, async (terminal) => (await import("./drain.js")).drain(node, options, terminal)),
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
      run(options, async (terminal) => (await import("./chaos.js")).chaosKill(target, options, terminal)),
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
      run(options, async (terminal) => (await import("./chaos-run.js")).chaosRun(options, terminal)),
    );
  clientVerb(chaos, "ls", "every fault that is active, and every schedule that runs").action(
    (options: ClusterOptions) =>
      run(options, async (terminal) => (await import("./chaos-active.js")).chaosList(options, terminal)),
  );
  clientVerb(chaos, "halt", "end every active fault and every running schedule").action((options: ClusterOptions) =>
    run(options, async (terminal) => (await import("./chaos-active.js")).chaosHalt(options, terminal)),
  );
}

function deadLetterVerbs(root: Command, run: Run): void {
  const dlq = root
    .command("dlq")
    .description("jobs the cluster gave up on: look, run again, resolve")
    .helpCommand(false);
  const verbs = () => import("./dlq.js");
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

function alertVerbs(root: Command, run: Run): void {
  const alerts = root
    .command("alerts")
    .description("what fires: list, acknowledge, silence, test the way to people")
    .helpCommand(false);
  const verbs = () => import("./alerts.js");
  clientVerb(alerts, "ls", "what fires, what is over, what is silenced").action((options: ClusterOptions) =>
    run(options, async (terminal) => (await verbs()).listAlerts(options, terminal)),
  );
  clientVerb(alerts, "ack <fingerprint>", "somebody knows: it is not told again, its end is; FINGERPRINT as in ls")
    .option("--note <text>", "for whoever looks at the list")
    .action((fingerprint: string, options: NoteOptions) =>
      run(options, async (terminal) => (await verbs()).acknowledgeAlert(fingerprint, options, terminal)),
    );
  clientVerb(alerts, "silence <match>", "tell nobody for a while; MATCH is an alert's name, or one fingerprint")
    .requiredOption("--for <d>", "how long, as in 1h", durationMs)
    .option("--note <text>", "for whoever looks at the list")
    .action((match: string, options: SilenceOptions) =>
      run(options, async (terminal) => (await verbs()).silenceAlerts(match, options, terminal)),
    );
  clientVerb(alerts, "unsilence <match>", "end a silence").action((match: string, options: ClusterOptions) =>
    run(options, async (terminal) => (await verbs()).unsilenceAlerts(match, options, terminal)),
  );
  clientVerb(alerts, "test", "send one test message through every sink, and say what each answered").action(
    (options: ClusterOptions) => run(options, async (terminal) => (await verbs()).testSinks(options, terminal)),
  );
}

function snapshotVerbs(root: Command, run: Run): void {
  const snapshots = clientVerb(root, "snapshots <model>", "the snapshots that are kept of a model").helpCommand(false);
  snapshots.action((model: string, options: ClusterOptions) =>
    run(options, async (terminal) => (await import("./snapshots.js")).listSnapshots(model, options, terminal)),
  );
  clientVerb(snapshots, "restore <model>", "go back to snapshot SEQ, as a new committed version")
    .argument("[seq]", "a snapshot's sequence", wholeNumber(1))
    .option("--until <update>", "go back to the state behind this update instead", wholeNumber(1))
    .action((model: string, seq: number | undefined, _: unknown, command: Command) => {
      // The verb above takes the same options, and what is typed may end up with it.
      const options: RestoreOptions & { json?: boolean } = command.optsWithGlobals();
      return run(options, async (terminal) => {
        const { restoreSnapshot } = await import("./snapshots.js");
        return restoreSnapshot(model, seq, options, terminal);
      });
    });
}

function checkVerbs(root: Command, run: Run, searchPath: string): void {
  clientVerb(root, "replay <model>", "fold the log again: compare with the committed chain, or try other settings")
    .option("--verify", "are the committed parameters the fold of the log?")
    .option(
      "--what-if <key=value>",
      "fold it under another setting too, as in stages.head=false, and compare the answers; again for more",
      (word: string, before: readonly string[] = []) => [...before, word],
    )
    .option("--until <seq>", "fold the updates up to this sequence only", wholeNumber(1))
    .option("--model <dir>", "folder of the model (default: an added model's own, or the digits)")
    .action((model: string, options: ReplayOptions) =>
      run(options, async (terminal) => {
        const { replay } = await import("./replay.js");
        return replay(model, options, terminal);
      }),
    );
  verb(root, "strategies", "how the model and its memory can vote, and which one a model uses")
    .option("--model <dir>", "folder of the model (default: the digits)")
    .action((options) =>
      run(options, async (terminal) => (await import("./strategies.js")).listStrategies(options, terminal)),
    );
  clientVerb(root, "health", "healthy, degraded or unhealthy: every check, and what to do about what fails").action(
    (options: ClusterOptions) =>
      run(options, async (terminal) => (await import("./health.js")).health(options, terminal)),
  );
  const config = settable(verb(root, "config", "every timeout and bound: value, source, what it bounds"))
    .option("--context <file>", "context file of the cluster (default: .driftmend/context.json)")
    .helpCommand(false);
  config.action((options) => run(options, async (terminal) => (await import("./config.js")).config(options, terminal)));
  verb(config, "check <file>", "would a cluster take this operations file? One line for each problem").action(
    // The verb above takes --json too, and what is typed may end up with it.
    (file: string, _: unknown, command: Command) =>
      run(command.optsWithGlobals<{ json?: boolean }>(), async (terminal) =>
        (await import("./config-check.js")).configCheck(file, terminal),
      ),
  );
  doctorVerb(root, run, searchPath);
}

function doctorVerb(root: Command, run: Run, searchPath: string): void {
  clientVerb(root, "doctor", "can a cluster run here, or on the server at --nats, and if not, what to type")
    .option("--store <dir>", "where the log would be kept", ".driftmend")
    .option("--nats-server <file>", "the nats-server to look at")
    .option("--listen <host>", "where a server of its own would listen: is this one safe to listen there")
    .addOption(
      new Option("--role <role>", "what the user of --nats is for (default: its name, or node)").choices(
        credentialRoles,
      ),
    )
    .option("--replicas <n>", "copies that the cluster is to keep of its streams (default: 1)", wholeNumber(1, 5))
    .option("--monitor <url>", "monitoring port of that server (default: port 8222 of its host)", monitorUrl)
    .option("--accept-known-holes", "a server with known holes may listen beyond loopback")
    .action((options) =>
      run(options, async (terminal) => (await import("./doctor.js")).doctor({ ...options, searchPath }, terminal)),
    );
}
