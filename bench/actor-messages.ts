// What a message between two actors of one process costs: the runtime of supervision/, bare nact, a plain call, and Erlang's processes
// where there is an Erlang.
//
// Measures: a flood (everything is told at once, until the last is handled) and asks with 64 outstanding.
import { dispatch, type Ref as NactRef, query, spawn, start, stop } from "nact";
import { type Clock, seededRandom } from "../models/clock.js";
import { ask, type ReplyTo } from "../supervision/actor/ask.js";
import { silentLogger } from "../supervision/logger.js";
import { startTree } from "../supervision/tree/system.js";
import { startErlang } from "./erlang-messages.js";
import { interleave, timedOf } from "./interleave.js";
import { ratiosOf, type Spread, spreadOf } from "./statistics.js";

export interface MessageRates {
  readonly what: "flood" | "ask";
  /** Messages per second. */
  readonly driftmend: Spread;
  readonly nact: Spread;
  readonly call: Spread;
  /** driftmend / nact */
  readonly ratio: Spread;
  readonly erlang: ErlangRates;
}

/** Of the same rounds; an Erlang node with one scheduler. */
export type ErlangRates =
  | {
      readonly kind: "measured";
      readonly release: string;
      readonly rate: Spread /** driftmend / Erlang */;
      readonly ratio: Spread;
    }
  | { readonly kind: "absent"; readonly why: string };

type Message = { readonly kind: "one" } | { readonly kind: "question"; readonly reply: (value: number) => void };
type Asked = { readonly kind: "one" } | { readonly kind: "question"; readonly reply: ReplyTo<number> };

const floodCount = 100_000;
const callCount = 5_000_000;
const askCount = 12_800;
const outstanding = 64;
const deadlineMs = 10_000;
const one = { kind: "one" } as const;

export async function measureMessages(rounds: number, clock: Clock): Promise<MessageRates[]> {
  const ours = await ourActor(clock);
  const theirs = nactActor();
  const plain = plainFunction();
  const erlang = await startErlang();
  const inErlang = (what: "flood" | "ask", count: number) =>
    erlang.kind === "absent"
      ? []
      : [{ name: `${what} erlang`, count, work: (times: number) => erlang.work(what, times) }];
  const flood = (name: string, count: number, work: (count: number) => void | Promise<void>) => ({ name, count, work });
  const timed = await interleave(
    [
      flood("flood driftmend", floodCount, ours.flood),
      flood("flood nact", floodCount, theirs.flood),
      flood("flood call", callCount, plain.flood),
      { name: "ask driftmend", count: askCount, work: (count) => asking(count, ours.ask) },
      { name: "ask nact", count: askCount, work: (count) => asking(count, theirs.ask) },
      { name: "ask call", count: askCount * 10, work: (count) => asking(count, plain.ask) },
      ...inErlang("flood", floodCount),
      ...inErlang("ask", askCount * 10),
    ],
    rounds,
    clock,
  );
  await ours.stop();
  theirs.stop();
  if (erlang.kind === "erlang") await erlang.stop();
  return (["flood", "ask"] as const).map((what) => {
    const rates = (whose: string): number[] => timedOf(timed, `${what} ${whose}`).map((us) => 1e6 / us);
    const of = { driftmend: rates("driftmend"), nact: rates("nact"), call: rates("call") };
    return {
      what,
      driftmend: spreadOf(of.driftmend),
      nact: spreadOf(of.nact),
      call: spreadOf(of.call),
      ratio: ratiosOf(of.driftmend, of.nact),
      erlang: erlang.kind === "absent" ? erlang : against(erlang.release, of.driftmend, rates("erlang")),
    };
  });
}

function against(release: string, ours: readonly number[], theirs: readonly number[]): ErlangRates {
  return { kind: "measured", release, rate: spreadOf(theirs), ratio: ratiosOf(ours, theirs) };
}

async function asking(count: number, question: () => Promise<number>): Promise<void> {
  const each = count / outstanding;
  const asker = async (): Promise<void> => {
    for (let asked = 0; asked < each; asked += 1) await question();
  };
  await Promise.all(Array.from({ length: outstanding }, asker));
}

/** Counts what it is told; `reached` resolves with the message that makes it `count`. */
class Tally {
  #left = 0;
  #done: () => void = () => undefined;

  reached(count: number): Promise<void> {
    this.#left = count;
    return new Promise((resolve) => {
      this.#done = resolve;
    });
  }

  add(): void {
    this.#left -= 1;
    if (this.#left === 0) this.#done();
  }
}

async function ourActor(clock: Clock) {
  const tally = new Tally();
  const tree = await startTree(
    {
      id: "bench",
      strategy: "one_for_one",
      intensity: { restarts: 1, withinMs: 1_000 },
      children: [
        {
          id: "counter",
          restart: "permanent",
          mailboxMax: floodCount,
          behaviour: () => ({
            init: () => undefined,
            receive: (_state, message) => receiveOurs(tally, message as Asked),
          }),
        },
      ],
    },
    { node: "bench", incarnation: 1, clock, random: seededRandom(1), log: silentLogger, onEvent: () => undefined },
  );
  const ref = tree.ref<Asked>("counter");
  return {
    flood: async (count: number): Promise<void> => {
      const reached = tally.reached(count);
      for (let told = 0; told < count; told += 1) if (ref.tell(one) !== "ok") throw new Error("the mailbox is full");
      await reached;
    },
    ask: () => ask<Asked, number>(ref, (reply) => ({ kind: "question", reply }), { clock, deadlineMs }),
    stop: () => tree.stop(),
  };
}

function receiveOurs(tally: Tally, message: Asked): void {
  if (message.kind === "one") tally.add();
  else message.reply.answer(1);
}

function nactActor() {
  const tally = new Tally();
  const system = start();
  const receive = (_state: undefined, message: NactMessage): undefined => {
    if (message.kind === "one") tally.add();
    else dispatch(message.sender, 1);
  };
  const actor = spawn(system, receive, "counter");
  return {
    flood: async (count: number): Promise<void> => {
      const reached = tally.reached(count);
      for (let told = 0; told < count; told += 1) dispatch(actor, one);
      await reached;
    },
    ask: () => query(actor, (sender: NactRef<number>) => ({ kind: "question", sender }) as const, deadlineMs),
    stop: () => stop(system),
  };
}

type NactMessage = { readonly kind: "one" } | { readonly kind: "question"; readonly sender: NactRef<number> };

function plainFunction() {
  const tally = new Tally();
  const receive = (message: Message): void => {
    if (message.kind === "one") tally.add();
    else message.reply(1);
  };
  return {
    flood: (count: number): void => {
      void tally.reached(count);
      for (let told = 0; told < count; told += 1) receive(one);
    },
    ask: () => new Promise<number>((reply) => receive({ kind: "question", reply })),
  };
}
