// One fault, with its receipt.
//
// Owns: injecting a fault into an actor and measuring what became of it.
// Does not own: which faults are active (fault-ledger.ts), the guard of a pool's minimum (fault-guard.ts), schedules of faults
// (operations/faults/fault-schedule.ts), faults of processes (process-chaos.ts).
//
// X1. Nothing in a receipt is assumed: `lost` is the mailbox's own account (mailbox.ts M2), times are read from events.
// X2. Every fault ends by itself, also when nobody waits for the receipt (impairment.ts I1); `halted` ends it earlier.

import type { Clock } from "../../models/clock.js";
import type { ChaosReceipt } from "../../transport/messages/chaos-orders.js";
import type { Impairment } from "../actor/impairment.js";
import type { Mailbox } from "../actor/mailbox.js";
import { within } from "../deadline.js";
import type { ChaosMode, SupervisionEvent, SupervisionFact } from "../events.js";
import { describeExit, type ExitReason } from "../exit-reason.js";
import { type ActorPath, TOP_PATH } from "../path.js";
import { Course } from "./course.js";

/** The target does not run now (`not_ready`), or its kind cannot have this fault: the injector has to choose again. */
export class ChaosRefusedError extends Error {
  override readonly name = "ChaosRefusedError";
  readonly code: "not_ready" | "bad_request";
  constructor(path: string, why: string, code: ChaosRefusedError["code"] = "bad_request") {
    super(`no fault for "${path}": ${why}`);
    this.code = code;
  }
}

/** An actor, or a supervisor with all the actors below it. */
export interface ChaosTarget {
  readonly path: ActorPath;
  readonly generation: number;
  readonly isUp: boolean;
  /** Of the actor, or of all actors below the supervisor. */
  readonly mailboxes: readonly Mailbox[];
  interrupt(reason: ExitReason): boolean;
  /** Undefined when it cannot be impaired. */
  impair(mode: "hang" | "slow", forMs: number): Impairment | undefined;
}

export interface ChaosSurroundings {
  readonly clock: Clock;
  listen(listener: (event: SupervisionEvent) => void): () => void;
  emit(path: ActorPath, incarnation: number, fact: SupervisionFact): void;
  /** Ends a fault that lasts before its lease does. */
  readonly halted?: AbortSignal | undefined;
}

/** A receipt is not waited for longer than this after the fault's lease. */
const repairMaxMs = 30_000;

/** Resolves when the target works again, or will not. */
export async function injectFault(
  target: ChaosTarget,
  mode: ChaosMode,
  forMs: number,
  around: ChaosSurroundings,
): Promise<ChaosReceipt> {
  if (!target.isUp) throw new ChaosRefusedError(target.path, "it is not running", "not_ready");
  const generationBefore = target.generation;
  const before = count(target.mailboxes);
  const course = new Course(around.clock);
  around.emit(target.path, generationBefore, { kind: "chaos_began", mode, forMs });
  const unlisten = around.listen((event) => follow(course, event, target.path, generationBefore));
  try {
    strike(target, mode, forMs, course, around.halted);
    await within(around.clock, forMs + repairMaxMs, course.settled);
  } finally {
    unlisten();
    around.emit(target.path, target.generation, { kind: "chaos_ended", mode });
  }
  const after = count(target.mailboxes);
  return {
    target: target.path,
    mode,
    generationBefore,
    generationAfter: target.generation,
    inFlight: before.inFlight,
    redelivered: after.redelivered - before.redelivered,
    refused: after.refused - before.refused,
    lost: after.lost - before.lost,
    leasesCleaned: course.leasesCleaned,
    detectMs: course.detectMs,
    repairMs: course.repairMs,
    cause: course.cause,
  };
}

function strike(
  target: ChaosTarget,
  mode: ChaosMode,
  forMs: number,
  course: Course,
  halted: AbortSignal | undefined,
): void {
  switch (mode) {
    case "crash":
      target.interrupt({ kind: "crash", phase: "outside", error: new Error("chaos crash") });
      return;
    case "kill":
      target.interrupt({ kind: "killed", why: "chaos kill" });
      return;
    case "hang":
    case "slow": {
      const impairment = target.impair(mode, forMs);
      if (impairment === undefined) throw new ChaosRefusedError(target.path, `only an actor can ${mode}`);
      if (halted?.aborted) impairment.end();
      else halted?.addEventListener("abort", () => impairment.end(), { once: true });
      void impairment.over.then(() => course.leaseEnded());
      return;
    }
    default:
      mode satisfies never;
  }
}

/** What an event says of the fault that struck the incarnation `generation` of `path`. */
function follow(course: Course, event: SupervisionEvent, path: ActorPath, generation: number): void {
  const isTarget = event.path === path;
  if (event.kind === "cleanup_confirmed" && (isTarget || isBelow(event.path, path)))
    course.leasesCleaned += event.leasesCleaned;
  if (!isTarget) return;
  if ((event.kind === "crashed" || event.kind === "stopped") && event.incarnation === generation)
    course.detected(describeExit(event.reason));
  if (event.kind === "started" && event.incarnation > generation) course.repaired();
  if (event.kind === "retired") course.lost();
}

function isBelow(path: ActorPath, above: ActorPath): boolean {
  return above === TOP_PATH || path.startsWith(`${above}/`);
}

function count(mailboxes: readonly Mailbox[]) {
  const total = { inFlight: 0, redelivered: 0, refused: 0, lost: 0 };
  for (const mailbox of mailboxes) {
    const { redelivered, refused } = mailbox.account();
    total.inFlight += mailbox.inFlight;
    total.redelivered += redelivered;
    total.refused += refused;
    total.lost += mailbox.unaccounted();
  }
  return total;
}
