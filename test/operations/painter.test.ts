// Substrate: a canvas that keeps what is written, and a clock moved by hand.
import test from "ava";
import type { Clock } from "../../models/clock.js";
import { type Canvas, openPainter } from "../../operations/terminal/painter.js";

function canvas(live: boolean, rows = 24): { readonly canvas: Canvas; readonly written: () => string } {
  let text = "";
  return {
    canvas: {
      write: (more) => {
        text += more;
      },
      live,
      columns: () => 80,
      rows: () => rows,
    },
    written: () => text,
  };
}

function clockAt(now: { ms: number }): Clock {
  return {
    nowMs: () => now.ms,
    monotonicMs: () => now.ms,
    delay: () => Promise.reject(new Error("a painter never waits")),
    after: () => {
      throw new Error("a painter sets no timer");
    },
  };
}

const frame = (screen: string, line = "line") => ({ screen: () => screen, line: () => line });

test("on a terminal each frame begins where the last one began", (t) => {
  const { canvas: live, written } = canvas(true);
  const painter = openPainter(live, clockAt({ ms: 0 }));
  painter.paint(frame("a\nb\nc"));
  t.false(written().includes("\u001b[3A"));
  painter.paint(frame("d\ne"));
  t.true(written().includes("\u001b[3A\rd\u001b[K\ne\u001b[K\n\u001b[J"));
  painter.paint(frame("f"));
  t.true(written().includes("\u001b[2A\rf"));
});

test("a screen higher than the terminal is cut, so that its first line can be reached again", (t) => {
  const { canvas: live, written } = canvas(true, 3);
  const painter = openPainter(live, clockAt({ ms: 0 }));
  painter.paint(frame("a\nb\nc\nd\ne"));
  t.false(written().includes("c"));
  painter.paint(frame("a\nb\nc"));
  t.true(written().includes("\u001b[2A"));
});

test("the cursor is hidden while painting and shown again at the end", (t) => {
  const { canvas: live, written } = canvas(true);
  const painter = openPainter(live, clockAt({ ms: 0 }));
  painter.paint(frame("a"));
  t.true(written().startsWith("\u001b[?25l"));
  painter.close();
  t.true(written().endsWith("\u001b[?25h"));
});

test("what is said stays above the screen, which is drawn again below it", (t) => {
  const { canvas: live, written } = canvas(true);
  const painter = openPainter(live, clockAt({ ms: 0 }));
  painter.paint(frame("screen"));
  painter.say("learning restarted");
  t.regex(written(), /learning restarted\n.*screen/s);
});

test("without a terminal there is one plain line every two seconds and no escape sequence", (t) => {
  const now = { ms: 0 };
  const { canvas: pipe, written } = canvas(false);
  const painter = openPainter(pipe, clockAt(now));
  for (; now.ms <= 4_500; now.ms += 100) painter.paint(frame("screen", `at ${now.ms}`));
  painter.close();
  t.is(written(), "at 0\nat 2000\nat 4000\n");
});
