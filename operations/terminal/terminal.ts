// The world of a verb: where its words go, what it may read, and whether it was told to stop.
//
// Owns: nothing; cli.ts makes the real one, tests make theirs. A verb touches no stream of the process itself.
//
// W1. Stdout carries the result and nothing else; whatever is said on the way goes to stderr.
import type { Clock } from "../../models/clock.js";
import type { Colours } from "./colours.js";

export interface Terminal {
  /** One line (or several) of result, on stdout. */
  print(text: string): void;
  /** One line on the way, on stderr. */
  note(text: string): void;
  /** All of stdin. */
  readInput(): Promise<Uint8Array>;
  /** True with `--json`: `print` is given JSON, one document or one a line. */
  readonly json: boolean;
  readonly width: number;
  /** How this program was called, for commands to try: "driftmend", or "node dist/cli.js". */
  readonly self: string;
  readonly colours: Colours;
  readonly clock: Clock;
  /** Aborted at the first Ctrl-C or SIGTERM. */
  readonly interrupted: AbortSignal;
  /** Aborted at the second one: the drain is not waited for any longer. */
  readonly insisted?: AbortSignal;
}
