// `driftmend dlq`: what the cluster gave up on, and what is to be done about it.
//
// Owns: how a letter is found, shown and ordered about. Does not own: the fold (operations/dead-letters/dead-letter-book.ts), what an order does
// (operations/dead-letters/dead-letter-orders.ts). Reading needs no node: the log is read. An order is carried out by any node.
import type { DriftmendClient } from "../../transport/client.js";
import {
  type DeadLetterOrder,
  type DeadLetterReceipt,
  encodeDeadLetterOrder,
  parseDeadLetterReceipt,
} from "../../transport/messages/operator-orders.js";
import { done, type Outcome } from "../cluster/outcome.js";
import {
  type Book,
  type BookEntry,
  findEntry,
  pageOf,
  plainEntry,
  readBook,
} from "../dead-letters/dead-letter-book.js";
import { renderLetter, renderLetters } from "../terminal/dead-letters.js";
import type { Terminal } from "../terminal/terminal.js";
import { printable } from "../text.js";
import { type ClusterOptions, withCluster } from "./cluster.js";

export interface ListOptions extends ClusterOptions {
  readonly model?: string;
  readonly limit: number;
  readonly cursor?: number;
}

export interface ResolveOptions extends ClusterOptions {
  readonly note: string;
}

const orderMs = 10_000;

export async function listDeadLetters(options: ListOptions, terminal: Terminal): Promise<Outcome> {
  return withBook(options, terminal, async (book) => {
    const page = pageOf(book, { model: options.model, limit: options.limit, before: options.cursor });
    if (terminal.json) terminal.print(JSON.stringify({ entries: page.entries.map(plainEntry), cursor: page.cursor }));
    else terminal.print(renderLetters(page, terminal.width, terminal.colours, terminal.self));
    return done;
  });
}

export async function showDeadLetter(id: string, options: ClusterOptions, terminal: Terminal): Promise<Outcome> {
  return withBook(options, terminal, async (book) => {
    const found = findEntry(book, id);
    if (found === undefined) return unknownLetter(id);
    terminal.print(terminal.json ? JSON.stringify(plainEntry(found)) : renderLetter(found, terminal.colours));
    return done;
  });
}

export async function requeueDeadLetter(id: string, options: ClusterOptions, terminal: Terminal): Promise<Outcome> {
  return order(id, options, terminal, ({ seq }) => ({ kind: "requeue", seq }), "runs again");
}

export async function resolveDeadLetter(id: string, options: ResolveOptions, terminal: Terminal): Promise<Outcome> {
  const { note } = options;
  if (note.length === 0 || note.length > 1_024)
    return { kind: "usage", message: "--note has 1 to 1024 characters", next: 'say what was found: --note "..."' };
  return order(id, options, terminal, ({ seq }) => ({ kind: "resolve", seq, note }), "is resolved");
}

async function order(
  id: string,
  options: ClusterOptions,
  terminal: Terminal,
  orderOf: (entry: BookEntry) => DeadLetterOrder,
  did: string,
): Promise<Outcome> {
  return withBook(options, terminal, async (book, client) => {
    const entry = findEntry(book, id);
    if (entry === undefined) return unknownLetter(id);
    const receipt = await give(client, orderOf(entry));
    if ("kind" in receipt) return receipt;
    if (terminal.json) terminal.print(JSON.stringify(receipt));
    else terminal.print(`  ${receipt.seq} ${did}: ${printable(receipt.jobId)} (${entry.letter.model})`);
    return done;
  });
}

async function give({ bus, subjects }: DriftmendClient, wanted: DeadLetterOrder): Promise<DeadLetterReceipt | Outcome> {
  const outcome = await bus.request(subjects.deadLetterOrders, encodeDeadLetterOrder(wanted), { timeoutMs: orderMs });
  if (outcome.kind !== "reply") return { kind: "failed", message: silence[outcome.kind], next: "driftmend tree" };
  const parsed = parseDeadLetterReceipt(outcome.data);
  if (parsed.kind === "refused")
    return { kind: "failed", message: `the receipt cannot be read: ${parsed.message}`, next: "driftmend dlq ls" };
  if (parsed.value.kind === "reply") return parsed.value.reply;
  const { code, message } = parsed.value.refusal;
  return { kind: "failed", message: `${code}: ${printable(message)}`, next: `driftmend dlq show ${wanted.seq}` };
}

const silence = {
  timeout: "no node answered in time; driftmend dlq ls shows whether the order was carried out",
  no_responders: "no node takes orders",
  closed: "the connection is closed",
  denied: "this user may not give orders",
} as const;

function unknownLetter(id: string): Outcome {
  return {
    kind: "failed",
    message: `there is no dead letter "${printable(id)}"`,
    next: "driftmend dlq ls shows those there are",
  };
}

async function withBook(
  options: ClusterOptions,
  terminal: Terminal,
  work: (book: Book, client: DriftmendClient) => Promise<Outcome>,
): Promise<Outcome> {
  return withCluster(options, "operator", terminal, async (client) => {
    const read = await readBook(client.bus, terminal.clock, client.subjects);
    if (read.kind === "book") return work(read.book, client);
    const next = read.why === "no_stream" ? "start one with: driftmend up" : "driftmend status";
    return { kind: "failed", message: `the dead letters cannot be read: ${read.why}`, next };
  });
}
