// `driftmend snapshots MODEL` lists what is kept; `driftmend snapshots restore MODEL` goes back to one, as a new committed version.
//
// Owns: the order and what is said of its end. Does not own: the restore itself (the leading updater), the snapshots (transport/).

import { openSnapshots, type SnapshotListing } from "../../transport/log/snapshot.js";
import {
  encodeRestoreOrder,
  parseRestored,
  type Restored,
  type RestoreOrder,
} from "../../transport/messages/operator-orders.js";
import { isToken } from "../../transport/subjects.js";
import { done, type Outcome } from "../cluster/outcome.js";
import type { Colours } from "../terminal/colours.js";
import { renderTable } from "../terminal/table.js";
import type { Terminal } from "../terminal/terminal.js";
import { bytes, count, printable, quantity } from "../text.js";
import { type ClusterOptions, withCluster } from "./cluster.js";

export interface RestoreOptions extends ClusterOptions {
  readonly until?: number;
}

/** Folding up to a position may take a while, and so may the queue in front of the entry. */
const restoreWithinMs = 120_000;
const checksumShown = 12;

export async function listSnapshots(model: string, options: ClusterOptions, terminal: Terminal): Promise<Outcome> {
  if (!isToken(model)) return noName(model);
  return withCluster(options, "operator", terminal, async ({ bus, subjects }) => {
    const at = { stream: subjects.stream("snapshot", model), subject: subjects.snapshots(model) };
    const outcome = await openSnapshots(bus, terminal.clock, at).list();
    if (outcome.kind === "unavailable")
      return outcome.why === "no_stream"
        ? { kind: "failed", message: `the cluster has no model "${model}"`, next: "driftmend status names its models" }
        : {
            kind: "failed",
            message: `the snapshots of ${model} cannot be read: ${outcome.why}`,
            next: "driftmend doctor",
          };
    const { snapshots } = outcome;
    terminal.print(
      terminal.json ? JSON.stringify({ model, snapshots: snapshots.map(plain) }) : render(model, snapshots, terminal),
    );
    return done;
  });
}

export async function restoreSnapshot(
  model: string,
  seq: number | undefined,
  options: RestoreOptions,
  terminal: Terminal,
): Promise<Outcome> {
  if (!isToken(model)) return noName(model);
  const order = orderOf(seq, options.until);
  if (order === undefined)
    return {
      kind: "usage",
      message: "say what to go back to: SEQ of a snapshot, or --until UPDATE, one of them",
      next: `driftmend snapshots ${model} lists the snapshots`,
    };
  return withCluster(options, "operator", terminal, async ({ bus, subjects }) => {
    const outcome = await bus.request(subjects.order(model, "restore"), encodeRestoreOrder(order), {
      timeoutMs: restoreWithinMs,
    });
    if (outcome.kind !== "reply") return unanswered(model, outcome.kind);
    const parsed = parseRestored(outcome.data);
    if (parsed.kind === "refused")
      return {
        kind: "failed",
        message: `the answer cannot be read: ${parsed.message}`,
        next: `driftmend snapshots ${model}`,
      };
    if (parsed.value.kind === "refusal") {
      const { code, message } = parsed.value.refusal;
      return {
        kind: "failed",
        message: `${code}: ${printable(message)}`,
        next: `driftmend snapshots ${model} lists what is kept`,
      };
    }
    const restored = parsed.value.reply;
    terminal.print(terminal.json ? JSON.stringify({ model, ...restored }) : told(model, restored, terminal.colours));
    return done;
  });
}

function orderOf(seq: number | undefined, until: number | undefined): RestoreOrder | undefined {
  if (seq !== undefined) return until === undefined ? { kind: "snapshot", seq } : undefined;
  return until === undefined ? undefined : { kind: "until", updateSeq: until };
}

function noName(model: string): Outcome {
  const message = `MODEL: "${printable(model)}" cannot be a model's name`;
  return { kind: "usage", message, next: 'use 1 to 32 letters, digits, "-" or "_"' };
}

function unanswered(model: string, why: "timeout" | "no_responders" | "closed" | "denied"): Outcome {
  switch (why) {
    case "no_responders":
      return { kind: "failed", message: `nobody writes ${model} now: no updater leads`, next: "driftmend tree" };
    case "timeout":
      return {
        kind: "failed",
        message: `no answer in time; the restore may still come about`,
        next: `driftmend replay ${model} --verify says what is committed`,
      };
    case "denied":
      return { kind: "failed", message: "this user may not give orders", next: "use the operator's credentials" };
    case "closed":
      return { kind: "failed", message: "the connection is closed", next: "driftmend doctor" };
    default:
      return why satisfies never;
  }
}

function plain({ place, ...listing }: SnapshotListing) {
  return { ...listing, ...place };
}

function render(model: string, snapshots: readonly SnapshotListing[], { width, colours }: Terminal): string {
  if (snapshots.length === 0) return `  ${model} has no snapshot yet`;
  const right = (title: string) => ({ title, align: "right" as const });
  const figure = (value: number | undefined) => ({ text: value === undefined ? "?" : count(value) });
  const rows = snapshots.map(({ seq, bytes: size, atMs, sha256, intact, place }) => [
    { text: `  ${seq}` },
    figure(place?.version),
    figure(place?.updateSeq),
    figure(place?.experienceSeq),
    { text: bytes(size) },
    { text: quantity("AtMs", atMs) },
    intact ? { text: printable(sha256.slice(0, checksumShown)) } : { text: "DAMAGED", paint: colours.bad },
  ]);
  const columns = [right("  seq"), right("version"), right("update"), right("experience"), right("size")];
  return renderTable([...columns, { title: "stored" }, { title: "sha256" }], rows, width, colours.quiet).join("\n");
}

function told(model: string, { version, updateSeq, from }: Restored, colours: Colours): string {
  const whence =
    from.snapshot === undefined ? `update ${from.updateSeq}` : `snapshot ${from.snapshot} (update ${from.updateSeq})`;
  return [
    `  ${colours.title(printable(model))}  version ${count(version)} has the parameters of version ${count(from.version)}`,
    `  ${colours.quiet(`from ${whence}, committed as update ${updateSeq}`)}`,
  ].join("\n");
}
