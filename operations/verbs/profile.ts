// `driftmend profile`: a CPU profile of one node, written to a file; or, with --phases, where the time of jobs went.
//
// Owns: the order, the fetching piece by piece, the file. Does not own: the profile (operations/traces/profiler.ts), the phases (trace.ts).
import { writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { DriftmendClient } from "../../transport/client.js";
import type { Parsed } from "../../transport/messages/fields.js";
import {
  encodeProfileOrder,
  type ProfileOrder,
  type ProfileTaken,
  parseProfilePiece,
  parseProfileTaken,
  profileMsMax,
} from "../../transport/messages/profile-orders.js";
import type { Outcome as Heard } from "../../transport/messages/wire.js";
import { isToken } from "../../transport/subjects.js";
import { done, type Outcome } from "../cluster/outcome.js";
import { formatDuration } from "../duration.js";
import type { Terminal } from "../terminal/terminal.js";
import { bytes as bytesText, count, printable } from "../text.js";
import { type ClusterOptions, withCluster } from "./cluster.js";
import { phases } from "./trace.js";

export interface ProfileOptions extends ClusterOptions {
  /** Milliseconds. */
  readonly for?: number;
  readonly out?: string;
  readonly phases?: boolean;
}

const forDefaultMs = 5_000;

export async function profile(node: string | undefined, options: ProfileOptions, terminal: Terminal): Promise<Outcome> {
  const { for: forMs = forDefaultMs, out } = options;
  if (options.phases === true) {
    if (node === undefined && options.for === undefined && out === undefined) return phases(options, terminal);
    const message = "--phases is about the jobs of all nodes: NODE, --for and --out do not go with it";
    return { kind: "usage", message, next: "driftmend profile --phases" };
  }
  if (node === undefined || !isToken(node))
    return { kind: "usage", message: "say which NODE, or --phases", next: "driftmend tree names the nodes" };
  if (forMs > profileMsMax)
    return {
      kind: "usage",
      message: `--for: ${formatDuration(profileMsMax)} at most`,
      next: "driftmend profile --help",
    };
  return withCluster(options, "operator", terminal, async (client) => {
    if (!terminal.json) terminal.note(`profiling ${node} for ${formatDuration(forMs)}`);
    const fetched = await fetchProfile(client, node, forMs);
    if (fetched.kind !== "fetched") return fetched;
    const { taken, data } = fetched;
    const file = resolve(out ?? `${node}.cpuprofile`);
    await writeFile(file, data);
    const { bytes, samples } = taken;
    if (terminal.json) terminal.print(JSON.stringify({ v: 1, node, file, forMs, bytes, samples }));
    else
      terminal.print(
        `${file}  ${bytesText(bytes)}, ${count(samples)} samples; open it in Chrome's DevTools (Performance) or speedscope`,
      );
    return done;
  });
}

type Fetched = { readonly kind: "fetched"; readonly taken: ProfileTaken; readonly data: Uint8Array };

async function fetchProfile(client: DriftmendClient, node: string, forMs: number): Promise<Fetched | Outcome> {
  const { look } = client.bus.timeouts;
  const taken = await order(client, node, { kind: "take", forMs }, forMs + look, parseProfileTaken);
  if (taken.kind !== "reply") return taken;
  const { id, pieces } = taken.reply;
  const parts: Uint8Array[] = [];
  for (let index = 0; index < pieces; index += 1) {
    const piece = await order(client, node, { kind: "piece", id, index }, look, parseProfilePiece);
    if (piece.kind !== "reply") return piece;
    parts.push(piece.reply);
  }
  const data = Buffer.concat(parts);
  if (data.byteLength !== taken.reply.bytes)
    return { kind: "failed", message: `the profile of ${node} came incomplete`, next: "try it again" };
  return { kind: "fetched", taken: taken.reply, data };
}

async function order<T>(
  { bus, subjects }: DriftmendClient,
  node: string,
  what: ProfileOrder,
  timeoutMs: number,
  read: (bytes: Uint8Array) => Parsed<Heard<T>>,
): Promise<{ readonly kind: "reply"; readonly reply: T } | Outcome> {
  const outcome = await bus.request(subjects.order(node, "profile"), encodeProfileOrder(what), { timeoutMs });
  if (outcome.kind === "no_responders")
    return { kind: "failed", message: `no node "${node}" is there`, next: "driftmend tree names the nodes" };
  if (outcome.kind !== "reply")
    return { kind: "failed", message: `${node} does not answer: ${outcome.kind}`, next: "driftmend tree" };
  const parsed = read(outcome.data);
  if (parsed.kind === "refused")
    return {
      kind: "failed",
      message: `${node} answers what cannot be read: ${parsed.message}`,
      next: "driftmend doctor",
    };
  if (parsed.value.kind === "reply") return parsed.value;
  const { message } = parsed.value.refusal;
  return { kind: "failed", message: `${node} refuses: ${printable(message)}`, next: "try it again in a moment" };
}
