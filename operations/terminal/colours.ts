// Colours by meaning, so that a screen reads the same everywhere and loses nothing without them.
//
// Owns: which meaning has which colour. Does not own: whether there are colours at all (the command line looks at the terminal and NO_COLOR).
import picocolors from "picocolors";

type Paint = (text: string) => string;

export interface Colours {
  readonly title: Paint;
  readonly quiet: Paint;
  readonly good: Paint;
  readonly bad: Paint;
  readonly warn: Paint;
  readonly accent: Paint;
}

/** With `enabled` false every paint returns its text unchanged. */
export function coloursFor(enabled: boolean): Colours {
  const colour = picocolors.createColors(enabled);
  return {
    title: colour.bold,
    quiet: colour.dim,
    good: colour.green,
    bad: colour.red,
    warn: colour.yellow,
    accent: colour.cyan,
  };
}

export const plain: Colours = coloursFor(false);
