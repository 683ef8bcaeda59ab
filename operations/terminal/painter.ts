// A thin painter: redraws a screen in place where there is a terminal, and prints a plain line now and then where there is none.
//
// Owns: the cursor and the pace of plain lines. Does not own: what is shown (demo-screen.ts), when (the caller paints as often as it likes).
//
// P1. After `close` the cursor is visible again and the last screen stays readable above it.
// P2. A screen higher than the terminal is cut, or the cursor could not return to its first line.
import type { Clock } from "../../models/clock.js";

export interface Painter {
  /** `screen` is called only when it is going to be shown; so is `line`. */
  paint(frame: { readonly screen: (width: number) => string; readonly line: () => string }): void;
  /** One line of its own that stays: above the screen, or among the plain lines. */
  say(line: string): void;
  close(): void;
}

/** Where a painter draws. `live` says that the cursor can be moved. Columns and rows may change while it runs. */
export interface Canvas {
  readonly write: (text: string) => void;
  readonly live: boolean;
  readonly columns: () => number;
  readonly rows: () => number;
}

const plainEveryMs = 2_000;
const hideCursor = "\u001b[?25l";
const showCursor = "\u001b[?25h";
const clearToLineEnd = "\u001b[K";
const clearBelow = "\u001b[J";

export function openPainter(canvas: Canvas, clock: Clock): Painter {
  return canvas.live ? livePainter(canvas) : plainPainter(canvas, clock);
}

function livePainter(canvas: Canvas): Painter {
  let height = 0;
  let last = "";
  const draw = (screen: string) => {
    const lines = screen.split("\n").slice(0, Math.max(1, canvas.rows() - 1));
    const body = lines.map((line) => `${line}${clearToLineEnd}\n`).join("");
    canvas.write(`${hideCursor}${home(height)}${body}${clearBelow}`);
    height = lines.length;
    last = screen;
  };
  return {
    paint: ({ screen }) => draw(screen(canvas.columns())),
    say(line) {
      canvas.write(`${home(height)}${clearBelow}${line}\n`);
      height = 0;
      if (last !== "") draw(last);
    },
    // The terminal may have echoed "^C" where the next line begins.
    close: () => canvas.write(`\r${clearToLineEnd}${showCursor}`),
  };
}

function home(height: number): string {
  return height === 0 ? "" : `\u001b[${height}A\r`;
}

function plainPainter(canvas: Canvas, clock: Clock): Painter {
  let nextAtMs = Number.NEGATIVE_INFINITY;
  return {
    paint({ line }) {
      const now = clock.monotonicMs();
      if (now < nextAtMs) return;
      nextAtMs = now + plainEveryMs;
      canvas.write(`${line()}\n`);
    },
    say: (line) => canvas.write(`${line}\n`),
    close: () => undefined,
  };
}
