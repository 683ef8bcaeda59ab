// Every operation that waits for somebody has a timeout, and each of them has a name here (law 9).
//
// Owns: the names, their defaults, what each bounds, and the reading of overrides.
// Does not own: periods (beats, sweeps), backoffs and pauses between tries, which bound nothing.
//
// A connection carries the timeouts of its process (`Bus.timeouts`), so whoever talks over it finds them there.

interface Bounded {
  readonly ms: number;
  /** One line for `driftmend config`. */
  readonly bounds: string;
}

const catalogue = {
  connect: { ms: 3_000, bounds: "the first connection to NATS" },
  comeback: { ms: 20_000, bounds: "a node's wait for a broker that is away when the node starts" },
  flush: { ms: 5_000, bounds: "the server's word that it took what was sent before" },
  request: { ms: 2_000, bounds: "a request that names no deadline of its own" },
  client: { ms: 5_000, bounds: "all tries of a client's request together" },
  clientTry: {
    ms: 1_000,
    bounds: "the first try of a client's request; each further one waits twice as long, up to four times",
  },
  chunkTry: { ms: 500, bounds: "the wait for the next chunk of a large tensor, before it is asked for again" },
  chunks: { ms: 4_000, bounds: "the silence of a large tensor's sender, before the tensor is given up" },
  jetstream: { ms: 2_000, bounds: "a question to JetStream: stream state, one message, a purge" },
  consumer: { ms: 1_000, bounds: "the creation of a consumer that follows a stream" },
  append: { ms: 1_500, bounds: "all tries of an append to the log together" },
  appendTry: { ms: 250, bounds: "one try of an append to the log" },
  commit: { ms: 3_000, bounds: "all tries of a commit to the chain together" },
  commitTry: { ms: 250, bounds: "one try of a commit to the chain" },
  election: {
    ms: 20_000,
    bounds: "the wait for several NATS servers to elect a leader, to read the log or make its streams",
  },
  snapshotTry: { ms: 2_000, bounds: "one try of storing a snapshot" },
  lease: { ms: 1_000, bounds: "the life of the writer's lease without a renewal" },
  introduce: { ms: 5_000, bounds: "the memory's answer when the model's actor starts" },
  locate: { ms: 1_000, bounds: "the memory's answer when a late label looks for its request" },
  modelStart: { ms: 30_000, bounds: "a model's thread from its start until it has run once" },
  modelUpload: { ms: 2_000, bounds: "one try of storing a piece of a model that is added" },
  modelServed: {
    ms: 120_000,
    bounds: "the nodes' loading of a model that was added, or their end with one that was removed",
  },
  inference: { ms: 10_000, bounds: "one run of the model in its thread, before the thread counts as hung" },
  memory: { ms: 10_000, bounds: "one answer of the memory's thread, before it counts as hung" },
  threadEnd: { ms: 2_000, bounds: "the end of a thread that was asked to end, before it is terminated" },
  door: { ms: 6_000, bounds: "the end of all open requests while a node drains" },
  httpDrain: {
    ms: 3_000,
    bounds: "HTTP requests that are being answered while the interface ends, before they are cut",
  },
  actorStop: { ms: 5_000, bounds: "the last message and the stop of one actor" },
  drain: { ms: 8_000, bounds: "the whole drain of a node or of a cluster, before it is ended by force" },
  halt: { ms: 1_000, bounds: "what an end by force still does: refusals, leases" },
  nodeReady: { ms: 30_000, bounds: "a node process from its start until it is ready" },
  brokerReady: { ms: 10_000, bounds: "the embedded nats-server from its start until it answers" },
  brokerStop: { ms: 5_000, bounds: "the orderly end of the embedded nats-server, before it is killed" },
  brokerKill: { ms: 5_000, bounds: "the end of an embedded nats-server that was killed, before it counts as stuck" },
  actorCleanup: { ms: 2_000, bounds: "the confirmation that an ended actor left nothing behind" },
  nodeCleanup: { ms: 5_000, bounds: "the whole cleanup after a dead node, before the next one starts without it" },
  cleanup: { ms: 500, bounds: "the watchdog's confirmation that a dead node's leases are gone" },
  reconnect: { ms: 10_000, bounds: "the root's way back to a broker that was killed for a receipt" },
  nodeTree: { ms: 800, bounds: "a node's part of the tree, whoever puts it together" },
  look: { ms: 3_000, bounds: "a look inside, asked by a verb" },
  discover: { ms: 1_500, bounds: "all answers to a search for nodes" },
  discoverStall: { ms: 300, bounds: "the wait for one more answer to a search for nodes" },
  tensorLease: {
    ms: 30_000,
    bounds:
      "a tensor in shared memory that nobody confirms, where its request names no deadline, before its memory is taken back",
  },
  notify: { ms: 10_000, bounds: "one try of handing a notification to Slack or to a mail server" },
  initSystem: { ms: 5_000, bounds: "one word to the init system that started this process" },
  receipt: { ms: 60_000, bounds: "the receipt of a fault, repair included" },
} as const satisfies Readonly<Record<string, Bounded>>;

export type TimeoutName = keyof typeof catalogue;
/** Milliseconds by name. */
export type Timeouts = { readonly [Name in TimeoutName]: number };

export const timeoutNames = Object.keys(catalogue) as readonly TimeoutName[];

export const timeoutDefaults: Timeouts = withTimeouts({});

/** The defaults, with some of them replaced. */
export function withTimeouts(overrides: Partial<Timeouts>): Timeouts {
  const defaults = Object.fromEntries(timeoutNames.map((name) => [name, catalogue[name].ms])) as Timeouts;
  return { ...defaults, ...overrides };
}

export function whatTimeoutBounds(name: TimeoutName): string {
  return catalogue[name].bounds;
}

export function isTimeoutName(word: string): word is TimeoutName {
  return Object.hasOwn(catalogue, word);
}
