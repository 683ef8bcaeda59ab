// Which faults are active: the ledger of one node, or of the root.
//
// Owns: their entries, and ending those that last before their time. Does not own: what a fault does (chaos.ts, process-chaos.ts), whether
// it may be (fault-guard.ts).
//
// F1. An entry of a fault that lasts is gone when its time is over, whatever became of whoever injected it or waits for its receipt.
// F2. Halting ends what lasts. A kill is over when it is done: nothing of it can be taken back, so it is not counted.

import type { Clock } from "../../models/clock.js";
import type { ActiveFault } from "../../transport/messages/chaos-orders.js";

export interface NewFault {
  readonly node: string;
  readonly target: string;
  readonly mode: string;
  /** Undefined for a fault that is over when its target is mended. */
  readonly forMs: number | undefined;
  readonly by?: string | undefined;
  /** Its id where another ledger has it too. */
  readonly id?: string | undefined;
}

export interface FaultEntry {
  readonly fault: ActiveFault;
  /** Aborted when the fault has to end before its time. */
  readonly halted: AbortSignal;
  /** The fault is over. */
  leave(): void;
}

interface Row {
  readonly fault: ActiveFault;
  /** Monotonic; null until it is mended. */
  readonly untilMs: number | null;
  readonly halt: AbortController;
}

export class FaultLedger {
  readonly #owner: string;
  readonly #clock: Clock;
  readonly #rows = new Map<string, Row>();
  #count = 0;

  /** `owner` begins every id, so it is unique in a cluster: a node with its incarnation. */
  constructor(owner: string, clock: Clock) {
    this.#owner = owner;
    this.#clock = clock;
  }

  /** In the order in which they began. */
  get active(): readonly ActiveFault[] {
    this.#sweep();
    return [...this.#rows.values()].map(({ fault }) => fault);
  }

  nextId(): string {
    this.#count += 1;
    return `${this.#owner}.${this.#count}`;
  }

  enter({ node, target, mode, forMs, by, id = this.nextId() }: NewFault): FaultEntry {
    const beganAtMs = this.#clock.nowMs();
    const fault: ActiveFault = {
      id,
      node,
      target,
      mode,
      beganAtMs,
      endsAtMs: forMs === undefined ? null : beganAtMs + forMs,
      ...(by === undefined ? {} : { by }),
    };
    const untilMs = forMs === undefined ? null : this.#clock.monotonicMs() + forMs;
    const row = { fault, untilMs, halt: new AbortController() };
    this.#rows.set(id, row);
    return { fault, halted: row.halt.signal, leave: () => this.leave(id) };
  }

  leave(id: string): void {
    this.#rows.delete(id);
  }

  /** A node ended: whatever was wrong inside it went with it. */
  leaveNode(node: string): void {
    for (const [id, { fault }] of this.#rows) if (fault.node === node && fault.target !== node) this.#rows.delete(id);
  }

  /** Ends every fault that lasts; how many of them were this ledger's `own` to end. */
  halt(own: (fault: ActiveFault) => boolean = () => true): number {
    this.#sweep();
    const lasting = [...this.#rows.values()].filter(({ untilMs, fault }) => untilMs !== null && own(fault));
    for (const { fault, halt } of lasting) {
      this.#rows.delete(fault.id);
      halt.abort();
    }
    return lasting.length;
  }

  #sweep(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [id, { untilMs }] of this.#rows) if (untilMs !== null && untilMs <= nowMs) this.#rows.delete(id);
  }
}
