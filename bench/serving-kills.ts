// SIGKILL of a serving node: how long its model gives no answer, alone and beside another that serves it too.
//
// Owns: what is killed, and between which two moments is measured. Does not own: the scene (mending-scene.ts), the aims.
//
// K1. Every round begins whole: all serving nodes are ready, with 10,000 experiences in the log, and requests are answered.
// K2. The first answer is one to a request that was asked after the kill: what had left the node before is no sign of life.

import type { Clock } from "../models/clock.js";
import { isOf, type Mended, openScene, pidOf, restMs } from "./mending-scene.js";

const remembered = 10_000;
const killed = "serving-1";

export async function servingKills(
  clock: Clock,
  searchPath: string,
  rounds: number,
  serving: number,
): Promise<readonly Mended[]> {
  const scene = await openScene(clock, searchPath, { learning: 1, spare: false, serving, remembered });
  const { events, load } = scene;
  const answerMs: number[] = [];
  const readyMs: number[] = [];
  const slowestMs: number[] = [];
  try {
    for (let from = 0; answerMs.length < rounds; ) {
      const ready = await events.next(from, isOf("started", killed), `${killed} is ready`);
      await clock.delay(restMs);
      from = events.entries.length;
      const killedAtMs = clock.monotonicMs();
      process.kill(pidOf(ready.what), "SIGKILL");
      await load.answered((_, askedAtMs) => askedAtMs > killedAtMs);
      answerMs.push((load.answeredAtMs.at(-1) ?? Number.NaN) - killedAtMs);
      readyMs.push((await events.next(from, isOf("started", killed), "it is ready again")).atMs - killedAtMs);
      // The patience of the client's tries is over by then.
      await clock.delay(restMs);
      slowestMs.push(slowestAround(load.askedAtMs, load.answeredAtMs, killedAtMs));
    }
  } finally {
    await scene.close();
  }
  const which = `SIGKILL of ${serving === 1 ? "the only serving node" : "one of two serving nodes"}`;
  return [
    { what: `${which}, to the next answer of its model`, aimMs: undefined, valuesMs: answerMs },
    { what: `${which}, to the next incarnation ready`, aimMs: undefined, valuesMs: readyMs },
    { what: `${which}, the slowest answer to what was asked around it`, aimMs: undefined, valuesMs: slowestMs },
  ];
}

/** Asked up to a second before the kill, or since. */
function slowestAround(askedAtMs: readonly number[], answeredAtMs: readonly number[], killedAtMs: number): number {
  let slowest = 0;
  for (const [index, asked] of askedAtMs.entries())
    if (asked > killedAtMs - 1_000) slowest = Math.max(slowest, (answeredAtMs[index] ?? asked) - asked);
  return slowest;
}
