// How a verb ends, and the exit code that says so (contract.md, Command line).
//
// Owns: the six endings. Does not own: printing them (cli.ts).

import { forcedExitCode } from "./patience.js";

/** `message` says what is wrong and where, `next` what to type now. */
export type Outcome =
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly message: string; readonly next: string }
  | { readonly kind: "usage"; readonly message: string; readonly next: string }
  | { readonly kind: "unreachable"; readonly message: string; readonly next: string }
  | { readonly kind: "interrupted" }
  /** An orderly end was cut short: by a second signal, or because the grace time was over. */
  | { readonly kind: "forced"; readonly message: string; readonly next: string };

export const done: Outcome = { kind: "done" };

const exitCodes: Readonly<Record<Outcome["kind"], number>> = {
  done: 0,
  failed: 1,
  usage: 2,
  unreachable: 3,
  interrupted: 130,
  forced: forcedExitCode,
};

export function exitCodeOf(outcome: Outcome): number {
  return exitCodes[outcome.kind];
}
