// The turns of one incarnation.
//
// Owns: taking messages into flight, running the handler, committing; the turn's deadline and faults that delay it.
// Does not own: what an end means (cell.ts), when nact gives a turn (kernel.ts).
//
// L1. One turn at a time: the next begins after the last one committed. (Law 5 for one incarnation; nact awaits `turn`.)
// L2. After `end` nothing commits: neither the account of a message nor anything its turn wanted to send.
// L3. A handler that returns no promise costs none.
// L4. Messages are handled until 64 are done or 2 ms have passed; then the event loop has its say.
// L5. One message that finds its actor idle is handled before the event loop goes on; where several are there by then, they wait for the
//     loop, which may bring more of them: natural batches are as large as without this.

import type { Clock } from "../../models/clock.js";
import { asError, type ExitReason } from "../exit-reason.js";
import type { Life } from "./behaviour.js";
import type { Impairment } from "./impairment.js";
import type { Initialised } from "./incarnation.js";
import type { Spot } from "./kernel.js";
import type { Mailbox } from "./mailbox.js";
import { type RefusedSend, TurnScope } from "./turn-scope.js";

const now = Promise.resolve();
const turnMessagesMax = 64;
const turnMs = 2;

/** Ends the incarnation. `blamesFlight`: the messages in flight count a crash. */
export type EndIncarnation = (reason: ExitReason, blamesFlight: boolean) => void;

export interface LoopSurroundings {
  readonly mailbox: Mailbox;
  readonly clock: Clock;
  readonly turnMaxMs: number | undefined;
  readonly end: EndIncarnation;
  readonly refused: (send: RefusedSend) => void;
}

type Receive = (scope: TurnScope<unknown>) => void | Promise<void>;

interface TurnBudget {
  messages: number;
  readonly untilMs: number;
}

export class TurnLoop {
  readonly #life: Life<unknown>;
  readonly #spot: Spot;
  readonly #around: LoopSurroundings;
  readonly #receive: Receive;
  readonly #mailbox: Mailbox;
  #phase: "open" | "dismissed" | "ended" = "open";
  /** A turn is asked for or under way. */
  #hasToken = false;
  #underWay: Promise<void> | undefined;
  #impairment: Impairment | undefined;
  #cancelDeadline: (() => void) | undefined;

  constructor(life: Life<unknown>, spot: Spot, initialised: Initialised, around: LoopSurroundings) {
    this.#life = life;
    this.#spot = spot;
    this.#around = around;
    this.#mailbox = around.mailbox;
    this.#receive = receiver(initialised, around.mailbox);
  }

  /** A message was queued. */
  wake(): void {
    if (this.#hasToken || this.#phase !== "open") return;
    this.#hasToken = true;
    this.#spot.soon();
  }

  /** The kernel's turn. */
  turn(): void | Promise<void> {
    const impairment = this.#impairment;
    return impairment === undefined ? this.#drain(this.#budget()) : this.#track(this.#impairedTurn(impairment));
  }

  /** No further turn begins; resolves when the one under way is over. */
  dismiss(): Promise<void> {
    if (this.#phase === "open") this.#phase = "dismissed";
    return this.#underWay ?? Promise.resolve();
  }

  /** What is still under way is void. */
  end(): void {
    this.#phase = "ended";
    this.#cancelDeadline?.();
  }

  /** Begins with a turn of its own, so that the hang of an idle actor is found too. */
  impair(impairment: Impairment): void {
    this.#impairment = impairment;
    this.wake();
  }

  /** The fault's lease is over, or another one took its place. */
  recover(impairment: Impairment): void {
    if (this.#impairment === impairment) this.#impairment = undefined;
  }

  #budget(): TurnBudget {
    return { messages: turnMessagesMax, untilMs: this.#around.clock.monotonicMs() + turnMs };
  }

  #drain(budget: TurnBudget): void | Promise<void> {
    while (this.#phase === "open" && this.#mailbox.queued > 0) {
      if (budget.messages <= 0 || this.#around.clock.monotonicMs() >= budget.untilMs) {
        this.#spot.schedule();
        return;
      }
      const scope = new TurnScope(this.#life);
      let work: void | Promise<void>;
      try {
        work = this.#receive(scope);
      } catch (thrown) {
        this.#crash(scope, thrown);
        return;
      }
      budget.messages -= this.#mailbox.inFlight;
      if (work instanceof Promise) return this.#track(this.#settle(scope, work, budget));
      this.#commit(scope);
    }
    this.#hasToken = false;
  }

  async #settle(scope: TurnScope<unknown>, work: Promise<void>, budget: TurnBudget): Promise<void> {
    this.#armDeadline();
    try {
      await work;
      if (this.#impairment?.mode === "hang") await this.#impairment.over;
    } catch (thrown) {
      this.#crash(scope, thrown);
      return;
    }
    this.#cancelDeadline?.();
    this.#commit(scope);
    await this.#drain(budget);
  }

  async #impairedTurn(impairment: Impairment): Promise<void> {
    this.#armDeadline();
    await impairment.delay();
    this.#cancelDeadline?.();
    if (this.#phase !== "ended") await this.#drain(this.#budget());
  }

  #commit(scope: TurnScope<unknown>): void {
    if (this.#phase === "ended") {
      scope.discard();
      return;
    }
    this.#mailbox.commit();
    // Asked for behind what the commit publishes and tells, and run also when an effect of it throws: the turn has committed.
    const { rest } = scope;
    try {
      scope.commit(this.#around.refused);
    } catch (thrown) {
      this.#failedToCommit(thrown);
      return;
    } finally {
      if (rest !== undefined) void now.then(rest).catch(this.#failedToCommit);
    }
    if (scope.exits) this.#around.end({ kind: "normal" }, false);
  }

  readonly #failedToCommit = (thrown: unknown): void => {
    this.#around.end({ kind: "crash", phase: "commit", error: asError(thrown) }, false);
  };

  #crash(scope: TurnScope<unknown>, thrown: unknown): void {
    scope.discard();
    if (this.#phase !== "ended") this.#around.end({ kind: "crash", phase: "turn", error: asError(thrown) }, true);
  }

  /** A synchronous handler holds the thread and cannot be found hanging from within; its process's supervisor does. */
  #armDeadline(): void {
    const { turnMaxMs, clock, end } = this.#around;
    this.#cancelDeadline?.();
    if (turnMaxMs === undefined) return;
    this.#cancelDeadline = clock.after(turnMaxMs, () => {
      const isInjected = this.#impairment?.mode === "hang";
      end({ kind: "hang", turnMaxMs, ...(isInjected ? { why: "chaos hang" } : {}) }, !isInjected);
    });
  }

  #track(work: Promise<void>): Promise<void> {
    this.#underWay = work;
    return work;
  }
}

/** Takes what one turn handles into flight and hands it to the behaviour. */
function receiver({ behaviour, state }: Initialised, mailbox: Mailbox): Receive {
  return "receiveBatch" in behaviour
    ? (scope) => behaviour.receiveBatch(state, mailbox.takeBatch(behaviour.batchMax), scope)
    : (scope) => behaviour.receive(state, mailbox.takeOne(), scope);
}
