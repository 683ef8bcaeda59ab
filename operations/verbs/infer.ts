// `driftmend infer` and `driftmend feedback`: what a client of the cluster asks.
import type { ClientOutcome } from "../../transport/client.js";
import { readTensor, type Tensor } from "../../transport/messages/codec.js";
import type { FeedbackReply } from "../../transport/messages/wire.js";
import { isToken } from "../../transport/subjects.js";
import { done, type Outcome } from "../cluster/outcome.js";
import { renderAnswer } from "../terminal/answer.js";
import type { Terminal } from "../terminal/terminal.js";
import { percent, printable } from "../text.js";
import { type ClusterOptions, withCluster } from "./cluster.js";
import { doubtAbout, readPicture } from "./picture.js";

export interface InferOptions extends ClusterOptions {
  readonly explain?: boolean;
  readonly id?: string;
  readonly priority?: number;
  readonly deadline?: number;
}

export async function infer(model: string, file: string, options: InferOptions, terminal: Terminal): Promise<Outcome> {
  if (!isToken(model)) return badModel(model);
  const input = await inputFrom(file, terminal);
  if (input.kind !== "tensor") return input;
  return withCluster(options, "client", terminal, async (client) => {
    const outcome = await client.infer(model, input.tensor, {
      explain: options.explain ?? false,
      ...(options.id === undefined ? {} : { id: options.id }),
      ...(options.priority === undefined ? {} : { priority: options.priority }),
      ...(options.deadline === undefined ? {} : { deadlineMs: options.deadline }),
    });
    if (outcome.kind !== "reply") return refusedBy(outcome, model, terminal);
    terminal.print(
      terminal.json
        ? JSON.stringify({ v: 1, ...outcome.reply })
        : renderAnswer(outcome.reply, terminal.width, terminal.colours),
    );
    return done;
  });
}

export interface FeedbackOptions extends ClusterOptions {
  readonly reward?: number;
  readonly show?: boolean;
}

export async function feedback(
  model: string,
  id: string,
  label: string | undefined,
  options: FeedbackOptions,
  terminal: Terminal,
): Promise<Outcome> {
  if (!isToken(model)) return badModel(model);
  const { reward, show = false } = options;
  if ([label !== undefined, reward !== undefined, show].filter(Boolean).length !== 1)
    return {
      kind: "usage",
      message: "feedback takes one of LABEL, --reward and --show",
      next: `driftmend feedback ${model} ${printable(id)} LABEL`,
    };
  return withCluster(options, "client", terminal, async (client) => {
    const outcome = await client.feedback(model, id, label ?? (reward === undefined ? {} : { reward }));
    if (outcome.kind !== "reply") return refusedBy(outcome, model, terminal);
    const { reply } = outcome;
    terminal.print(terminal.json ? JSON.stringify({ v: 1, ...reply }) : `  ${printable(reply.id)} ${toldOf(reply)}`);
    return done;
  });
}

function toldOf({ label, reward, kept, of }: FeedbackReply): string {
  const place = `experience ${of.seq}/${of.index}`;
  if (label !== null) return `is ${printable(label.label)} (${place})`;
  if (reward !== null) return `was worth ${reward} (${place})`;
  if (kept === null || kept === undefined) return `is no longer in the memory (${place})`;
  const known = kept.verified ? "a true label" : `an answer, ${percent(kept.confidence)} sure`;
  return `counts as ${printable(kept.label.label)}: ${known}, priority ${kept.priority.toFixed(2)} (${place})`;
}

async function inputFrom(
  file: string,
  terminal: Terminal,
): Promise<{ readonly kind: "tensor"; readonly tensor: Tensor } | Outcome> {
  const read = await readPicture(file, terminal.readInput);
  const where = file === "-" ? "stdin" : file;
  if (read.kind === "refused") return { kind: "failed", message: `${where}: ${read.message}`, next: read.next };
  const doubt = doubtAbout(read.picture);
  if (doubt !== undefined) terminal.note(`${where}: ${doubt}`);
  const { dt, sh, data } = read.picture;
  const tensor = readTensor({ v: 1, dt, sh, d: data }, "input");
  if (tensor.kind === "tensor") return tensor;
  return { kind: "failed", message: `${where}: ${tensor.message}`, next: "send one picture of the model's own shape" };
}

const nextFor: Readonly<Record<string, string>> = {
  bad_tensor: "see what the model takes in the reply above; pictures are not resized here",
  unknown_model: "driftmend status shows the models that are served",
  not_ready: "wait a moment and try again; driftmend status shows the nodes",
  overloaded: "try again a little later, or add a serving node: driftmend node --role serving",
  no_responders: "driftmend status shows the nodes and their models",
  timeout: "try again with a longer --deadline, or look at: driftmend tree",
};

/** With --json a refusal is a document too: the cluster's own. */
function refusedBy<T>(
  outcome: Exclude<ClientOutcome<T>, { kind: "reply" }>,
  model: string,
  terminal: Terminal,
): Outcome {
  if (outcome.kind === "failed")
    return {
      kind: "failed",
      message: `${model}: ${printable(outcome.message)}`,
      next: nextFor[outcome.why] ?? "driftmend status",
    };
  const { id, ...error } = outcome.refusal;
  if (terminal.json) terminal.print(JSON.stringify({ v: 1, id, error }));
  const field = error.field === undefined ? "" : ` (${printable(error.field)})`;
  return {
    kind: "failed",
    message: `${model} refused: ${error.code}${field}: ${printable(error.message)}`,
    next: nextFor[error.code] ?? "driftmend status",
  };
}

function badModel(model: string): Outcome {
  return {
    kind: "usage",
    message: `MODEL: "${printable(model)}" cannot be a model's name`,
    next: 'use 1 to 32 letters, digits, "-" or "_"',
  };
}
