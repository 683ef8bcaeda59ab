// `driftmend trace`: one trace as a tree of spans, or which traces there are; and where the time of jobs went.
//
// Owns: what is read and what is asked for. Does not own: putting traces together (operations/traces/trace-book.ts), drawing (terminal/trace.ts).
import type { DriftmendClient } from "../../transport/client.js";
import { parseEvent } from "../../transport/messages/events.js";
import { done, type Outcome } from "../cluster/outcome.js";
import type { Terminal } from "../terminal/terminal.js";
import { renderPhases, renderTrace, renderTraces } from "../terminal/trace.js";
import { readPast } from "../traces/past-telemetry.js";
import { spansEvent } from "../traces/span-items.js";
import { TraceBook } from "../traces/trace-book.js";
import { phaseTables } from "../traces/trace-tree.js";
import { type ClusterOptions, withCluster } from "./cluster.js";
import { noPast } from "./past.js";

export interface TraceOptions extends ClusterOptions {
  readonly last?: number;
  /** True when no number was given with it. */
  readonly slowest?: number | true;
}

const listedDefault = 20;
/** More than the stream holds. */
const jobsRead = 1_000_000;
const noTraces: Outcome = {
  kind: "failed",
  message: "no traces: nothing was asked of the cluster lately, or tracing is off (--trace)",
  next: "driftmend infer MODEL FILE asks for something",
};

export async function trace(id: string | undefined, options: TraceOptions, terminal: Terminal): Promise<Outcome> {
  const { last, slowest } = options;
  if ([id, last, slowest].filter((each) => each !== undefined).length > 1)
    return { kind: "usage", message: "give ID, --last or --slowest, one of them", next: "driftmend trace --help" };
  if (id !== undefined && !/^[0-9a-f]{4,32}$/.test(id))
    return { kind: "usage", message: "ID is 4 to 32 hex digits", next: "driftmend trace --last 20 lists traces" };
  return withCluster(options, "operator", terminal, async (client) => {
    const book = await readTraces(client, terminal);
    if (!(book instanceof TraceBook)) return book;
    if (id !== undefined) return showTrace(book, id, terminal);
    const limit = typeof slowest === "number" ? slowest : (last ?? listedDefault);
    const traces = slowest === undefined ? book.last(limit) : book.slowest(limit);
    if (terminal.json) terminal.print(JSON.stringify({ v: 1, traces }));
    else if (traces.length > 0) terminal.print(renderTraces(traces, terminal.width, terminal.colours));
    return traces.length === 0 && !terminal.json ? noTraces : done;
  });
}

/** The table of phases of the jobs that the telemetry of the recent past tells of. */
export async function phases(options: ClusterOptions, terminal: Terminal): Promise<Outcome> {
  return withCluster(options, "operator", terminal, async (client) => {
    const book = await readTraces(client, terminal);
    if (!(book instanceof TraceBook)) return book;
    const tables = phaseTables(book.jobs());
    if (terminal.json) terminal.print(JSON.stringify({ v: 1, jobs: tables }));
    else for (const table of tables) terminal.print(`${renderPhases(table, terminal.width, terminal.colours)}\n`);
    return tables.length === 0 && !terminal.json ? noTraces : done;
  });
}

async function readTraces({ bus, subjects }: DriftmendClient, terminal: Terminal): Promise<TraceBook | Outcome> {
  const reading = { subject: subjects.event(spansEvent), signal: terminal.interrupted };
  const past = await readPast(bus, terminal.clock, subjects, reading);
  if (past.kind === "unavailable") return noPast(past.why);
  const book = new TraceBook(jobsRead);
  for await (const { bytes } of past.messages) {
    const parsed = parseEvent(bytes);
    if (parsed.kind === "ok") book.take(parsed.value);
  }
  return book;
}

function showTrace(book: TraceBook, prefix: string, terminal: Terminal): Outcome {
  const [id, ...others] = book.withPrefix(prefix);
  if (id === undefined)
    return {
      kind: "failed",
      message: `no span of trace ${prefix} is known any more, or yet`,
      next: "driftmend trace --last 20 lists what is known",
    };
  if (others.length > 0)
    return {
      kind: "failed",
      message: `${others.length + 1} traces begin with ${prefix}: ${[id, ...others].slice(0, 3).join(", ")}`,
      next: "give more of its digits",
    };
  const spans = book.spans(id);
  terminal.print(terminal.json ? JSON.stringify(spans) : renderTrace(spans, terminal.width, terminal.colours));
  return done;
}
