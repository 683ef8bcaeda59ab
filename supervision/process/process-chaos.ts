// One fault of a process, with its receipt.
//
// Owns: the signal and what events say became of it.
// Does not own: what happened to messages; only the log can say that for a whole process, so those fields are null here.

import type { Clock } from "../../models/clock.js";
import type { ChaosReceipt } from "../../transport/messages/chaos-orders.js";
import { within } from "../deadline.js";
import { ChaosRefusedError } from "../faults/chaos.js";
import { Course } from "../faults/course.js";
import type { OsProcess } from "./os-process.js";
import type { ProcessSlot } from "./process-slot.js";
import type { ProcessEvent } from "./process-spec.js";

export type ProcessFaultMode = "sigkill" | "sigterm" | "sigstop";

export interface ProcessChaosSurroundings {
  readonly clock: Clock;
  listen(listener: (event: ProcessEvent) => void): () => void;
  /** Ends a SIGSTOP before its lease does. */
  readonly halted?: AbortSignal | undefined;
}

/** A receipt is not waited for longer than this after the fault's lease. */
const repairMaxMs = 60_000;

export async function strikeProcess(
  slot: ProcessSlot,
  mode: ProcessFaultMode,
  forMs: number,
  { clock, listen, halted }: ProcessChaosSurroundings,
): Promise<ChaosReceipt> {
  const process = slot.process;
  if (process === undefined || !slot.isUp) throw new ChaosRefusedError(slot.spec.id, "it is not running", "not_ready");
  const generationBefore = slot.generation;
  const course = new Course(clock);
  const unlisten = listen((event) => {
    if (event.id === slot.spec.id) follow(course, event);
  });
  const undo = strike(process, mode, forMs);
  const endLease = (): void => {
    undo();
    course.leaseEnded();
  };
  const cancelLease = mode === "sigstop" ? clock.after(forMs, endLease) : undefined;
  if (mode === "sigstop") halted?.addEventListener("abort", endLease, { once: true });
  if (mode === "sigstop" && halted?.aborted) endLease();
  await within(clock, forMs + repairMaxMs, course.settled);
  cancelLease?.();
  halted?.removeEventListener("abort", endLease);
  unlisten();
  return {
    target: slot.spec.id,
    mode,
    generationBefore,
    generationAfter: slot.generation,
    inFlight: null,
    redelivered: null,
    refused: null,
    lost: null,
    leasesCleaned: course.leasesCleaned,
    detectMs: course.detectMs,
    repairMs: course.repairMs,
    cause: course.cause,
  };
}

/** The returned function undoes what can be undone. */
function strike(process: OsProcess, mode: ProcessFaultMode, forMs: number): () => void {
  switch (mode) {
    case "sigkill":
      process.signal("SIGKILL");
      return () => undefined;
    case "sigterm":
      process.signal("SIGTERM");
      return () => undefined;
    case "sigstop":
      return process.freeze(forMs);
    default:
      return mode satisfies never;
  }
}

function follow(course: Course, event: ProcessEvent): void {
  if (event.kind === "crashed") course.detected(event.cause);
  if (event.kind === "cleanup_confirmed") course.leasesCleaned += event.leasesCleaned;
  if (event.kind === "started") course.repaired();
  if (event.kind === "stopped" || event.kind === "escalated") course.lost();
}
