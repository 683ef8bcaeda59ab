// The load on the peers: one process, one closed loop at a time over pictures that every caller encoded before it began.
//
// Owns: the loop, its clock, what was answered rightly. Does not own: the wires, the order of rounds, the CPU of anybody.
//
// L1. Every answer is compared with its label, in every round: what answers quickly and wrongly is seen.
import { pictureOf, readDigits } from "../../models/digits/idx.js";
import { systemClock as clock } from "../../supervision/clock.js";
import { reportReady, watchParent } from "../../supervision/process/parent-watch.js";
import type { CountOrder, CountReport, LoadReport } from "../conversation.js";
import { quantile } from "../statistics.js";
import { callFastifyBinary, callFastifyJson } from "./fastify.js";
import { callGrpc } from "./grpc.js";
import { callMoleculer } from "./moleculer.js";
import type { Call, Caller, Opened, OpenOrder, PeerLoadOrder, Wire } from "./peer.js";
import { openRunner, type Runner } from "./runner.js";
import { callWorkQueue } from "./work-queue.js";

const [folder = "", natsUrl = ""] = process.argv.slice(2);
const picturesMax = 2_000;
const stallMs = 5_000;

/** The runner of the contender without a wire lives in this process. */
let own: Runner | undefined;

const calls: Readonly<Record<Wire, Call>> = {
  "in process": callInProcess,
  "fastify json": callFastifyJson,
  "fastify binary": callFastifyBinary,
  moleculer: callMoleculer,
  grpc: callGrpc,
  "work queue": callWorkQueue,
};

async function callInProcess(): Promise<Caller> {
  const runner = await openRunner(folder, "in thread");
  own = runner;
  return {
    ask: (picture, done) => {
      runner.infer(pictures[picture] ?? new Float32Array(0)).then(done, () => done(undefined));
    },
    close: async () => undefined,
  };
}

const digits = await readDigits("test");
const pictures = Array.from({ length: Math.min(picturesMax, digits.count) }, (_, index) => pictureOf(digits, index));
const callers = new Map<string, Caller>();
let nextPicture = 0;

/** `inFlight` slots, each of which asks again as soon as it is answered. */
class ClosedLoop {
  readonly #caller: Caller;
  readonly #order: PeerLoadOrder;
  readonly #latencies: number[] = [];
  #sent = 0;
  #open = 0;
  #refused = 0;
  #right = 0;
  #endsAtMs = 0;
  #done: (problem?: string) => void = () => undefined;

  constructor(caller: Caller, order: PeerLoadOrder) {
    this.#caller = caller;
    this.#order = order;
  }

  async run(): Promise<LoadReport> {
    const { id, inFlight, durationMs } = this.#order;
    const finished = new Promise<string | undefined>((resolve) => {
      this.#done = resolve;
    });
    const cancelWatch = this.#watch();
    const beganAtMs = clock.monotonicMs();
    this.#endsAtMs = beganAtMs + durationMs;
    for (let slot = 0; slot < inFlight; slot += 1) this.#ask();
    const problem = await finished;
    const seconds = (clock.monotonicMs() - beganAtMs) / 1000;
    cancelWatch();
    if (problem !== undefined) return { kind: "stalled", id, message: problem };
    const sorted = Float64Array.from(this.#latencies).sort();
    const [p50Ms, p99Ms] = sorted.length === 0 ? [0, 0] : [quantile(sorted, 0.5), quantile(sorted, 0.99)];
    const [answered, refused, right] = [sorted.length, this.#refused, this.#right];
    return { kind: "loaded", id, answered, refused, right, seconds, p50Ms, p99Ms };
  }

  /** A loop in which nothing is answered any more is over, and says so. */
  #watch(): () => void {
    let before = -1;
    let cancel = (): void => undefined;
    const look = (): void => {
      const now = this.#latencies.length + this.#refused;
      if (now === before) this.#done(`${this.#order.name}: no answer for ${stallMs} ms, ${this.#open} are open`);
      before = now;
      cancel = clock.after(stallMs, look);
    };
    cancel = clock.after(stallMs, look);
    return () => cancel();
  }

  #ask(): void {
    const picture = nextPicture;
    nextPicture = (nextPicture + 1) % pictures.length;
    this.#sent += 1;
    this.#open += 1;
    const sentAtMs = clock.monotonicMs();
    this.#caller.ask(picture, (answer) => {
      const nowMs = clock.monotonicMs();
      this.#open -= 1;
      if (answer === undefined) this.#refused += 1;
      else this.#latencies.push(nowMs - sentAtMs);
      if (answer?.index === digits.labels[picture]) this.#right += 1;
      if (this.#sent < this.#order.requests && nowMs < this.#endsAtMs) this.#ask();
      else if (this.#open === 0) this.#done();
    });
  }
}

async function obey(order: OpenOrder | PeerLoadOrder | CountOrder): Promise<Opened | LoadReport | CountReport> {
  const { id } = order;
  switch (order.kind) {
    case "open":
      callers.set(order.name, await calls[order.wire](order.address, { natsUrl, pictures }));
      return { kind: "opened", id };
    case "count":
      return { kind: "counted", id, ...(own?.counted ?? { runs: 0, rows: 0 }) };
    case "load": {
      const caller = callers.get(order.name);
      if (caller === undefined) return { kind: "stalled", id, message: `${order.name} was never opened` };
      return new ClosedLoop(caller, order).run();
    }
  }
}

watchParent(() => process.exit(1));
process.on("message", (order: OpenOrder | PeerLoadOrder | CountOrder) => {
  obey(order).then(
    (reply) => process.send?.(reply),
    (error: Error) => process.send?.({ kind: "stalled", id: order.id, message: error.message } satisfies LoadReport),
  );
});
reportReady();
