// The scoreboard: every answer scored once, beside what the source model said.

import test from "ava";
import { Scoreboard, type Scored } from "../../sim/scoreboard.js";

const scored = (adapting: boolean, source: boolean, drift = "none", severity = 0): Scored => ({
  drift,
  severity,
  adapting,
  source,
});

function add(board: Scoreboard, count: number, one: Scored): void {
  for (let i = 0; i < count; i += 1) board.add(one);
}

test("before anything was scored there are zeros and no worst window", (t) => {
  const board = new Scoreboard();
  t.deepEqual(board.accuracy, { adapting: 0, source: 0 });
  t.deepEqual(board.newest, { adapting: 0, source: 0 });
  t.is(board.worstWindow, null);
  t.deepEqual(board.byDrift, []);
  t.is(board.scored, 0);
});

test("accuracy is the share of right answers, of all and for each drift and severity", (t) => {
  const board = new Scoreboard();
  add(board, 3, scored(true, true));
  add(board, 1, scored(false, true, "noise", 2));
  add(board, 4, scored(true, false, "noise", 2));
  add(board, 2, scored(false, false, "noise", 5));
  t.is(board.scored, 10);
  t.deepEqual(board.accuracy, { adapting: 0.7, source: 0.4 });
  t.deepEqual(board.byDrift, [
    { drift: "none", severity: 0, n: 3, adapting: 1, source: 1 },
    { drift: "noise", severity: 2, n: 5, adapting: 0.8, source: 0.2 },
    { drift: "noise", severity: 5, n: 2, adapting: 0, source: 0 },
  ]);
});

test("the newest window holds 200 answers and forgets the rest", (t) => {
  const board = new Scoreboard();
  add(board, 500, scored(false, true));
  add(board, 200, scored(true, false));
  t.deepEqual(board.newest, { adapting: 1, source: 0 });
});

test("the worst window is the lowest lead over any 200 answers, and does not recover", (t) => {
  const board = new Scoreboard();
  add(board, 199, scored(true, false));
  t.is(board.worstWindow, null);
  add(board, 1, scored(true, false));
  t.is(board.worstWindow, 1);
  add(board, 50, scored(false, true));
  t.is(board.worstWindow, 0.5);
  add(board, 400, scored(true, false));
  t.is(board.worstWindow, 0.5);
});

test("the curve has a point for each 50 answers, oldest first, and a bound", (t) => {
  const board = new Scoreboard();
  add(board, 49, scored(true, false));
  t.deepEqual(board.curve, []);
  add(board, 1, scored(false, true));
  add(board, 50, scored(false, false));
  t.deepEqual(board.curve, [
    { adapting: 0.98, source: 0.02 },
    { adapting: 0, source: 0 },
  ]);
  add(board, 50 * 200, scored(true, true));
  t.is(board.curve.length, 120);
  t.deepEqual(board.curve[0], { adapting: 1, source: 1 });
});
