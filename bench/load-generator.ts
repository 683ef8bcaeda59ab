// The load: one process, one connection, a closed loop over pictures that were encoded before it began.
//
// Owns: the loop, its clock, the count of refusals. Does not own: the order of rounds, the CPU of anybody.
//
// L1. As lean as the library allows: one subscription for all replies, the slot of the loop in the reply's subject, no promise per
//     request. What it costs is taken from the machine of whoever answers, and is reported.
// L2. The same pictures in the same order for everybody: the test digits, all different, from the first on.
import { connect, type Msg, type NatsConnection } from "@nats-io/transport-node";
import { pictureOf, readDigits } from "../models/digits/idx.js";
import { systemClock } from "../supervision/clock.js";
import { reportReady, watchParent } from "../supervision/process/parent-watch.js";
import { decodeMessage } from "../transport/messages/codec.js";
import { encodeInferenceRequest } from "../transport/messages/wire.js";
import { header, inboxPrefixOf } from "../transport/subjects.js";
import { type LoadOrder, type LoadReport, passwordVariable } from "./conversation.js";
import { quantile } from "./statistics.js";

const [url = "", user = ""] = process.argv.slice(2);
const { [passwordVariable]: password = "" } = process.env;
const stallMs = 5_000;
const clock = systemClock;

const { count, labels, ...pictures } = await readDigits("test");
const requests = Array.from({ length: count }, (_, index) =>
  encodeInferenceRequest({
    input: { dt: "<f4", sh: [1, 28, 28], data: pictureOf({ count, labels, ...pictures }, index) },
  }),
);
/** Goes on over rounds, so that no picture comes twice within 10,000 requests. */
let nextPicture = 0;
let nextLoop = 1;

interface Slot {
  picture: number;
  sentAtMs: number;
}

/** One closed loop: `inFlight` slots, each of which asks again as soon as it is answered. */
class Loop {
  readonly #connection: NatsConnection;
  readonly #order: LoadOrder;
  readonly #inbox: string;
  readonly #slots: Slot[];
  readonly #latencies: number[] = [];
  #sent = 0;
  #open = 0;
  #answered = 0;
  #refused = 0;
  #right = 0;
  #endsAtMs = 0;
  #done: (problem?: string) => void = () => undefined;

  constructor(connection: NatsConnection, order: LoadOrder) {
    this.#connection = connection;
    this.#order = order;
    this.#inbox = `${inboxPrefixOf(user)}.${nextLoop++}`;
    this.#slots = Array.from({ length: order.inFlight }, () => ({ picture: 0, sentAtMs: 0 }));
  }

  async run(): Promise<LoadReport> {
    const { id, inFlight, durationMs } = this.#order;
    const replies = this.#connection.subscribe(`${this.#inbox}.*`, { callback: (_error, reply) => this.#take(reply) });
    await this.#connection.flush();
    const finished = new Promise<string | undefined>((resolve) => {
      this.#done = resolve;
    });
    const cancelWatch = this.#watch();
    const beganAtMs = clock.monotonicMs();
    this.#endsAtMs = beganAtMs + durationMs;
    for (let slot = 0; slot < inFlight; slot += 1) this.#send(slot);
    const problem = await finished;
    const seconds = (clock.monotonicMs() - beganAtMs) / 1000;
    cancelWatch();
    replies.unsubscribe();
    if (problem !== undefined) return { kind: "stalled", id, message: problem };
    const sorted = Float64Array.from(this.#latencies).sort();
    const [answered, refused, right] = [this.#answered, this.#refused, this.#right];
    const [p50Ms, p99Ms] = sorted.length === 0 ? [0, 0] : [quantile(sorted, 0.5), quantile(sorted, 0.99)];
    return { kind: "loaded", id, answered, refused, right, seconds, p50Ms, p99Ms };
  }

  /** A loop in which nothing is answered any more is over, and says so. */
  #watch(): () => void {
    let before = -1;
    let cancel = (): void => undefined;
    const look = (): void => {
      const now = this.#answered + this.#refused;
      if (now === before) this.#done(`no answer on ${this.#order.subject} for ${stallMs} ms, ${this.#open} are open`);
      before = now;
      cancel = clock.after(stallMs, look);
    };
    cancel = clock.after(stallMs, look);
    return () => cancel();
  }

  #send(index: number): void {
    const slot = this.#slots[index];
    const request = requests[nextPicture];
    if (slot === undefined || request === undefined) return;
    slot.picture = nextPicture;
    nextPicture = (nextPicture + 1) % requests.length;
    this.#sent += 1;
    this.#open += 1;
    slot.sentAtMs = clock.monotonicMs();
    this.#connection.publish(this.#order.subject, request, { reply: `${this.#inbox}.${index}` });
  }

  #take(reply: Msg): void {
    const nowMs = clock.monotonicMs();
    const index = Number(reply.subject.slice(this.#inbox.length + 1));
    const slot = this.#slots[index];
    if (slot === undefined) return;
    this.#open -= 1;
    // Nobody listening is a status without bytes; a refusal has its code in a header.
    if (reply.data.length === 0 || reply.headers?.has(header.errorCode) === true) this.#refused += 1;
    else {
      this.#answered += 1;
      this.#latencies.push(nowMs - slot.sentAtMs);
      if (this.#order.scored && answerIn(reply.data) === labels[slot.picture]) this.#right += 1;
    }
    if (this.#sent < this.#order.requests && nowMs < this.#endsAtMs) this.#send(index);
    else if (this.#open === 0) this.#done();
  }
}

function answerIn(bytes: Uint8Array): number | undefined {
  const decoded = decodeMessage(bytes);
  if (decoded.kind !== "message") return undefined;
  const { answer } = decoded.fields;
  return typeof answer === "object" && answer !== null && "index" in answer ? Number(answer.index) : undefined;
}

watchParent(() => process.exit(1));
const connection = await connect({
  servers: url,
  name: "bench-load",
  user,
  pass: password,
  inboxPrefix: inboxPrefixOf(user),
});
process.on("message", (order: LoadOrder) => {
  new Loop(connection, order).run().then(
    (report) => process.send?.(report),
    (error: Error) => process.send?.({ kind: "stalled", id: order.id, message: error.message } satisfies LoadReport),
  );
});
reportReady();
