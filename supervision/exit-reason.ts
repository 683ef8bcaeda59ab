// Why an incarnation ended.
//
// Owns: the closed union and its one-line form.
// Does not own: what follows from it; that is strategies.ts.

/** When an incarnation crashed: in init, in a message's turn, in an effect after a commit, or outside any turn. */
export type CrashPhase = "init" | "turn" | "commit" | "outside";

export type ExitReason =
  /** It said so itself (`turn.exit()`). The only reason after which a transient actor stays down. */
  | { readonly kind: "normal" }
  /** Its supervisor stopped it, alone or with its siblings. */
  | { readonly kind: "shutdown" }
  /** Ended by force from outside, `why` says by what where it was no stop; no message is to blame. */
  | { readonly kind: "killed"; readonly why?: string }
  | { readonly kind: "crash"; readonly phase: CrashPhase; readonly error: Error }
  /** A turn took longer than the spec's `turnMaxMs`; `why` names an injected fault. */
  | { readonly kind: "hang"; readonly turnMaxMs: number; readonly why?: string };

/** What is said of an error at most: whoever reads a tree or a receipt over the wire takes text of 4,096 characters. */
const wordsMax = 1_024;

/** One line for logs and `tree`, however long and of how many lines an error's own message is. */
export function describeExit(reason: ExitReason): string {
  switch (reason.kind) {
    case "crash":
      return `crash in ${reason.phase}: ${oneLine(reason.error.message)}`;
    case "hang":
      return `hang: turn exceeded ${reason.turnMaxMs} ms${reason.why === undefined ? "" : `, ${reason.why}`}`;
    case "killed":
      return reason.why === undefined ? "killed" : `killed: ${reason.why}`;
    case "normal":
    case "shutdown":
      return reason.kind;
    default:
      return reason satisfies never;
  }
}

function oneLine(text: string): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line.length <= wordsMax ? line : `${line.slice(0, wordsMax)} ...`;
}

/** JavaScript throws anything; the rest of the runtime only knows Error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
