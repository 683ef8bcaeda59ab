// Learning leaves the event loop its turn: a fold of many steps must not keep timers and sockets waiting (law 10).

import test from "ava";
import { openLearner } from "../../models/learning/learner.js";

const [rows, width, classes] = [8, 6, 3];
const steps = 50;

test("between any two steps the event loop has a turn", async (t) => {
  const learner = await openLearner();
  t.teardown(() => learner.close());
  const batch = {
    ...{ rows, width, classes, klWeight: 0.5 },
    embeddings: new Float32Array(rows * width).fill(0.1),
    votes: new Uint16Array(rows),
    baseLog: new Float32Array(rows * classes).fill(Math.log(1 / classes)),
  };
  let turns = 0;
  let isOver = false;
  const turn = (): void => {
    turns += 1;
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  for (let step = 0; step < steps; step += 1)
    await learner.headGradient(new Float32Array((width + 1) * classes), batch);
  isOver = true;
  t.true(turns >= steps - 1, `${turns} turns in ${steps} steps`);
});
