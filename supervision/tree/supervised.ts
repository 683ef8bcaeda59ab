// What a supervisor needs of a child, actor or supervisor alike, and what both need of their tree.
//
// Owns: the two seams inside the runtime. Does not own: any behaviour.

import type { Clock, Random } from "../../models/clock.js";
import type { DeadLetter } from "../actor/dead-letters.js";
import type { Spot } from "../actor/kernel.js";
import type { Mailbox } from "../actor/mailbox.js";
import type { Refs } from "../actor/ref.js";
import type { SupervisionFact } from "../events.js";
import type { ExitReason } from "../exit-reason.js";
import type { Logger } from "../logger.js";
import type { ActorPath } from "../path.js";
import type { Cleanup, EndedIncarnation } from "./cleanup.js";
import type { RestartHistory } from "./restart-intensity.js";
import type { RestartType } from "./strategies.js";
import type { TreeNode } from "./tree.js";

export interface Supervised {
  readonly id: string;
  readonly path: ActorPath;
  readonly generation: number;
  readonly restart: RestartType;
  readonly isUp: boolean;
  /** Its own, or of all actors below it. */
  readonly mailboxes: readonly Mailbox[];
  /** A new incarnation below `parent`; true once it is ready. False if it ended first, which `onExit` reported. */
  start(parent: Spot): Promise<boolean>;
  /** Ends the incarnation without reporting an exit. "force" does not wait for a turn under way. */
  stop(how: "orderly" | "force"): Promise<void>;
  /** It will not be started again, unless its own supervisor is: what it still holds becomes dead letters. */
  retire(): void;
  /** Ends the incarnation at once, from outside; the exit is reported. False when none runs. */
  interrupt(reason: ExitReason): boolean;
  node(): TreeNode;
}

/** An incarnation ended by itself; it is cleaned up. `ranMs` is how long it had been ready. */
export type ExitListener = (reason: ExitReason, ranMs: number) => void;

/** What the whole tree shares. */
export interface TreeEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly refs: Refs;
  /** Restarts that the supervisor at `path` has to answer for from an earlier incarnation of the node. */
  historyAt(path: ActorPath): RestartHistory;
  /** How many incarnations there were at `path` before a child was taken out. */
  incarnationsAt(path: ActorPath): number;
  emit(path: ActorPath, incarnation: number, fact: SupervisionFact): void;
  deadLetter(letter: Omit<DeadLetter, "atMs">, incarnation: number): void;
  died(ended: EndedIncarnation): void;
  /** A child was taken out: its path, and those below it, are nobody's now. */
  forget(path: ActorPath): void;
  /** Bounded and never rejects: a hook that is late or throws leaves the cleanup unconfirmed. */
  confirmCleanup(ended: EndedIncarnation): Promise<Cleanup & { readonly isConfirmed: boolean }>;
}
