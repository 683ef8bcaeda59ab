// The terminal of this process, as a live view needs it: where it draws, and the key that ends it.
//
// Owns: raw mode while keys are read. Does not own: what is drawn (metrics.ts), how (painter.ts).
//
// L1. In raw mode the terminal sends no SIGINT: Ctrl-C is handed on as one. The mode is as it was when listening ends.

import type { Canvas } from "./painter.js";

export interface LiveScreen {
  readonly canvas: Canvas;
  readonly onQuit: (quit: () => void) => () => void;
}

const ctrlC = "\u0003";

export function processScreen(): LiveScreen {
  const { stdin, stdout } = process;
  return {
    canvas: {
      write: (text) => void stdout.write(text),
      live: stdout.isTTY === true,
      columns: () => stdout.columns ?? 80,
      rows: () => stdout.rows ?? 40,
    },
    onQuit: (quit) => {
      if (stdin.isTTY !== true) return () => undefined;
      const typed = (keys: Buffer): void => {
        const text = keys.toString("utf8");
        if (text.includes(ctrlC)) process.kill(process.pid, "SIGINT");
        else if (text.includes("q")) quit();
      };
      stdin.setRawMode(true);
      stdin.on("data", typed);
      stdin.resume();
      return () => {
        stdin.off("data", typed);
        stdin.setRawMode(false);
        stdin.pause();
      };
    },
  };
}
