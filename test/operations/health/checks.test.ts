// The state of one check over time, under invented time; properties hold for any pace and any values.
import test from "ava";
import fc from "fast-check";
import { type CheckState, nextState, silenceMs } from "../../../operations/health/checks.js";

const minuteMs = 60_000;

/** Above 95 it is beyond, below 90 it is over. */
function look(atMs: number, value: number) {
  return { atMs, isBeyond: value > 95, isCleared: value < 90 };
}

function states(values: readonly number[], stepMs: number, timing = { forMs: 0, keepFiringMs: 0 }): CheckState[] {
  let state: CheckState | undefined;
  return values.map((value, index) => {
    state = nextState(state, timing, look(index * stepMs, value));
    return state;
  });
}

test("a check fails once its value has been beyond for 5 minutes, not after 4 min 50 s (S1-27)", (t) => {
  const stepMs = 10_000;
  const kinds = states(Array(33).fill(96), stepMs, { forMs: 5 * minuteMs, keepFiringMs: 0 }).map(({ kind }) => kind);
  t.is(kinds[29], "pending", "4 min 50 s");
  t.is(kinds[30], "failing", "5 min");
  t.is(kinds[31], "failing", "5 min and one interval");
  t.deepEqual(new Set(kinds.slice(0, 30)), new Set(["pending"]));
});

test("a dip resets: the time begins anew with the next value beyond (S1-27)", (t) => {
  const values = [...Array(29).fill(96), 95, ...Array(30).fill(96), 96];
  const kinds = states(values, 10_000, { forMs: 5 * minuteMs, keepFiringMs: 0 }).map(({ kind }) => kind);
  t.is(kinds[29], "calm");
  t.is(kinds[59], "pending");
  t.is(kinds[60], "failing");
});

test("a check that fails goes on until it is calm, and for keep_firing_for after that (I-25)", (t) => {
  const kinds = states([96, 93, 89, 92, 89, 89, 89, 89], 10_000, { forMs: 0, keepFiringMs: 20_000 });
  t.deepEqual(
    kinds.map(({ kind }) => kind),
    ["failing", "failing", "failing", "failing", "failing", "failing", "calm", "calm"],
  );
  t.is(kinds[7]?.sinceMs, 60_000);
});

test("a minute without a look proves nothing: what was pending begins anew, what failed goes on failing", (t) => {
  const timing = { forMs: 30_000, keepFiringMs: 0 };
  const pending = nextState(undefined, timing, look(0, 96));
  t.is(nextState(pending, timing, look(silenceMs, 96)).kind, "failing");
  t.is(nextState(pending, timing, look(silenceMs + 1, 96)).kind, "pending");
  const failing = nextState(pending, timing, look(30_000, 96));
  t.is(nextState(failing, timing, look(30_000 + 10 * minuteMs, 96)).kind, "failing");
});

test("time that steps back begins a pending check anew and leaves no moment in the future", (t) => {
  const timing = { forMs: 30_000, keepFiringMs: 30_000 };
  const pending = nextState(undefined, timing, look(1_000_000, 96));
  const stepped = nextState(pending, timing, look(10_000, 96));
  t.like(stepped, { kind: "pending", beyondSinceMs: 10_000, sinceMs: 10_000 });
  t.is(nextState(stepped, timing, look(40_000, 96)).kind, "failing");
});

const pace = fc.integer({ min: 1, max: 30_000 });
const inBand = fc.double({ min: 90, max: 95, noNaN: true });
const timings = fc.record({
  forMs: fc.integer({ min: 0, max: 600_000 }),
  keepFiringMs: fc.integer({ min: 0, max: 60_000 }),
});

test("a value that flaps within the band of hysteresis never changes the status (I-25)", (t) => {
  fc.assert(
    fc.property(fc.array(inBand, { minLength: 1 }), pace, timings, (values, stepMs, timing) => {
      let calm: CheckState | undefined;
      let failing: CheckState = { kind: "failing", sinceMs: 0, lookedAtMs: 0, beyondSinceMs: 0, calmSinceMs: null };
      for (const [index, value] of values.entries()) {
        calm = nextState(calm, timing, look((index + 1) * stepMs, value));
        failing = nextState(failing, timing, look((index + 1) * stepMs, value));
        if (calm.kind !== "calm" || failing.kind !== "failing") return false;
      }
      return true;
    }),
  );
  t.pass();
});

test("a check fails only when every look of the last `for` was beyond, and its moments never lie in the future", (t) => {
  const value = fc.oneof(fc.constant(96), fc.constant(92), fc.constant(80));
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 200 }), pace, timings, (values, stepMs, timing) => {
      let before: CheckState | undefined;
      return values.every((_, index) => {
        const atMs = index * stepMs;
        const state = nextState(before, timing, look(atMs, values[index] ?? 0));
        const began = state.kind === "failing" && before?.kind !== "failing";
        const since = Math.ceil(index - timing.forMs / stepMs);
        const isSound =
          state.sinceMs <= atMs &&
          (!began ||
            (since >= 0 && values.slice(since, index + 1).every((each) => each > 95) && state.sinceMs === atMs));
        before = state;
        return isSound;
      });
    }),
  );
  t.pass();
});

test("whatever came before, calm values end a failing check after keep_firing_for, and it takes no longer", (t) => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 100, noNaN: true })), pace, timings, (values, stepMs, timing) => {
      let state: CheckState | undefined;
      let atMs = 0;
      for (const value of values) {
        state = nextState(state, timing, look(atMs, value));
        atMs += stepMs;
      }
      const looks = Math.ceil(timing.keepFiringMs / stepMs) + 1;
      for (let index = 0; index < looks; index += 1) {
        state = nextState(state, timing, look(atMs, 50));
        atMs += stepMs;
      }
      return state?.kind === "calm";
    }),
  );
  t.pass();
});
